/**
 * Remembers, for pages that are opened later, that a recorded call may have left something to upload. Without it every
 * page would have to open the storage to find out.
 */

const KEY = "witness.uploads";

export class LeftUploads {
  /** A call of this page was recorded since. */
  grew = false;
  #storage;

  /** @param {import("./resume_store.js").StorageLike | null} storage Null where the browser forbids it. */
  constructor(storage) {
    this.#storage = storage;
  }

  /** @type {LeftUploads | null} */
  static #browser = null;

  static forBrowser() {
    if (this.#browser) return this.#browser;
    let storage = null;
    try {
      storage = globalThis.localStorage ?? null;
    } catch {
      // Nothing is remembered: what a closed page didn't upload is declared lost.
    }
    this.#browser = new LeftUploads(storage);
    return this.#browser;
  }

  get any() {
    try {
      return this.#storage?.getItem(KEY) === "1";
    } catch {
      return false;
    }
  }

  /** @param {import("./recording.js").Recording} recording Of a call of this page. */
  follow(recording) {
    recording.on("state", () => {
      this.grew = true;
      try {
        this.#storage?.setItem(KEY, "1");
      } catch {
        // As above.
      }
    });
    recording.on("finished", () => {
      this.grew = false;
      this.clear();
    });
  }

  clear() {
    try {
      this.#storage?.removeItem(KEY);
    } catch {
      // As above.
    }
  }
}
