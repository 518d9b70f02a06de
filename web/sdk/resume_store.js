/**
 * What a reloaded page needs to come back into its call.
 *
 * @typedef {object} SavedCall
 * @property {string} url
 * @property {string} resumeToken
 * @property {string} participantId
 * @property {string} roomId
 * @property {number} windowS How long the server keeps the place.
 * @property {number} savedAt Unix time in ms at which the connection was last known to be good.
 */

/** The part of `Storage` that is used. @typedef {Pick<Storage, "getItem" | "setItem" | "removeItem">} StorageLike */

const KEY = "witness.call";

/**
 * Keeps the resume token of this tab, and nothing else: it ends with the tab and is of no use after the resume window.
 */
export class ResumeStore {
  #storage;
  #unixMs;

  /**
   * @param {StorageLike | null} storage Null where the browser forbids it; then a reload can't resume.
   * @param {() => number} unixMs
   */
  constructor(storage, unixMs = Date.now) {
    this.#storage = storage;
    this.#unixMs = unixMs;
  }

  static forTab() {
    try {
      return new ResumeStore(globalThis.sessionStorage ?? null);
    } catch {
      return new ResumeStore(null);
    }
  }

  /** @param {Omit<SavedCall, "savedAt">} call */
  save(call) {
    try {
      this.#storage?.setItem(KEY, JSON.stringify({ ...call, savedAt: this.#unixMs() }));
    } catch {
      // A full or forbidden storage costs the resume after a reload, not the call.
    }
  }

  /** @returns {SavedCall | null} Null when there is none, or the server has given the place away by now. */
  load() {
    try {
      const saved = JSON.parse(this.#storage?.getItem(KEY) ?? "null");
      if (typeof saved?.resumeToken !== "string" || typeof saved.url !== "string") return null;
      if (![saved.windowS, saved.savedAt].every(Number.isFinite)) return null;
      return this.#unixMs() - saved.savedAt <= saved.windowS * 1000 ? saved : null;
    } catch {
      return null;
    }
  }

  clear() {
    try {
      this.#storage?.removeItem(KEY);
    } catch {
      // Nothing was kept then.
    }
  }
}
