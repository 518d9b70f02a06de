/**
 * The rate a browser's estimate of its way up shall stay above: what is wanted, and what its peer connection was told.
 *
 * Chromium forgets it now and then: the estimate falls below and stays there, until it is told again. It only takes notice of a
 * rate that differs from the last, so the next one is a little higher, and the one after that as it was.
 */
export class Floor {
  /** How far below the floor an estimate is no passing dip. */
  static SHARE = 0.9;
  /** Estimates in a row, one a second. */
  static PATIENCE = 3;
  /** And so many after it was told again. */
  static REST = 8;
  static STEP_BPS = 1000;

  /** @type {number | null} */
  applied = null;
  /** It waits for its turn among negotiations. */
  isQueued = false;
  /** @type {number | null} */
  #wanted = null;
  #below = 0;
  #step = 0;

  /** @param {number | null} bps */
  want(bps) {
    if (bps === this.#wanted) return;
    this.#wanted = bps;
    this.#below = 0;
  }

  /** @param {number | null} estimateBps Once a second. */
  watch(estimateBps) {
    if (estimateBps === null || this.applied === null || this.isDue) return;
    this.#below = estimateBps < this.applied * Floor.SHARE ? this.#below + 1 : Math.min(this.#below, 0);
    if (this.#below < Floor.PATIENCE) return;
    this.#below = Floor.PATIENCE - Floor.REST;
    this.#step = Floor.STEP_BPS - this.#step;
  }

  /** What is to be written: null, nothing. */
  get written() {
    return this.#wanted === null ? null : this.#wanted + this.#step;
  }

  get isDue() {
    return this.written !== this.applied;
  }
}
