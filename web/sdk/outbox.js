import { WitnessError } from "./errors.js";

/**
 * @typedef {object} Request
 * @property {string} id
 * @property {string} type
 * @property {object} data
 * @property {number} deadline When it is given up, on the clock's time; infinite while nothing was sent.
 * @property {number} timeoutMs
 * @property {number} retries How often the server said it came too soon.
 * @property {(data: any) => void} resolve
 * @property {(error: WitnessError) => void} reject
 */

/** The server didn't carry it out, and will when it is sent again. */
const AGAIN = new Set(["rate_limited", "busy"]);

/**
 * Requests that wait for their reply.
 *
 * A request keeps its id when it is sent again on a new socket; the server answers a repeated id from its cache, so
 * nothing is carried out twice.
 */
export class Outbox {
  /** Requests at a time; the one beyond is refused with `queue_full`. */
  static MAX_PENDING = 64;
  /** A request refused this often as `rate_limited` or `busy` fails with that. */
  static MAX_RETRIES = 6;

  /** @type {Map<string, Request>} */
  #pending = new Map();
  #prefix;
  #count = 0;

  /** @param {string} prefix Keeps ids unique across page reloads of one participant. */
  constructor(prefix) {
    this.#prefix = prefix;
  }

  get size() {
    return this.#pending.size;
  }

  nextId() {
    this.#count += 1;
    return `${this.#prefix}-${this.#count}`;
  }

  /**
   * @param {string} type
   * @param {object} data
   * @param {number} timeoutMs Counts from when it was last sent.
   * @returns {{ request: Request, reply: Promise<any> }}
   * @throws {WitnessError} `queue_full`.
   */
  add(type, data, timeoutMs) {
    if (this.#pending.size >= Outbox.MAX_PENDING) {
      throw new WitnessError("queue_full", `${Outbox.MAX_PENDING} requests are unanswered`);
    }
    const id = this.nextId();
    /** @type {Request | undefined} */
    let request;
    const reply = new Promise((resolve, reject) => {
      request = { id, type, data, deadline: Infinity, timeoutMs, retries: 0, resolve, reject };
    });
    const added = /** @type {Request} */ (/** @type {unknown} */ (request));
    this.#pending.set(id, added);
    return { request: added, reply };
  }

  /**
   * Settles the request a reply belongs to; a reply to an unknown id is ignored.
   *
   * @param {string} id
   * @param {string} type
   * @param {unknown} data
   * @returns {number | null} Seconds after which the same request is to be sent again (the server was busy).
   */
  settle(id, type, data) {
    const request = this.#pending.get(id);
    if (!request) return null;
    const error = type === "error" ? WitnessError.fromMessage(data) : null;
    if (error && AGAIN.has(error.code) && request.retries < Outbox.MAX_RETRIES) {
      request.retries += 1;
      request.deadline = Infinity;
      return error.retryAfterS ?? 1;
    }
    this.#pending.delete(id);
    if (error) request.reject(error);
    else request.resolve(data);
    return null;
  }

  /** @param {string} id */
  get(id) {
    return this.#pending.get(id);
  }

  /** Requests to send again on a new socket, oldest first. */
  unanswered() {
    return [...this.#pending.values()];
  }

  /** The socket is gone: no request times out while there is nothing to send it on. */
  suspend() {
    for (const request of this.#pending.values()) request.deadline = Infinity;
  }

  /**
   * The socket is silent: what was sent on it gets its whole time again.
   *
   * @param {number} now
   */
  postpone(now) {
    for (const request of this.#pending.values()) {
      if (request.deadline !== Infinity) request.deadline = now + request.timeoutMs;
    }
  }

  /**
   * Rejects what was sent and not answered in time.
   *
   * @param {number} now
   */
  expire(now) {
    for (const request of this.unanswered()) {
      if (request.deadline > now) continue;
      this.#pending.delete(request.id);
      request.reject(new WitnessError("timeout", `no answer to ${request.type}`));
    }
  }

  /** @param {WitnessError} error */
  rejectAll(error) {
    const requests = this.unanswered();
    this.#pending.clear();
    for (const request of requests) request.reject(error);
  }
}
