import { Backoff } from "./backoff.js";
import { Timer } from "./clock.js";

/**
 * The part of `WebSocket` that is used.
 *
 * @typedef {object} SocketLike
 * @property {(text: string) => void} send
 * @property {(code?: number, reason?: string) => void} close
 * @property {((event: any) => void) | null} onopen
 * @property {((event: any) => void) | null} onmessage
 * @property {((event: any) => void) | null} onclose
 * @property {((event: any) => void) | null} onerror
 * @property {number} [bufferedAmount] Bytes that wait to be sent.
 */

/** Detaches a socket so that nothing it still reports is heard, and closes it. @param {SocketLike} socket */
export function discard(socket) {
  socket.onopen = socket.onmessage = socket.onclose = socket.onerror = null;
  try {
    socket.close(1000);
  } catch {
    // It never opened.
  }
}

/**
 * Gets one open socket, racing attempts.
 *
 * On a lossy path the loss of a single handshake packet costs seconds, so an attempt that hasn't opened is joined by
 * another; the first to open wins and the rest are closed without a word, so nobody joins twice. When there are as many
 * as may be, the two oldest, which may be well on their way, are kept, and a new one takes the place of the third. TCP
 * asks for a connection at 0, 1, 3, 7 s: begun every two seconds, something is asked at least once a second, and a
 * network that comes back is noticed that soon. Attempts that are refused are followed by growing waits instead.
 */
export class Connector {
  static MAX_PARALLEL = 5;
  /** Attempts that are kept for as long as they may take. */
  static ELDERS = 2;
  /** An attempt that hasn't opened after this long gets company. */
  static STAGGER_MS = 2000;
  static OPEN_TIMEOUT_MS = 25_000;
  static BACKOFF = { baseMs: 500, maxMs: 8000 };

  /** @type {Map<SocketLike, Timer>} */
  #attempts = new Map();
  #running = false;
  #clock;
  #open;
  #won;
  #waiting;
  #backoff;
  #wait;
  #stagger;

  /**
   * @param {object} parts
   * @param {import("./clock.js").Clock} parts.clock
   * @param {() => SocketLike} parts.open Starts one attempt; may throw.
   * @param {(socket: SocketLike) => void} parts.won Called once per `start`, with an open socket.
   * @param {(delayMs: number, attempts: number) => void} parts.waiting Every attempt failed; the next comes later.
   */
  constructor({ clock, open, won, waiting }) {
    this.#clock = clock;
    this.#open = open;
    this.#won = won;
    this.#waiting = waiting;
    this.#backoff = new Backoff(Connector.BACKOFF, clock.random);
    this.#wait = new Timer(clock);
    this.#stagger = new Timer(clock);
  }

  get running() {
    return this.#running;
  }

  /** @param {number} [delayMs] Wait before the first attempt. */
  start(delayMs = 0) {
    if (this.#running) return;
    this.#running = true;
    if (delayMs > 0) this.#wait.set(delayMs, () => this.#attempt());
    else this.#attempt();
  }

  /** The network is said to be back: don't wait, try at once beside what is under way. */
  hurry() {
    if (!this.#running) return;
    this.#backoff.reset();
    this.#attempt();
  }

  /** Closes everything under way. */
  stop() {
    this.#running = false;
    this.#wait.clear();
    this.#stagger.clear();
    for (const [socket, timer] of this.#attempts) {
      timer.clear();
      discard(socket);
    }
    this.#attempts.clear();
  }

  /** The connection proved itself: waits start small again. */
  succeeded() {
    this.#backoff.reset();
  }

  /** @returns {number} The next wait in ms, for a failure after the socket had opened. */
  nextDelayMs() {
    return this.#backoff.next();
  }

  #attempt() {
    if (!this.#running) return;
    this.#wait.clear();
    if (this.#attempts.size >= Connector.MAX_PARALLEL) this.#giveWay();
    /** @type {SocketLike} */
    let socket;
    try {
      socket = this.#open();
    } catch {
      this.#failed();
      return;
    }
    const timeout = new Timer(this.#clock);
    this.#attempts.set(socket, timeout);
    timeout.set(Connector.OPEN_TIMEOUT_MS, () => this.#lost(socket));
    socket.onopen = () => this.#opened(socket);
    socket.onclose = () => this.#lost(socket);
    socket.onerror = () => this.#lost(socket);
    this.#stagger.set(Connector.STAGGER_MS, () => this.#attempt());
  }

  /** Makes room for a new attempt. */
  #giveWay() {
    const [socket, timer] = [...this.#attempts][Connector.ELDERS] ?? [];
    if (!socket || !timer) return;
    timer.clear();
    this.#attempts.delete(socket);
    discard(socket);
  }

  /** @param {SocketLike} socket */
  #opened(socket) {
    this.#attempts.get(socket)?.clear();
    this.#attempts.delete(socket);
    this.stop();
    this.#won(socket);
  }

  /** @param {SocketLike} socket */
  #lost(socket) {
    const timer = this.#attempts.get(socket);
    if (!timer) return;
    timer.clear();
    this.#attempts.delete(socket);
    discard(socket);
    this.#failed();
  }

  #failed() {
    if (this.#attempts.size > 0 || this.#wait.active) return;
    this.#stagger.clear();
    const delayMs = this.#backoff.next();
    this.#wait.set(delayMs, () => this.#attempt());
    this.#waiting(delayMs, this.#backoff.attempts);
  }
}
