import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mock, test } from "node:test";

import { Recording, uploadRate } from "../../web/sdk/recording.js";
import { RecordingWorker } from "../../web/sdk/recording_worker.js";
import { formatRed } from "../../web/sdk/red.js";
import { unpackFrames } from "../../web/sdk/frame_form.js";
import { FakeDisk } from "./fake_disk.mjs";
import { VirtualClock } from "./virtual_clock.mjs";

const UNIX_MS = 1_795_320_000_000;
const ACCESS = { session: "s-1", url: "https://bank/v1/sessions/s-1", token: "tok", expiresAt: Date.now() + 1e9 };

/** The system's digests come at a time of their own, these in virtual time. */
mock.method(globalThis.crypto.subtle, "digest", async (_name, data) => {
  const sum = createHash("sha256").update(new Uint8Array(data.buffer ?? data)).digest();
  return sum.buffer.slice(sum.byteOffset, sum.byteOffset + sum.length);
});

async function turns(clock, ms = 0) {
  await clock.advance(ms);
  for (let turn = 0; turn < 20; turn += 1) await clock.advance(0);
}

/** The server's side of uploads. */
class Server {
  digests = new Map();
  wanted = [];
  taken = new Map();
  lost = [];
  /** Numbers of chunks of which frames stay missing, whatever is brought. */
  incomplete = new Set();
  requests = [];
  /** Answers of the next requests, instead of the right ones: a status, or an error. */
  failures = [];
  done = () => this.wanted.length === 0;

  fetch = async (url, { method, body, headers }) => {
    const path = url.replace(`${ACCESS.url}/`, "");
    this.requests.push(`${method} ${path}`);
    assert.equal(headers.Authorization, "Bearer tok");
    const failure = this.failures.shift();
    if (failure instanceof Error) throw failure;
    if (failure) return { status: failure, json: async () => ({}) };
    if (path === "digests") return this.#reply(200, this.#take(JSON.parse(body)));
    if (path === "wants") return this.#reply(200, { state: this.done() ? "done" : "open", chunks: this.wanted.slice(0, 64), more: 0 });
    if (path === "lost") {
      const { track_id: track, seqs } = JSON.parse(body);
      this.lost.push(...seqs);
      this.wanted = this.wanted.filter((item) => item.track_id !== track || !seqs.includes(item.seq));
      return this.#reply(204, {});
    }
    const [, track, seq] = path.match(/^tracks\/(.+)\/chunks\/(\d+)$/);
    if (this.incomplete.has(Number(seq))) return this.#reply(409, { code: "incomplete" });
    const sum = createHash("sha256").update(body).digest("base64");
    assert.equal(headers["Content-Digest"], `sha-256=:${sum}:`);
    this.taken.set(`${track}/${seq}`, unpackFrames(body).map(({ timestamp }) => timestamp));
    this.wanted = this.wanted.filter((item) => item.track_id !== track || item.seq !== Number(seq));
    return this.#reply(204, {});
  };

  #take({ track_id: track, from_seq: from, chunks }) {
    for (const [index, item] of chunks.entries()) this.digests.set(`${track}/${from + index}`, item);
    return { settled_below: 0 };
  }

  #reply(status, data) {
    return { status, json: async () => data };
  }
}

function made({ disk = new FakeDisk(), server = new Server(), limits } = {}) {
  const clock = new VirtualClock();
  const said = [];
  const state = { opened: 0 };
  const worker = new RecordingWorker({
    say: (message) => said.push(message), clock, unixMs: () => UNIX_MS, fetch: server.fetch, limits,
    openDisk: async () => {
      state.opened += 1;
      return disk;
    },
    lock: (_name, run) => run(),
  });
  const frame = (timestamp, { ssrc = 7, mimeType = "audio/opus", data = Uint8Array.of(timestamp & 0xff, 3) } = {}) => ({
    data: data.buffer.slice(data.byteOffset, data.byteOffset + data.length),
    getMetadata: () => ({ rtpTimestamp: timestamp, synchronizationSource: ssrc, mimeType }),
  });
  const speak = (seconds, begin = 0) => {
    for (let index = 0; index < seconds * 50; index += 1) worker.take("1", frame(begin + index * 960));
  };
  const facts = () => said.flatMap(({ chunk }) => (chunk ? [chunk] : []));
  const progress = () => said.flatMap((message) => (message.progress ? [message.progress] : [])).at(-1);
  return { clock, said, worker, frame, speak, facts, progress, server, disk, state };
}

