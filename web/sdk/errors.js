/** Errors of the SDK: every one carries a stable code. Texts for people are in `i18n.js`. */

/**
 * Codes the server sends (docs/protocol.md).
 *
 * @typedef {"bad_message" | "unknown_type" | "unsupported_version" | "not_joined" | "already_joined"
 *   | "unauthorized" | "token_expired" | "forbidden" | "room_full" | "server_full" | "room_closed"
 *   | "duplicate_participant" | "too_large" | "rate_limited" | "busy" | "slow_consumer" | "unknown_track"
 *   | "unknown_participant" | "unknown_request" | "bad_sdp" | "no_common_codec" | "resume_unknown"
 *   | "resume_superseded" | "draining" | "timeout" | "internal"} ServerCode
 */

/**
 * Codes that arise in the browser.
 *
 * @typedef {"connection_lost" | "closed" | "queue_full" | "insecure_context" | "not_supported"
 *   | "device_denied" | "device_missing" | "device_busy" | "device_lost" | "device_failed"
 *   | "screen_denied" | "media_failed" | "left" | "removed"} LocalCode
 */

/** @typedef {ServerCode | LocalCode} ErrorCode */

/** What went wrong, with a code that stays the same from version to version. */
export class WitnessError extends Error {
  /**
   * @param {ErrorCode | string} code
   * @param {string} [message] For developers, in English.
   * @param {{ retryAfterS?: number, field?: string, cause?: unknown }} [details]
   */
  constructor(code, message = code, details = {}) {
    super(message, { cause: details.cause });
    this.name = "WitnessError";
    /** @type {ErrorCode | string} */
    this.code = code;
    /** Seconds after which trying again makes sense, if the server said so. @type {number | undefined} */
    this.retryAfterS = details.retryAfterS;
    /** JSON path of what was wrong in the request. @type {string | undefined} */
    this.field = details.field;
  }

  /**
   * Reads the data of an `error` message, which may be from a newer server.
   *
   * @param {unknown} data
   */
  static fromMessage(data) {
    const fields = /** @type {Record<string, unknown>} */ (data && typeof data === "object" ? data : {});
    const { code, message, retry_after_s: retryAfterS, field } = fields;
    return new WitnessError(
      typeof code === "string" ? code : "internal",
      typeof message === "string" ? message : undefined,
      {
        retryAfterS: typeof retryAfterS === "number" ? retryAfterS : undefined,
        field: typeof field === "string" ? field : undefined,
      },
    );
  }

  /** @param {unknown} error */
  static from(error) {
    if (error instanceof WitnessError) return error;
    return new WitnessError("internal", error instanceof Error ? error.message : String(error), { cause: error });
  }
}

/** After these, trying again with the same token can't help. */
const FINAL_CODES = new Set([
  "unsupported_version", "unauthorized", "token_expired", "forbidden", "room_full", "room_closed", "resume_superseded",
  "draining", "left", "removed", "closed",
]);

/**
 * What a refusal of `join` or `resume`, or a `bye`, means for the connection.
 *
 * @param {string} code
 * @returns {"final" | "rejoin" | "retry"} `rejoin`: the place is gone, joining with the token is what helps. An unknown
 *   code is tried again, with back-off, until the time is up.
 */
export function consequence(code) {
  if (FINAL_CODES.has(code)) return "final";
  return code === "resume_unknown" ? "rejoin" : "retry";
}
