import assert from "node:assert/strict";
import { test } from "node:test";

import { pathOf } from "../../web/sdk/stats.js";
import { UdpReturn } from "../../web/sdk/udp_return.js";

/** Seconds at which a call restarts ICE that runs over what `path` says, one sample a second. */
function tries(seconds, path, { well = () => true, changedAt = -1, random = () => 0.5 } = {}) {
  const decision = new UdpReturn(random);
  const at = [];
  for (let second = 0; second < seconds; second += 1) {
    if (second === changedAt) decision.networkChanged(second * 1000);
    if (decision.sample(second * 1000, path(second), well(second))) at.push(second);
  }
  return at;
}

test("a call over UDP, over a relay or over what the browser doesn't tell is left alone", () => {
  for (const path of ["udp", "relay", null]) assert.deepEqual(tries(3600, () => path), [], path);
});

test("where there is no UDP it is tried again with growing waits, and never given up", () => {
  const at = tries(3600, () => "tcp");
  const waits = at.slice(1).map((second, index) => second - at[index]);
  assert.equal(at[0], 15);
  assert.deepEqual(waits, [30, 60, 120, 240, 450, 450, 450, 450, 450, 450]);
});

test("waits differ between people, from half to all", () => {
  assert.equal(tries(30, () => "tcp", { random: () => 0 })[0], 10);
  assert.equal(tries(30, () => "tcp", { random: () => 0.999 })[0], 20);
});

test("nothing is tried while something else is being repaired; a try that fell due comes right after", () => {
  assert.deepEqual(tries(44, () => "tcp", { well: (second) => second >= 40 }), [40]);
});

test("UDP that doesn't last is followed more and more rarely", () => {
  let udp = 0;
  const decision = new UdpReturn(() => 0.5);
  const at = [];
  for (let second = 0; second < 1200; second += 1) {
    // Every try succeeds and holds for ten seconds.
    if (decision.sample(second * 1000, udp > 0 ? "udp" : "tcp", true)) at.push(second), (udp = 11);
    udp -= 1;
  }
  const waits = at.slice(1).map((second, index) => second - at[index]);
  assert.ok(waits.every((wait, index) => index === 0 || wait > waits[index - 1]), `${waits}`);
});

test("UDP that held is trusted again", () => {
  const held = (UdpReturn.HELD_MS / 1000) + 61;
  const at = tries(400, (second) => (second >= 61 && second <= held ? "udp" : "tcp"));
  assert.deepEqual(at.filter((second) => second > held), [held + 1 + 15, held + 1 + 45, held + 1 + 105].filter((s) => s < 400));
});

test("samples that tell nothing change nothing", () => {
  assert.deepEqual(tries(100, (second) => (second > 2 && second < 10 ? null : "tcp")), tries(100, () => "tcp"));
});

test("a network that changed is tried soon, but not before it has settled", () => {
  const at = tries(1000, () => "tcp", { changedAt: 300 });
  assert.ok(at.includes(303) && !at.includes(300), `${at}`);
  assert.deepEqual(tries(1000, () => "udp", { changedAt: 300 }), []);
});

test("the path is what the chosen pair says, in the terms of either browser", () => {
  const candidates = (protocol, candidateType = "host") => [
    { id: "L", type: "local-candidate", protocol: candidateType === "relay" ? "udp" : protocol, candidateType },
    { id: "R", type: "remote-candidate", protocol },
  ];
  const pair = { id: "P", type: "candidate-pair", localCandidateId: "L", remoteCandidateId: "R" };
  const chosen = { id: "T", type: "transport", selectedCandidatePairId: "P" };
  assert.equal(pathOf([...candidates("tcp"), pair, chosen]), "tcp");
  assert.equal(pathOf([...candidates("udp"), pair, chosen]), "udp");
  assert.equal(pathOf([...candidates("tcp"), { ...pair, selected: true }]), "tcp");
  assert.equal(pathOf([...candidates("udp", "relay"), pair, chosen]), "relay");
  assert.equal(pathOf([...candidates("tcp"), pair]), null);
  assert.equal(pathOf([]), null);
});
