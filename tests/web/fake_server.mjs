/**
 * The signaling server's side of the delivery rules of docs/protocol.md, in memory: numbers messages, keeps them until
 * acknowledged, replays them on resume, and answers a repeated id from its cache.
 */
export class FakeServer {
  /** Sockets the client opened, oldest first. */
  sockets = [];
  /** Requests that were carried out, oldest first (repeats are not). */
  carriedOut = [];
  /** Everything received, as text. */
  received = [];
  acknowledged = 0;
  seq = 0;
  unacknowledged = [];
  /** Answers a request: data of `ok`, `{ reply, data }`, or `{ error: {...} }`. */
  onRequest = () => ({});
  /** Refuses a hello: returns error data or null. */
  refuse = () => null;
  /** Whether a new socket opens by itself. */
  autoOpen = true;
  replay = true;
  state = {};
  #replies = new Map();
  #resumes = 0;
  #helloId = "";
  /** The last that said hello. */
  #greeted;

  open = () => {
    const socket = new FakeSocket(this);
    this.sockets.push(socket);
    if (this.autoOpen) queueMicrotask(() => socket.accept());
    return socket;
  };

  get socket() {
    return this.sockets.at(-1);
  }

  joinedData() {
    return {
      protocol: 1, features: [], participant_id: "rm-1", room_id: "sale", role: "rm",
      resume_token: `resume-${this.#resumes}`, resume_window_s: 60, participants: [], tracks: [],
      lines: { audio: 0, video: 0 }, ice_servers: [],
      grant: { publish: ["microphone", "camera"], subscribe: ["customer"], expires_at: "2030-01-01T00:00:00.000Z" },
      limits: { message_bytes: 131072, messages_per_s: 20, text_chars: 4000 },
      server_time: "2026-01-01T00:00:00.000Z", media: "none", ...this.state,
    };
  }

  handle(socket, text) {
    this.received.push(text);
    const message = JSON.parse(text);
    switch (message.type) {
      case "join":
      case "resume":
        this.#hello(socket, message);
        return;
      case "ack":
        this.acknowledged = message.data.seq;
        this.unacknowledged = this.unacknowledged.filter(({ seq }) => seq > message.data.seq);
        return;
      case "ping":
        socket.deliver({ type: "pong", data: {} });
        return;
      default:
        this.#request(message);
    }
  }

  #hello(socket, { type, id, data }) {
    this.#greeted = socket;
    const error = this.refuse(type, data);
    if (error) {
      socket.deliver({ type: "error", re: id, data: error });
      return;
    }
    if (type === "join" && id === this.#helloId && this.acknowledged === 0) {
      for (const message of this.unacknowledged) socket.deliver(message);
      return;
    }
    this.#resumes += 1;
    if (type === "join") {
      this.#helloId = id;
      this.seq = 0;
      this.unacknowledged = [];
      this.notify("joined", this.joinedData(), id);
      return;
    }
    const replay = this.replay && data.last_seq !== null;
    const missed = this.unacknowledged.filter(({ seq }) => seq > (data.last_seq ?? 0));
    socket.deliver({ type: "resumed", re: id, data: { ...this.joinedData(), replay, latest_seq: this.seq } });
    if (replay) for (const message of missed) socket.deliver(message);
  }

  /** `POST /v1/join`: a hello and offers; the same hello begins nothing anew. Returns the answer's lines. */
  visit(lines) {
    this.received.push(...lines);
    const [hello, ...offers] = lines.map((line) => JSON.parse(line));
    const error = this.refuse(hello.type, hello.data);
    if (error) return [JSON.stringify({ type: "error", re: hello.id, data: error })];
    if (hello.id !== this.#helloId) {
      this.#helloId = hello.id;
      this.#resumes += 1;
      this.seq = 0;
      this.unacknowledged = [];
      this.notify("joined", this.joinedData(), hello.id);
    }
    for (const offer of offers) {
      if (!this.unacknowledged.some(({ re }) => re === offer.id)) this.#request(offer);
    }
    return this.unacknowledged.map((message) => JSON.stringify(message));
  }

  #request({ type, id, data }) {
    if (!this.#replies.has(id)) {
      const answer = this.onRequest(type, data, id);
      if (answer === null) return;
      if (["rate_limited", "busy"].includes(answer.error?.code)) {
        this.socket.deliver({ type: "error", re: id, data: answer.error });
        return;
      }
      this.carriedOut.push({ type, id, data });
      this.#replies.set(id, answer.error ? ["error", answer.error] : [answer.reply ?? "ok", answer.data ?? answer]);
    }
    const [reply, replyData] = this.#replies.get(id);
    this.notify(reply, replyData, id);
  }

  /** Sends a numbered message; it is kept until acknowledged. */
  notify(type, data, re) {
    this.seq += 1;
    const message = { type, seq: this.seq, data, ...(re === undefined ? {} : { re }) };
    this.unacknowledged.push(message);
    this.#greeted?.deliver(message);
  }

  sentOfType(type) {
    return this.received.map((text) => JSON.parse(text)).filter((message) => message.type === type);
  }
}

/** A socket in memory. A broken one swallows what is sent in both directions, until it is closed. */
export class FakeSocket {
  onopen = null;
  onmessage = null;
  onclose = null;
  onerror = null;
  bufferedAmount = 0;
  closed = false;
  /** Nothing passes any more, and nobody is told. */
  silent = false;
  #server;
  #opened = false;

  constructor(server) {
    this.#server = server;
  }

  accept() {
    if (this.closed || this.#opened) return;
    this.#opened = true;
    this.onopen?.({});
  }

  send(text) {
    if (this.closed) throw new Error("closed");
    if (!this.silent) this.#server.handle(this, text);
  }

  deliver(message) {
    if (this.silent || this.closed) return;
    const data = JSON.stringify(message);
    queueMicrotask(() => {
      if (!this.closed && !this.silent) this.onmessage?.({ data });
    });
  }

  close() {
    this.closed = true;
  }

  /** The network breaks it. */
  break() {
    this.closed = true;
    this.onclose?.({ code: 1006 });
  }
}

/** `sessionStorage` in memory. */
export class FakeStorage {
  items = new Map();
  getItem = (key) => this.items.get(key) ?? null;
  setItem = (key, value) => void this.items.set(key, value);
  removeItem = (key) => void this.items.delete(key);
}
