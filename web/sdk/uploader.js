/**
 * Brings the server what its recording lacks: during the call as far as there is room, after it as fast as it goes.
 *
 * One request at a time. What fails is tried again, ever more rarely; what the server refuses for good is not.
 *
 * @typedef {import("./chunk_store.js").ChunkFacts} ChunkFacts
 * @typedef {{ track_id: string, seq: number, have: number[] }} WantedChunk
 * @typedef {{ session: string, url: string, token: string, expiresAt: number }} Access `url` is absolute.
 * @typedef {object} Progress
 * @property {string} session
 * @property {number} left Chunks the server still wants, as far as known.
 * @property {number} uploaded Chunks it has taken.
 * @property {number} lost Chunks it won't get.
 * @property {"call" | "after" | "done" | "refused"} phase
 */
import { digestBatch } from "./digest_chain.js";
import { packFrames, unpackFrames } from "./frame_form.js";

const RETRY_MS = [1000, 2000, 4000, 8000, 15_000, 30_000];
const TIMEOUT_MS = 60_000;
/** During a call a chunk that would take the allowed rate longer than this waits for its end. */
const PATIENCE_S = 6;
const DIGESTS = 64;
/** When the server is asked again for what it wants; longer each time when nothing could be done about it. */
const ASK_AGAIN_MS = [2000, 4000, 8000, 15_000];
/** So often a chunk is brought that the server then finds incomplete. */
const TRIES = 3;
const REFUSED_FOR_GOOD = new Set([400, 413, 422]);
const NO_ACCESS = new Set([401, 403, 404, 410]);

export class Uploader {
  /** @type {Progress} */
  progress;
  /** Bits a second a call leaves; 0: wait; null: the call is over. @type {number | null} */
  #rate = 0;
  /** @type {WantedChunk[]} */
  #wanted = [];
  /** Taken, or refused for good: a notice that is older than that doesn't bring it again. @type {Set<string>} */
  #closed = new Set();
  /** How often the server found frames missing of a chunk. @type {Map<string, number>} */
  #incomplete = new Map();
  #failures = 0;
  #running = false;
  #ended = false;
  /** @type {import("./digest_chain.js").DigestChain | null} */
  #chain = null;
  #access;
  #store;
  #clock;
  #fetch;
  #say;
  /** Ends a wait. */
  #wake = () => {};

  /**
   * @param {object} parts
   * @param {Access} parts.access
   * @param {import("./chunk_store.js").ChunkStore} parts.store
   * @param {import("./clock.js").Clock} parts.clock
   * @param {(url: string, init: RequestInit) => Promise<{ status: number, json: () => Promise<any> }>} parts.fetch
   * @param {(progress: Progress) => void} parts.say
   */
  constructor({ access, store, clock, fetch, say }) {
    this.#access = access;
    this.#store = store;
    this.#clock = clock;
    this.#fetch = fetch;
    this.#say = say;
    this.progress = { session: access.session, left: 0, uploaded: 0, lost: 0, phase: "call" };
  }

  /** A newer token. @param {Access} access */
  renew(access) {
    this.#access = access;
  }

  /** What the server lacks now. @param {WantedChunk[]} chunks @param {number} more */
  want(chunks, more) {
    this.#wanted = chunks;
    this.#tell({ left: chunks.length + more });
    this.#go();
  }

