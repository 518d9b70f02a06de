/**
 * What the banner over the call says.
 *
 * @typedef {object} Banner
 * @property {"info" | "warn" | "danger"} tone
 * @property {string} key
 * @property {Record<string, string | number>} [values]
 * @property {number} retryInMs Until the next attempt; 0 when none is waiting.
 */

/**
 * @typedef {object} Notices
 * @property {TimeLeft | null} drain
 * @property {TimeLeft | null} expiry
 */

/** @typedef {{ minutes: number } | { seconds: number }} TimeLeft */

const SECONDS_BELOW_MS = 120_000;
const SECONDS_STEP = 10;

/**
 * Chooses what people need to know most.
 *
 * @param {import("/sdk/connection.js").ConnectionStatus} status
 * @param {Notices} notices
 * @returns {Banner | null}
 */
export function bannerFor(status, { drain, expiry }) {
  const retryInMs = status.signaling.retryInMs;
  switch (status.state) {
    case "lost":
      return { tone: "danger", key: "banner.lost", retryInMs };
    case "media_lost":
      return { tone: "danger", key: "banner.media_lost", retryInMs: 0 };
    case "signaling_lost":
      return { tone: "warn", key: "banner.signaling_lost", retryInMs };
    case "connecting":
      return { tone: "info", key: "state.connecting", retryInMs };
    case "media_connecting":
      return { tone: "info", key: "state.media_connecting", retryInMs: 0 };
    default:
  }
  if (expiry !== null) {
    const key = "seconds" in expiry ? "banner.expiring_seconds" : "banner.expiring";
    return { tone: "warn", key, values: expiry, retryInMs: 0 };
  }
  if (drain !== null) {
    const key = "seconds" in drain ? "banner.draining_seconds" : "banner.draining";
    return { tone: "warn", key, values: drain, retryInMs: 0 };
  }
  return null;
}

/**
 * The time until a moment, rounded up: in minutes, below two minutes in seconds; null when it is further away than
 * `withinMinutes` or not known. Seconds come in steps of ten, because a screen reader says every change aloud.
 *
 * @param {number} atMs
 * @param {number} nowMs
 * @param {number} withinMinutes
 * @returns {TimeLeft | null}
 */
export function timeLeft(atMs, nowMs, withinMinutes) {
  const leftMs = atMs - nowMs;
  if (!Number.isFinite(leftMs) || leftMs > withinMinutes * 60_000) return null;
  if (leftMs >= SECONDS_BELOW_MS) return { minutes: Math.ceil(leftMs / 60_000) };
  return { seconds: SECONDS_STEP * Math.max(1, Math.ceil(leftMs / 1000 / SECONDS_STEP)) };
}
