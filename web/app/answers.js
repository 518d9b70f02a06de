/** What detectors answer to an RM who asked, and what they can be asked with; no page, no network. */

/** As the server has it: a photo goes to detectors in one message. */
export const PHOTO_BYTES = 40_000;
/** Of a file that is made smaller: more than cameras make. */
export const FILE_BYTES = 40_000_000;
const PHOTO_TYPES = ["image/jpeg", "image/png"];

/**
 * What keeps a file from being looked at as the photo of a document.
 *
 * @param {{ size: number, type: string }} file
 * @returns {string | null} Key of the text that says so.
 */
export function photoProblem({ size, type }) {
  if (!PHOTO_TYPES.includes(type)) return "checks.photo_type";
  return size > FILE_BYTES ? "checks.photo_large" : null;
}

/**
 * What an RM is told of a finding that answers a question of his.
 *
 * @param {Pick<import("/sdk/protocol.js").Finding, "kind" | "outcome">} finding
 * @returns {"seen" | "missed" | "unknown" | "match" | "mismatch" | null} Null: it answers none.
 */
export function answerOf({ kind, outcome }) {
  switch (kind) {
    case "challenge_seen":
      return "seen";
    case "challenge_missed":
      return outcome === "unknown" ? "unknown" : "missed";
    case "id_match":
      return outcome === "pass" ? "match" : "unknown";
    case "id_mismatch":
      return outcome === "unknown" ? "unknown" : "mismatch";
  }
  return null;
}
