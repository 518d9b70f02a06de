import assert from "node:assert/strict";
import { test } from "node:test";

import { ChunkStore } from "../../web/sdk/chunk_store.js";
import { carriedFrame, codecOf, packFrames, unpackFrames } from "../../web/sdk/frame_form.js";
import { FrameLog } from "../../web/sdk/frame_log.js";
import { FakeDisk, factsOf } from "./fake_disk.mjs";

const bytes = (...values) => Uint8Array.from(values);
const plain = (array) => (array ? [...array] : array);

// --- form

test("codecs are known by the type of the encoded frame", () => {
  assert.equal(codecOf("audio/opus"), "opus");
  assert.equal(codecOf("video/VP8"), "vp8");
  assert.equal(codecOf("video/AV1"), "av1");
  for (const unknown of ["audio/PCMU", "", undefined]) assert.equal(codecOf(unknown), null);
});

test("NAL units are what is between start codes, whatever their length", () => {
  const expected = [0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 2, 0, 0, 0, 1, 0x65, 0, 3];
  const short = bytes(0, 0, 1, 0x67, 1, 0, 0, 1, 0x68, 2, 0, 0, 1, 0x65, 0, 3);
  assert.deepEqual(plain(carriedFrame("h264", short)), expected);
  assert.deepEqual(plain(carriedFrame("h264", Uint8Array.from(expected))), expected);
  for (const wrong of [bytes(), bytes(1, 2, 3), bytes(0, 0, 1), bytes(0, 0, 0, 1)]) assert.equal(carriedFrame("h264", wrong), null);
});

test("OBUs get their size, and what doesn't go into RTP is left out", () => {
  const [delimiter, padding, tiles] = [[0x12, 0], [0x7a, 1, 9], [0x42, 1, 9]];
  const [sized, last] = [[0x0a, 2, 7, 8], [0x30, 5, 6]];
  assert.deepEqual(plain(carriedFrame("av1", bytes(...delimiter, ...sized, ...padding, ...tiles, ...last))), [0x12, 0, 0x0a, 2, 7, 8, 0x32, 2, 5, 6]);
  const long = bytes(0x34, 0x08, ...new Array(200).fill(4));
  assert.deepEqual(plain(carriedFrame("av1", long)).slice(0, 6), [0x12, 0, 0x36, 0x08, 0xc8, 0x01]);
  const roundabout = bytes(0x0a, 0x82, 0x00, 7, 8);
  assert.deepEqual(plain(carriedFrame("av1", roundabout)), [0x12, 0, 0x0a, 2, 7, 8]);
  const wrong = { empty: [], "only a delimiter": delimiter, "cut size": [0x0a], "endless size": [0x0a, 0x80, 0x80, 0x80, 0x80, 1], "longer than it is": [0x0a, 3, 1], forbidden: [0x8a, 1, 1], "cut header": [0x0c] };
  for (const [name, data] of Object.entries(wrong)) assert.equal(carriedFrame("av1", Uint8Array.from(data)), null, name);
});

test("frames are packed and unpacked; a cut end is left out", () => {
  const frames = [{ timestamp: 0xffffffff, data: bytes(1, 2) }, { timestamp: 0, data: bytes() }, { timestamp: 7, data: bytes(9) }];
  const packed = packFrames(frames);
  assert.equal(packed.length, 3 * 8 + 3);
  assert.deepEqual(unpackFrames(packed).map(({ timestamp, data }) => [timestamp, plain(data)]), [[0xffffffff, [1, 2]], [0, []], [7, [9]]]);
  for (let length = 0; length < packed.length; length += 1) assert.ok(unpackFrames(packed.subarray(0, length)).length < 3);
});

// --- log

function log() {
  const chunks = [];
  return { chunks, log: new FrameLog((chunk) => chunks.push(chunk)) };
}

const opus = (timestamp, data = bytes(timestamp & 0xff, 1)) => ({ ssrc: 5, timestamp: timestamp >>> 0, codec: "opus", data });

test("a chunk is a second of RTP time, also where timestamps wrap", () => {
  for (const start of [0, 1, 2 ** 32 - 1, 2 ** 32 - 24_000, 2 ** 31 - 1]) {
    const { log: made, chunks } = log();
    for (let frame = 0; frame < 101; frame += 1) made.take(opus(start + frame * 960), frame * 20);
    assert.equal(chunks.length, 2);
    for (const [index, chunk] of chunks.entries()) {
      assert.equal(chunk.frames, 50);
      assert.equal(chunk.first_ts, (start + index * 48_000) >>> 0);
      assert.equal(chunk.last_ts, (start + index * 48_000 + 49 * 960) >>> 0);
      assert.equal(unpackFrames(chunk.body).length, 50);
    }
    made.flush();
    assert.equal(chunks[2].frames, 1);
  }
});

