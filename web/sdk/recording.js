/**
 * The page's part of a recording: passes on what the worker logs, and what the server says it lacks.
 *
 * Calls that aren't recorded cost nothing: the worker looks at no frame and opens no storage.
 *
 * @typedef {import("./chunk_store.js").ChunkFacts} ChunkFacts
 * @typedef {import("./uploader.js").Progress} Progress
 *
 * @typedef {object} RecordingView What people are shown.
 * @property {"on" | "paused" | "off"} state
 * @property {string} sessionId
 *
 * @typedef {{ line: string, id: string, mimeType: string | undefined }} LineTrack
 *
 * @typedef {object} RecordingEvents
 * @property {RecordingView} state
 * @property {Progress} progress Of an upload.
 * @property {void} finished Nothing is left to upload, or it can't be.
 */
import { Timer } from "./clock.js";
import { DigestChain, keyProof } from "./digest_chain.js";
import { Emitter } from "./emitter.js";
import { WitnessError } from "./errors.js";

const SAY_MS = 2000;
/** While the server isn't heard well. */
const SLOWLY_MS = 6000;
const SILENT_MS = 5000;
const BATCH = 32;
/** Chunks of a track that wait to be told of: hours without a socket. Beyond it they are told of after the call. */
const MAX_WAITING = 20_000;
/** Bits a second an upload may take while nothing is known of the link. */
const CAUTIOUS_BPS = 64_000;
const MOST_BPS = 2_000_000;
/** The key isn't taken, or the server knows no keys: what is said isn't signed then. */
const NO_KEYS = new Set(["bad_message", "unknown_type"]);
const TROUBLED = new Set(["poor", "lost"]);

/**
 * What a call leaves for uploads.
 *
 * @param {object} link
 * @param {boolean} link.protectsAudio Copies of audio are sent: every packet more costs one of them.
 * @param {string | undefined} link.score Of one's own connection.
 * @param {number | undefined} link.availableBps
 * @param {number} link.sendingBps
 * @returns {number} Bits a second; 0: nothing.
 */
export function uploadRate({ protectsAudio, score, availableBps, sendingBps }) {
  if (protectsAudio || TROUBLED.has(score ?? "")) return 0;
  if (availableBps === undefined) return CAUTIOUS_BPS;
  const left = (availableBps - sendingBps) / 2;
  return left < CAUTIOUS_BPS / 2 ? 0 : Math.min(MOST_BPS, left);
}

/** @extends {Emitter<RecordingEvents>} */
export class Recording extends Emitter {
  /** What the server said last; null where it never recorded. @type {RecordingView | null} */
  view = null;
  /** Chunks of which digests are on the way, by track. @type {Map<string, ChunkFacts[]>} */
  #waiting = new Map();
  /** What was said, by session. @type {Map<string, DigestChain>} */
  #chains = new Map();
  #saying = false;
  #finished = false;
  #post;
  #request;
  #silentMs;
  #timer;
  #base;

  /**
   * @param {object} parts
   * @param {import("./clock.js").Clock} parts.clock
   * @param {(message: object) => void} parts.post To the worker.
   * @param {(type: string, data: object) => Promise<any>} parts.request To the server.
   * @param {() => number} parts.silentMs Since when the server wasn't heard; infinite without a socket.
   * @param {string} parts.base Address of the server, for uploads.
   */
  constructor({ clock, post, request, silentMs, base }) {
    super();
    this.#timer = new Timer(clock);
    this.#post = post;
    this.#request = request;
    this.#silentMs = silentMs;
    this.#base = base;
  }

  /** Signs what is said; null: nothing does. @type {import("./digest_chain.js").DeviceKey | null} */
  key = null;
  /** Whose tracks these are, as the server said. */
  participant = "";
  /** Sessions that know the key, and those that don't take it. @type {Map<string, boolean>} */
  #keyTaken = new Map();

  /** Whether the server ever recorded this call. */
  get isKnown() {
    return this.view !== null;
  }

