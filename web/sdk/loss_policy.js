/**
 * What to do about loss of audio when the server can't be asked: its own rules, much simplified.
 *
 * Random loss p is left at pⁿ⁺¹ by n copies; copies that are apart help against bursts.
 *
 * @typedef {object} Advice
 * @property {readonly number[]} offsets Copies: frames before the present one.
 * @property {number | null} bitrateBps What the encoder may use so that the copies fit; null: as it likes.
 */
import { MAX_PAYLOAD } from "./red.js";

const FRAME_MS = 20;
const FRAMES_PER_S = 50;
/** Opus varies around its bit rate; so much of the room is planned with. */
const FILL = 0.85;
/** An encoder that is left this much needs no limit: speech takes no more. */
const ENOUGH_BPS = 40_000;
/** Held beyond the oldest copy: jitter, and the frame itself. */
const MARGIN_MS = 60;

/** By level, from which loss on. @type {readonly (readonly [number, readonly number[]])[]} */
const LEVELS = [
  [0, []],
  [0.005, [1]],
  [0.03, [1, 2]],
  [0.08, [1, 2, 4]],
  [0.2, [1, 2, 3, 5, 8]],
  [0.35, [1, 2, 3, 4, 5, 6, 8, 10]],
  [0.5, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12]],
  [0.62, [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]],
];

/** @param {number} level */
function entry(level) {
  return LEVELS[level] ?? /** @type {const} */ ([0, []]);
}

/** @param {number} copies @returns {number | null} */
export function bitrateFor(copies) {
  const bytes = (MAX_PAYLOAD - 1 - 4 * copies) / (copies + 1);
  const bps = Math.floor(bytes * 8 * FRAMES_PER_S * FILL);
  return bps < ENOUGH_BPS ? bps : null;
}

/** @param {number} offset Of the oldest copy, in frames; 0 for none. */
export function delayFor(offset) {
  return offset === 0 ? 0 : offset * FRAME_MS + MARGIN_MS;
}

/**
 * Follows the loss of one stream: up at once, down one level at a time.
 */
export class LossFollower {
  /** A level is left no sooner than this after the last change. */
  static STEP_DOWN_MS = 4000;
  /** And when the loss is this much below what it is for. */
  static LEAVE = 0.7;

  level = 0;
  /** It decides, because the server can't be heard. */
  standIn = false;
  #loss = 0;
  #changedAt = -Infinity;

  /**
   * @param {number} loss 0 to 1, since the last sample; anything else is left out.
   * @param {number} nowMs
   */
  sample(loss, nowMs) {
    if (!(loss >= 0 && loss <= 1)) return;
    // One report covers some fifty packets: half of a rise is believed at once, a fall slowly.
    this.#loss += (loss - this.#loss) * (loss > this.#loss ? 0.6 : 0.15);
    const wanted = LEVELS.filter(([from]) => this.#loss >= from).length - 1;
    if (wanted > this.level) {
      this.#set(wanted, nowMs);
    } else if (wanted < this.level && nowMs - this.#changedAt >= LossFollower.STEP_DOWN_MS) {
      if (this.#loss < entry(this.level)[0] * LossFollower.LEAVE) this.#set(this.level - 1, nowMs);
    }
  }

  /**
   * Begins where somebody else left off: with at least as many copies, or as old ones.
   *
   * @param {{ copies?: number, delayMs?: number }} present
   * @param {number} nowMs
   */
  takeOver({ copies = 0, delayMs = 0 }, nowMs) {
    this.standIn = true;
    const reached = LEVELS.findIndex(([, offsets]) => offsets.length >= copies && delayFor(offsets.at(-1) ?? 0) >= delayMs);
    const level = reached < 0 ? LEVELS.length - 1 : reached;
    if (level <= this.level) return;
    this.#set(level, nowMs);
    this.#loss = Math.max(this.#loss, entry(level)[0]);
  }

  /** @param {number} level @param {number} nowMs */
  #set(level, nowMs) {
    this.level = level;
    this.#changedAt = nowMs;
  }

  /** @returns {Advice} */
  get advice() {
    const [, offsets] = entry(this.level);
    return { offsets, bitrateBps: bitrateFor(offsets.length) };
  }

  get delayMs() {
    return delayFor(entry(this.level)[1].at(-1) ?? 0);
  }
}
