import { WitnessError } from "./errors.js";

/**
 * What is known of detectors that watch the call: what they ask for, and what they found.
 *
 * @typedef {import("./protocol.js").AskedConsent} AskedConsent
 * @typedef {import("./protocol.js").Finding} Finding
 */

/** Findings that are kept; the server tells fewer at a time. */
const MOST = 64;

export class Watching {
  /** @type {readonly AskedConsent[]} */
  consents = [];
  /** Those that go on, by id. @type {Map<string, Finding>} */
  #open = new Map();

  get open() {
    return [...this.#open.values()];
  }

  /** What was said before is said again, or is not true any more. */
  startOver() {
    this.consents = [];
    this.#open.clear();
  }

  /** @param {Record<string, any>} data Of a `consents` notice. */
  onConsents(data) {
    this.consents = Object.freeze([...(data.consents ?? [])]);
    return this.consents;
  }

  /** @param {Record<string, any>} data Of a `finding` notice. */
  onFinding(data) {
    const finding = /** @type {Finding} */ (data);
    this.#open.delete(finding.finding_id);
    if (finding.state === "open") this.#open.set(finding.finding_id, finding);
    for (const oldest of this.#open.keys()) {
      if (this.#open.size <= MOST) break;
      this.#open.delete(oldest);
    }
    return finding;
  }

  /**
   * @param {string} permission
   * @param {"zh" | "en"} language
   * @returns {string} Of the text that is asked.
   */
  digest(permission, language) {
    const asked = this.consents.find((one) => one.permission === permission);
    if (!asked) throw new WitnessError("unknown_request", `${permission} is not asked for`);
    return asked[language].sha256;
  }
}
