/**
 * Witness in the browser.
 *
 * ```js
 * import { Witness } from "/sdk/witness.js";
 *
 * const { microphone, camera } = await openCapture({ microphone: microphoneConstraints(), camera: cameraConstraints() });
 * const call = await Witness.join({ token, language: "zh-CN", tracks: { microphone, camera } });
 * call.on("media", () => {
 *   for (const { participant_id } of call.participants) {
 *     for (const { track_id, kind } of call.tracksOf(participant_id)) show(kind, call.mediaTrack(track_id));
 *   }
 * });
 * ```
 *
 * The token comes from the bank's own server. A page that was reloaded calls `Witness.resume` with the same tracks.
 */
import { Call } from "./call.js";
import { browserClock } from "./clock.js";
import { fetchPost } from "./courier.js";
import { makeDeviceKey } from "./digest_chain.js";
import { WitnessError } from "./errors.js";
import { Media } from "./media.js";
import { SUBPROTOCOL, socketUrl } from "./protocol.js";
import { LeftUploads } from "./left_uploads.js";
import { Recording } from "./recording.js";
import { RedSenders, loadRedWorker, openWorker } from "./red_sender.js";
import { ResumeStore } from "./resume_store.js";
import { browserView } from "./sizes.js";
import { Signal } from "./signal.js";

export { Call } from "./call.js";
export {
  cameraConstraints, canShareScreen, environmentProblem, listDevices, microphoneConstraints, openCapture, openScreen,
  watchDevices,
} from "./devices.js";
export { WitnessError } from "./errors.js";
export { describeError, pickLanguage } from "./i18n.js";
export { LevelMeter } from "./level.js";

/**
 * @typedef {object} CallOptions
 * @property {string} [url] The server; the page's own by default.
 * @property {string} [language] `zh-CN` or `en`.
 * @property {boolean} [autoSubscribe] Receive every permitted track as it appears; true by default.
 * @property {string | null} [codec] Preferred codec of what this side publishes, `vp8`, `vp9`, `h264` or `av1`; the browser's own by
 *   default, VP8. Tracks of others come as their publishers send them.
 * @property {Partial<Record<import("./protocol.js").Source, MediaStreamTrack | null>>} [tracks] Sent from the first
 *   offer on, as far as the grant allows. A resumed participation keeps only those of its tracks that are given here.
 * @property {import("./protocol.js").Source[]} [muted] Which of them begin muted.
 */

/** What `prepare` has loaded and no call has taken yet. @type {import("./red_sender.js").LoadedWorker | null} */
let prepared = null;

/**
 * Loads what a call needs, before it is joined: for a page that shows something else first. On a bad network joining is
 * seconds faster for it.
 */
export function prepare() {
  prepared ??= loadRedWorker();
}

/**
 * Joins a room.
 *
 * @param {CallOptions & { token: string }} options The token stays in memory.
 * @returns {Promise<Call>} Joined; publish with `call.publish`.
 * @throws {WitnessError} The server's refusal, or `connection_lost` when it can't be reached.
 */
export function join(options) {
  if (!options.token) throw new WitnessError("unauthorized", "a token is required");
  return start(options, true, (signal) => signal.join());
}

/**
 * Comes back into the call this tab was in before the page was reloaded.
 *
 * @param {CallOptions & { token?: string }} [options]
 * @returns {Promise<Call | null>} Null when there is no call to come back to.
 * @throws {WitnessError} `resume_unknown` when the server has given the place away.
 */
export async function resume(options = {}) {
  const saved = ResumeStore.forTab().load();
  if (!saved || saved.url !== addressOf(options)) return null;
  return start(options, false, (signal) => signal.resume(saved));
}

/**
 * Whether `resume` has something to come back to.
 *
 * @param {CallOptions & { room?: string | null }} [options] With a room: whether it is a call in that room.
 */
export function canResume(options = {}) {
  const saved = ResumeStore.forTab().load();
  return saved?.url === addressOf(options) && (options.room ?? saved.roomId) === saved.roomId;
}

/**
 * Goes on with uploads of recordings that an earlier page left behind, beside whatever this page does.
 *
 * @param {(progress: import("./recording.js").Progress) => void} [onProgress]
 * @returns {Promise<number>} How many recordings there were, when all are done or can't be.
 */
