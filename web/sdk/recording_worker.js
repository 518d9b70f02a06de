/**
 * The worker's part of a recording: logs what is sent, keeps it, uploads what the server lacks.
 *
 * Says `{chunk}` for each finished chunk (its facts), `{progress}` of uploads; is told `{recording}`, `{track}` (which
 * line carries which track), `{settled}`, `{want}`, `{allow}`, `{finish}` and `{recover}`.
 *
 * @typedef {import("./chunk_store.js").ChunkFacts} ChunkFacts
 * @typedef {{ state: "on" | "paused" | "off", session: string, access: import("./uploader.js").Access | null }} RecordingState
 * @typedef {object} Frame The part of an encoded frame that is used.
 * @property {ArrayBuffer} data
 * @property {number} [timestamp] Where the metadata has none.
 * @property {() => { payloadType?: number, rtpTimestamp?: number, synchronizationSource?: number, mimeType?: string }} getMetadata
 */
import { ChunkStore } from "./chunk_store.js";
import { DigestChain } from "./digest_chain.js";
import { codecOf } from "./frame_form.js";
import { FrameLog } from "./frame_log.js";
import { parseRed } from "./red.js";
import { Uploader } from "./uploader.js";

const TICK_MS = 1000;

export class RecordingWorker {
  /** Chunks that were finished before it was known which track they are of. */
  nameless = 0;
  /** @type {RecordingState | null} */
  #recording = null;
  /** @type {Map<string, { log: FrameLog, track: string | null, mimeType: string | undefined }>} */
  #lines = new Map();
  /** Digests under way: one after the other, so that chunks are told of in their order. @type {Promise<void>} */
  #tail = Promise.resolve();
  /** Number of the next chunk, by track. @type {Map<string, number>} */
  #next = new Map();
  /** @type {Map<string, Uploader>} */
  #uploaders = new Map();
  #opened;
  /** @type {ChunkStore | null} */
  #store = null;
  /** @type {import("./indexed_disk.js").IndexedDisk | null} */
  #disk = null;
  #clock;
  #unixMs;
  #fetch;
  #say;
  #lock;

