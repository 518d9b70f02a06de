/**
 * Chunks in IndexedDB, encrypted with AES-256-GCM under a key that no script can read out.
 *
 * The key never leaves the browser's profile: whoever copies the database alone has nothing. Sessions that may still
 * upload are kept beside the chunks, because their token has to outlive the page.
 *
 * @typedef {import("./chunk_store.js").ChunkFacts} ChunkFacts
 * @typedef {{ session: string, url: string, token: string, expiresAt: number }} OpenSession Times in Unix ms.
 */

const NAME = "witness.recording";
const KEY = "key";

export class IndexedDisk {
  #db;
  #key;

  /**
   * @param {IDBDatabase} db
   * @param {CryptoKey} key
   */
  constructor(db, key) {
    this.#db = db;
    this.#key = key;
  }

  /** @returns {Promise<IndexedDisk | null>} Null where the browser keeps nothing. */
  static async open() {
    try {
      const opening = indexedDB.open(NAME, 1);
      opening.onupgradeneeded = () => {
        for (const store of ["chunks", "sessions", "keys"]) opening.result.createObjectStore(store);
      };
      const db = await done(opening);
      return new IndexedDisk(db, await keyOf(db));
    } catch {
      return null;
    }
  }

  /**
   * @param {ChunkFacts} facts
   * @param {Uint8Array<ArrayBuffer>} body
   */
  async put(facts, body) {
    await this.#write("chunks", idOf(facts), { facts, ...(await this.#encrypt(body)) });
  }

  /** @param {ChunkFacts} facts @returns {Promise<Uint8Array<ArrayBuffer> | null>} */
  async get(facts) {
    const found = await done(this.#db.transaction("chunks").objectStore("chunks").get(idOf(facts)));
    return found ? this.#decrypt(found) : null;
  }

  /** @param {readonly ChunkFacts[]} list */
  async remove(list) {
    const transaction = this.#db.transaction("chunks", "readwrite");
    for (const facts of list) transaction.objectStore("chunks").delete(idOf(facts));
    await finished(transaction);
  }

  /** @returns {Promise<ChunkFacts[]>} */
  async all() {
    /** @type {ChunkFacts[]} */
    const found = [];
    const cursor = this.#db.transaction("chunks").objectStore("chunks").openCursor();
    return new Promise((resolve, reject) => {
      cursor.onerror = () => reject(cursor.error);
      cursor.onsuccess = () => {
        if (!cursor.result) {
          resolve(found);
          return;
        }
        found.push(cursor.result.value.facts);
        cursor.result.continue();
      };
    });
  }

  /** @param {OpenSession} session */
  async remember({ session, ...rest }) {
    const secret = new TextEncoder().encode(JSON.stringify({ session, ...rest }));
    await this.#write("sessions", session, await this.#encrypt(secret));
  }

  /** @param {string} session */
  async forget(session) {
    const transaction = this.#db.transaction("sessions", "readwrite");
    transaction.objectStore("sessions").delete(session);
    await finished(transaction);
  }

  /** @returns {Promise<OpenSession[]>} */
  async sessions() {
    const found = await done(this.#db.transaction("sessions").objectStore("sessions").getAll());
    const texts = await Promise.all(found.map(async (kept) => new TextDecoder().decode(await this.#decrypt(kept))));
    return texts.map((text) => JSON.parse(text));
  }

  /**
   * @param {string} store
   * @param {IDBValidKey} id
   * @param {object} value
   */
  async #write(store, id, value) {
    const transaction = this.#db.transaction(store, "readwrite");
    transaction.objectStore(store).put(value, id);
    await finished(transaction);
  }

  /** @param {Uint8Array<ArrayBuffer>} plain */
  async #encrypt(plain) {
    const iv = crypto.getRandomValues(new Uint8Array(12));
    return { iv, data: await crypto.subtle.encrypt({ name: "AES-GCM", iv }, this.#key, plain) };
  }

  /** @param {{ iv: Uint8Array<ArrayBuffer>, data: ArrayBuffer }} kept */
  async #decrypt({ iv, data }) {
    return new Uint8Array(await crypto.subtle.decrypt({ name: "AES-GCM", iv }, this.#key, data));
  }
}

/** @param {IDBDatabase} db @returns {Promise<CryptoKey>} */
async function keyOf(db) {
  const made = await crypto.subtle.generateKey({ name: "AES-GCM", length: 256 }, false, ["encrypt", "decrypt"]);
  // Two pages may open the database at once: the key that is there first counts.
  const transaction = db.transaction("keys", "readwrite");
  const keys = transaction.objectStore("keys");
  const found = await done(keys.get(KEY));
  if (found) return found;
  keys.put(made, KEY);
  await finished(transaction);
  return made;
}

/** @param {ChunkFacts} facts */
function idOf({ session, track, seq }) {
  return [session, track, seq];
}

/**
 * @template T
 * @param {IDBRequest<T>} request
 * @returns {Promise<T>}
 */
function done(request) {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}

/** @param {IDBTransaction} transaction @returns {Promise<void>} */
function finished(transaction) {
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve();
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });
}
