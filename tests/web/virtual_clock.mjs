/** A clock that moves only when told to; timers run in order of time. */
export class VirtualClock {
  #now = 0;
  #next = 1;
  #timers = new Map();
  randomValue = 0.5;

  now = () => this.#now;
  random = () => this.randomValue;

  setTimeout = (run, delayMs) => {
    const id = this.#next;
    this.#next += 1;
    this.#timers.set(id, { at: this.#now + Math.max(0, delayMs), run });
    return id;
  };

  clearTimeout = (id) => void this.#timers.delete(id);

  get pending() {
    return this.#timers.size;
  }

  /** Lets promises settle, then runs everything due within `ms`. */
  async advance(ms) {
    const end = this.#now + ms;
    await settle();
    for (;;) {
      const due = [...this.#timers].filter(([, timer]) => timer.at <= end).sort((a, b) => a[1].at - b[1].at || a[0] - b[0]);
      if (due.length === 0) break;
      const [id, timer] = due[0];
      this.#timers.delete(id);
      this.#now = Math.max(this.#now, timer.at);
      timer.run();
      await settle();
    }
    this.#now = end;
  }
}

/** Lets everything that needs only promises go on. */
export async function settle() {
  for (let turn = 0; turn < 20; turn += 1) await Promise.resolve();
}
