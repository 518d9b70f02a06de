/**
 * RED payloads for Opus: several frames in one packet, so that a lost packet's frame comes with a later one.
 *
 * Pure: no browser API, shared by the worker and the tests.
 *
 * Spec: RFC 2198, section 3.
 *
 * @typedef {object} Block
 * @property {number} payloadType
 * @property {number} offset Ticks (48 kHz) before the packet's timestamp; 0 for the primary.
 * @property {Uint8Array} data
 */

/** Bytes of a payload: Chromium stops the audio of a sender for good when a transform gives it more. */
export const MAX_PAYLOAD = 1000;
/** The length of a copy has 10 bits. */
export const MAX_BLOCK = 1023;
/** The offset of a copy has 14 bits: 341 ms. */
export const MAX_OFFSET = 16_383;
/** Copies a wish may ask for: as many frames of 20 ms as an offset reaches. */
export const MAX_COPIES = 17;
/** Blocks a receiver takes. */
const MAX_BLOCKS = 32;
/** Frames that are remembered; those of 10 ms fill the reach of an offset with 34. */
const MAX_HISTORY = 64;
const COPY_HEADER = 4;
const PRIMARY_HEADER = 1;
/** Ticks of the frame length that browsers send. */
const USUAL_FRAME = 960;

/**
 * Takes a payload apart.
 *
 * @param {Uint8Array} payload
 * @returns {Block[] | null} Oldest first, the primary last; null for what is not RED. The data are views.
 */
export function parseRed(payload) {
  /** @type {{ payloadType: number, offset: number, length: number }[]} */
  const headers = [];
  let at = 0;
  for (;;) {
    const first = payload[at];
    if (first === undefined || headers.length >= MAX_BLOCKS) return null;
    const payloadType = first & 0x7f;
    if (first < 0x80) {
      at += PRIMARY_HEADER;
      headers.push({ payloadType, offset: 0, length: -1 });
      break;
    }
    if (at + COPY_HEADER > payload.length) return null;
    const bits = (byte(payload, at + 1) << 16) | (byte(payload, at + 2) << 8) | byte(payload, at + 3);
    headers.push({ payloadType, offset: bits >> 10, length: bits & 0x3ff });
    at += COPY_HEADER;
  }
  const blocks = [];
  for (const { payloadType, offset, length } of headers) {
    const end = length < 0 ? payload.length : at + length;
    if (end > payload.length) return null;
    blocks.push({ payloadType, offset, data: payload.subarray(at, end) });
    at = end;
  }
  return blocks;
}

/**
 * Puts a payload together.
 *
 * @param {readonly Block[]} copies Oldest first; each within the limits above.
 * @param {Block} primary
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function formatRed(copies, primary) {
  const size = copies.reduce((sum, { data }) => sum + COPY_HEADER + data.length, PRIMARY_HEADER + primary.data.length);
  const payload = new Uint8Array(size);
  let at = 0;
  for (const { payloadType, offset, data } of copies) {
    payload[at] = 0x80 | payloadType;
    payload[at + 1] = offset >> 6;
    payload[at + 2] = ((offset & 0x3f) << 2) | (data.length >> 8);
    payload[at + 3] = data.length & 0xff;
    at += COPY_HEADER;
  }
  payload[at] = primary.payloadType;
  at += PRIMARY_HEADER;
  for (const { data } of [...copies, primary]) {
    payload.set(data, at);
    at += data.length;
  }
  return payload;
}

/**
 * How long the frames of an Opus packet are in all.
 *
 * Spec: RFC 6716, section 3.1.
 *
 * @param {Uint8Array} packet
 * @returns {number} Ticks of 48 kHz; 960 for an empty or damaged packet.
 */
