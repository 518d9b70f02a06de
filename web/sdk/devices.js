import { WitnessError } from "./errors.js";

/**
 * @typedef {object} Device
 * @property {string} deviceId
 * @property {string} label Empty until the person allowed the use of a device.
 *
 * @typedef {object} Devices
 * @property {Device[]} microphones
 * @property {Device[]} cameras
 * @property {Device[]} speakers Empty where the output can't be chosen.
 *
 * @typedef {object} Capture
 * @property {MediaStreamTrack | null} microphone
 * @property {MediaStreamTrack | null} camera
 * @property {{ source: "microphone" | "camera", error: WitnessError }[]} problems
 */

/** Why this browser can't take part in a call; null if it can. @returns {WitnessError | null} */
export function environmentProblem() {
  if (!globalThis.isSecureContext) {
    return new WitnessError("insecure_context", "cameras and microphones need https (or localhost)");
  }
  const missing = [
    ["RTCPeerConnection", typeof RTCPeerConnection === "function"],
    ["addTransceiver", typeof RTCPeerConnection === "function" && "addTransceiver" in RTCPeerConnection.prototype],
    ["getUserMedia", typeof navigator.mediaDevices?.getUserMedia === "function"],
    ["WebSocket", typeof WebSocket === "function"],
  ].filter(([, there]) => !there);
  if (missing.length === 0) return null;
  return new WitnessError("not_supported", `missing: ${missing.map(([name]) => name).join(", ")}`);
}

/** Whether a screen can be shared (not on phones). */
export function canShareScreen() {
  return typeof navigator.mediaDevices?.getDisplayMedia === "function";
}

/**
 * What a rejected `getUserMedia` or `getDisplayMedia` means.
 *
 * @param {unknown} error
 * @returns {WitnessError}
 */
export function deviceError(error) {
  const name = error instanceof Error || error instanceof DOMException ? error.name : "";
  /** @type {Record<string, import("./errors.js").LocalCode>} */
  const codes = {
    NotAllowedError: "device_denied",
    SecurityError: "device_denied",
    NotFoundError: "device_missing",
    OverconstrainedError: "device_missing",
    NotReadableError: "device_busy",
    AbortError: "device_busy",
  };
  return new WitnessError(codes[name] ?? "device_failed", name || String(error), { cause: error });
}

/** @returns {Promise<Devices>} */
export async function listDevices() {
  const all = (await navigator.mediaDevices?.enumerateDevices?.()) ?? [];
  // Before permission some browsers list one nameless device without an id; it can't be chosen.
  const of = (/** @type {MediaDeviceKind} */ kind) =>
    all.filter((device) => device.kind === kind && device.deviceId).map(({ deviceId, label }) => ({ deviceId, label }));
  return { microphones: of("audioinput"), cameras: of("videoinput"), speakers: of("audiooutput") };
}

/**
 * Calls `changed` whenever a device is plugged in or out.
 *
 * @param {() => void} changed
 * @returns {() => void} Stops it.
 */
export function watchDevices(changed) {
  const devices = navigator.mediaDevices;
  devices?.addEventListener?.("devicechange", changed);
  return () => devices?.removeEventListener?.("devicechange", changed);
}

/**
 * @param {string} [deviceId]
 * @returns {MediaTrackConstraints}
 */
export function microphoneConstraints(deviceId) {
  const chosen = deviceId ? { deviceId: { exact: deviceId } } : {};
  return { ...chosen, echoCancellation: true, noiseSuppression: true, autoGainControl: true };
}

/**
 * @param {string} [deviceId]
 * @returns {MediaTrackConstraints}
 */
export function cameraConstraints(deviceId) {
  const chosen = deviceId ? { deviceId: { exact: deviceId } } : { facingMode: "user" };
  return { ...chosen, width: { ideal: 1280 }, height: { ideal: 720 }, frameRate: { ideal: 25, max: 30 } };
}

/**
 * Opens microphone and camera; a device that fails doesn't cost the other.
 *
 * @param {object} wanted
 * @param {MediaTrackConstraints | false} wanted.microphone
 * @param {MediaTrackConstraints | false} wanted.camera
 * @returns {Promise<Capture>} Never rejects; what failed is in `problems`.
 */
export async function openCapture({ microphone, camera }) {
  if (microphone && camera) {
    try {
      // Together, so that people are asked once.
      const stream = await navigator.mediaDevices.getUserMedia({ audio: microphone, video: camera });
      return {
        microphone: stream.getAudioTracks()[0] ?? null,
        camera: stream.getVideoTracks()[0] ?? null,
        problems: [],
      };
    } catch {
      // One by one tells which of them it was.
    }
  }
  /** @type {Capture} */
  const capture = { microphone: null, camera: null, problems: [] };
  if (microphone) await openOne(capture, "microphone", { audio: microphone });
  if (camera) await openOne(capture, "camera", { video: camera });
  return capture;
}

/**
 * @param {Capture} capture
 * @param {"microphone" | "camera"} source
 * @param {MediaStreamConstraints} constraints
 */
async function openOne(capture, source, constraints) {
  try {
    const stream = await navigator.mediaDevices.getUserMedia(constraints);
    capture[source] = stream.getTracks()[0] ?? null;
  } catch (error) {
    capture.problems.push({ source, error: deviceError(error) });
  }
}

/**
 * Asks for a screen or window to share, with its sound where the browser offers it.
 *
 * @returns {Promise<{ screen: MediaStreamTrack, screenAudio: MediaStreamTrack | null }>}
 * @throws {WitnessError} `not_supported`, `screen_denied` or a device error.
 */
export async function openScreen() {
  if (!canShareScreen()) throw new WitnessError("not_supported", "getDisplayMedia is missing");
  /** @type {MediaStream} */
  let stream;
  try {
    stream = await navigator.mediaDevices.getDisplayMedia({ video: { frameRate: { max: 15 } }, audio: true });
  } catch (error) {
    const reason = deviceError(error);
    throw reason.code === "device_denied" ? new WitnessError("screen_denied", "not chosen", { cause: error }) : reason;
  }
  const screen = stream.getVideoTracks()[0];
  if (!screen) throw new WitnessError("device_missing", "no picture was chosen");
  if ("contentHint" in screen) screen.contentHint = "detail";
  return { screen, screenAudio: stream.getAudioTracks()[0] ?? null };
}

/**
 * Opens one device.
 *
 * @param {MediaStreamConstraints} constraints
 * @returns {Promise<MediaStreamTrack>}
 */
export async function openTrack(constraints) {
  try {
    const stream = await navigator.mediaDevices.getUserMedia(constraints);
    const track = stream.getTracks()[0];
    if (track) return track;
  } catch (error) {
    throw deviceError(error);
  }
  throw new WitnessError("device_missing", "the device gave no track");
}
