/**
 * @typedef {{ session: string, room: string, started_at: string, state: string, length_us: number, tracks: number, captured: number | null, sealed: boolean, order?: { order_no?: string }, customer?: { crm_customer_id: string } }} Found
 * @typedef {{ state: string, share?: number, before?: number }} Job
 * @typedef {Job & { seconds?: number, uploads?: number, damaged?: number }} Film
 * @typedef {Job & { exit?: number, code?: string | null, timestamp?: string, sha256?: string, package?: string }} Verification
 * @typedef {{ films: { zh: Film, en: Film }, verification: Verification, package: { bytes: number } | null }} Work
 * @typedef {{ node: string, attempt: number, supersedes: number | null, superseded_by: number | null, from_us: number, to_us: number | null }} Attempt
 * @typedef {{ from_us: number, to_us: number, cause: string, filled: boolean }} Gap
 * @typedef {{ track: string, participant: string, kind: string, source: string, present: [number, number][], expected_us: number, captured_us: number, filled_us: number, missing_us: number, undeclared: [number, number][], gaps: Gap[] }} Track
 * @typedef {{ participant: string, name: string, role: string, present: [number, number][], speech: [number, number][] | null }} Person
 * @typedef {{ alert: string, severity: string, cause: string | null, track: string | null, from_us: number, to_us: number | null }} Alert
 * @typedef {{ finding: string, detector: string, kind: string, outcome: string, severity: string, cause: string | null, participant: string, track: string, from_us: number, to_us: number, is_open: boolean, title: { zh: string, en: string }, text: { zh: string, en: string }, acknowledged: { by: string, at_us: number } | null }} Finding
 * @typedef {Work & { session_id: string, room: string, started_at: string, state: string, from_us: number | null, to_us: number, pauses: [number, number][], outages: { from_us: number, to_us: number, cause: string }[], marks: { at_us: number, label: string }[], attempts: Attempt[], flow: { nodes: { code: string, title: { zh?: string, en?: string } }[] } | null, people: Person[], tracks: Track[], alerts: Alert[], findings?: Finding[], transcript: { from_us: number, to_us: number, speaker: string, text: string }[], packages: { package: string, sealed_at: string, manifest: { sha256: string } }[], uploads: number, viewer: { who: string, purpose: string } }} Recording
 */

/** A refusal of the server. */
export class PlaybackError extends Error {
  /** @param {string} code @param {number} status 0: no answer. */
  constructor(code, status) {
    super(code);
    this.code = code;
    this.status = status;
  }
}

/** What the playback page asks the server. The token goes with searches and purposes only. */
export class PlaybackApi {
  /** @param {string} token */
  constructor(token) {
    this.token = token;
  }

  /** @param {Record<string, string>} query @returns {Promise<{ recordings: Found[], before: string | null }>} */
  find(query) {
    const given = Object.fromEntries(Object.entries(query).filter(([, value]) => value !== ""));
    return this.#ask("POST", "/search", given, true);
  }

  /** @param {string} session @param {{ purpose: string, note: string }} why @returns {Promise<{ view: string, expires_in_s: number }>} */
  open(session, why) {
    return this.#ask("POST", `/${session}/views`, why, true);
  }

  /** @param {string} session @returns {Promise<Recording>} */
  recording(session) {
    return this.#ask("GET", `/${session}`);
  }

  /** @param {string} session @returns {Promise<Work>} */
  work(session) {
    return this.#ask("GET", `/${session}/work`);
  }

  /** @param {string} session @param {"zh" | "en"} language @returns {Promise<Work>} */
  makeFilm(session, language) {
    return this.#ask("POST", `/${session}/film`, { language });
  }

  /** @param {string} session @returns {Promise<Work>} */
  verify(session) {
    return this.#ask("POST", `/${session}/verification`, {});
  }

  /** @param {string} session @param {string} language */
  filmUrl(session, language) {
    return `/v1/recordings/${session}/film?lang=${language}`;
  }

  /** @param {string} session */
  packageUrl(session) {
    return `/v1/recordings/${session}/package`;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {unknown} [body]
   * @param {boolean} [signed]
   * @returns {Promise<any>}
   * @throws {PlaybackError}
   */
  async #ask(method, path, body, signed = false) {
    /** @type {Record<string, string>} */
    const headers = {};
    if (signed) headers["authorization"] = `Bearer ${this.token}`;
    if (body !== undefined) headers["content-type"] = "application/json";
    let response;
    try {
      response = await fetch(`/v1/recordings${path}`, { method, headers, body: body === undefined ? null : JSON.stringify(body) });
    } catch {
      throw new PlaybackError("offline", 0);
    }
    const told = await response.json().catch(() => ({}));
    if (response.ok) return told;
    throw new PlaybackError(typeof told.code === "string" ? told.code : "internal", response.status);
  }
}