export async function recoverUploads(onProgress = () => {}) {
  const left = LeftUploads.forBrowser();
  const worker = left.any ? openWorker() : null;
  if (!worker) return 0;
  const recovered = await new Promise((/** @type {(count: number) => void} */ resolve) => {
    worker.onerror = () => resolve(0);
    worker.onmessage = ({ data }) => {
      if (data.ready) worker.postMessage({ recover: { except: null } });
      if (data.progress) onProgress(data.progress);
      if (data.failed) resolve(0);
      if (data.recovered !== undefined) resolve(data.recovered);
    };
  });
  worker.terminate();
  if (!left.grew) left.clear();
  return recovered;
}

/** How long a hello is held back for the offer that goes with it. */
const OFFER_MS = 2500;

/** @param {CallOptions} options */
function addressOf(options) {
  return socketUrl(options.url ?? "/", location.href);
}

/**
 * @param {CallOptions & { token?: string }} options
 * @param {boolean} isNew Nothing is known of a call yet.
 * @param {(signal: Signal) => void} begin
 * @returns {Promise<Call>}
 */
function start(options, isNew, begin) {
  const url = addressOf(options);
  /** @type {Media} */
  let media;
  let onOffer = () => {};
  /** @type {import("./signal.js").Identity} */
  const identity = {
    token: options.token,
    language: options.language ?? "zh-CN",
    autoSubscribe: options.autoSubscribe ?? true,
  };
  const signal = new Signal({
    url,
    clock: browserClock,
    open: () => new WebSocket(url, SUBPROTOCOL),
    store: ResumeStore.forTab(),
    idPrefix: randomPrefix(),
    identity,
    mediaFlows: () => media.state === "connected",
    post: isNew ? fetchPost(url.replace(/^ws/, "http").replace(/ws$/, "join"), !isOwnServer(url)) : null,
  });
  const loaded = prepared?.worker ? prepared : loadRedWorker();
  prepared = null;
  const red = new RedSenders({ clock: browserClock, ...loaded });
  const offered = new Promise((/** @type {(value: void) => void} */ resolve) => {
    onOffer = () => resolve();
  });
  media = new Media({
    createPeer: (config) => new RTCPeerConnection(config),
    sendOffer: (offer) => {
      const answer = signal.request("offer", offer);
      onOffer();
      return answer;
    },
    codec: options.codec ?? null,
    red,
  });
  const initial = { tracks: options.tracks ?? {}, muted: options.muted ?? [] };
  const recording = new Recording({
    clock: browserClock,
    post: (message) => red.post(message),
    request: (type, data) => signal.request(type, data),
    silentMs: () => signal.silentMs,
    base: url.replace(/^ws/, "http"),
  });
  red.onMessage = (message) => recording.hear(message);
  LeftUploads.forBrowser().follow(recording);
  const call = new Call({ signal, media, clock: browserClock, view: browserView, initial, red, recording });
  const unwatch = watchPage(signal, call);
  call.on("closed", unwatch);
  return new Promise((resolve, reject) => {
    const stop = [
      signal.on("joined", () => {
        for (const off of stop) off();
        resolve(call);
      }),
      signal.on("closed", (error) => reject(error)),
    ];
    // A new page has a new key: it signs what it says it sent, and can't be read by anybody.
    if (isNew) call.offerEarly();
    void Promise.all([makeDeviceKey(), isNew ? Promise.race([offered, patience()]) : null]).then(([key]) => {
      recording.key = key;
      begin(signal);
    });
  });
}

/** An offer that takes longer to make follows the hello. */
function patience() {
  return new Promise((/** @type {(value: void) => void} */ resolve) => browserClock.setTimeout(resolve, OFFER_MS));
}

/** Whether the page is of the server's origin. @param {string} url */
function isOwnServer(url) {
  return new URL(url.replace(/^ws/, "http")).origin === location.origin;
}

/**
 * Tells the call what the page learns about the network and its own end.
 *
 * @param {Signal} signal
 * @param {Call} call
 * @returns {() => void} Stops it.
 */
function watchPage(signal, call) {
  const changed = () => call.networkChanged();
  const visible = () => {
    if (document.visibilityState === "visible" && signal.status.state !== "open") signal.networkChanged();
  };
  const hiding = () => signal.save();
  addEventListener("online", changed);
  addEventListener("pagehide", hiding);
  document.addEventListener("visibilitychange", visible);
  return () => {
    removeEventListener("online", changed);
    removeEventListener("pagehide", hiding);
    document.removeEventListener("visibilitychange", visible);
  };
}

function randomPrefix() {
  const bytes = crypto.getRandomValues(new Uint8Array(8));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

export const Witness = Object.freeze({ join, resume, prepare, canResume, recoverUploads });
