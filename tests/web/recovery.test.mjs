import assert from "node:assert/strict";
import { test } from "node:test";

import { Backoff } from "../../web/sdk/backoff.js";
import { connectionStatus } from "../../web/sdk/connection.js";
import { MediaRecovery } from "../../web/sdk/recovery.js";
import { VirtualClock } from "./virtual_clock.mjs";

function setup() {
  const clock = new VirtualClock();
  const remedies = [];
  const recovery = new MediaRecovery(clock, (remedy) => remedies.push(remedy));
  recovery.signaling(true);
  return { clock, remedies, recovery };
}

test("a short disconnection is left alone", async () => {
  const { clock, remedies, recovery } = setup();
  recovery.media("connected");
  recovery.media("disconnected");
  await clock.advance(MediaRecovery.DISCONNECTED_MS - 1);
  recovery.media("connected");
  await clock.advance(60_000);
  assert.deepEqual(remedies, []);
});

test("a long disconnection restarts ICE for as long as an outage mostly lasts, then makes new peer connections", async () => {
  const { clock, remedies, recovery } = setup();
  recovery.media("connected");
  recovery.media("disconnected");
  await clock.advance(MediaRecovery.DISCONNECTED_MS);
  assert.deepEqual(remedies, ["restart_ice"]);
  await clock.advance(30_000);
  assert.deepEqual(remedies, Array(4).fill("restart_ice"), "half a minute costs no connection");
  await clock.advance(10_000);
  assert.deepEqual(remedies, [...Array(MediaRecovery.RESTARTS).fill("restart_ice"), "rebuild"]);
  await clock.advance(60_000);
  assert.deepEqual(remedies.slice(MediaRecovery.RESTARTS + 1, MediaRecovery.RESTARTS + 3), ["rebuild", "rebuild"]);
});

test("a connection that never was up gets a single restart", async () => {
  const { clock, remedies, recovery } = setup();
  recovery.media("connecting");
  await clock.advance(MediaRecovery.CONNECTING_MS + MediaRecovery.RESTART_MS);
  assert.deepEqual(remedies, ["restart_ice", "rebuild"]);
});

test("a handshake that isn't done soon is begun anew, with growing patience", async () => {
  const { clock, remedies, recovery } = setup();
  recovery.media("connecting");
  for (const [number, wait] of [...MediaRecovery.HANDSHAKE_MS, MediaRecovery.HANDSHAKE_MS.at(-1)].entries()) {
    await clock.advance(500);
    recovery.path();
    await clock.advance(wait - 1);
    recovery.path();
    assert.equal(remedies.length, number, "a path that flaps gives no more time");
    await clock.advance(1);
    assert.equal(remedies.length, number + 1);
  }
  assert.deepEqual(new Set(remedies), new Set(["rebuild"]));
  recovery.media("connected");
  await clock.advance(120_000);
  assert.equal(remedies.length, MediaRecovery.HANDSHAKE_MS.length + 1);
});

test("a handshake that is done in time is left alone", async () => {
  const { clock, remedies, recovery } = setup();
  recovery.media("connecting");
  recovery.path();
  await clock.advance(MediaRecovery.HANDSHAKE_MS[0] - 1);
  recovery.media("connected");
  recovery.path();
  await clock.advance(120_000);
  assert.deepEqual(remedies, []);
});

test("a path found again after an outage is no handshake", async () => {
  const { clock, remedies, recovery } = setup();
  recovery.media("connected");
  recovery.media("disconnected");
  await clock.advance(MediaRecovery.DISCONNECTED_MS);
  recovery.media("connecting");
  recovery.path();
  await clock.advance(MediaRecovery.RESTART_MS - 1);
  assert.deepEqual(remedies, ["restart_ice"]);
});

test("a handshake that is late while signaling is down is begun anew when it is back, unless it was done", async () => {
  for (const [done, expected] of [[false, ["rebuild"]], [true, []]]) {
    const { clock, remedies, recovery } = setup();
    recovery.media("connecting");
    recovery.path();
    recovery.signaling(false);
    await clock.advance(MediaRecovery.HANDSHAKE_MS[0] + 1000);
    if (done) recovery.media("connected");
    recovery.signaling(true);
    await clock.advance(0);
    assert.deepEqual(remedies, expected);
  }
});

test("the answer to a new connection whose path is found already doesn't lengthen its handshake", async () => {
  const clock = new VirtualClock();
  const remedies = [];
  const answers = [];
  const recovery = new MediaRecovery(clock, (remedy) => {
    remedies.push(remedy);
    return new Promise((resolve) => answers.push(resolve));
  });
  recovery.signaling(true);
  recovery.media("connecting");
  recovery.path();
  await clock.advance(MediaRecovery.HANDSHAKE_MS[0]);
  recovery.path();
  answers[0]();
  await clock.advance(MediaRecovery.HANDSHAKE_MS[1]);
  assert.deepEqual(remedies, ["rebuild", "rebuild"]);
});

test("a failure restarts ICE at once", async () => {
  const { clock, remedies, recovery } = setup();
  recovery.media("connected");
  recovery.media("failed");
  await clock.advance(0);
  assert.deepEqual(remedies, ["restart_ice"]);
});