async function recorded(parts = {}) {
  const all = made(parts);
  await all.worker.handle({ track: { line: "1", id: "t-1" } });
  await all.worker.handle({ recording: { state: "on", session: "s-1", access: ACCESS } });
  return all;
}

// --- the worker

test("a call that isn't recorded costs nothing", async () => {
  const { worker, speak, clock, said, state } = made();
  await worker.handle({ track: { line: "1", id: "t-1" } });
  speak(3);
  await turns(clock, 5000);
  assert.deepEqual([said, state.opened, clock.pending], [[], 0, 0]);
});

test("chunks are told of in their order, with the digest of what was sent", async () => {
  const { worker, speak, clock, facts, disk } = await recorded();
  speak(3);
  await turns(clock);
  assert.deepEqual(facts().map(({ seq }) => seq), [UNIX_MS, UNIX_MS + 1]);
  const [first] = facts();
  assert.deepEqual([first.track, first.session, first.ssrc, first.codec, first.frames], ["t-1", "s-1", 7, "opus", 50]);
  const { body } = disk.kept.get(`s-1/t-1/${UNIX_MS}`);
  assert.equal(first.sha256, createHash("sha256").update(body).digest("hex"));
  assert.equal(first.bytes, body.length);
  await worker.handle({ recording: { state: "paused", session: "s-1", access: ACCESS } });
  speak(2, 480_000);
  await turns(clock, 3000);
  assert.equal(facts().length, 3, "the last chunk is finished, nothing is logged in a pause");
  await worker.handle({ recording: { state: "on", session: "s-1", access: ACCESS } });
  speak(2, 960_000);
  await turns(clock);
  assert.equal(facts()[3].seq, UNIX_MS + 4, "a number is left out for what was sent in the pause");
});

test("of RED the primary is logged, of unknown tracks nothing", async () => {
  const { worker, frame, clock, facts, disk } = await recorded();
  const [copy, primary] = [{ payloadType: 111, offset: 960, data: Uint8Array.of(1) }, { payloadType: 111, offset: 0, data: Uint8Array.of(2, 2) }];
  worker.take("1", frame(0, { mimeType: "audio/red", data: formatRed([copy], primary) }));
  worker.take("9", frame(0));
  worker.take("1", frame(0, { mimeType: "audio/PCMU" }));
  worker.end("1");
  worker.end("9");
  await turns(clock);
  assert.equal(facts().length, 1);
  assert.deepEqual([...unpackFrames(disk.kept.get(`s-1/t-1/${UNIX_MS}`).body)[0].data], [2, 2]);
  assert.equal(worker.nameless, 1);
});

test("during the call only as much is uploaded as is allowed, and only what is missing", async () => {
  const { worker, speak, clock, server, facts } = await recorded();
  speak(4);
  await turns(clock);
  const want = (index, have = []) => ({ track_id: "t-1", seq: facts()[index].seq, have });
  await worker.handle({ want: { session: "s-1", chunks: [want(0), want(1, [48_000, 48_960])], more: 0 } });
  await turns(clock, 10_000);
  assert.deepEqual(server.requests, [], "nothing was allowed");
  await worker.handle({ allow: 1000 });
  await worker.handle({ want: { session: "s-1", chunks: [want(0), want(1, [48_000, 48_960])], more: 0 } });
  await turns(clock, 1000);
  assert.deepEqual([...server.taken.keys()], [`t-1/${UNIX_MS}`], "the next has to wait: 500 bytes take 4 s");
  await turns(clock, 4000);
  assert.equal(server.taken.get(`t-1/${UNIX_MS + 1}`).length, 48);
});

