/** What arrived: tells repeats from news, and when to acknowledge. */
export class Inbox {
  /** Messages after which an acknowledgement is due at once. */
  static ACK_EVERY = 16;

  /** Highest number processed. */
  last;
  #acknowledged;

  /** @param {number} [last] Number up to which everything is known. */
  constructor(last = 0) {
    this.last = last;
    this.#acknowledged = last;
  }

  /**
   * @param {number} seq
   * @returns {boolean} False for a repeat, which must not be handled again.
   */
  accept(seq) {
    if (!Number.isSafeInteger(seq) || seq <= this.last) return false;
    this.last = seq;
    return true;
  }

  /** How many messages wait for an acknowledgement. */
  get unacknowledged() {
    return this.last - this.#acknowledged;
  }

  get ackDue() {
    return this.unacknowledged >= Inbox.ACK_EVERY;
  }

  /** @returns {number} The number to acknowledge. */
  acknowledge() {
    this.#acknowledged = this.last;
    return this.last;
  }
}