test("states on the way to recovery don't start another remedy", async () => {
  const { clock, remedies, recovery } = setup();
  recovery.media("connected");
  recovery.media("failed");
  await clock.advance(100);
  for (const state of ["connecting", "disconnected", "connecting", "connected"]) recovery.media(state);
  await clock.advance(60_000);
  assert.deepEqual(remedies, ["restart_ice"]);
});

test("nothing is tried while signaling is down, and at once when it is back", async () => {
  const { clock, remedies, recovery } = setup();
  recovery.media("connected");
  recovery.signaling(false);
  recovery.media("failed");
  await clock.advance(120_000);
  assert.deepEqual(remedies, []);
  recovery.signaling(true);
  assert.deepEqual(remedies, ["restart_ice"]);
});

test("media that never connects gets a remedy", async () => {
  const { clock, remedies, recovery } = setup();
  recovery.media("connecting");
  await clock.advance(MediaRecovery.CONNECTING_MS);
  assert.deepEqual(remedies, ["restart_ice"]);
});

test("the time a remedy has begins with the answer, however long that takes", async () => {
  const clock = new VirtualClock();
  const remedies = [];
  const answers = [];
  const recovery = new MediaRecovery(clock, (remedy) => (remedies.push(remedy), new Promise((resolve) => answers.push(resolve))));
  recovery.signaling(true);
  recovery.media("failed");
  await clock.advance(25_000);
  assert.deepEqual(remedies, ["restart_ice"], "the answer is under way");
  answers[0]();
  await clock.advance(MediaRecovery.RESTART_MS - 1);
  assert.deepEqual(remedies, ["restart_ice"]);
  await clock.advance(1);
  assert.deepEqual(remedies, ["restart_ice", "rebuild"]);
  recovery.media("connected");
  answers[1]();
  await clock.advance(120_000);
  assert.equal(remedies.length, 2, "an answer that comes after all was well starts nothing");
});

test("an answer that never comes is not waited for", async () => {
  const clock = new VirtualClock();
  const remedies = [];
  const recovery = new MediaRecovery(clock, (remedy) => (remedies.push(remedy), new Promise(() => {})));
  recovery.signaling(true);
  recovery.media("failed");
  await clock.advance(MediaRecovery.ANSWER_MS + MediaRecovery.RESTART_MS);
  assert.deepEqual(remedies, ["restart_ice", "rebuild"]);
});

test("where the server has ended its side a new connection is made at once", async () => {
  const { clock, remedies, recovery } = setup();
  recovery.media("connected");
  recovery.media("failed", true);
  await clock.advance(0);
  assert.deepEqual(remedies, ["rebuild"]);
  recovery.media("failed", true);
  await clock.advance(1000);
  assert.deepEqual(remedies, ["rebuild"], "said again it is no news");
});

test("the end of the server's side in the middle of an ICE restart makes it a new connection", async () => {
  const { clock, remedies, recovery } = setup();
  recovery.media("connected");
  recovery.media("failed");
  await clock.advance(100);
  recovery.media("failed", true);
  await clock.advance(0);
  assert.deepEqual(remedies, ["restart_ice", "rebuild"]);
});

test("remedies during ten hours without media stay spaced", async () => {
  const { clock, remedies, recovery } = setup();
  recovery.media("failed");
  await clock.advance(36_000_000);
  assert.ok(remedies.length < 36_000 / 25, `${remedies.length}`);
});

test("closing ends all waiting", async () => {
  const { clock, remedies, recovery } = setup();
  recovery.media("disconnected");
  recovery.close();
  await clock.advance(60_000);
  assert.deepEqual(remedies, []);
  assert.equal(clock.pending, 0);
});

test("waits double up to the maximum, with jitter between half and all", () => {
  for (const random of [0, 0.5, 0.999]) {
    const backoff = new Backoff({ baseMs: 500, maxMs: 8000 }, () => random);
    for (const full of [500, 1000, 2000, 4000, 8000, 8000]) {
      const wait = backoff.next();
      assert.ok(wait >= full / 2 && wait <= full, `${wait} of ${full}`);
    }
    for (let attempt = 0; attempt < 5000; attempt += 1) assert.ok(backoff.next() <= 8000);
    backoff.reset();
    assert.ok(backoff.next() <= 500);
  }
});

test("the connection state says what is true of both connections", () => {
  const table = [
    ["idle", "none", false, "connecting"],
    ["connecting", "none", false, "connecting"],
    ["open", "none", false, "connected"],
    ["open", "connecting", false, "media_connecting"],
    ["open", "connected", true, "connected"],
    ["open", "connecting", true, "media_lost"],
    ["open", "disconnected", true, "media_lost"],
    ["open", "failed", false, "media_lost"],
    ["retrying", "connected", true, "signaling_lost"],
    ["retrying", "disconnected", true, "lost"],
    ["retrying", "none", false, "lost"],
    ["closed", "connected", true, "closed"],
  ];
  for (const [state, media, hadMedia, expected] of table) {
    const status = connectionStatus({ state, attempts: 0, retryInMs: 0 }, media, hadMedia);
    assert.equal(status.state, expected, `${state}, ${media}`);
    assert.equal(status.audible, media === "connected");
  }
});
