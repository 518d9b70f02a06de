import { h } from "./dom.js";

/**
 * Plays the others' sound, one element per track.
 *
 * Browsers may hold sound back until the person has touched the page; then `blocked` is called, and `unblock` in a click
 * starts it.
 */
export class Sound {
  element = h("div", { hidden: true });
  /** @type {Map<string, HTMLAudioElement>} */
  #elements = new Map();
  #speaker = "";
  #blocked;

  /** @param {(blocked: boolean) => void} blocked */
  constructor(blocked) {
    this.#blocked = blocked;
  }

  /** Whether the person can choose the output. */
  static get canChoose() {
    return "setSinkId" in HTMLMediaElement.prototype;
  }

  /** @param {Map<string, MediaStreamTrack>} tracks All that are to be heard, by track id. */
  set(tracks) {
    for (const [trackId, element] of this.#elements) {
      const stream = /** @type {MediaStream} */ (element.srcObject);
      if (stream.getAudioTracks()[0] === tracks.get(trackId)) continue;
      element.srcObject = null;
      element.remove();
      this.#elements.delete(trackId);
    }
    for (const [trackId, track] of tracks) {
      if (this.#elements.has(trackId)) continue;
      const element = h("audio", { autoplay: true });
      element.srcObject = new MediaStream([track]);
      this.#elements.set(trackId, element);
      this.element.append(element);
      void this.#route(element);
      void this.#play(element);
    }
  }

  unblock() {
    this.#blocked(false);
    for (const element of this.#elements.values()) void this.#play(element);
  }

  /** @param {string} deviceId */
  chooseSpeaker(deviceId) {
    this.#speaker = deviceId;
    for (const element of this.#elements.values()) void this.#route(element);
  }

  close() {
    this.set(new Map());
  }

  /** @param {HTMLAudioElement} element */
  async #play(element) {
    try {
      await element.play();
    } catch (error) {
      if (error instanceof DOMException && error.name === "NotAllowedError") this.#blocked(true);
    }
  }

  /** @param {HTMLAudioElement} element */
  async #route(element) {
    if (!this.#speaker || !Sound.canChoose) return;
    try {
      await element.setSinkId(this.#speaker);
    } catch {
      // The output is gone; the default one plays.
    }
  }
}
