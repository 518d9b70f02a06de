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
 * @property {number | null} drainMinutes
 * @property {number | null} expiryMinutes
 */

/**
 * Chooses what people need to know most.
 *
 * @param {import("/sdk/connection.js").ConnectionStatus} status
 * @param {Notices} notices
 * @returns {Banner | null}
 */
export function bannerFor(status, { drainMinutes, expiryMinutes }) {
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
  if (expiryMinutes !== null) return { tone: "warn", key: "banner.expiring", values: { minutes: expiryMinutes }, retryInMs: 0 };
  if (drainMinutes !== null) return { tone: "warn", key: "banner.draining", values: { minutes: drainMinutes }, retryInMs: 0 };
  return null;
}

/**
 * Whole minutes until a moment, at least 1; null when it is further away than `withinMinutes` or not known.
 *
 * @param {number} atMs
 * @param {number} nowMs
 * @param {number} withinMinutes
 */
export function minutesLeft(atMs, nowMs, withinMinutes) {
  const minutes = (atMs - nowMs) / 60_000;
  if (!Number.isFinite(minutes) || minutes > withinMinutes) return null;
  return Math.max(1, Math.ceil(minutes));
}
