import assert from "node:assert/strict";
import { test } from "node:test";

import { MAX_OFFSET, MAX_PAYLOAD, RedWriter, formatRed, opusTicks, parseRed, usableOffsets } from "../../web/sdk/red.js";

/** Reads RFC 2198 bit by bit, sharing nothing with the code under test. */
function readBits(payload) {
  let at = 0;
  const take = (count) => {
    let value = 0;
    for (; count > 0; count -= 1, at += 1) value = value * 2 + ((payload[at >> 3] >> (7 - (at & 7))) & 1);
    return value;
  };
  const blocks = [];
  while (take(1) === 1) blocks.push({ payloadType: take(7), offset: take(14), length: take(10) });
  blocks.push({ payloadType: take(7), offset: 0, length: null });
  let from = at / 8;
  for (const block of blocks) {
    block.length ??= payload.length - from;
    block.data = payload.slice(from, from + block.length);
    assert.equal(block.data.length, block.length, "the payload is cut");
    from += block.length;
  }
  assert.equal(from, payload.length, "bytes are left over");
  return blocks;
}

/** Small, seeded, the same everywhere (mulberry32). */
function seeded(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** A frame of 20 ms (config 1 of SILK), `size` bytes that nobody else has. */
function frame(random, size) {
  const data = Uint8Array.from({ length: size }, () => Math.floor(random() * 256));
  data[0] = (1 << 3) | (data[0] & 4);
  return data;
}

const same = (some, others) => Buffer.compare(some, others) === 0;

/** As a browser writes it: one copy, or none. */
function browserRed(data, before) {
  const copies = before ? [{ payloadType: 111, offset: 960, data: before }] : [];
  return formatRed(copies, { payloadType: 111, offset: 0, data });
}

function writeAll(writer, frames) {
  let before = null;
  return frames.map(({ timestamp, data }) => {
    const payload = writer.write(browserRed(data, before), timestamp);
    before = data;
    return { timestamp, blocks: readBits(payload), size: payload.length };
  });
}

function steady(random, count, { from = 0, size = 60 } = {}) {
  return Array.from({ length: count }, (_, index) => ({ timestamp: (from + 960 * index) >>> 0, data: frame(random, size) }));
}

test("every frame comes with exactly the copies that are wished for", () => {
  for (const offsets of [[], [1], [1, 2, 4], [2, 4, 6, 8, 10, 12, 14, 16], [17], [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]]) {
    const writer = new RedWriter();
    writer.setOffsets(offsets);
    const frames = steady(seeded(1), 60, { size: 50 });
    for (const [index, { blocks }] of writeAll(writer, frames).entries()) {
      const expected = offsets.filter((offset) => offset <= index).reverse();
      assert.deepEqual(blocks.map(({ offset }) => offset), [...expected.map((offset) => offset * 960), 0]);
      for (const [place, offset] of [...expected, 0].entries()) {
        assert.deepEqual(blocks[place].data, frames[index - offset].data);
        assert.equal(blocks[place].payloadType, 111);
      }
    }
    assert.equal(writer.counts.skipped, 0);
  }
});

test("without a wish one byte is added, and the browser's own copy is left out", () => {
  const random = seeded(2);
  const [first, second] = [frame(random, 80), frame(random, 80)];
  const writer = new RedWriter();
  writer.write(browserRed(first, null), 0);
  assert.equal(writer.write(browserRed(second, first), 960).length, 81);
});

test("timestamps wrap", () => {
  for (const from of [2 ** 32 - 960 * 5, 2 ** 32 - 1, 2 ** 32 - 960 * 5 - 1, 0, 1, 2 ** 31 - 960]) {
    const writer = new RedWriter();
    writer.setOffsets([1, 3]);
    const written = writeAll(writer, steady(seeded(3), 12, { from }));
    for (const { blocks } of written.slice(3)) assert.deepEqual(blocks.map(({ offset }) => offset), [2880, 960, 0]);
  }
});

test("pauses and jumps of time leave out what isn't there", () => {
  const random = seeded(4);
  const data = () => frame(random, 30);
  const table = [
    // [timestamps, offsets in ticks of the last packet for the wish 1, 2, 4]
    [[0, 960, 1920, 2880, 3840], [3840, 1920, 960]],
    [[0, 960, 1920, 1920 + 19_200], []],
    [[0, 960, 960 + 16_320], []],
    [[0, 960, 2880], [1920]],
    [[96_000, 96_960, 0, 960], [960]],
    [[0, 960, 960], [960]],
    [[0, 960, 1920 + 7], []],
    [[0, 2 ** 31], []],
  ];
  for (const [timestamps, expected] of table) {
    const writer = new RedWriter();
    writer.setOffsets([1, 2, 4]);
    const written = writeAll(writer, timestamps.map((timestamp) => ({ timestamp, data: data() })));
    const offsets = written.at(-1).blocks.map(({ offset }) => offset);
    assert.deepEqual(offsets, [...expected, 0], `${timestamps}`);
  }
});

test("copies reach 17 frames of 20 ms, 5 of 60 ms, and never beyond 14 bits", () => {
  for (const [toc, ticks, reach] of [[0b00001_000, 960, 17], [0b00011_000, 2880, 5], [0b00000_000, 480, 17], [0b00001_001, 1920, 8]]) {
    const writer = new RedWriter();
    writer.setOffsets(Array.from({ length: 17 }, (_, index) => index + 1));
    const frames = Array.from({ length: 40 }, (_, index) => ({ timestamp: index * ticks, data: Uint8Array.of(toc, index, 1) }));
    const { blocks } = writeAll(writer, frames).at(-1);
    assert.equal(blocks.length - 1, reach);
    assert.ok(blocks.every(({ offset }) => offset <= MAX_OFFSET));
  }
});

test("random streams never pass the limits, and every copy is the frame it says", () => {
  for (let seed = 0; seed < 60; seed += 1) {
    const random = seeded(seed);
    const writer = new RedWriter();
    /** @type {Map<number, Uint8Array>} */
    const sent = new Map();
    let timestamp = Math.floor(random() * 2 ** 32);
    let before = null;
    for (let count = 0; count < 100; count += 1) {
      if (random() < 0.1) writer.setOffsets(Array.from({ length: Math.floor(random() * 18) }, () => 1 + Math.floor(random() * 17)));
      const jump = random();
      const step = jump < 0.9 ? 960 : jump < 0.95 ? 960 * Math.floor(random() * 30) : Math.floor(random() * 2 ** 32);
      timestamp = (timestamp + step) >>> 0;
      const data = frame(random, 1 + Math.floor(random() ** 3 * 900));
      const payload = writer.write(browserRed(data, data.length + (before?.length ?? 0) < 1000 ? before : null), timestamp);
      assert.ok(payload.length <= MAX_PAYLOAD, `${payload.length} bytes`);
      const blocks = readBits(payload);
      assert.ok(same(blocks.at(-1).data, data));
      const offsets = blocks.map(({ offset }) => offset);
      assert.deepEqual(offsets, [...new Set(offsets)].sort((a, b) => b - a));
      for (const { offset, data: copy, length } of blocks.slice(0, -1)) {
        assert.ok(offset > 0 && offset <= MAX_OFFSET && length < 1024);
        assert.ok(same(copy, sent.get((timestamp - offset) >>> 0)));
        assert.ok(writer.offsets.includes(offset / 960));
      }
      sent.set(timestamp, data);
      before = data;
    }
  }
});

test("where there isn't room the nearest copies stay, and the rest is counted", () => {
  const writer = new RedWriter();
  writer.setOffsets([1, 2, 3, 4, 5, 6, 7, 8]);
  const { blocks, size } = writeAll(writer, steady(seeded(5), 20, { size: 200 })).at(-1);
  assert.deepEqual(blocks.map(({ offset }) => offset / 960), [3, 2, 1, 0]);
  assert.equal(size, 3 * 204 + 201);
  // The first frames have fewer than eight before them.
  assert.equal(writer.counts.skipped, 1 + 2 + 3 + 4 + 5 * 12);
  assert.equal(writer.counts.frames, 20);
});

test("a primary too large for any copy goes alone", () => {
  const writer = new RedWriter();
  writer.setOffsets([1]);
  const random = seeded(6);
  for (const [index, size] of [999, 995, 10, 990, 1275].entries()) {
    const blocks = readBits(writer.write(browserRed(frame(random, size), null), index * 960));
    assert.equal(blocks.length, 1, `${size}`);
    assert.equal(blocks.at(-1).length, size);
  }
});

test("what is not RED passes through untouched", () => {
  const writer = new RedWriter();
  const table = [
    [],
    [0x80 | 111],
    [0x80 | 111, 0x0f, 0x00],
    [0x80 | 111, 0x0f, 0x00, 0x05, 111, 1, 2],
    [0x80 | 111, 0xff, 0xff, 0xff, 111],
    [111],
    Array.from({ length: 200 }, () => 0xef),
  ];
  for (const bytes of table) {
    const payload = Uint8Array.from(bytes);
    assert.equal(writer.write(payload, 960), payload, `${bytes}`);
  }
  assert.equal(writer.counts.unreadable, table.length);
});

test("parsing and formatting are inverse", () => {
  const random = seeded(7);
  for (let round = 0; round < 100; round += 1) {
    const copies = Array.from({ length: Math.floor(random() * 20) }, () => ({
      payloadType: Math.floor(random() * 128), offset: Math.floor(random() * 16_384), data: frame(random, 1 + Math.floor(random() * 1023)),
    }));
    const primary = { payloadType: Math.floor(random() * 128), offset: 0, data: frame(random, 1 + Math.floor(random() * 1275)) };
    const payload = formatRed(copies, primary);
    for (const [place, block] of parseRed(payload).entries()) assert.ok(same(block.data, [...copies, primary][place].data));
    assert.deepEqual(readBits(payload).map(({ offset }) => offset), [...copies, primary].map(({ offset }) => offset));
  }
});

test("random bytes never raise", () => {
  const random = seeded(8);
  for (let round = 0; round < 5000; round += 1) {
    const bytes = Uint8Array.from({ length: Math.floor(random() * 60) }, () => Math.floor(random() * 256));
    const blocks = parseRed(bytes);
    const total = blocks?.reduce((sum, { data }) => sum + data.length, 4 * (blocks.length - 1) + 1) ?? bytes.length;
    assert.equal(total, bytes.length);
  }
});

test("wishes are brought into shape", () => {
  const table = [
    [undefined, []],
    [null, []],
    ["12", []],
    [{ length: 3 }, []],
    [[3, 1, 2], [1, 2, 3]],
    [[1, 1, 1], [1]],
    [[0, -1, 18, 1.5, NaN, Infinity, "2", null, 17], [17]],
    [Array.from({ length: 1000 }, (_, index) => index), Array.from({ length: 17 }, (_, index) => index + 1)],
  ];
  for (const [wish, expected] of table) assert.deepEqual(usableOffsets(wish), expected);
});

test("the length of a packet is read from its first byte", () => {
  const table = [
    [[0b00000_000], 480], [[0b00001_000], 960], [[0b00010_000], 1920], [[0b00011_000], 2880], [[0b01011_001], 5760],
    [[0b01100_000], 480], [[0b01101_000], 960], [[0b10000_000], 120], [[0b10001_000], 240], [[0b11110_000], 480],
    [[0b11111_000], 960], [[0b11111_010], 1920], [[0b11111_011, 3], 2880], [[0b11111_011, 0], 960], [[], 960], [[0b11111_011], 960],
  ];
  for (const [bytes, ticks] of table) assert.equal(opusTicks(Uint8Array.from(bytes)), ticks, `${bytes}`);
});
