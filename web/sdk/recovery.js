import { Backoff } from "./backoff.js";
import { Timer } from "./clock.js";

/**
 * @typedef {"none" | "connecting" | "connected" | "disconnected" | "failed"} MediaState
 * @typedef {"restart_ice" | "rebuild"} Remedy
 */

/**
 * Decides when a broken media connection gets an ICE restart, and when a new peer connection.
 *
 * A short disconnection often heals itself. Then ICE is restarted, and restarted again for as long as an outage mostly lasts:
 * the server keeps its side of a connection that worked for two minutes, and a browser checks new paths for fifteen seconds
 * only. If that doesn't help, a new peer connection is made, again and again with growing waits; at once where the server has
 * ended its side. A connection that has found a path but not finished its handshake is replaced soon, since the time between a
 * browser's repetitions doubles and a new one begins with short times again. Remedies need signaling, so nothing is
 * tried while it is down, and the time a remedy has begins with the answer: on a bad network that takes long, and beginning
 * anew would take longer.
 */
export class MediaRecovery {
  /** "disconnected" itself comes after seconds of silence: six in Chromium, four by `PulseCheck`. */
  static DISCONNECTED_MS = 1000;
  static RESTART_MS = 8000;
  /** Restarts before a connection that worked is given up; one that never did gets a single one. */
  static RESTARTS = 5;
  static REBUILD_MS = 20_000;
  /** A connection that never was gets this long for ICE and DTLS before anything is tried. */
  static CONNECTING_MS = 15_000;
  /** A handshake over a path that ICE has found gets this long, the first, the second and so on. */
  static HANDSHAKE_MS = [2000, 2000, 3000, 4000, 6000, 9000];
  /** An answer that takes longer isn't waited for. */
  static ANSWER_MS = 30_000;
  static BACKOFF = { baseMs: 2000, maxMs: 30_000 };

  /** Remedies since media was last connected. */
  attempts = 0;
  /** The present connection was up once. */
  #worked = false;
  /** @type {MediaState} */
  #state = "none";
  #signaling = false;
  /** A remedy fell due while signaling was down. */
  #due = false;
  /** It was this one. @type {Remedy | null} */
  #wanted = null;
  /** The server has ended its side: only a new connection helps. */
  #ended = false;
  /** Handshakes that were given up since media was last connected. */
  #handshakes = 0;
  /** The timer is that of a handshake. */
  #shaking = false;
  #timer;
  #backoff;
  #apply;

  /**
   * @param {import("./clock.js").Clock} clock
   * @param {(remedy: Remedy) => Promise<void> | void} apply Settles with the answer.
   */
  constructor(clock, apply) {
    this.#timer = new Timer(clock);
    this.#backoff = new Backoff(MediaRecovery.BACKOFF, clock.random);
    this.#apply = apply;
  }

  /**
   * @param {MediaState} state
   * @param {boolean} [ended] The server has ended its side.
   */
  media(state, ended = false) {
    const news = ended && !this.#ended;
    this.#ended = ended;
    if (state === this.#state && !news) return;
    this.#state = state;
    if (state === "connected" || state === "none") {
      this.#worked = state === "connected";
      this.attempts = 0;
      this.#handshakes = 0;
      this.#shaking = false;
      this.#due = false;
      this.#backoff.reset();
      this.#timer.clear();
    } else if (news) {
      this.#timer.set(0, () => this.#remedy());
    } else if (this.attempts === 0 && !ended) {
      const waits = { failed: 0, disconnected: MediaRecovery.DISCONNECTED_MS, connecting: MediaRecovery.CONNECTING_MS };
      this.#timer.set(waits[state], () => this.#remedy());
    }
    // While a remedy is under way its own time limit counts, whatever the states in between.
  }

  /** ICE has found a path for a connection that never was up; DTLS is what is left. */
  path() {
    if (this.#worked || this.#ended || this.#shaking || this.#due || this.#state !== "connecting") return;
    const waits = MediaRecovery.HANDSHAKE_MS;
    const wait = waits[Math.min(this.#handshakes, waits.length - 1)] ?? 0;
    this.#shaking = true;
    this.#timer.set(wait, () => {
      this.#handshakes += 1;
      this.#remedy("rebuild");
    });
  }

  /** @param {boolean} open */
  signaling(open) {
    this.#signaling = open;
    if (open && this.#due) this.#remedy(this.#wanted);
  }

  close() {
    this.#timer.clear();
    this.#due = false;
    this.#state = "none";
  }

  /** @param {Remedy | null} wanted Null: as many restarts as make sense come first. */
  #remedy(wanted = null) {
    this.#due = !this.#signaling;
    this.#wanted = wanted;
    if (this.#due) return;
    this.#shaking = false;
    this.attempts += 1;
    const attempt = this.attempts;
    const restarts = this.#worked ? MediaRecovery.RESTARTS : 1;
    const remedy = wanted ?? (attempt <= restarts && !this.#ended ? "restart_ice" : "rebuild");
    if (remedy === "rebuild") this.#worked = false;
    const wait = remedy === "restart_ice" ? MediaRecovery.RESTART_MS : MediaRecovery.REBUILD_MS + this.#backoff.next();
    this.#timer.set(MediaRecovery.ANSWER_MS + wait, () => this.#remedy());
    void Promise.resolve(this.#apply(remedy)).then(() => {
      if (attempt === this.attempts && this.#timer.active && !this.#shaking) this.#timer.set(wait, () => this.#remedy());
    });
  }
}
