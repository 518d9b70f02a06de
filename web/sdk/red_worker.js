/**
 * Worker that all sent frames pass (`RTCRtpScriptTransform`): writes the RED of audio, and logs what a recording needs.
 *
 * Says `{ready: true}` once it is loaded: a sender whose transform has no worker sends nothing. Takes
 * `{line, offsets, payloadType}` and answers with the line's counts; of recordings see `recording_worker.js`.
 */
import { browserClock } from "./clock.js";
import { IndexedDisk } from "./indexed_disk.js";
import { RecordingWorker } from "./recording_worker.js";
import { RedWriter } from "./red.js";

/**
 * @typedef {{ writer: RedWriter, payloadType: number | null }} Line
 * @typedef {object} Frame The part of `RTCEncodedAudioFrame` that is used.
 * @property {ArrayBuffer} data
 * @property {number} [timestamp] Where the metadata has none.
 * @property {() => { payloadType?: number, rtpTimestamp?: number, synchronizationSource?: number, mimeType?: string }} getMetadata
 * @typedef {Event & { transformer: { readable: ReadableStream<Frame>, writable: WritableStream<Frame>, options: { line: string } } }} TransformEvent
 */

const scope = /** @type {any} */ (globalThis);
/** @type {Map<string, Line>} */
const lines = new Map();

const recording = new RecordingWorker({
  say: (message) => scope.postMessage(message),
  clock: browserClock,
  unixMs: Date.now,
  fetch: (url, init) => fetch(url, init),
  openDisk: () => IndexedDisk.open(),
  lock: async (name, run) => {
    if (navigator.locks) await navigator.locks.request(name, run);
    else await run();
  },
});

/** @param {string} name */
function lineOf(name) {
  let line = lines.get(name);
  if (!line) {
    line = { writer: new RedWriter(), payloadType: null };
    lines.set(name, line);
  }
  return line;
}

/**
 * @param {Line} line
 * @param {Frame} frame
 */
function rewrite({ writer, payloadType }, frame) {
  const { payloadType: sent, rtpTimestamp } = frame.getMetadata();
  const timestamp = rtpTimestamp ?? frame.timestamp;
  if (payloadType === null || sent !== payloadType || timestamp === undefined) return;
  const payload = new Uint8Array(frame.data);
  const written = writer.write(payload, timestamp);
  if (written !== payload) frame.data = /** @type {ArrayBuffer} */ (written.buffer);
}

scope.addEventListener("rtctransform", (/** @type {TransformEvent} */ { transformer }) => {
  const line = lineOf(transformer.options.line);
  const writing = new TransformStream({
    /** @param {Frame} frame @param {TransformStreamDefaultController<Frame>} controller */
    transform(frame, controller) {
      try {
        // Before anything is rewritten: a copy is no frame that was sent.
        recording.take(transformer.options.line, frame);
        rewrite(line, frame);
      } catch {
        // Sent as the browser made it when it can't be changed: sound goes on whatever happens here.
        line.writer.counts.unreadable += 1;
      }
      controller.enqueue(frame);
    },
  });
  transformer.readable.pipeThrough(writing).pipeTo(transformer.writable).catch(() => lines.delete(transformer.options.line));
});

scope.addEventListener("message", (/** @type {MessageEvent} */ { data }) => {
  if (data.end) {
    lines.delete(data.line);
    recording.end(data.line);
    return;
  }
  if (data.line === undefined) {
    recording.handle(data).catch((error) => scope.postMessage({ failed: String(error) }));
    return;
  }
  const line = lineOf(data.line);
  line.writer.setOffsets(data.offsets);
  line.payloadType = data.payloadType;
  scope.postMessage({ line: data.line, counts: line.writer.counts });
});

scope.postMessage({ ready: true });