test("after the call everything is told, asked for and uploaded", async () => {
  const { worker, speak, clock, server, progress, said, disk } = await recorded();
  speak(5);
  await turns(clock);
  server.wanted = [0, 3].map((index) => ({ track_id: "t-1", seq: UNIX_MS + index, have: [] }));
  server.wanted.push({ track_id: "t-1", seq: UNIX_MS - 9, have: [] });
  const over = worker.handle({ finish: true });
  for (let turn = 0; turn < 5; turn += 1) await turns(clock, 2000);
  await over;
  assert.equal(server.digests.size, 5);
  assert.deepEqual([server.taken.size, server.lost], [2, [UNIX_MS - 9]]);
  assert.deepEqual([progress().phase, progress().left], ["done", 0]);
  assert.deepEqual([disk.kept.size, disk.known.size], [0, 0]);
  assert.ok(said.at(-1).finished);
});

test("what fails is tried again with growing waits, what is refused is not", async () => {
  const { worker, speak, clock, server, progress } = await recorded();
  speak(2);
  await turns(clock);
  server.failures = [new TypeError("offline"), 503, 429, 0, 0, 422];
  server.wanted = [{ track_id: "t-1", seq: UNIX_MS, have: [] }];
  const over = worker.handle({ finish: true });
  for (let turn = 0; turn < 40 && !server.requests.some((line) => line.startsWith("PUT")); turn += 1) await turns(clock, 1000);
  assert.deepEqual(server.requests.slice(0, 6), [...new Array(4).fill("POST digests"), "GET wants", `PUT tracks/t-1/chunks/${UNIX_MS}`]);
  await turns(clock, 0);
  assert.equal(progress().lost, 1);
  server.wanted = [];
  for (let turn = 0; turn < 10; turn += 1) await turns(clock, 2000);
  await over;
  assert.equal(progress().phase, "done");
});

test("a chunk that stays incomplete is brought three times, then said to be lost", async () => {
  const { worker, speak, clock, server, progress } = await recorded();
  speak(3);
  await turns(clock);
  server.incomplete.add(UNIX_MS);
  server.wanted = [0, 1].map((index) => ({ track_id: "t-1", seq: UNIX_MS + index, have: [] }));
  const over = worker.handle({ finish: true });
  for (let turn = 0; turn < 20; turn += 1) await turns(clock, 4000);
  await over;
  const puts = server.requests.filter((line) => line === `PUT tracks/t-1/chunks/${UNIX_MS}`);
  assert.deepEqual([puts.length, server.lost, [...server.taken.keys()]], [3, [UNIX_MS], [`t-1/${UNIX_MS + 1}`]]);
  assert.equal(progress().phase, "done");
});

test("without access nothing is tried again", async () => {
  for (const status of [401, 403, 404]) {
    const { worker, speak, clock, server, progress } = await recorded();
    speak(2);
    await turns(clock);
    server.failures = [status];
    const over = worker.handle({ finish: true });
    await turns(clock, 3000);
    await over;
    assert.deepEqual([progress().phase, server.requests.length], ["refused", 1]);
  }
});

test("a page that is opened again goes on with what an earlier one left behind", async () => {
  const before = await recorded();
  before.speak(4);
  await turns(before.clock);
  const server = new Server();
  server.wanted = [{ track_id: "t-1", seq: UNIX_MS + 1, have: [] }];
  const after = made({ disk: before.disk, server });
  const over = after.worker.handle({ recover: { except: null } });
  for (let turn = 0; turn < 6; turn += 1) await turns(after.clock, 2000);
  await over;
  assert.deepEqual([...server.taken.keys()], [`t-1/${UNIX_MS + 1}`]);
  assert.equal(server.digests.size, 3, "the last, unfinished chunk went with the page");
  assert.equal(after.disk.kept.size, 0);
  assert.deepEqual(after.said.at(-1), { recovered: 1 });
});

// --- the page

