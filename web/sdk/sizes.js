import { Timer } from "./clock.js";

/**
 * @typedef {{ track_id: string, width: number, height: number }} ShownTrack
 * @typedef {{ element: Element, trackId: string }} Watched
 *
 * @typedef {object} View What tells when sizes change; the browser's own in `browserView`.
 * @property {(changed: () => void) => { observe: (element: Element) => void, unobserve: (element: Element) => void, close: () => void }} observe
 * @property {(element: Element) => { width: number, height: number }} measure Device pixels; 0 where nothing is to be seen.
 */

/** Four times a second at most: a window being dragged changes its size at every frame. */
const INTERVAL_MS = 250;
/** Tracks of one message. */
const MAX_TRACKS = 64;

/**
 * Says how large each track is shown, and when that changes.
 *
 * A track shown in several places counts with the largest; one that is shown nowhere any more with zero.
 */
export class SizeWatch {
  /** @type {Set<Watched>} */
  #watched = new Set();
  /** What was said, as `width×height`. @type {Map<string, string>} */
  #said = new Map();
  #timer;
  #view;
  #observer;
  #say;

  /**
   * @param {object} parts
   * @param {import("./clock.js").Clock} parts.clock
   * @param {View} parts.view
   * @param {(tracks: ShownTrack[]) => Promise<unknown>} parts.say Tells the server; a failure is tried again.
   */
  constructor({ clock, view, say }) {
    this.#timer = new Timer(clock);
    this.#view = view;
    this.#say = say;
    this.#observer = view.observe(() => this.#soon());
  }

  /**
   * @param {string} trackId
   * @param {Element} element Shows the track, or surrounds what does.
   * @returns {() => void} Ends it.
   */
  watch(trackId, element) {
    const entry = { trackId, element };
    this.#watched.add(entry);
    this.#observer.observe(element);
    this.#soon();
    return () => {
      if (!this.#watched.delete(entry)) return;
      if (![...this.#watched].some((other) => other.element === element)) this.#observer.unobserve(element);
      this.#soon();
    };
  }

  /** The server knows nothing any more: everything is said again. */
  startOver() {
    this.#said.clear();
    this.#soon();
  }

  /** A track is gone: it need not be spoken of again. @param {string} trackId */
  forget(trackId) {
    this.#said.delete(trackId);
  }

  close() {
    this.#timer.clear();
    this.#observer.close();
    this.#watched.clear();
  }

  #soon() {
    if (!this.#timer.active) this.#timer.set(INTERVAL_MS / 5, () => void this.#report());
  }

  async #report() {
    const tracks = this.#changes().slice(0, MAX_TRACKS);
    if (tracks.length === 0) return;
    for (const { track_id: trackId, width, height } of tracks) this.#said.set(trackId, `${width}×${height}`);
    // What changes meanwhile waits for the rest of the interval.
    this.#timer.set(INTERVAL_MS, () => void this.#report());
    try {
      await this.#say(tracks);
    } catch {
      for (const { track_id: trackId } of tracks) this.#said.delete(trackId);
      this.#soon();
    }
  }

  /** @returns {ShownTrack[]} */
  #changes() {
    /** @type {Map<string, { width: number, height: number }>} */
    const sizes = new Map([...this.#said.keys()].map((trackId) => [trackId, { width: 0, height: 0 }]));
    for (const { trackId, element } of this.#watched) {
      const size = this.#view.measure(element);
      const known = sizes.get(trackId);
      if (!known || size.width * size.height >= known.width * known.height) sizes.set(trackId, size);
    }
    return [...sizes].flatMap(([trackId, { width, height }]) =>
      this.#said.get(trackId) === `${width}×${height}` ? [] : [{ track_id: trackId, width, height }],
    );
  }
}

const MAX_PIXELS = 16384;

/** @type {View} */
export const browserView = {
  observe(changed) {
    const visible = typeof IntersectionObserver === "function" ? new IntersectionObserver(changed) : null;
    const sized = typeof ResizeObserver === "function" ? new ResizeObserver(changed) : null;
    document.addEventListener("visibilitychange", changed);
    document.addEventListener("enterpictureinpicture", changed, true);
    document.addEventListener("leavepictureinpicture", changed, true);
    return {
      observe(element) {
        sized?.observe(element);
        visible?.observe(element);
      },
      unobserve(element) {
        sized?.unobserve(element);
        visible?.unobserve(element);
      },
      close() {
        sized?.disconnect();
        visible?.disconnect();
        document.removeEventListener("visibilitychange", changed);
        document.removeEventListener("enterpictureinpicture", changed, true);
        document.removeEventListener("leavepictureinpicture", changed, true);
      },
    };
  },
  measure(element) {
    const floating = document.pictureInPictureElement;
    const floats = floating !== null && floating !== undefined && (floating === element || element.contains(floating));
    const { width, height, top, left, bottom, right } = element.getBoundingClientRect();
    const onScreen = bottom > 0 && right > 0 && top < innerHeight && left < innerWidth;
    if (!floats && (document.visibilityState === "hidden" || !onScreen)) return { width: 0, height: 0 };
    const pixels = (/** @type {number} */ length) => Math.min(MAX_PIXELS, Math.round(length * (devicePixelRatio || 1)));
    return { width: pixels(width), height: pixels(height) };
  },
};