test("silence of sound begins a new chunk, a picture that stands for long does not", () => {
  const { log: made, chunks } = log();
  // DTX: one frame each 0.4 s; then nothing for 0.52 s.
  for (const timestamp of [0, 960, 20_160, 39_360, 64_320]) made.take(opus(timestamp), 0);
  for (const timestamp of [0, 89_000, 90_000]) made.take({ ssrc: 6, timestamp, codec: "vp8", data: bytes(7) }, 0);
  made.flush();
  const told = chunks.map(({ codec, frames, first_ts, last_ts }) => [codec, frames, first_ts, last_ts]);
  assert.deepEqual(told, [["opus", 4, 0, 39_360], ["vp8", 2, 0, 89_000], ["opus", 1, 64_320, 64_320], ["vp8", 1, 90_000, 90_000]]);
});

test("streams are apart, layers of one picture together, a step back begins anew", () => {
  const { log: made, chunks } = log();
  const video = (ssrc, timestamp, ...data) => made.take({ ssrc, timestamp, codec: "vp9", data: bytes(...data) }, 0);
  video(1, 1000, 1);
  video(2, 9000, 7);
  video(1, 1000, 2);
  video(1, 4000, 3);
  video(1, 500, 4);
  made.flush();
  assert.deepEqual(chunks.map(({ ssrc, frames, first_ts }) => [ssrc, frames, first_ts]), [[1, 1, 500], [1, 2, 1000], [2, 1, 9000]]);
  assert.deepEqual(plain(unpackFrames(chunks[1].body)[0].data), [1, 2]);
});

test("a frame that is handed over twice is logged once", () => {
  const { log: made, chunks } = log();
  const video = (timestamp, ...data) => made.take({ ssrc: 1, timestamp, codec: "vp8", data: bytes(...data) }, 0);
  video(1000, 1, 2, 3);
  video(1000, 1, 2, 3);
  video(4000, 4);
  video(4000, 4);
  video(7000, 3);
  made.flush();
  const [{ frames, body }] = chunks;
  assert.deepEqual([frames, unpackFrames(body).map(({ data }) => plain(data))], [3, [[1, 2, 3], [4], [3]]]);
});

test("frames that are handed over again, out of order or after their chunk was finished, are logged once", () => {
  const { log: made, chunks } = log();
  const video = (timestamp, codec, ...data) => made.take({ ssrc: 1, timestamp, codec, data: bytes(...data) }, 0);
  for (const timestamp of [1000, 4000, 7000, 1000, 4000, 7000, 10_000]) video(timestamp, "vp8", timestamp / 1000, 1);
  video(10_000, "vp8", 9, 9);
  made.flush();
  video(10_000, "vp8", 10, 1);
  video(13_000, "vp8", 13, 1);
  made.flush();
  assert.deepEqual(chunks.map(({ first_ts, last_ts, frames }) => [first_ts, last_ts, frames]), [[1000, 10_000, 4], [13_000, 13_000, 1]]);
  assert.equal(made.counts.repeated, 5);
  for (const part of [1, 2, 1, 2]) video(20_000, "vp9", part);
  made.flush();
  assert.deepEqual(plain(unpackFrames(chunks[2].body)[0].data), [1, 2]);
});

test("timestamps of long ago may be used again", () => {
  const { log: made, chunks } = log();
  for (let round = 0; round < 2; round += 1) {
    for (let index = 0; index < 300; index += 1) made.take(opus(index * 160, bytes(round)), 0);
  }
  made.flush();
  assert.equal(chunks.reduce((sum, { frames }) => sum + frames, 0), 600);
});

test("a stream that pauses finishes its chunk; frames are copied; what can't be read is counted", () => {
  const { log: made, chunks } = log();
  const data = bytes(1, 2, 3);
  made.take(opus(0, data), 0);
  data.fill(0);
  made.tick(1499);
  assert.equal(chunks.length, 0);
  made.tick(1500);
  assert.deepEqual(plain(unpackFrames(chunks[0].body)[0].data), [1, 2, 3]);
  made.take({ ...opus(960), codec: "av1", data: bytes(0x8a) }, 0);
  made.take(opus(960, bytes()), 0);
  assert.deepEqual(made.counts, { frames: 1, unreadable: 2, repeated: 0 });
});

