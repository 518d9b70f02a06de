/**
 * One offer at a time.
 *
 * Wishes that come while an offer is outstanding are answered by the next one, however many they are.
 */
export class NegotiationQueue {
  #running = false;
  /** @type {{ resolve: () => void, reject: (error: unknown) => void }[]} */
  #waiting = [];
  /** @type {(() => Promise<void>)[]} */
  #tasks = [];
  #negotiate;

  /** @param {() => Promise<void>} negotiate Makes one offer and applies its answer. */
  constructor(negotiate) {
    this.#negotiate = negotiate;
  }

  get idle() {
    return !this.#running && this.#waiting.length + this.#tasks.length === 0;
  }

  /**
   * Asks for an offer that is made after this call.
   *
   * @returns {Promise<void>} Settles with that offer.
   */
  request() {
    /** @type {Promise<void>} */
    const done = new Promise((resolve, reject) => this.#waiting.push({ resolve, reject }));
    if (!this.#running) void this.#run();
    return done;
  }

  /**
   * Runs something while no offer is outstanding.
   *
   * @param {() => Promise<void>} task Must not fail.
   */
  alone(task) {
    this.#tasks.push(task);
    if (!this.#running) void this.#run();
  }

  async #run() {
    this.#running = true;
    // Callers of the same turn share one offer.
    await Promise.resolve();
    while (this.#waiting.length + this.#tasks.length > 0) {
      // An offer that is due has the newest answer anyway.
      const task = this.#waiting.length === 0 ? this.#tasks.shift() : undefined;
      if (task) {
        await task();
        continue;
      }
      const served = this.#waiting;
      this.#waiting = [];
      try {
        await this.#negotiate();
        for (const wish of served) wish.resolve();
      } catch (error) {
        for (const wish of served) wish.reject(error);
      }
    }
    this.#running = false;
  }
}
