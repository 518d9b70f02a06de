/** @typedef {import("./clock.js").Clock} Clock */

/**
 * Growing waits between attempts (exponential, with jitter so that a whole branch doesn't come back at once).
 */
export class Backoff {
  attempts = 0;
  #baseMs;
  #maxMs;
  #random;

  /**
   * @param {{ baseMs: number, maxMs: number }} limits The n-th wait is at most `baseMs · 2ⁿ` and `maxMs`.
   * @param {() => number} random
   */
  constructor({ baseMs, maxMs }, random) {
    this.#baseMs = baseMs;
    this.#maxMs = maxMs;
    this.#random = random;
  }

  /** The next wait in ms: between half of the full wait and all of it. */
  next() {
    // 2^20 × base is beyond any maximum; the bound keeps the power finite after days of trying.
    const full = Math.min(this.#maxMs, this.#baseMs * 2 ** Math.min(this.attempts, 20));
    this.attempts += 1;
    return full * (0.5 + this.#random() / 2);
  }

  reset() {
    this.attempts = 0;
  }
}