test("frames that were overtaken have their place, and no chunk reaches over what it does not speak of", () => {
  const { log: made, chunks } = log();
  const video = (timestamp) => made.take({ ssrc: 1, timestamp, codec: "vp8", data: bytes(timestamp / 1000) }, 0);
  for (const timestamp of [1000, 7000, 4000, 10_000]) video(timestamp);
  for (const timestamp of [91_000, 88_000, 94_000, 400_000, 100_000]) video(timestamp);
  made.flush();
  const told = chunks.map(({ body }) => unpackFrames(body).map(({ timestamp }) => timestamp / 1000));
  // The first chunk was finished when 88 came; 100 is so far behind 400 that the stream began anew.
  assert.deepEqual(told, [[1, 4, 7, 10], [88], [91, 94], [400], [100]]);
});

test("a frame that can't be logged ends its chunk, and is told of", () => {
  let unsaid = 0;
  const chunks = [];
  const made = new FrameLog((chunk) => chunks.push(chunk.frames), () => (unsaid += 1));
  for (const timestamp of [0, 960]) made.take(opus(timestamp), 0);
  made.take(opus(1920, bytes()), 0);
  for (const timestamp of [2880, 3840, 4800]) made.take(opus(timestamp), 0);
  made.flush();
  assert.deepEqual([chunks, unsaid, made.counts.unreadable], [[2, 3], 1, 1]);
});

test("a large chunk ends early", () => {
  const { log: made, chunks } = log();
  for (let frame = 0; frame < 4; frame += 1) made.take({ ...opus(frame), codec: "vp8", data: new Uint8Array(3 << 20) }, 0);
  made.flush();
  assert.deepEqual(chunks.map(({ frames }) => frames), [2, 2]);
  made.take({ ...opus(9), codec: "vp8", data: new Uint8Array(5 << 20) }, 0);
  assert.equal(made.counts.unreadable, 1);
});

// --- store

function storeOf(disk, limits = {}) {
  const lost = [];
  return { lost, store: new ChunkStore({ disk, lost: ({ seq }) => lost.push(seq), ...limits }) };
}

const chunk = (fill, length = 100) => new Uint8Array(length).fill(fill);

test("chunks are kept in memory and in storage until they are settled", async () => {
  const disk = new FakeDisk();
  const { store, lost } = storeOf(disk, { memoryBytes: 250 });
  await store.open();
  for (let seq = 0; seq < 5; seq += 1) await store.put(factsOf(seq, chunk(seq)), chunk(seq));
  assert.deepEqual(store.bytes, { memory: 200, disk: 500 });
  assert.deepEqual(plain((await store.get("s", "t", 0)).body), plain(chunk(0)));
  await store.settle("s", "t", 3);
  assert.equal(await store.get("s", "t", 2), null);
  assert.equal((await store.get("s", "t", 3)).facts.seq, 3);
  assert.equal(disk.kept.size, 2);
  assert.deepEqual([lost, store.evicted], [[], 0]);
  const { store: next } = storeOf(disk);
  await next.open();
  assert.deepEqual(next.of("s").map(({ seq }) => seq), [3, 4]);
  assert.deepEqual(plain((await next.get("s", "t", 4)).body), plain(chunk(4)));
});

test("without room the oldest goes, and it is said which", async () => {
  for (const kind of ["none", "full", "silent", "broken"]) {
    const disk = kind === "none" ? null : Object.assign(new FakeDisk(), { [kind]: true });
    const { store, lost } = storeOf(disk, { memoryBytes: 250 });
    await store.open();
    for (let seq = 0; seq < 4; seq += 1) {
      const put = store.put(factsOf(seq, chunk(seq)), chunk(seq));
      if (kind !== "silent") await put;
    }
    await Promise.resolve();
    assert.deepEqual(lost, [0, 1], kind);
    assert.equal(store.evicted, 2);
    assert.equal(store.bytes.memory, 200);
    assert.equal(await store.get("s", "t", 1), null);
    if (kind === "full") assert.equal(store.refused, 4);
  }
  const disk = new FakeDisk();
  const { store, lost } = storeOf(disk, { memoryBytes: 100, diskBytes: 300 });
  for (let seq = 0; seq < 5; seq += 1) await store.put(factsOf(seq, chunk(seq)), chunk(seq));
  assert.deepEqual(lost, [0, 1]);
  assert.deepEqual([...disk.kept.values()].map(({ facts }) => facts.seq), [2, 3, 4]);
});