export function opusTicks(packet) {
  const toc = packet[0];
  if (toc === undefined) return USUAL_FRAME;
  const config = toc >> 3;
  const frame = config < 12 ? (SILK[config & 3] ?? 0) : config < 16 ? (HYBRID[config & 1] ?? 0) : 120 << (config & 3);
  const count = (toc & 3) === 0 ? 1 : (toc & 3) < 3 ? 2 : (packet[1] ?? 0) & 0x3f;
  return frame * count || USUAL_FRAME;
}

const SILK = [480, 960, 1920, 2880];
const HYBRID = [480, 960];

/**
 * Offsets as they can be used: whole frames from 1 to 17, each once, ascending.
 *
 * @param {unknown} wish What a server or a table says.
 * @returns {number[]}
 */
export function usableOffsets(wish) {
  if (!Array.isArray(wish)) return [];
  const usable = wish.slice(0, 2 * MAX_BLOCKS).filter((offset) => Number.isInteger(offset) && offset >= 1 && offset <= MAX_COPIES);
  return [...new Set(usable)].sort((a, b) => a - b);
}

/**
 * Writes the packets of one stream: each frame with copies of the frames before it that are wished for.
 *
 * Remembers the frames of the last 341 ms. A frame that was never sent (silence that the encoder left out) has no copy,
 * and a time that jumps leaves none behind.
 */
export class RedWriter {
  /** What was written: frames, copies in them, copies there was no room for, and payloads that were no RED. */
  counts = { frames: 0, copies: 0, skipped: 0, unreadable: 0 };
  /** @type {number[]} */
  #offsets = [];
  /** @type {{ timestamp: number, payloadType: number, data: Uint8Array }[]} */
  #history = [];

  /** @param {unknown} wish In frames before the present one. */
  setOffsets(wish) {
    this.#offsets = usableOffsets(wish);
  }

  get offsets() {
    return this.#offsets;
  }

  /**
   * @param {Uint8Array} payload RED as the browser made it; the copies in it are replaced.
   * @param {number} timestamp RTP timestamp of its primary, 32 bits.
   * @returns {Uint8Array} What to send: at most 1,000 bytes, unless the primary alone is larger.
   */
  write(payload, timestamp) {
    this.counts.frames += 1;
    const primary = parseRed(payload)?.at(-1);
    if (!primary || primary.data.length === 0) {
      this.counts.unreadable += 1;
      return payload;
    }
    this.#forget(timestamp);
    const copies = this.#copies(primary.data, timestamp);
    this.#history.push({ timestamp, payloadType: primary.payloadType, data: primary.data.slice() });
    return formatRed(copies, primary);
  }

  /**
   * Drops what no offset reaches any more, and everything when time went back.
   *
   * @param {number} timestamp
   */
  #forget(timestamp) {
    this.#history = this.#history.filter((frame) => {
      const age = (timestamp - frame.timestamp) >>> 0;
      return age > 0 && age <= MAX_OFFSET;
    });
    this.#history.splice(0, Math.max(0, this.#history.length + 1 - MAX_HISTORY));
  }

  /**
   * The nearest copies go first where there isn't room for all: they arrive soonest.
   *
   * @param {Uint8Array} primary
   * @param {number} timestamp
   * @returns {Block[]} Oldest first.
   */
  #copies(primary, timestamp) {
    const ticks = opusTicks(primary);
    let room = MAX_PAYLOAD - PRIMARY_HEADER - primary.length;
    /** @type {Block[]} */
    const copies = [];
    for (const frames of this.#offsets) {
      const offset = frames * ticks;
      const found = this.#history.find((frame) => ((timestamp - frame.timestamp) >>> 0) === offset);
      if (!found) continue;
      const size = COPY_HEADER + found.data.length;
      if (size > room || found.data.length > MAX_BLOCK) {
        this.counts.skipped += 1;
        continue;
      }
      room -= size;
      copies.unshift({ payloadType: found.payloadType, offset, data: found.data });
    }
    this.counts.copies += copies.length;
    return copies;
  }
}

/**
 * @param {Uint8Array} bytes
 * @param {number} at Within the array.
 */
function byte(bytes, at) {
  return bytes[at] ?? 0;
}