  /** @param {Record<string, any>} data Of a `recording` notice. */
  onNotice({ state, session_id: sessionId, upload }) {
    this.view = { state, sessionId };
    // A server that was started again may have lost its last second.
    if (this.#keyTaken.get(sessionId)) this.#keyTaken.delete(sessionId);
    this.#post({ recording: { state, session: sessionId, access: upload && this.#access(sessionId, upload) } });
    if (!this.#timer.active) this.#sayLater();
    this.emit("state", this.view);
  }

  /**
   * @param {string} session
   * @param {{ url: string, token: string, expires_at: string }} upload
   */
  #access(session, { url, token, expires_at: expires }) {
    return { session, url: new URL(url, this.#base).href, token, expiresAt: Date.parse(expires) };
  }

  /** @param {Record<string, any>} data Of a `gap.want` notice. */
  onWant({ session_id: session, chunks, more }) {
    this.#post({ want: { session, chunks: chunks ?? [], more: more ?? 0 } });
  }

  /** Which line carries which track. @param {readonly LineTrack[]} lines */
  carry(lines) {
    for (const track of lines) this.#post({ track });
  }

  /** What the call leaves for uploads. @param {number} bps */
  allow(bps) {
    if (this.isKnown) this.#post({ allow: bps });
  }

  /** The call is over: what the server lacks is uploaded now. */
  finish() {
    this.#timer.clear();
    // What is being signed now is left to the worker, which goes on where this chain stands.
    this.#finished = true;
    this.#post({ finish: true, chains: new Map([...this.#chains].map(([session, chain]) => [session, chain.state])) });
  }

  /** @param {Record<string, any>} message Of the worker. */
  hear({ chunk, progress, finished }) {
    if (chunk) this.#queue(chunk);
    if (progress) this.emit("progress", progress);
    if (finished) this.emit("finished", undefined);
  }

  /** @param {ChunkFacts} facts */
  #queue(facts) {
    const waiting = this.#waiting.get(facts.track) ?? [];
    if (waiting.length < MAX_WAITING) waiting.push(facts);
    this.#waiting.set(facts.track, waiting);
  }

  #sayLater() {
    this.#timer.set(this.#silentMs() < SILENT_MS ? SAY_MS : SLOWLY_MS, () => {
      this.#sayLater();
      void this.#say();
    });
  }

  /** One batch at a time: what wasn't answered, then the next of each track. */
  async #say() {
    if (this.#saying) return;
    this.#saying = true;
    try {
      for (const [session, chain] of this.#chains) {
        if (chain.due) await this.#tellKey(session);
        await this.#sayDue(chain);
      }
      for (const [track, waiting] of this.#waiting) {
        const run = runOf(waiting);
        const chain = await this.#chainOf(run[0]?.session);
        if (!chain || this.#finished) continue;
        await chain.add(run);
        if (this.#finished) return;
        this.#waiting.set(track, (this.#waiting.get(track) ?? []).filter((facts) => !run.includes(facts)));
        await this.#sayDue(chain);
      }
    } catch {
      // It stays in its chain, and is said again; after the call the worker says all that is not settled.
    } finally {
      this.#saying = false;
    }
  }

  /** @param {string | undefined} session */
  async #chainOf(session) {
    if (!session) return null;
    const isTaken = await this.#tellKey(session);
    const chain = this.#chains.get(session) ?? new DigestChain(isTaken ? this.key : null);
    this.#chains.set(session, chain);
    return chain;
  }

  /**
   * The key comes before what it signs.
   *
   * @param {string} session
   * @returns {Promise<boolean>} Whether it may sign.
   */
  async #tellKey(session) {
    if (!this.key) return false;
    const known = this.#keyTaken.get(session);
    if (known !== undefined) return known;
    const told = await keyProof(this.key, session, this.participant);
    const isTaken = await this.#request("device.key", told).then(() => true, (error) => {
      if (error instanceof WitnessError && NO_KEYS.has(error.code)) return false;
      throw error;
    });
    this.#keyTaken.set(session, isTaken);
    if (!isTaken) this.#chains.get(session)?.giveUp();
    return isTaken;
  }

  /** @param {DigestChain} chain */
  async #sayDue(chain) {
    for (let due = chain.due; due && !this.#finished; due = chain.due) {
      const facts = due.run[0];
      let reply;
      try {
        reply = await this.#request("digest.batch", due.data);
      } catch (error) {
        if (due.data.signed && error instanceof WitnessError && error.code === "bad_message") chain.giveUp();
        throw error;
      }
      const { settled_below: below, batches } = reply;
      chain.answered(batches);
      if (facts && Number.isInteger(below)) this.#post({ settled: { session: facts.session, track: facts.track, below } });
      // The server lacks it still: not at once again.
      if (chain.due === due) return;
    }
  }
}

/**
 * @param {readonly ChunkFacts[]} waiting
 * @returns {ChunkFacts[]} The first of them, as far as they are numbered without holes, of one session and codec.
 */
function runOf(waiting) {
  const run = waiting.slice(0, 1);
  for (const facts of waiting.slice(1, BATCH)) {
    const last = run.at(-1);
    if (!last || facts.seq !== last.seq + 1 || facts.session !== last.session || facts.codec !== last.codec) break;
    run.push(facts);
  }
  return run;
}
