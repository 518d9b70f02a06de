/**
 * What was sent on one line, cut into chunks of about a second.
 *
 * Pure: frames and time come in, chunks come out.
 *
 * @typedef {import("./frame_form.js").Codec} Codec
 *
 * @typedef {object} Chunk
 * @property {number} ssrc
 * @property {Codec} codec
 * @property {number} first_ts RTP timestamp of its first frame, as on the wire.
 * @property {number} last_ts Of its last one.
 * @property {number} frames
 * @property {Uint8Array<ArrayBuffer>} body The frames, as in `packFrames`.
 */
import { carriedFrame, packFrames } from "./frame_form.js";

/** A chunk that has more than this is finished early. */
const SOFT_BYTES = 4 * 1024 * 1024;
/** The most the protocol takes. */
export const MAX_BYTES = 8 * 1024 * 1024;
const MAX_FRAMES = 10_000;
/** Ticks between two frames of sound in a chunk, at most: half a second. In silence (DTX) there is one each 0.4 s. */
const SOUND_APART = 24_000;
/** A stream that paused for this long has finished its chunk. */
const IDLE_MS = 1500;
/** A frame that is further behind the newest one was not overtaken: the stream began anew. */
const LATE_S = 2;
/** Timestamps that are remembered of a stream: more than a stalled page was ever handed again. */
const RECENT = 256;
/** Codecs of which a picture may come in several parts; of the others the server knows one frame of a timestamp. */
const LAYERED = new Set(["vp9", "av1"]);

/** Chunks of the streams (SSRCs) of one line. */
export class FrameLog {
  /** Frames that were taken, those that couldn't be, and those that were there already. */
  counts = { frames: 0, unreadable: 0, repeated: 0 };
  /** @type {Map<number, { codec: Codec, frames: import("./frame_form.js").SentFrame[], bytes: number, grewAt: number }>} */
  #open = new Map();
  /** Parts of the newest picture, and timestamps, by stream; of chunks that are finished too. @type {Map<number, { parts: Uint8Array[], stamps: Set<number>, newest: number }>} */
  #recent = new Map();
  #finished;

  #unsaid;

  /**
   * @param {(chunk: Chunk) => void} finished
   * @param {() => void} [unsaid] Something was sent of which no chunk will speak.
   */
  constructor(finished, unsaid = () => {}) {
    this.#finished = finished;
    this.#unsaid = unsaid;
  }

  /**
   * A frame was sent that can't be logged. No chunk may reach over it: the server has it, and would find one too many.
   *
   * @param {number} ssrc
   */
  miss(ssrc) {
    this.counts.unreadable += 1;
    this.#finish(ssrc);
    this.#unsaid();
  }