  /** What the call leaves for uploads. @param {number} bps */
  allow(bps) {
    if (this.#rate === null) return;
    this.#rate = bps;
    this.#wake();
    this.#go();
  }

  /**
   * The call is over: all that is kept is offered, until the server wants no more.
   *
   * @param {import("./digest_chain.js").DigestChain | null} [chain] Digests go on in it; without one they aren't signed.
   */
  async finish(chain = null) {
    if (this.#ended) return;
    this.#ended = true;
    this.#chain = chain;
    this.#rate = null;
    this.#wake();
    this.#tell({ phase: "after" });
    let idle = 0;
    while (this.progress.phase === "after") {
      const useful = !this.#running && (await this.#round());
      idle = useful ? 0 : idle + 1;
      if (!useful) await this.#wait(ASK_AGAIN_MS[Math.min(idle, ASK_AGAIN_MS.length) - 1] ?? 0);
    }
  }

  /** @returns {Promise<boolean>} Whether it brought something forward. */
  async #round() {
    this.#running = true;
    try {
      // A failed request has waited already.
      if (!(await this.#sayDigests())) return true;
      const reply = await this.#request("GET", "wants");
      if (!reply) return true;
      const { state, chunks = [], more = 0 } = await reply.json();
      this.#wanted = chunks;
      this.#tell({ left: chunks.length + more });
      if (state === "done") {
        this.#tell({ phase: "done", left: 0 });
        return true;
      }
      const before = this.progress.uploaded + this.progress.lost;
      await this.#work();
      return this.progress.uploaded + this.progress.lost > before;
    } finally {
      this.#running = false;
    }
  }

  /** Digests that may not have been heard; saying them again is harmless. */
  async #sayDigests() {
    if (this.#chain && !(await this.#sayChain(this.#chain))) return false;
    for (const run of runsOf(this.#store.of(this.#access.session))) {
      if ((await this.#sayRun(run, digestBatch(run))) === null) return false;
    }
    return true;
  }

  /**
   * What the page signed and didn't hear of, then what nobody said yet.
   *
   * @param {import("./digest_chain.js").DigestChain} chain
   * @returns {Promise<boolean>} Whether all of it was answered.
   */
  async #sayChain(chain) {
    const unsaid = this.#store.of(this.#access.session).filter(({ track, seq }) => seq >= chain.below(track));
    for (const run of runsOf(unsaid)) await chain.add(run, true);
    for (let due = chain.due; due; due = chain.due) {
      const reply = await this.#sayRun(due.run, due.data);
      if (!reply) return false;
      if (reply.taken) chain.answered(reply.batches);
      else if (due.data.signed) chain.giveUp();
      else chain.answered(null);
      if (reply.taken && chain.due === due) return false;
    }
    return true;
  }

  /**
   * @param {readonly ChunkFacts[]} run
   * @param {object} data
   * @returns {Promise<{ taken: boolean, batches?: number } | null>} Null: not now.
   */
  async #sayRun(run, data) {
    const reply = await this.#request("POST", "digests", JSON.stringify(data));
    if (!reply) return null;
    const first = run[0];
    if (reply.status !== 200 || !first) return { taken: false };
    const { settled_below: below, batches } = await reply.json();
    if (Number.isInteger(below)) await this.#store.settle(first.session, first.track, below);
    return { taken: true, batches };
  }

  #go() {
    if (this.#running || this.#ended) return;
    this.#running = true;
    this.#work().finally(() => {
      this.#running = false;
    });
  }

  /** Uploads what is wanted, the oldest first. */
  async #work() {
    for (let next = this.#wanted.shift(); next; next = this.#wanted.shift()) {
      if (this.#closed.has(`${next.track_id}/${next.seq}`)) continue;
      const kept = await this.#store.get(this.#access.session, next.track_id, next.seq);
      if (!kept) {
        if (await this.#sayLost(next)) continue;
        this.#wanted.unshift(next);
        return;
      }
      const body = missingOf(kept.body, next.have);
      if (this.#rate !== null && body.length * 8 > this.#rate * PATIENCE_S) {
        if (this.#rate > 0) continue;
        this.#wanted.unshift(next);
        return;
      }
      if (!(await this.#upload(next, body))) {
        this.#wanted.unshift(next);
        return;
      }
      if (this.#rate) await this.#wait((body.length * 8000) / this.#rate);
    }
  }

  /**
   * @param {WantedChunk} wanted
   * @param {Uint8Array<ArrayBuffer>} body
   * @returns {Promise<boolean>} Whether to go on.
   */
  async #upload({ track_id: track, seq }, body) {
    const sum = new Uint8Array(await crypto.subtle.digest("SHA-256", body));
    const digest = btoa(String.fromCharCode(...sum));
    const headers = { "Content-Type": "application/octet-stream", "Content-Digest": `sha-256=:${digest}:` };
    const reply = await this.#request("PUT", `tracks/${encodeURIComponent(track)}/chunks/${seq}`, body, headers);
    if (!reply) return false;
    if (reply.status === 409) {
      // It says anew what it has; what it lacks then isn't here either.
      const times = (this.#incomplete.get(`${track}/${seq}`) ?? 0) + 1;
      this.#incomplete.set(`${track}/${seq}`, times);
      return times < TRIES || this.#sayLost({ track_id: track, seq, have: [] });
    }
    if (reply.status < 300 || REFUSED_FOR_GOOD.has(reply.status)) this.#closed.add(`${track}/${seq}`);
    if (reply.status < 300) this.#tell({ uploaded: this.progress.uploaded + 1, left: Math.max(0, this.progress.left - 1) });
    else if (REFUSED_FOR_GOOD.has(reply.status)) this.#tell({ lost: this.progress.lost + 1 });
    return true;
  }

  /** @param {WantedChunk} wanted */
  async #sayLost({ track_id: track, seq }) {
    const reply = await this.#request("POST", "lost", JSON.stringify({ track_id: track, seqs: [seq], cause: "evicted" }));
    if (reply && reply.status < 300) this.#tell({ lost: this.progress.lost + 1, left: Math.max(0, this.progress.left - 1) });
    return reply !== null;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {BodyInit} [body]
   * @param {Record<string, string>} [headers]
   * @returns {Promise<{ status: number, json: () => Promise<any> } | null>} Null: not now; waited already, or given up.
   */
  async #request(method, path, body, headers = body === undefined ? {} : { "Content-Type": "application/json" }) {
    const { url, token, expiresAt } = this.#access;
    /** @type {{ status: number, json: () => Promise<any> } | null} */
    let reply = null;
    try {
      const signal = AbortSignal.timeout?.(TIMEOUT_MS);
      reply = await this.#fetch(`${url}/${path}`, { method, body, headers: { ...headers, Authorization: `Bearer ${token}` }, signal });
    } catch {
      // No network; an expired token would not become good either.
      if (Date.now() >= expiresAt) this.#refused();
    }
    if (reply && NO_ACCESS.has(reply.status) && !(method === "PUT" && reply.status === 404)) {
      this.#refused();
      return null;
    }
    if (reply && reply.status < 500 && reply.status !== 429) {
      this.#failures = 0;
      return reply;
    }
    this.#failures += 1;
    await this.#wait(RETRY_MS[Math.min(this.#failures, RETRY_MS.length) - 1] ?? 0);
    return null;
  }

  #refused() {
    this.#wanted.length = 0;
    if (this.#ended) this.#tell({ phase: "refused" });
  }

  /** @param {number} ms */
  #wait(ms) {
    return new Promise((/** @type {(value: void) => void} */ resolve) => {
      const timer = this.#clock.setTimeout(resolve, ms);
      this.#wake = () => {
        this.#clock.clearTimeout(timer);
        resolve();
      };
    });
  }

  /** @param {Partial<Progress>} change */
  #tell(change) {
    this.progress = { ...this.progress, ...change };
    this.#say(this.progress);
  }
}

/**
 * @param {readonly ChunkFacts[]} chunks Oldest first.
 * @returns {ChunkFacts[][]} Each of one track and codec, numbered without holes.
 */
function runsOf(chunks) {
  /** @type {Map<string, ChunkFacts[]>} */
  const open = new Map();
  const runs = [];
  for (const facts of chunks) {
    const begins = `${facts.track}/${facts.codec}`;
    const run = open.get(begins);
    if (run && run.length < DIGESTS && run.at(-1)?.seq === facts.seq - 1) run.push(facts);
    else {
      const made = [facts];
      open.set(begins, made);
      runs.push(made);
    }
  }
  return runs;
}

/**
 * @param {Uint8Array<ArrayBuffer>} body
 * @param {readonly number[]} have Timestamps of frames that needn't be sent.
 */
function missingOf(body, have) {
  if (have.length === 0) return body;
  const known = new Set(have);
  return packFrames(unpackFrames(body).filter(({ timestamp }) => !known.has(timestamp)));
}