  /**
   * @param {object} parts
   * @param {(message: object) => void} parts.say
   * @param {import("./clock.js").Clock} parts.clock
   * @param {() => number} parts.unixMs
   * @param {ConstructorParameters<typeof Uploader>[0]["fetch"]} parts.fetch
   * @param {() => Promise<import("./indexed_disk.js").IndexedDisk | null>} parts.openDisk
   * @param {(name: string, run: () => Promise<void>) => Promise<void>} parts.lock Only one page at a time runs this.
   * @param {{ memoryBytes?: number, diskBytes?: number }} [parts.limits]
   */
  constructor({ say, clock, unixMs, fetch, openDisk, lock, limits = {} }) {
    this.#say = say;
    this.#clock = clock;
    this.#unixMs = unixMs;
    this.#fetch = fetch;
    this.#lock = lock;
    // Only a recorded call, or an upload that was left behind, touches the storage.
    /** @type {(() => Promise<ChunkStore>)} */
    this.#opened = once(async () => {
      this.#disk = await openDisk();
      this.#store = new ChunkStore({ disk: this.#disk, lost: (facts) => this.#say({ lost: facts }), ...limits });
      await this.#store.open();
      return this.#store;
    });
  }

  /** Whether frames are of interest now. */
  get isOn() {
    return this.#recording?.state === "on";
  }

  /**
   * Takes a frame that is being sent, in the form it has on the wire.
   *
   * @param {string} line
   * @param {Frame} frame
   */
  take(line, frame) {
    if (!this.isOn) return;
    const { rtpTimestamp, synchronizationSource: ssrc = 0, mimeType } = frame.getMetadata();
    const timestamp = rtpTimestamp ?? frame.timestamp;
    const known = this.#lineOf(line);
    const isRed = (mimeType ?? known.mimeType)?.toLowerCase() === "audio/red";
    const codec = isRed ? "opus" : codecOf(mimeType ?? known.mimeType);
    const whole = new Uint8Array(frame.data);
    const data = isRed ? parseRed(whole)?.at(-1)?.data : whole;
    if (timestamp === undefined || !codec || !data) {
      known.log.miss(ssrc);
      return;
    }
    known.log.take({ ssrc, timestamp, codec, data }, this.#clock.now());
  }

  /** @param {string} name */
  #lineOf(name) {
    let line = this.#lines.get(name);
    if (!line) {
      /** @type {{ log: FrameLog, track: string | null, mimeType: string | undefined }} */
      const made = { log: new FrameLog((chunk) => this.#finished(made, chunk), () => this.#leaveOut(made.track)), track: null, mimeType: undefined };
      line = made;
      this.#lines.set(name, line);
    }
    return line;
  }

  /** @param {string} line The line is gone. */
  end(line) {
    this.#lines.get(line)?.log.flush();
    this.#lines.delete(line);
  }

  /**
   * @param {{ track: string | null }} line
   * @param {import("./frame_log.js").Chunk} chunk
   */
  #finished(line, { body, ...chunk }) {
    const session = this.#recording?.session;
    if (!line.track || !session) {
      this.nameless += 1;
      return;
    }
    const seq = this.#next.get(line.track) ?? this.#unixMs();
    this.#next.set(line.track, seq + 1);
    const partial = { session, track: line.track, seq, ...chunk, bytes: body.length };
    this.#tail = this.#tail.then(async () => {
      const facts = { ...partial, sha256: hex(await crypto.subtle.digest("SHA-256", body)) };
      const store = await this.#opened();
      // Told of at once: a storage that takes its time must not hold up the digests.
      void store.put(facts, body);
      this.#say({ chunk: facts });
    });
  }

  /** @param {Record<string, any>} message @returns {Promise<void>} */
  async handle(message) {
    const { track, recording, settled, want, allow } = message;
    if (track) Object.assign(this.#lineOf(track.line), { track: track.id, mimeType: track.mimeType });
    if (recording) await this.#change(recording);
    if (settled) await (await this.#opened()).settle(settled.session, settled.track, settled.below);
    if (want) this.#uploaders.get(want.session)?.want(want.chunks, want.more);
    if (allow !== undefined) for (const uploader of this.#uploaders.values()) uploader.allow(allow);
    if (message.finish) await this.#finish(message.chains ?? new Map());
    if (message.recover) await this.#recover(message.recover);
  }

  /** @param {RecordingState} recording */
  async #change(recording) {
    const before = this.#recording;
    if (before && (recording.state !== "on" || recording.session !== before.session)) this.#breakOff();
    this.#recording = recording;
    this.#scheduleTick();
    if (!recording.access) return;
    const store = await this.#opened();
    this.#openUploader(recording.access, store);
    await this.#disk?.remember(recording.access).catch(() => {});
  }

  /**
   * @param {import("./uploader.js").Access} access
   * @param {ChunkStore} store
   */
  #openUploader(access, store) {
    const known = this.#uploaders.get(access.session);
    if (known) {
      known.renew(access);
      return known;
    }
    const made = new Uploader({
      access, store, clock: this.#clock, fetch: this.#fetch,
      say: (progress) => this.#say({ progress }),
    });
    this.#uploaders.set(access.session, made);
    return made;
  }

  #ticking = false;

  /** A stream that pauses finishes its chunk, too. */
  #scheduleTick() {
    if (this.#ticking || !this.isOn) return;
    this.#ticking = true;
    this.#clock.setTimeout(() => {
      this.#ticking = false;
      for (const { log } of this.#lines.values()) log.tick(this.#clock.now());
      this.#scheduleTick();
    }, TICK_MS);
  }

  /** What is sent from now on isn't logged: a number that is left out says so. */
  #breakOff() {
    this.#flush();
    for (const track of this.#next.keys()) this.#leaveOut(track);
  }

  /** A number nobody speaks of. @param {string | null} track */
  #leaveOut(track) {
    const next = track === null ? undefined : this.#next.get(track);
    if (track !== null && next !== undefined) this.#next.set(track, next + 1);
  }

  #flush() {
    for (const { log } of this.#lines.values()) log.flush();
  }

  /** The call is over. @param {Map<string, import("./digest_chain.js").ChainState>} chains By session. */
  async #finish(chains) {
    this.#flush();
    if (this.#recording) this.#recording = { ...this.#recording, state: "off" };
    await this.#tail;
    await Promise.all([...this.#uploaders].map(([session, uploader]) => {
      const state = chains.get(session);
      return this.#run(session, uploader, state && new DigestChain(state.key, state));
    }));
    this.#say({ finished: true });
  }

  /**
   * Goes on with what an earlier page left behind.
   *
   * @param {{ except: string | null }} which A session of a call that is going on.
   */
  async #recover({ except }) {
    const store = await this.#opened();
    const sessions = (await this.#disk?.sessions().catch(() => [])) ?? [];
    const present = sessions.filter(({ session }) => session !== except && !this.#uploaders.has(session));
    await Promise.all(present.map((access) => this.#run(access.session, this.#openUploader(access, store))));
    this.#say({ recovered: present.length });
  }

  /**
   * @param {string} session
   * @param {Uploader} uploader
   * @param {DigestChain} [chain]
   */
  async #run(session, uploader, chain) {
    await this.#lock(`witness.upload.${session}`, () => uploader.finish(chain));
    this.#uploaders.delete(session);
    await this.#store?.forget(session);
    await this.#disk?.forget(session).catch(() => {});
  }
}

/** @template T @param {() => Promise<T>} make @returns {() => Promise<T>} */
function once(make) {
  /** @type {Promise<T> | null} */
  let made = null;
  return () => (made ??= make());
}

/** @param {ArrayBuffer} digest */
function hex(digest) {
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