  /**
   * Takes the next frame of a stream; its bytes are copied.
   *
   * @param {{ ssrc: number, timestamp: number, codec: Codec, data: Uint8Array }} frame
   * @param {number} now Milliseconds.
   */
  take({ ssrc, timestamp, codec, data }, now) {
    const carried = data.length > 0 ? carriedFrame(codec, data) : null;
    if (!carried || carried.length > SOFT_BYTES) {
      this.miss(ssrc);
      return;
    }
    const copy = carried === data ? data.slice() : carried;
    const present = this.#open.get(ssrc);
    const last = present?.frames.at(-1);
    // A page that stalled may be handed frames again, several of them and in the next chunk, too.
    const recent = this.#recent.get(ssrc) ?? { parts: [], stamps: new Set(), newest: timestamp };
    this.#recent.set(ssrc, recent);
    if (recent.stamps.has(timestamp)) {
      const isLayer = LAYERED.has(codec) && last?.timestamp === timestamp && !recent.parts.some((part) => areEqual(part, copy));
      if (!present || !last || !isLayer) {
        this.counts.repeated += 1;
        return;
      }
      this.counts.frames += 1;
      recent.parts.push(copy);
      present.bytes += copy.length;
      last.data = joined(last.data, copy);
      present.grewAt = now;
      return;
    }
    this.counts.frames += 1;
    recent.stamps.add(timestamp);
    for (const oldest of recent.stamps) {
      if (recent.stamps.size <= RECENT) break;
      recent.stamps.delete(oldest);
    }
    const behind = (recent.newest - timestamp) >>> 0;
    if (behind > 0 && behind <= LATE_S * rateOf(codec)) {
      this.#takeLate(ssrc, codec, { timestamp, data: copy });
      return;
    }
    recent.newest = timestamp;
    recent.parts = [copy];
    if (present && this.#isFull(present, codec, timestamp)) this.#finish(ssrc);
    const open = this.#open.get(ssrc) ?? { codec, frames: [], bytes: 0, grewAt: now };
    open.frames.push({ timestamp, data: copy });
    open.bytes += copy.length;
    open.grewAt = now;
    this.#open.set(ssrc, open);
  }

  /**
   * A frame that was overtaken: the server reads frames by their timestamps, and a chunk has all there are from its first
   * to its last. One that is before the open chunk is a chunk of its own.
   *
   * @param {number} ssrc
   * @param {Codec} codec
   * @param {import("./frame_form.js").SentFrame} frame
   */
  #takeLate(ssrc, codec, frame) {
    const open = this.#open.get(ssrc);
    const first = open?.frames[0]?.timestamp ?? 0;
    const since = (/** @type {number} */ timestamp) => (timestamp - first) >>> 0;
    const at = open?.codec === codec ? open.frames.findIndex(({ timestamp }) => since(timestamp) > since(frame.timestamp)) : -1;
    if (open && at > 0) {
      open.frames.splice(at, 0, frame);
      open.bytes += frame.data.length;
    } else this.#tell(ssrc, codec, [frame]);
  }

  /**
   * @param {{ codec: Codec, frames: import("./frame_form.js").SentFrame[], bytes: number }} open
   * @param {Codec} codec
   * @param {number} timestamp
   */
  #isFull(open, codec, timestamp) {
    const first = open.frames[0]?.timestamp ?? timestamp;
    const last = open.frames.at(-1)?.timestamp ?? timestamp;
    const rate = rateOf(codec);
    // A step back in time is a very long way forward.
    const late = (timestamp - first) >>> 0 >= rate;
    // Few frames of sound don't answer for a long time: a chunk that spoke of one would not be taken.
    const apart = codec === "opus" && (timestamp - last) >>> 0 > SOUND_APART;
    return late || apart || open.codec !== codec || open.bytes > SOFT_BYTES - 1 || open.frames.length >= MAX_FRAMES;
  }

  /** Finishes chunks of streams that paused. @param {number} now */
  tick(now) {
    for (const [ssrc, { grewAt }] of this.#open) if (now - grewAt >= IDLE_MS) this.#finish(ssrc);
  }

  /** Finishes every chunk. */
  flush() {
    for (const ssrc of [...this.#open.keys()]) this.#finish(ssrc);
  }

  /** @param {number} ssrc */
  #finish(ssrc) {
    const open = this.#open.get(ssrc);
    this.#open.delete(ssrc);
    if (open) this.#tell(ssrc, open.codec, open.frames);
  }

  /** @param {number} ssrc @param {Codec} codec @param {readonly import("./frame_form.js").SentFrame[]} frames In order of their timestamps. */
  #tell(ssrc, codec, frames) {
    const [first, last] = [frames[0], frames.at(-1)];
    if (!first || !last) return;
    this.#finished({ ssrc, codec, first_ts: first.timestamp, last_ts: last.timestamp, frames: frames.length, body: packFrames(frames) });
  }
}

/** @param {Codec} codec Ticks of a second. */
function rateOf(codec) {
  return codec === "opus" ? 48_000 : 90_000;
}

/**
 * @param {Uint8Array} one
 * @param {Uint8Array} other
 */
function areEqual(one, other) {
  return one.length === other.length && one.every((byte, index) => byte === other[index]);
}

/**
 * @param {Uint8Array} one
 * @param {Uint8Array} other
 */
function joined(one, other) {
  const both = new Uint8Array(one.length + other.length);
  both.set(one);
  both.set(other, one.length);
  return both;
}
