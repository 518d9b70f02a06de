import assert from "node:assert/strict";
import { createHash, verify } from "node:crypto";
import { test } from "node:test";

import { DigestChain, keyProof, makeDeviceKey } from "../../web/sdk/digest_chain.js";
import { Recording } from "../../web/sdk/recording.js";
import { WitnessError } from "../../web/sdk/errors.js";
import { VirtualClock } from "./virtual_clock.mjs";

const sha256 = (data) => createHash("sha256").update(data).digest("hex");

function facts(seq, more = {}) {
  return { session: "s-1", track: "t-1", seq, ssrc: 7, codec: "opus", first_ts: 960, last_ts: 48_000, frames: 50, bytes: 4000, sha256: "0a".repeat(32), ...more };
}

/** A verifier of its own: the form is spelled out, not shared with the chain. */
function isSigned(data, prev, number, spki, late = false) {
  const rows = data.chunks.map((one) => `[${one.ssrc},${one.first_ts},${one.last_ts},${one.frames},${one.bytes},"${one.sha256}"]`);
  const body = `{"batch":${number},"chunks":[${rows}],"codec":"${data.codec}","from_seq":${data.from_seq},"late":${late},"prev":"${prev}","session":"${data.session_id}","track":"${data.track_id}"}`;
  assert.deepEqual([data.signed.batch, data.signed.prev, data.signed.late], [number, prev, late]);
  assert.ok(isBy(spki, body, data.signed.signature));
  return sha256(body);
}

function isBy(spki, body, signature) {
  const key = { key: spki, dsaEncoding: "ieee-p1363", format: "der", type: "spki" };
  return verify("sha256", Buffer.from(body), key, Buffer.from(signature, "base64"));
}

async function device() {
  const key = await makeDeviceKey();
  const raw = Buffer.from(key.public, "base64");
  const head = Buffer.from("3059301306072a8648ce3d020106082a8648ce3d030107034200", "hex");
  return { key, spki: Buffer.concat([head, raw]), raw };
}

test("a key can't be read out, and is named by its digest", async () => {
  const { key, raw } = await device();
  assert.equal(key.privateKey.extractable, false);
  assert.deepEqual([raw.length, raw[0]], [65, 4]);
  assert.equal(key.id, sha256(raw));
  assert.notEqual((await makeDeviceKey()).id, key.id);
});

test("a key is told with a proof that is good for one session and one participant", async () => {
  const { key, spki } = await device();
  const told = await keyProof(key, "s-1", "customer-1");
  assert.deepEqual([told.session_id, told.public], ["s-1", key.public]);
  assert.ok(isBy(spki, `{"key":"${key.id}","participant":"customer-1","session":"s-1","type":"device.key"}`, told.proof));
});

test("every batch is signed with the digest of the one before, also on another thread", async () => {
  const { key, spki } = await device();
  const chain = new DigestChain(key);
  await chain.add([facts(5), facts(6)]);
  await chain.add([facts(1, { track: "t-2", codec: "vp8" })]);
  const first = chain.due.data;
  let head = isSigned(first, key.id, 1, spki);
  chain.answered(1);
  head = isSigned(chain.due.data, head, 2, spki);
  const other = new DigestChain(key, structuredClone(chain.state));
  assert.deepEqual([other.below("t-1"), other.below("t-2"), other.below("t-3")], [7, 2, 0]);
  await other.add([facts(7)], true);
  other.answered(2);
  isSigned(other.due.data, head, 3, spki, true);
  other.answered(3);
  assert.equal(other.due, null);
  other.answered(0);
  assert.deepEqual(other.due.data, first, "the server forgot: it is said again as it was signed");
});

test("what is answered is kept for a while; a server that forgot more is told without signatures", async () => {
  const { key } = await device();
  const chain = new DigestChain(key);
  for (let number = 1; number <= 70; number += 1) {
    await chain.add([facts(number)]);
    chain.answered(number);
  }
  assert.equal(chain.state.batches.length, 64);
  chain.answered(3);
  assert.equal(chain.due.data.from_seq, 7);
  assert.equal(chain.due.data.signed, undefined);
  for (let left = 64; left > 0; left -= 1) chain.answered(null);
  assert.equal(chain.due, null);
});

test("without a key nothing is signed", async () => {
  const chain = new DigestChain(null);
  await chain.add([facts(5)]);
  assert.equal(chain.due.data.signed, undefined);
  chain.answered(null);
  assert.equal(chain.due, null);
});

test("a call says its batches in order, and goes on unsigned where a key isn't taken", async () => {
  const clock = new VirtualClock();
  const asked = [];
  const keys = [];
  let takesKeys = async () => ({});
  let reply = async () => ({ settled_below: 0, batches: asked.length });
  const recording = new Recording({
    clock, post: () => {}, silentMs: () => 0, base: "https://bank",
    request: (type, data) => {
      if (type === "device.key") {
        keys.push(data.session_id);
        return takesKeys();
      }
      asked.push(structuredClone(data));
      return reply(data);
    },
  });
  recording.key = await makeDeviceKey();
  recording.participant = "customer-1";
  recording.onNotice({ state: "on", session_id: "s-1", upload: null });
  const turn = async (count, told = 1) => {
    await clock.advance(2000);
    // Signatures are made at a time of their own.
    while (asked.length < count || keys.length < told) await new Promise(setImmediate);
    for (let left = 20; left > 0; left -= 1) await new Promise(setImmediate);
  };
  for (const track of ["t-1", "t-2"]) recording.hear({ chunk: facts(5, { track }) });
  await turn(2);
  assert.deepEqual(asked.map(({ track_id: track, signed }) => [track, signed.batch]), [["t-1", 1], ["t-2", 2]]);
  reply = async () => {
    throw new WitnessError("bad_message", "key was not announced");
  };
  recording.hear({ chunk: facts(6) });
  await turn(3);
  reply = async () => ({ settled_below: 7, batches: null });
  await turn(4);
  assert.deepEqual(asked.slice(2).map(({ from_seq: seq, signed }) => [seq, signed?.batch]), [[6, 3], [6, undefined]]);
  assert.deepEqual(keys, ["s-1"], "once for a session");
  takesKeys = async () => {
    throw new WitnessError("busy", "no room");
  };
  recording.onNotice({ state: "on", session_id: "s-2", upload: null });
  recording.hear({ chunk: facts(9, { session: "s-2" }) });
  await turn(4, 2);
  assert.deepEqual([keys.length, asked.length], [2, 4], "nothing is said before the key");
  takesKeys = async () => {
    throw new WitnessError("bad_message", "one too many");
  };
  await turn(5, 3);
  assert.deepEqual(asked.slice(4).map(({ from_seq: seq, signed }) => [seq, signed]), [[9, undefined]], "it goes without");
});