function page() {
  const clock = new VirtualClock();
  const [posted, asked] = [[], []];
  const state = { silentMs: 0, reply: async () => ({ settled_below: 0 }) };
  const recording = new Recording({
    clock, base: "https://bank/call", post: (message) => posted.push(message), silentMs: () => state.silentMs,
    request: (type, data) => {
      asked.push({ type, data });
      return state.reply(data);
    },
  });
  const notice = (more = {}) => recording.onNotice({
    state: "on", session_id: "s-1", upload: { url: "/v1/sessions/s-1", token: "tok", expires_at: "2026-11-29T04:00:00.000Z" }, ...more,
  });
  const chunk = (seq, more = {}) => recording.hear({ chunk: { session: "s-1", track: "t-1", seq, ssrc: 1, codec: "opus", first_ts: 0, last_ts: 1, frames: 1, bytes: 9, sha256: "00", ...more } });
  return { clock, posted, asked, state, recording, notice, chunk };
}

test("the worker learns of the recording, with the address of uploads", () => {
  const { recording, posted, notice, clock } = page();
  const seen = [];
  recording.on("state", (view) => seen.push(view.state));
  recording.allow(5);
  assert.deepEqual([posted, clock.pending], [[], 0], "nothing before the server speaks of it");
  notice();
  notice({ state: "off", upload: null });
  assert.deepEqual(posted[0].recording, { state: "on", session: "s-1", access: { session: "s-1", url: "https://bank/v1/sessions/s-1", token: "tok", expiresAt: 1795924800000 } });
  assert.equal(posted[1].recording.access, null);
  assert.deepEqual(seen, ["on", "off"]);
});

test("digests are said every two seconds, in runs, and again until they are answered", async () => {
  const { clock, asked, posted, state, notice, chunk } = page();
  notice();
  for (const seq of [5, 6, 9]) chunk(seq);
  chunk(1, { track: "t-2", codec: "vp8" });
  await clock.advance(2000);
  assert.deepEqual(asked.map(({ data }) => [data.track_id, data.from_seq, data.chunks.length]), [["t-1", 5, 2], ["t-2", 1, 1]]);
  assert.deepEqual(Object.keys(asked[0].data.chunks[0]), ["ssrc", "first_ts", "last_ts", "frames", "bytes", "sha256"]);
  state.reply = async () => {
    throw new Error("timeout");
  };
  await clock.advance(2000);
  state.silentMs = 6000;
  state.reply = async () => ({ settled_below: 9 });
  await clock.advance(2000);
  assert.deepEqual(asked.slice(2).map(({ data }) => data.from_seq), [9, 9]);
  chunk(10);
  await clock.advance(5999);
  assert.equal(asked.length, 4, "more rarely while the server isn't heard");
  await clock.advance(1);
  assert.equal(asked.length, 5);
  assert.deepEqual(posted.at(-1), { settled: { session: "s-1", track: "t-1", below: 9 } });
});

test("what waits to be said is bounded", async () => {
  const { clock, asked, state, notice, chunk } = page();
  notice();
  state.reply = () => new Promise(() => {});
  for (let seq = 0; seq < 20_100; seq += 1) chunk(seq);
  await clock.advance(2000);
  await clock.advance(4000);
  assert.deepEqual(asked.map(({ data }) => [data.from_seq, data.chunks.length]), [[0, 32]], "one at a time");
  state.reply = async (data) => ({ settled_below: data.from_seq });
});

test("uploads take what the call leaves", () => {
  const link = { protectsAudio: false, score: "good", availableBps: 1_000_000, sendingBps: 400_000 };
  for (const [change, expected] of [
    [{}, 300_000],
    [{ protectsAudio: true }, 0],
    [{ score: "poor" }, 0],
    [{ score: "lost" }, 0],
    [{ score: undefined }, 300_000],
    [{ availableBps: undefined }, 64_000],
    [{ sendingBps: 990_000 }, 0],
    [{ sendingBps: 2_000_000 }, 0],
    [{ availableBps: 90_000_000 }, 2_000_000],
  ]) assert.equal(uploadRate({ ...link, ...change }), expected, JSON.stringify(change));
});
