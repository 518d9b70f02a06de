import { Timer } from "./clock.js";
import { Connector, discard } from "./connector.js";
import { Courier } from "./courier.js";
import { Emitter } from "./emitter.js";
import { WitnessError, consequence } from "./errors.js";
import { Inbox } from "./inbox.js";
import { Outbox } from "./outbox.js";
import { CLIENT, parseMessage } from "./protocol.js";

/**
 * @typedef {import("./protocol.js").Joined} Joined
 * @typedef {import("./protocol.js").Incoming} Incoming
 * @typedef {import("./connector.js").SocketLike} SocketLike
 *
 * @typedef {"idle" | "connecting" | "open" | "retrying" | "closed"} SignalState
 *
 * @typedef {object} SignalStatus
 * @property {SignalState} state
 * @property {number} attempts Attempts to reconnect that failed so far.
 * @property {number} retryInMs Wait until the next one; 0 while one is under way.
 *
 * @typedef {object} SignalEvents
 * @property {SignalStatus} state
 * @property {{ data: Joined, how: "joined" | "resumed" | "rejoined" }} joined
 * @property {Incoming} notice
 * @property {WitnessError} closed
 *
 * @typedef {object} Identity
 * @property {string | null} [token] Kept in memory only.
 * @property {string} language
 * @property {boolean} autoSubscribe
 */

const TICK_MS = 1000;
/** Nothing heard for this long: ask whether the connection lives. */
const QUIET_MS = 4000;
const SAVE_EVERY_MS = 5000;
/** Nothing heard for this long: look for a new connection beside the old one. */
const SUSPECT_MS = 8000;
/** Nothing heard for this long: the old connection is given up. Until then TCP may yet bring it back. */
const DEAD_MS = 60_000;
/** A greeting unanswered for this long: look for a new connection beside the one it went out on. */
const GREETING_PATIENCE_MS = 6000;
const GREETING_TIMEOUT_MS = 20_000;
const REQUEST_TIMEOUT_MS = 20_000;
/** How long to try before the first `joined`. */
const FIRST_CONTACT_MS = 30_000;
/** How long to try with a token in hand, which can join anew when the place is gone. */
const GIVE_UP_MS = 600_000;
/** A call that was joined by a request and has no socket for this long says so. */
const ALONE_MS = 15_000;
/** Offers that are carried with a hello at most, the newest. */
const CARRIED = 4;
/** Messages longer than this are refused unread when they come too soon. */
const UNREAD_CHARACTERS = 4096;
/** Pings and reports aren't added to a socket that has this much to send already. */
const MAX_BUFFERED_BYTES = 262_144;

/**
 * The signaling connection: survives broken sockets, loses no message and handles none twice.
 *
 * @extends {Emitter<SignalEvents>}
 */
export class Signal extends Emitter {
  /** @type {SignalStatus} */
  status = { state: "idle", attempts: 0, retryInMs: 0 };
  /** @type {SocketLike | null} */
  #socket = null;
  #established = false;
  #greetingId = "";
  /** Of the `join` that is being said, by whatever way. */
  #helloId = "";
  /** Of the `join` this participation began with. */
  #joinedBy = "";
  /** Joined by a request: there was no socket yet. */
  #early = false;
  /** @type {string | null} */
  #resumeToken = null;
  #everJoined = false;
  #participantId = "";
  #roomId = "";
  #windowS = 60;
  #inbox = new Inbox();
  #heardAt = 0;
  #pingAt = 0;
  #savedAt = -Infinity;

