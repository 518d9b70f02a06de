import { Timer } from "./clock.js";

/**
 * @callback Post Sends messages and returns those of the answer.
 * @param {string[]} lines
 * @param {AbortSignal} signal
 * @param {boolean} [keepalive] Also when the page is left.
 * @returns {Promise<{ status: number, lines: string[] }>}
 */

/**
 * Carries the hello, and offers with it, by requests of HTTP beside the socket that is being opened.
 *
 * On a path that loses packets a WebSocket takes three turns before an offer can be answered, each as long as TCP's timers
 * make it, and browsers open one WebSocket to a server at a time. A request is one turn; several are under way at once,
 * over connections the page has already, and the first answer ends the others. The server carries out none of them twice.
 */
export class Courier {
  /** Requests at a time; browsers have six connections to a server. */
  static MOST = 5;
  /** Without an answer for so long another request is begun. */
  static STAGGER_MS = 400;
  /** The wait after a server that was busy. */
  static BUSY_MS = 3000;
  /** A request that takes longer makes room for another. */
  static PATIENCE_MS = 12_000;

  /** Requests that are under way, with their time limits, oldest first. @type {Map<AbortController, Timer>} */
  #posts = new Map();
  /** The server has no such address, or this page may not use it. */
  #unfit = false;
  /** @type {(() => string[]) | null} */
  #messages = null;
  #clock;
  #post;
  #heard;
  #next;

  /**
   * @param {object} parts
   * @param {import("./clock.js").Clock} parts.clock
   * @param {Post} parts.post
   * @param {(lines: string[]) => void} parts.heard Messages of the server; may stop the courier.
   */
  constructor({ clock, post, heard }) {
    this.#clock = clock;
    this.#post = post;
    this.#heard = heard;
    this.#next = new Timer(clock);
  }

  get running() {
    return this.#messages !== null;
  }

  /**
   * Sends at once, and again until stopped.
   *
   * @param {() => string[]} messages What is to be sent; asked for every request.
   */
  start(messages) {
    if (this.#unfit) return;
    this.#messages = messages;
    this.#send();
  }

  /** Ends what is under way. */
  stop() {
    this.#messages = null;
    this.#next.clear();
    for (const post of [...this.#posts.keys()]) this.#end(post);
  }

  /** Says something nobody waits for, in place of all else. @param {string[]} lines */
  last(lines) {
    this.stop();
    void this.#post(lines, AbortSignal.timeout(Courier.PATIENCE_MS), true).catch(() => {});
  }

  #send() {
    if (!this.#messages) return;
    this.#next.set(Courier.STAGGER_MS, () => this.#send());
    if (this.#posts.size >= Courier.MOST) return;
    const post = new AbortController();
    const patience = new Timer(this.#clock);
    patience.set(Courier.PATIENCE_MS, () => this.#end(post));
    this.#posts.set(post, patience);
    // A request that fails is followed by the next in its turn.
    void this.#post(this.#messages(), post.signal).then(
      (answer) => this.#answered(post, answer),
      () => this.#end(post),
    );
  }

  /**
   * @param {AbortController} post
   * @param {{ status: number, lines: string[] }} answer
   */
  #answered(post, { status, lines }) {
    if (!this.#posts.has(post)) return;
    this.#end(post);
    if (status === 200) {
      this.#heard(lines);
    } else if (status === 408 || status === 429 || status >= 500) {
      this.#next.set(Courier.BUSY_MS, () => this.#send());
    } else {
      this.#unfit = true;
      this.stop();
    }
  }

  /** @param {AbortController} post */
  #end(post) {
    this.#posts.get(post)?.clear();
    if (this.#posts.delete(post)) post.abort();
  }
}

/**
 * Posts by `fetch`: one message a line, deflated where the browser can.
 *
 * @param {string} url Of the server's `/v1/join`.
 * @param {boolean} [isForeign] The page is of another origin: what is said in headers is said so that the browser needn't ask
 *   the server first, which would be one more turn.
 * @returns {Post}
 */
export function fetchPost(url, isForeign = false) {
  return async (lines, signal, keepalive = false) => {
    /** @type {Record<string, string>} */
    const headers = { "Content-Type": isForeign ? "text/plain" : "application/x-ndjson" };
    /** @type {BodyInit} */
    let body = lines.map((line) => `${line}\n`).join("");
    if (typeof CompressionStream === "function") {
      body = await new Response(new Blob([body]).stream().pipeThrough(new CompressionStream("deflate"))).arrayBuffer();
      if (isForeign) headers["Content-Type"] = "text/plain;encoding=deflate";
      else headers["Content-Encoding"] = "deflate";
    }
    const answer = await fetch(url, { method: "POST", headers, body, signal, cache: "no-store", redirect: "error", keepalive });
    const text = answer.status === 200 ? await answer.text() : "";
    return { status: answer.status, lines: text.split("\n").filter(Boolean) };
  };
}
