/**
 * Sent frames as the server gets them out of RTP again: the form in which both sides make digests of them.
 *
 * Pure: no browser API, shared by the worker and the tests. Compared with packets on the wire in Chromium 156: Opus, VP8
 * and VP9 are sent as they are; H.264 loses the length of its start codes, AV1 its temporal delimiters and sizes.
 *
 * Spec: docs/protocol.md, `digest.batch`.
 *
 * @typedef {"opus" | "vp8" | "vp9" | "h264" | "av1"} Codec
 * @typedef {{ timestamp: number, data: Uint8Array }} SentFrame Timestamp as on the wire, 32 bits.
 */

/** @type {Record<string, Codec>} */
const CODECS = { "audio/opus": "opus", "video/vp8": "vp8", "video/vp9": "vp9", "video/h264": "h264", "video/av1": "av1" };
const START = [0, 0, 0, 1];
const AV1_DELIMITER = [0x12, 0];
/** Temporal delimiter, tile list, padding: kinds of OBU that don't go into RTP. */
const NOT_SENT = new Set([2, 8, 15]);
const HEADER = 8;

/**
 * @param {string | undefined} mimeType
 * @returns {Codec | null}
 */
export function codecOf(mimeType) {
  return CODECS[mimeType?.toLowerCase() ?? ""] ?? null;
}

/**
 * @param {Codec} codec
 * @param {Uint8Array} frame As the encoder made it.
 * @returns {Uint8Array | null} As it is carried; null for what can't be taken apart. May be the same array.
 */
export function carriedFrame(codec, frame) {
  if (codec === "h264") return joinNals(frame);
  if (codec === "av1") return sizedObus(frame);
  return frame;
}

/** @param {Uint8Array} frame NAL units after start codes of three or four bytes. */
function joinNals(frame) {
  /** @type {number[]} Where each NAL unit begins. */
  const begins = [];
  /** @type {number[]} */
  const ends = [];
  for (let at = 2; at < frame.length; at += 1) {
    if (frame[at] !== 1 || frame[at - 1] !== 0 || frame[at - 2] !== 0) continue;
    if (begins.length > 0) ends.push(frame[at - 3] === 0 ? at - 3 : at - 2);
    begins.push(at + 1);
  }
  ends.push(frame.length);
  const units = begins.map((begin, index) => frame.subarray(begin, ends[index])).filter((unit) => unit.length > 0);
  return units.length > 0 ? concat(units.flatMap((unit) => [Uint8Array.from(START), unit])) : null;
}

/** @param {Uint8Array} frame A temporal unit in the low-overhead form. */
function sizedObus(frame) {
  /** @type {Uint8Array[]} */
  const parts = [Uint8Array.from(AV1_DELIMITER)];
  let at = 0;
  while (at < frame.length) {
    const first = frame[at] ?? 0;
    const head = first & 0x04 ? 2 : 1;
    let [size, body] = [frame.length - at - head, at + head];
    if (first & 0x02) {
      const read = readLeb128(frame, body);
      if (!read) return null;
      [size, body] = read;
    }
    if (first & 0x80 || size < 0 || body + size > frame.length) return null;
    if (!NOT_SENT.has((first >> 3) & 15)) {
      const header = frame.slice(at, at + head);
      header[0] = first | 0x02;
      parts.push(header, writeLeb128(size), frame.subarray(body, body + size));
    }
    at = body + size;
  }
  return parts.length > 1 ? concat(parts) : null;
}

/**
 * @param {Uint8Array} bytes
 * @param {number} at
 * @returns {[number, number] | null} The value and where it ends.
 */
function readLeb128(bytes, at) {
  let value = 0;
  for (let index = 0; index < 4; index += 1) {
    const byte = bytes[at + index];
    if (byte === undefined) return null;
    value |= (byte & 0x7f) << (7 * index);
    if (byte < 0x80) return [value, at + index + 1];
  }
  return null;
}

/** @param {number} value */
function writeLeb128(value) {
  const bytes = [];
  for (let rest = value; ; rest >>= 7) {
    bytes.push(rest > 0x7f ? (rest & 0x7f) | 0x80 : rest);
    if (rest <= 0x7f) return Uint8Array.from(bytes);
  }
}

/**
 * Frames one after the other, each after its timestamp and its length.
 *
 * @param {readonly SentFrame[]} frames
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function packFrames(frames) {
  const packed = new Uint8Array(frames.reduce((sum, { data }) => sum + HEADER + data.length, 0));
  const view = new DataView(packed.buffer);
  let at = 0;
  for (const { timestamp, data } of frames) {
    view.setUint32(at, timestamp);
    view.setUint32(at + 4, data.length);
    packed.set(data, at + HEADER);
    at += HEADER + data.length;
  }
  return packed;
}

/**
 * @param {Uint8Array} packed
 * @returns {SentFrame[]} Views; what is cut off at the end is left out.
 */
export function unpackFrames(packed) {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const frames = [];
  for (let at = 0; at + HEADER <= packed.length; ) {
    const end = at + HEADER + view.getUint32(at + 4);
    if (end > packed.length) break;
    frames.push({ timestamp: view.getUint32(at), data: packed.subarray(at + HEADER, end) });
    at = end;
  }
  return frames;
}

/** @param {readonly Uint8Array[]} parts */
function concat(parts) {
  const whole = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
