/**
 * Senders that pass their frames through `red_worker.js`: audio whose packets carry copies, and whatever is recorded.
 *
 * A transform is set in the turn that makes the sender, and only when the worker is there: Chromium ignores one that is
 * set later, and a sender whose transform is taken away, or has no worker, never sends again.
 *
 * @typedef {object} WorkerLike The part of `Worker` that is used.
 * @property {(message: object) => void} postMessage
 * @property {() => void} terminate
 * @property {((event: any) => void) | null} onmessage
 * @property {((event: any) => void) | null} onerror
 *
 * @typedef {{ frames: number, copies: number, skipped: number, unreadable: number }} RedCounts
 */
import { Timer } from "./clock.js";

const RED = "audio/red";

/** Makes the worker, where the browser can do all that is needed. @returns {WorkerLike | null} */
export function openRedWorker() {
  if (typeof RTCRtpScriptTransform !== "function") return null;
  return openWorker();
}

/**
 * A worker that is loaded before it is needed: scripts of a worker are fetched when it is made, and an offer that has to
 * wait for them on a bad network goes out late, or without copies.
 *
 * @typedef {{ worker: WorkerLike | null, isReady: boolean }} LoadedWorker
 *
 * @param {() => WorkerLike | null} [open]
 * @returns {LoadedWorker}
 */
export function loadRedWorker(open = openRedWorker) {
  /** @type {LoadedWorker} */
  const loaded = { worker: open(), isReady: false };
  const { worker } = loaded;
  if (!worker) return loaded;
  worker.onmessage = ({ data }) => {
    if (data.ready) loaded.isReady = true;
  };
  worker.onerror = () => {
    loaded.worker = null;
  };
  return loaded;
}

/** A worker for uploads that an earlier page left behind. @returns {WorkerLike | null} */
export function openWorker() {
  if (typeof Worker !== "function") return null;
  try {
    return new Worker(new URL("./red_worker.js", import.meta.url), { type: "module" });
  } catch {
    // A page of another origin may not run it.
    return null;
  }
}

function redCapability() {
  const codecs = globalThis.RTCRtpSender?.getCapabilities?.("audio")?.codecs ?? [];
  return codecs.some(({ mimeType }) => mimeType.toLowerCase() === RED) ? codecs : null;
}

/** @param {any} worker @param {object} options */
function makeScriptTransform(worker, options) {
  return new RTCRtpScriptTransform(worker, options);
}

/** The worker, and the lines that go through it. */
export class RedSenders {
  /** How long an offer is held back for the worker, which loads while the call is being joined. */
  static PATIENCE_MS = 2000;

  /** @type {"loading" | "ready" | "off"} */
  state = "off";
  /** What was written, by line. @type {Map<string, RedCounts>} */
  counts = new Map();
  /** Takes what the worker says of a recording. @type {(message: Record<string, any>) => void} */
  onMessage = () => {};
  /** @type {WeakMap<RTCRtpSender, string>} */
  #lines = new WeakMap();
  #made = 0;
  /** @type {(() => void)[]} */
  #waiting = [];
  #worker;
  #makeTransform;
  #codecs;
  #patience;

  /**
   * @param {object} parts
   * @param {import("./clock.js").Clock} parts.clock
   * @param {WorkerLike | null} parts.worker
   * @param {boolean} [parts.isReady] It has said so already.
   * @param {(worker: any, options: object) => any} [parts.makeTransform]
   * @param {() => RTCRtpCodec[] | null} [parts.codecs] For audio, with RED among them; else null.
   */
  constructor({ clock, worker, isReady = false, makeTransform = makeScriptTransform, codecs = redCapability }) {
    this.#worker = worker;
    this.#codecs = codecs;
    this.#makeTransform = makeTransform;
    this.#patience = new Timer(clock);
    if (!worker) return;
    this.state = isReady ? "ready" : "loading";
    worker.onmessage = ({ data }) => this.#hear(data);
    worker.onerror = () => this.#settle("off");
    if (!isReady) this.#patience.set(RedSenders.PATIENCE_MS, () => this.#settle("off"));
  }

  /** Resolves when it is known whether the worker can be used. @returns {Promise<void>} */
  known() {
    if (this.state !== "loading") return Promise.resolve();
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  /** @param {Record<string, any>} data */
  #hear(data) {
    if (data.ready && this.state === "loading") this.#settle("ready");
    else if (data.counts) this.counts.set(data.line, data.counts);
    else this.onMessage(data);
  }

  /** @param {"ready" | "off"} state Without a worker no further line is made with it; those that are stay. */
  #settle(state) {
    if (this.state !== "loading") return;
    this.state = state;
    this.#patience.clear();
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  /**
   * Makes a new line one whose packets can carry copies; to be called in the turn that made it.
   *
   * @param {RTCRtpTransceiver} transceiver
   */
  adopt(transceiver) {
    if (this.state !== "ready" || typeof transceiver.setCodecPreferences !== "function") return;
    const codecs = this.#codecs();
    if (!codecs || !this.pass(transceiver)) return;
    const isRed = (/** @type {{ mimeType: string }} */ { mimeType }) => mimeType.toLowerCase() === RED;
    try {
      transceiver.setCodecPreferences([...codecs.filter(isRed), ...codecs.filter((codec) => !isRed(codec))]);
    } catch {
      // Then plain Opus passes through the worker untouched.
    }
  }

  /**
   * Lets the frames of a new line pass through the worker, as they are; to be called in the turn that made it.
   *
   * @param {RTCRtpTransceiver} transceiver
   * @returns {boolean} Whether they do.
   */
  pass(transceiver) {
    if (this.state !== "ready") return false;
    if (this.has(transceiver.sender)) return true;
    this.#made += 1;
    const line = String(this.#made);
    try {
      transceiver.sender.transform = this.#makeTransform(this.#worker, { line });
    } catch {
      return false;
    }
    this.#lines.set(transceiver.sender, line);
    return true;
  }

  /** @param {RTCRtpSender} sender Whether its frames pass through the worker. */
  has(sender) {
    return this.#lines.has(sender);
  }

  /** @param {RTCRtpSender} sender The worker's name for it. */
  lineOf(sender) {
    return this.#lines.get(sender);
  }

  /** @param {object} message For the recording. */
  post(message) {
    this.#worker?.postMessage(message);
  }

  /**
   * Says which copies the packets of a sender carry from now on. The worker answers with its counts.
   *
   * @param {RTCRtpSender} sender
   * @param {readonly number[]} offsets
   */
  write(sender, offsets) {
    const line = this.#lines.get(sender);
    if (line === undefined) return;
    const codecs = sender.getParameters?.().codecs ?? [];
    const red = codecs.find(({ mimeType }) => mimeType.toLowerCase() === RED);
    this.#worker?.postMessage({ line, offsets: [...offsets], payloadType: red?.payloadType ?? null });
  }

  /** @param {RTCRtpSender} sender Lets go of what the worker keeps for it. */
  forget(sender) {
    const line = this.#lines.get(sender);
    if (line === undefined) return;
    this.#worker?.postMessage({ line, end: true });
    this.counts.delete(line);
  }

  /** @param {RTCRtpSender} sender @returns {RedCounts | undefined} */
  countsOf(sender) {
    const line = this.#lines.get(sender);
    return line === undefined ? undefined : this.counts.get(line);
  }

  /** No further lines are made; for when those that are don't send. */
  giveUp() {
    this.#patience.clear();
    if (this.state === "loading") this.#settle("off");
    this.state = "off";
  }

  close() {
    this.giveUp();
    this.#worker?.terminate();
  }
}
