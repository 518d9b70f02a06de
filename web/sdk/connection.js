/**
 * @typedef {import("./signal.js").SignalStatus} SignalStatus
 * @typedef {import("./recovery.js").MediaState} MediaState
 *
 * @typedef {"connecting" | "connected" | "signaling_lost" | "media_connecting" | "media_lost" | "lost"
 *   | "closed"} ConnectionState
 *
 * @typedef {object} ConnectionStatus What is true of the connection right now.
 * @property {ConnectionState} state
 * @property {SignalStatus} signaling
 * @property {MediaState} media
 * @property {boolean} audible Whether sound and pictures can pass.
 */

/**
 * Combines what the socket and what the peer connection say.
 *
 * - `connecting`: the call was not joined yet.
 * - `connected`: everything works (media may be `none` while there is nothing to send or receive).
 * - `signaling_lost`: people hear and see each other; messages, mute requests and newcomers wait.
 * - `media_connecting`: joined, media is being set up for the first time.
 * - `media_lost`: the server answers, but sound and pictures don't pass.
 * - `lost`: neither works.
 *
 * @param {SignalStatus} signaling
 * @param {MediaState} media
 * @param {boolean} hadMedia Media was connected before.
 * @returns {ConnectionStatus}
 */
export function connectionStatus(signaling, media, hadMedia) {
  const alive = media === "connected";
  const status = (/** @type {ConnectionState} */ state) => ({ state, signaling, media, audible: alive });
  switch (signaling.state) {
    case "closed":
      return status("closed");
    case "idle":
    case "connecting":
      return status("connecting");
    case "retrying":
      return status(alive ? "signaling_lost" : "lost");
    case "open":
      if (alive || media === "none") return status("connected");
      return status(hadMedia ? "media_lost" : media === "connecting" ? "media_connecting" : "media_lost");
  }
}

/**
 * Tells whether packets still arrive, from a counter of everything the network brought (answers to connectivity checks
 * included): the browser itself notices a dead path only late.
 */
export class PulseCheck {
  /** Samples, one a second, without any change after which the path counts as dead. */
  static STILL_SAMPLES = 8;
  /** The same where the browser already says that checks go unanswered. */
  static DOUBTED_SAMPLES = 3;

  #last = -1;
  #still = 0;

  /**
   * @param {number | null} received Counter; null where the browser doesn't tell.
   * @param {boolean} [doubted] The browser says the path is disconnected.
   * @returns {boolean} Whether the path is alive, as far as known.
   */
  sample(received, doubted = false) {
    if (received === null) return !doubted;
    if (received !== this.#last) {
      this.#last = received;
      this.#still = 0;
      return true;
    }
    this.#still += 1;
    return this.#still < (doubted ? PulseCheck.DOUBTED_SAMPLES : PulseCheck.STILL_SAMPLES);
  }

  /** Whether something came in the time of the last samples. */
  get beats() {
    return this.#last >= 0 && this.#still < PulseCheck.DOUBTED_SAMPLES;
  }

  reset() {
    this.#last = -1;
    this.#still = 0;
  }
}