  /**
   * @param {object} parts
   * @param {string} parts.url
   * @param {import("./clock.js").Clock} parts.clock
   * @param {() => SocketLike} parts.open
   * @param {import("./resume_store.js").ResumeStore} parts.store
   * @param {string} parts.idPrefix
   * @param {Identity} parts.identity
   * @param {() => boolean} [parts.mediaFlows] Then the server keeps the place for longer.
   * @param {import("./courier.js").Post | null} [parts.post] Joins by requests, too; null: by the socket alone.
   */
  constructor({ url, clock, open, store, idPrefix, identity, mediaFlows = () => false, post = null }) {
    super();
    this.#courier = post && new Courier({ clock, post, heard: (lines) => this.#heardByRequest(lines) });
    this.#alone = new Timer(clock);
    this.#mediaFlows = mediaFlows;
    this.#url = url;
    this.#clock = clock;
    this.#store = store;
    this.#identity = identity;
    this.#outbox = new Outbox(idPrefix);
    this.#tick = new Timer(clock);
    this.#giveUp = new Timer(clock);
    this.#greetingTimer = new Timer(clock);
    this.#connector = new Connector({
      clock,
      open,
      won: (socket) => this.#adopt(socket),
      waiting: (delayMs, attempts) => this.#waiting(delayMs, attempts),
    });
  }

  #url;
  #clock;
  #mediaFlows;
  #store;
  #identity;
  #outbox;
  #tick;
  #giveUp;
  #greetingTimer;
  #connector;
  #courier;
  #alone;

  /** Connects and joins. The outcome is the first `joined` or `closed` event. */
  join() {
    this.#begin();
    this.#carry();
  }

  /**
   * Connects and takes the place of a page that was reloaded.
   *
   * @param {import("./resume_store.js").SavedCall} saved
   */
  resume(saved) {
    this.#resumeToken = saved.resumeToken;
    this.#windowS = saved.windowS;
    this.#participantId = saved.participantId;
    this.#roomId = saved.roomId;
    this.#begin();
  }

  #begin() {
    this.#setState("connecting");
    this.#giveUp.set(FIRST_CONTACT_MS, () => this.close(new WitnessError("connection_lost", "no contact")));
    this.#connector.start();
    this.#scheduleTick();
  }

  /**
   * Sends a request and waits for its reply, across reconnects.
   *
   * @param {string} type
   * @param {object} data
   * @param {{ timeoutMs?: number }} [options]
   * @returns {Promise<any>} The reply's data.
   * @throws {WitnessError} The server's error, `timeout`, `queue_full`, `closed` or `connection_lost`.
   */
  async request(type, data, { timeoutMs = REQUEST_TIMEOUT_MS } = {}) {
    if (this.status.state === "closed") throw new WitnessError("closed", "the call is over");
    const { request, reply } = this.#outbox.add(type, data, timeoutMs);
    if (this.#established) this.#transmit(request);
    else if (this.#early && type === "offer") this.#carry();
    return reply;
  }

  /** Since when the server was not heard, in ms; infinite without a connection that works. */
  get silentMs() {
    return this.status.state === "open" && this.#established ? this.#clock.now() - this.#heardAt : Infinity;
  }

  /** Whether a message would leave now. Reports that are soon outdated wait for a better moment. */
  get ready() {
    return this.#established && (this.#socket?.bufferedAmount ?? 0) < MAX_BUFFERED_BYTES;
  }

  /** The browser says the network is back, or changed. */
  networkChanged() {
    if (this.#established && this.status.state === "open") {
      this.#pingAt = this.#clock.now();
      this.#send({ type: "ping", data: {} });
      // An answer within one round trip stops it; on a path that changed there will be none.
      this.#connector.start(1500);
    } else {
      this.#connector.hurry();
    }
  }

  /** Writes down what a reloaded page needs. */
  save() {
    if (!this.#resumeToken || this.status.state === "closed") return;
    this.#savedAt = this.#clock.now();
    this.#store.save({
      url: this.#url,
      resumeToken: this.#resumeToken,
      participantId: this.#participantId,
      roomId: this.#roomId,
      windowS: this.#windowS,
    });
  }

  /** Leaves for good: tells the server if it can be reached, and closes. */
  leave() {
    if (this.status.state === "closed") return;
    const leave = { type: "leave", id: this.#outbox.nextId(), data: {} };
    if (this.#established) this.#send(leave);
    else if (this.#early) this.#courier?.last([JSON.stringify(this.#hello()), JSON.stringify(leave)]);
    this.close(new WitnessError("left", "left the call"));
  }

  /** @param {WitnessError} reason */
  close(reason) {
    if (this.status.state === "closed") return;
    this.#dropSocket();
    this.#connector.stop();
    this.#courier?.stop();
    this.#alone.clear();
    this.#tick.clear();
    this.#giveUp.clear();
    this.#store.clear();
    this.#resumeToken = null;
    this.#setState("closed");
    this.#outbox.rejectAll(new WitnessError("closed", `the call is over: ${reason.code}`));
    this.emit("closed", reason);
  }

  // --- connection

  /** @param {SocketLike} socket */
  #adopt(socket) {
    if (!this.#early) this.#retrying();
    this.#dropSocket();
    this.#socket = socket;
    this.#heardAt = this.#clock.now();
    socket.onmessage = (event) => this.#receive(socket, event.data);
    socket.onclose = () => this.#lost(socket);
    socket.onerror = () => this.#lost(socket);
    this.#greet();
  }

  #greet() {
    this.#greetingTimer.set(GREETING_PATIENCE_MS, () => {
      this.#connector.start();
      this.#greetingTimer.set(GREETING_TIMEOUT_MS - GREETING_PATIENCE_MS, () => this.#reconnect());
    });
    if (this.#resumeToken) {
      this.#greetingId = this.#outbox.nextId();
      const data = { resume_token: this.#resumeToken, last_seq: this.#everJoined ? this.#inbox.last : null };
      this.#send({ type: "resume", id: this.#greetingId, data });
      return;
    }
    // A hello that requests carry, too, is the same one; joining anew is another.
    if (this.#everJoined || !this.#helloId) this.#helloId = this.#outbox.nextId();
    this.#greetingId = this.#helloId;
    this.#send(this.#hello());
    if (this.#everJoined) return;
    // The answer needn't be waited for.
    for (const request of this.#outbox.unanswered()) {
      if (request.type === "offer") this.#transmit(request);
    }
  }

  /** The `join`. */
  #hello() {
    const { token, language, autoSubscribe } = this.#identity;
    return { type: "join", id: this.#helloId, data: { token, client: CLIENT, language, auto_subscribe: autoSubscribe } };
  }

  /** Says by requests what waits for the socket and is part of joining. */
  #carry() {
    if (!this.#courier || this.#established || this.status.state === "closed") return;
    const offers = () => this.#outbox.unanswered().filter(({ type }) => type === "offer").slice(-CARRIED);
    if (this.#everJoined && (!this.#early || offers().length === 0)) {
      this.#courier.stop();
      return;
    }
    if (!this.#helloId) this.#helloId = this.#outbox.nextId();
    this.#courier.start(() => [
      JSON.stringify(this.#hello()), ...offers().map(({ type, id, data }) => JSON.stringify({ type, id, data })),
    ]);
  }

  /** @param {string[]} lines What the server answered to a request. */
  #heardByRequest(lines) {
    for (const line of lines) {
      const message = parseMessage(line);
      if (!message || this.status.state === "closed" || this.#established) continue;
      if (message.re === this.#helloId && message.type === "joined") {
        if (!this.#everJoined) this.#enter(message);
      } else if (message.type === "error" && !this.#everJoined) {
        // What may pass is tried again by the socket.
        const error = WitnessError.fromMessage(message.data);
        if (message.re === this.#helloId && consequence(error.code) === "final") this.close(error);
        else this.#courier?.stop();
        return;
      } else if (message.seq !== undefined && this.#everJoined) {
        this.#take(message);
      }
    }
    this.#carry();
  }

  /** @param {Incoming} message The reply to the hello, which came before there was a socket. */
  #enter(message) {
    const data = /** @type {Joined} */ (/** @type {unknown} */ (message.data));
    this.#early = true;
    this.#everJoined = true;
    this.#joinedBy = this.#helloId;
    this.#learn(message, data);
    this.#alone.set(ALONE_MS, () => {
      this.#early = false;
      this.#carry();
      this.#retrying();
    });
    this.save();
    this.#setOpen();
    this.emit("joined", { data, how: "joined" });
  }

  /**
   * @param {Incoming} message
   * @param {Joined} data
   */
  #learn(message, data) {
    if (message.seq !== undefined) this.#inbox.accept(message.seq);
    this.#resumeToken = data.resume_token;
    this.#participantId = data.participant_id;
    this.#roomId = data.room_id;
    this.#windowS = data.resume_window_s ?? this.#windowS;
  }

  /** @param {SocketLike} socket */
  #lost(socket) {
    if (socket === this.#socket) this.#reconnect();
  }

  /** Gives the socket up and looks for another one. */
  #reconnect() {
    // A socket that broke before it was of use counts as a failed attempt.
    const wasOfUse = this.#established;
    this.#dropSocket();
    if (!this.#early) this.#retrying();
    this.#connector.start(wasOfUse ? 0 : this.#connector.nextDelayMs());
  }

  #retrying() {
    if (this.status.state !== "open") return;
    this.#setState("retrying");
    this.#giveUpLater();
  }

  #giveUpLater() {
    const windowMs = this.#identity.token ? GIVE_UP_MS : this.#windowS * 1000;
    this.#giveUp.set(windowMs, () => {
      // People hear each other: the server waits as well.
      if (this.#mediaFlows()) this.#giveUpLater();
      else this.close(new WitnessError("connection_lost", "the server can't be reached"));
    });
  }

  #dropSocket() {
    this.#greetingTimer.clear();
    this.#established = false;
    this.#outbox.suspend();
    const socket = this.#socket;
    this.#socket = null;
    if (socket) discard(socket);
  }

  /**
   * @param {number} delayMs
   * @param {number} attempts
   */
  #waiting(delayMs, attempts) {
    if (this.#established) return;
    this.#setState(this.status.state, attempts, delayMs);
  }

  /**
   * @param {SignalState} state
   * @param {number} [attempts]
   * @param {number} [retryInMs]
   */
  #setState(state, attempts = 0, retryInMs = 0) {
    const before = this.status;
    if (before.state === state && before.attempts === attempts && before.retryInMs === retryInMs) return;
    this.status = { state, attempts, retryInMs };
    this.emit("state", this.status);
  }

  // --- messages

  /** @param {object} message */
  #send(message) {
    try {
      this.#socket?.send(JSON.stringify(message));
    } catch {
      // Closing or closed; `onclose` follows.
    }
  }

  /** @param {import("./outbox.js").Request} request */
  #transmit(request) {
    request.deadline = this.#clock.now() + request.timeoutMs;
    this.#send({ type: request.type, id: request.id, data: request.data });
  }

  /**
   * @param {SocketLike} socket
   * @param {unknown} frame
   */
  #receive(socket, frame) {
    if (socket !== this.#socket) return;
    const message = parseMessage(frame);
    if (!message) return;
    this.#heard();
    if (message.re === this.#greetingId && !this.#established) {
      if (message.type === "error") this.#refused(WitnessError.fromMessage(message.data));
      else this.#welcome(message);
      return;
    }
    if (message.type === "bye") {
      this.#bye(message);
      return;
    }
    if (message.type === "error" && message.re === undefined && !this.#established) {
      this.#refused(WitnessError.fromMessage(message.data));
      return;
    }
    this.#take(message);
    if (this.#inbox.ackDue) this.#acknowledge();
  }

  /** @param {Incoming} message Neither the reply to the hello nor a `bye`. */
  #take(message) {
    if (message.seq !== undefined && !this.#inbox.accept(message.seq)) return;
    if (message.re !== undefined) this.#settle(message.re, message);
    else if (message.type === "error" && message.data.code === "rate_limited") this.#repeatLong(message.data);
    else if (message.type !== "pong") this.emit("notice", message);
  }

  /**
   * @param {string} id
   * @param {Incoming} message
   */
  #settle(id, message) {
    const retryAfterS = this.#outbox.settle(id, message.type, message.data);
    if (retryAfterS === null) return;
    this.#clock.setTimeout(() => {
      const request = this.#outbox.get(id);
      if (request && this.#established && request.deadline === Infinity) this.#transmit(request);
    }, retryAfterS * 1000);
  }

  /**
   * A long message that came too soon was refused unread, so the refusal doesn't say which.
   *
   * @param {Record<string, any>} data
   */
  #repeatLong({ retry_after_s: retryAfterS }) {
    const long = this.#outbox.unanswered().filter(({ data }) => JSON.stringify(data).length > UNREAD_CHARACTERS - 200);
    for (const { id } of long) this.#settle(id, { type: "error", data: { code: "rate_limited", retry_after_s: retryAfterS } });
  }

  /** The socket lives: a search for another one that was only a precaution ends. */
  #heard() {
    this.#heardAt = this.#clock.now();
    if (!this.#established) return;
    this.#connector.stop();
    if (this.status.state === "retrying") this.#setOpen();
  }

  #setOpen() {
    this.#giveUp.clear();
    this.#connector.succeeded();
    this.#setState("open");
  }

  /** @param {Incoming} message The reply to `join` or `resume`. */
  #welcome(message) {
    const data = /** @type {Joined} */ (/** @type {unknown} */ (message.data));
    const resumed = message.type === "resumed";
    // A request had brought this reply already, and the socket brings it again.
    const known = !resumed && this.#everJoined && message.re === this.#joinedBy;
    this.#greetingTimer.clear();
    this.#connector.stop();
    this.#courier?.stop();
    this.#alone.clear();
    this.#early = false;
    if (!resumed && this.#everJoined && !known) {
      this.#outbox.rejectAll(new WitnessError("connection_lost", "the call was joined anew"));
    }
    if (!resumed && !known) this.#inbox = new Inbox();
    this.#learn(message, data);
    if (resumed && !data.replay) this.#inbox = new Inbox(data.latest_seq ?? this.#inbox.last);
    const how = resumed ? "resumed" : this.#everJoined ? "rejoined" : "joined";
    if (!resumed) this.#joinedBy = message.re ?? "";
    this.#everJoined = true;
    this.#established = true;
    this.#pingAt = this.#heardAt;
    // Until something follows the reply, the server can't know that the new token arrived.
    this.#acknowledge();
    this.#setOpen();
    if (!known) this.emit("joined", { data, how });
    for (const request of this.#outbox.unanswered()) {
      if (request.deadline === Infinity) this.#transmit(request);
    }
  }

  get #canRejoin() {
    return this.#resumeToken !== null && Boolean(this.#identity.token);
  }

  /** @param {WitnessError} error The answer to `join` or `resume`. */
  #refused(error) {
    const what = consequence(error.code);
    if (what === "final" || (what === "rejoin" && !this.#canRejoin)) {
      this.close(error);
      return;
    }
    if (what === "rejoin") {
      // The socket stays open for another try.
      this.#resumeToken = null;
      this.#greet();
      return;
    }
    const delayMs = Math.max((error.retryAfterS ?? 0) * 1000, this.#connector.nextDelayMs());
    this.#dropSocket();
    this.#connector.start(delayMs);
  }

  /** @param {Incoming} message */
  #bye(message) {
    const error = WitnessError.fromMessage(message.data);
    const what = consequence(error.code);
    if (what === "final" || (what === "rejoin" && !this.#canRejoin)) this.close(error);
    else this.#reconnect();
  }

  #acknowledge() {
    this.save();
    this.#send({ type: "ack", data: { seq: this.#inbox.acknowledge() } });
  }

  // --- once a second

  #scheduleTick() {
    this.#tick.set(TICK_MS, () => {
      this.#scheduleTick();
      this.#everySecond(this.#clock.now());
    });
  }

  /** @param {number} now */
  #everySecond(now) {
    const silentMs = now - this.#heardAt;
    // Requests time out while the server is heard; else they wait for this socket or the next.
    if (this.#established && silentMs >= SUSPECT_MS) this.#outbox.postpone(now);
    this.#outbox.expire(now);
    if (!this.#established) return;
    if (silentMs >= DEAD_MS) {
      this.#reconnect();
      return;
    }
    if (silentMs >= SUSPECT_MS) {
      this.#retrying();
      this.#connector.start();
    }
    if (this.#inbox.unacknowledged > 0) this.#acknowledge();
    if (silentMs >= QUIET_MS && now - this.#pingAt >= QUIET_MS) {
      this.#pingAt = now;
      if (this.ready) this.#send({ type: "ping", data: {} });
    }
    if (silentMs < SUSPECT_MS && now - this.#savedAt >= SAVE_EVERY_MS) this.save();
  }
}
