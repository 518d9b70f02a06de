/**
 * Batches of digests, each signed by a key of this page that no script can take out of the browser, each with the digest
 * of the one before: what was said can neither be made up later nor left out without a trace.
 *
 * Without a key batches are said unsigned, and nothing else changes.
 *
 * Spec: docs/protocol.md, `digest.batch`.
 *
 * @typedef {import("./chunk_store.js").ChunkFacts} ChunkFacts
 * @typedef {{ privateKey: CryptoKey, public: string, id: string }} DeviceKey `public`: base64 of a point of P-256.
 * @typedef {{ run: readonly ChunkFacts[], data: Record<string, any> }} Batch
 *
 * @typedef {object} ChainState What another thread needs to go on; CryptoKeys can be posted, but not read.
 * @property {DeviceKey | null} key
 * @property {Batch[]} batches
 * @property {number} first
 * @property {number} next
 * @property {string} head
 * @property {Map<string, number>} below
 */
const ALGORITHM = { name: "ECDSA", namedCurve: "P-256" };
/** Batches that were answered stay: a server that was killed may have lost its last second. */
const KEPT = 64;

/** @returns {Promise<DeviceKey | null>} Null where the browser makes none. */
export async function makeDeviceKey() {
  try {
    const { privateKey, publicKey } = await crypto.subtle.generateKey(ALGORITHM, false, ["sign", "verify"]);
    const raw = await crypto.subtle.exportKey("raw", publicKey);
    return { privateKey, public: base64(raw), id: await sha256(raw) };
  } catch {
    return null;
  }
}

/** The batches of one session. */
export class DigestChain {
  /** @type {ChainState} */
  #state;

  /** @param {DeviceKey | null} key @param {ChainState} [state] Of another thread that went before. */
  constructor(key, state = { key, batches: [], first: 1, next: 1, head: key?.id ?? "", below: new Map() }) {
    this.#state = state;
  }

  /** For another thread, which goes on from here. @returns {ChainState} */
  get state() {
    return this.#state;
  }

  /** What the server lacks first. @returns {Batch | null} */
  get due() {
    const { batches, first, next } = this.#state;
    return batches[next - first] ?? null;
  }

  /** Number of the chunk from which on nothing was said of a track. @param {string} track */
  below(track) {
    return this.#state.below.get(track) ?? 0;
  }

  /**
   * The next batch. One call has to end before another begins.
   *
   * @param {readonly ChunkFacts[]} run Of one track and codec, numbered without holes.
   * @param {boolean} [late] The call is over.
   */
  async add(run, late = false) {
    const [first, last] = [run[0], run.at(-1)];
    if (!first || !last) return;
    const data = digestBatch(run);
    const state = this.#state;
    if (state.key) {
      const batch = state.first + state.batches.length;
      const body = bodyOf(data, batch, state.head, late);
      const signature = await sign(state.key, body);
      data.signed = { key: state.key.id, batch, prev: state.head, late, signature };
      state.head = await sha256(body);
    }
    state.batches.push({ run, data });
    state.below.set(first.track, last.seq + 1);
  }

  /**
   * The server answered.
   *
   * @param {number | null | undefined} batches How many it has.
   */
  answered(batches) {
    const state = this.#state;
    const isKnown = state.key && Number.isInteger(batches);
    state.next = isKnown ? Number(batches) + 1 : state.next + 1;
    if (state.next < state.first) {
      // It forgot more than is kept: the chain can't go on, what wasn't heard is said without it.
      state.next = state.first;
      this.giveUp();
    }
    const old = state.next - state.first - KEPT;
    if (old > 0) {
      state.batches.splice(0, old);
      state.first += old;
    }
  }

  /** The server doesn't take what this key signs. */
  giveUp() {
    this.#state.key = null;
    for (const { data } of this.#state.batches) delete data.signed;
  }
}

/**
 * What tells a server of a key: that this page has it, for this recording and this participant.
 *
 * @param {DeviceKey} key
 * @param {string} session
 * @param {string} participant
 * @returns {Promise<Record<string, any>>} The data of `device.key`.
 */
export async function keyProof(key, session, participant) {
  const body = JSON.stringify({ key: key.id, participant, session, type: "device.key" });
  return { session_id: session, public: key.public, proof: await sign(key, new TextEncoder().encode(body)) };
}

/**
 * @param {readonly ChunkFacts[]} run Of one track and codec, numbered without holes.
 * @returns {Record<string, any>} The data of `digest.batch`.
 */
export function digestBatch(run) {
  const [first] = run;
  return {
    session_id: first?.session,
    track_id: first?.track,
    codec: first?.codec,
    from_seq: first?.seq,
    chunks: run.map(({ ssrc, first_ts, last_ts, frames, bytes, sha256 }) => ({ ssrc, first_ts, last_ts, frames, bytes, sha256 })),
  };
}

/**
 * What is signed: canonical JSON (RFC 8785). All texts are plain ASCII, all numbers integers.
 *
 * @param {Record<string, any>} data
 * @param {number} batch
 * @param {string} prev
 * @param {boolean} late
 * @returns {Uint8Array<ArrayBuffer>}
 */
function bodyOf({ session_id: session, track_id: track, codec, from_seq, chunks }, batch, prev, late) {
  const rows = chunks.map((/** @type {ChunkFacts} */ one) => [one.ssrc, one.first_ts, one.last_ts, one.frames, one.bytes, one.sha256]);
  return new TextEncoder().encode(JSON.stringify({ batch, chunks: rows, codec, from_seq, late, prev, session, track }));
}

/** @param {DeviceKey} key @param {Uint8Array<ArrayBuffer>} body */
async function sign(key, body) {
  return base64(await crypto.subtle.sign({ name: "ECDSA", hash: "SHA-256" }, key.privateKey, body));
}

/** @param {ArrayBuffer} bytes */
function base64(bytes) {
  return btoa(String.fromCharCode(...new Uint8Array(bytes)));
}

/** @param {BufferSource} bytes */
async function sha256(bytes) {
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return [...digest].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
