/**
 * Time and chance, passed in everywhere so that tests run on a virtual clock.
 *
 * @typedef {object} Clock
 * @property {() => number} now Milliseconds; only differences mean something.
 * @property {(run: () => void, delayMs: number) => number} setTimeout Calls `run` once, later.
 * @property {(timer: number) => void} clearTimeout Does nothing for a timer that has run.
 * @property {() => number} random A number from 0 (included) to 1 (excluded).
 */

/** The browser's own clock. @type {Clock} */
export const browserClock = {
  now: () => performance.now(),
  setTimeout: (run, delayMs) => globalThis.setTimeout(run, delayMs),
  clearTimeout: (timer) => globalThis.clearTimeout(timer),
  random: () => Math.random(),
};

/**
 * One timer that is set again and again.
 *
 * Setting it replaces what it was set to before, so a state machine never has two of the same kind running.
 */
export class Timer {
  /** @type {number | undefined} */
  #timer;
  #clock;

  /** @param {Clock} clock */
  constructor(clock) {
    this.#clock = clock;
  }

  get active() {
    return this.#timer !== undefined;
  }

  /**
   * @param {number} delayMs
   * @param {() => void} run
   */
  set(delayMs, run) {
    this.clear();
    this.#timer = this.#clock.setTimeout(() => {
      this.#timer = undefined;
      run();
    }, delayMs);
  }

  clear() {
    if (this.#timer !== undefined) this.#clock.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
