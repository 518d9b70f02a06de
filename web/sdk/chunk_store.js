/**
 * Keeps sent chunks until the server has no more need of them: in memory, and encrypted in the browser's storage, so
 * that a page that was closed can still upload them.
 *
 * Both are bounded. What has to go is the oldest, and whoever keeps the store is told, so that it is declared.
 *
 * @typedef {object} ChunkFacts
 * @property {string} session
 * @property {string} track
 * @property {number} seq
 * @property {number} ssrc
 * @property {import("./frame_form.js").Codec} codec
 * @property {number} first_ts
 * @property {number} last_ts
 * @property {number} frames
 * @property {number} bytes
 * @property {string} sha256
 *
 * @typedef {object} Disk Storage that outlives the page; see `IndexedDisk`.
 * @property {(facts: ChunkFacts, body: Uint8Array<ArrayBuffer>) => Promise<void>} put Rejects when there is no room.
 * @property {(facts: ChunkFacts) => Promise<Uint8Array<ArrayBuffer> | null>} get
 * @property {(facts: readonly ChunkFacts[]) => Promise<void>} remove
 * @property {() => Promise<ChunkFacts[]>} all
 *
 * @typedef {{ facts: ChunkFacts, body: Uint8Array<ArrayBuffer> | null, stored: boolean }} Entry
 */

/** Bytes of memory. */
export const MEMORY_BYTES = 16 * 1024 * 1024;
/** Bytes of storage: an hour of a 1 Mb/s camera that never arrived. */
export const DISK_BYTES = 512 * 1024 * 1024;

export class ChunkStore {
  /** Chunks that had to go before the server had them. */
  evicted = 0;
  /** Writes the storage refused. */
  refused = 0;
  /** Oldest first. @type {Map<string, Entry>} */
  #entries = new Map();
  #memory = 0;
  #stored = 0;
  #disk;
  #limits;
  #lost;

  /**
   * @param {object} parts
   * @param {Disk | null} parts.disk Null where the browser has none (private windows): then memory is all there is.
   * @param {(facts: ChunkFacts) => void} parts.lost A chunk is gone before the server had it.
   * @param {number} [parts.memoryBytes]
   * @param {number} [parts.diskBytes]
   */
  constructor({ disk, lost, memoryBytes = MEMORY_BYTES, diskBytes = DISK_BYTES }) {
    this.#disk = disk;
    this.#lost = lost;
    this.#limits = { memoryBytes, diskBytes };
  }

  /** What an earlier page left behind. @returns {Promise<void>} */
  async open() {
    /** @type {ChunkFacts[]} */
    let found = [];
    try {
      found = (await this.#disk?.all()) ?? [];
    } catch {
      this.#disk = null;
    }
    for (const facts of found.sort((a, b) => a.seq - b.seq)) {
      this.#entries.set(keyOf(facts), { facts, body: null, stored: true });
      this.#stored += facts.bytes;
    }
  }

  /** Bytes that are kept, by place. */
  get bytes() {
    return { memory: this.#memory, disk: this.#stored };
  }

  /**
   * @param {ChunkFacts} facts
   * @param {Uint8Array<ArrayBuffer>} body
   */
  async put(facts, body) {
    const entry = { facts, body, stored: false };
    this.#entries.set(keyOf(facts), entry);
    this.#memory += body.length;
    // Before the storage has answered, too: one that never does must not fill the memory.
    await this.#shrink();
    await this.#write(entry);
    await this.#shrink();
  }

  /** @param {Entry} entry */
  async #write(entry) {
    if (!this.#disk || !entry.body) return;
    try {
      await this.#disk.put(entry.facts, entry.body);
      entry.stored = true;
      this.#stored += entry.facts.bytes;
    } catch {
      // Full or forbidden: it stays in memory for as long as there is room.
      this.refused += 1;
    }
    if (!entry.stored || this.#entries.get(keyOf(entry.facts)) === entry) return;
    // Given up while it was written.
    this.#stored -= entry.facts.bytes;
    await this.#unstore([entry]);
  }

  /** Makes room: memory first of what is stored as well, then the oldest of all. */
  async #shrink() {
    for (const entry of this.#entries.values()) {
      if (this.#memory <= this.#limits.memoryBytes) break;
      if (entry.stored) this.#unload(entry);
    }
    const gone = [];
    for (const entry of this.#entries.values()) {
      const full = this.#memory > this.#limits.memoryBytes || this.#stored > this.#limits.diskBytes;
      if (!full) break;
      if (this.#memory <= this.#limits.memoryBytes && !entry.stored) continue;
      if (this.#stored <= this.#limits.diskBytes && !entry.body) continue;
      gone.push(entry);
      this.#forget(entry);
    }
    await this.#unstore(gone);
    for (const { facts } of gone) {
      this.evicted += 1;
      this.#lost(facts);
    }
  }

  /** @param {Entry} entry */
  #unload(entry) {
    this.#memory -= entry.body?.length ?? 0;
    entry.body = null;
  }

  /** @param {Entry} entry */
  #forget(entry) {
    this.#unload(entry);
    if (entry.stored) this.#stored -= entry.facts.bytes;
    this.#entries.delete(keyOf(entry.facts));
  }

  /** @param {readonly Entry[]} entries */
  async #unstore(entries) {
    const stored = entries.filter((entry) => entry.stored).map(({ facts }) => facts);
    if (stored.length === 0) return;
    try {
      await this.#disk?.remove(stored);
    } catch {
      // It is read again by the next page, which is told that nobody wants it.
    }
  }

  /**
   * @param {string} session
   * @param {string} track
   * @param {number} seq
   * @returns {Promise<{ facts: ChunkFacts, body: Uint8Array<ArrayBuffer> } | null>} Null for what is not kept (any more).
   */
  async get(session, track, seq) {
    const entry = this.#entries.get(keyOf({ session, track, seq }));
    if (!entry) return null;
    if (entry.body) return { facts: entry.facts, body: entry.body };
    let body = null;
    try {
      body = (await this.#disk?.get(entry.facts)) ?? null;
    } catch {
      // As if it weren't there.
    }
    if (body) return { facts: entry.facts, body };
    this.#forget(entry);
    return null;
  }

  /**
   * The server needs nothing before this any more.
   *
   * @param {string} session
   * @param {string} track
   * @param {number} below
   */
  async settle(session, track, below) {
    await this.#drop(({ facts }) => facts.session === session && facts.track === track && facts.seq < below);
  }

  /** @param {string} session */
  async forget(session) {
    await this.#drop(({ facts }) => facts.session === session);
  }

  /** @param {(entry: Entry) => boolean} which */
  async #drop(which) {
    const gone = [...this.#entries.values()].filter(which);
    for (const entry of gone) this.#forget(entry);
    await this.#unstore(gone);
  }

  /** What is kept of a session, oldest first. @param {string} session @returns {ChunkFacts[]} */
  of(session) {
    return [...this.#entries.values()].map(({ facts }) => facts).filter((facts) => facts.session === session);
  }
}

/** @param {Pick<ChunkFacts, "session" | "track" | "seq">} facts */
function keyOf({ session, track, seq }) {
  return `${session}/${track}/${seq}`;
}
