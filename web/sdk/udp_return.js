import { Backoff } from "./backoff.js";

/**
 * Decides when a call that runs over TCP tries UDP again.
 *
 * A browser that has chosen TCP gives its UDP paths up, so nothing shows that UDP works again but an ICE restart, during
 * which media goes on over the path it has. It costs an offer and a TCP connection, so the waits between grow; they are only
 * small again when UDP has held for a while, so that a network in which UDP comes and goes isn't followed at every turn.
 * Paths over a relay are left alone: their credentials may have expired, and a restart would end what works.
 */
export class UdpReturn {
  static BACKOFF = { baseMs: 20_000, maxMs: 600_000 };
  /** UDP that lasts this long is trusted. */
  static HELD_MS = 120_000;
  /** A network that changed gets this long to settle. */
  static SETTLE_MS = 3000;

  /** When the next try is due; null while media doesn't run over TCP. @type {number | null} */
  #dueMs = null;
  /** Since when media has run over UDP. @type {number | null} */
  #udpSinceMs = null;
  #backoff;

  /** @param {() => number} random See `Clock`. */
  constructor(random) {
    this.#backoff = new Backoff(UdpReturn.BACKOFF, random);
  }

  /**
   * @param {number} nowMs
   * @param {"udp" | "tcp" | "relay" | null} path What media runs over; null while it isn't known.
   * @param {boolean} well Media flows and the server can be talked to, so nothing else is being repaired.
   * @returns {boolean} Whether ICE is to be restarted now.
   */
  sample(nowMs, path, well) {
    if (path === "tcp") {
      this.#udpSinceMs = null;
      this.#dueMs ??= nowMs + this.#backoff.next();
      if (!well || nowMs < this.#dueMs) return false;
      this.#dueMs = nowMs + this.#backoff.next();
      return true;
    }
    if (path === null) return false;
    this.#dueMs = null;
    this.#udpSinceMs = path === "udp" ? (this.#udpSinceMs ?? nowMs) : null;
    if (this.#udpSinceMs !== null && nowMs - this.#udpSinceMs >= UdpReturn.HELD_MS) this.#backoff.reset();
    return false;
  }

  /** The browser says that the network is another, or back. @param {number} nowMs */
  networkChanged(nowMs) {
    this.#backoff.reset();
    if (this.#dueMs !== null) this.#dueMs = Math.min(this.#dueMs, nowMs + UdpReturn.SETTLE_MS);
  }
}
