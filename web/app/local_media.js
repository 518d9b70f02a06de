import { cameraConstraints, listDevices, microphoneConstraints, openCapture } from "/sdk/witness.js";

/**
 * @typedef {"microphone" | "camera"} DeviceSource
 * @typedef {import("/sdk/errors.js").WitnessError} WitnessError
 */

const STORED = "witness.devices";

/**
 * The microphone and the camera of this person, before and during the call, and which of them are switched off.
 *
 * Choices last as long as the tab, so a reloaded page comes back the same.
 */
export class LocalMedia {
  /** @type {Record<DeviceSource, MediaStreamTrack | null>} */
  tracks = { microphone: null, camera: null };
  /** @type {Record<DeviceSource, string>} */
  deviceIds = { microphone: "", camera: "" };
  /** Switched off by the person. @type {Record<DeviceSource, boolean>} */
  off = { microphone: false, camera: false };
  /** @type {Partial<Record<DeviceSource, WitnessError>>} */
  problems = {};

  constructor() {
    try {
      const { deviceIds, off } = JSON.parse(sessionStorage.getItem(STORED) ?? "{}");
      Object.assign(this.deviceIds, deviceIds);
      Object.assign(this.off, off);
    } catch {
      // No choices were kept.
    }
  }

  /**
   * Opens what is not switched off and not open yet.
   *
   * @param {readonly DeviceSource[]} sources
   * @param {readonly DeviceSource[]} evenOff Opened though they are switched off, to be sent muted.
   */
  async open(sources = ["microphone", "camera"], evenOff = []) {
    const wants = (/** @type {DeviceSource} */ source) =>
      sources.includes(source) &&
      (!this.off[source] || evenOff.includes(source)) &&
      this.tracks[source]?.readyState !== "live";
    const wanted = {
      microphone: wants("microphone") && microphoneConstraints(this.deviceIds.microphone),
      camera: wants("camera") && cameraConstraints(this.deviceIds.camera),
    };
    if (!wanted.microphone && !wanted.camera) return;
    let capture = await openCapture(wanted);
    const gone = capture.problems.filter(({ source, error }) => error.code === "device_missing" && this.deviceIds[source]);
    if (gone.length > 0) {
      // The remembered device is not there any more: any other is better than none.
      for (const { source } of gone) this.deviceIds[source] = "";
      for (const source of /** @type {const} */ (["microphone", "camera"])) capture[source]?.stop();
      capture = await openCapture({
        microphone: wanted.microphone && microphoneConstraints(this.deviceIds.microphone),
        camera: wanted.camera && cameraConstraints(this.deviceIds.camera),
      });
    }
    for (const source of /** @type {const} */ (["microphone", "camera"])) {
      if (!wanted[source]) continue;
      const track = capture[source];
      this.tracks[source] = track;
      const problem = capture.problems.find((entry) => entry.source === source)?.error;
      if (problem) this.problems[source] = problem;
      else delete this.problems[source];
      if (track) this.deviceIds[source] = track.getSettings().deviceId ?? this.deviceIds[source];
    }
    this.#keep();
  }

  /**
   * @param {DeviceSource} source
   * @param {string} deviceId
   */
  async choose(source, deviceId) {
    this.deviceIds[source] = deviceId;
    this.close(source);
    await this.open([source]);
    this.#keep();
  }

  /**
   * Takes over a track opened elsewhere.
   *
   * @param {DeviceSource} source
   * @param {MediaStreamTrack} track
   */
  adopt(source, track) {
    this.tracks[source] = track;
    this.deviceIds[source] = track.getSettings().deviceId ?? "";
    this.#keep();
  }

  /**
   * @param {DeviceSource} source
   * @param {boolean} off
   */
  setOff(source, off) {
    this.off[source] = off;
    this.#keep();
  }

  /** Sources that are open and switched off. */
  get muted() {
    return /** @type {const} */ (["microphone", "camera"]).filter((source) => this.off[source] && this.tracks[source]);
  }

  /** Releases a device, so that its light goes out. @param {DeviceSource} source */
  close(source) {
    this.tracks[source]?.stop();
    this.tracks[source] = null;
  }

  closeAll() {
    this.close("microphone");
    this.close("camera");
  }

  #keep() {
    try {
      sessionStorage.setItem(STORED, JSON.stringify({ deviceIds: this.deviceIds, off: this.off }));
    } catch {
      // A reload begins with the default devices then.
    }
  }
}

/**
 * Fills a `<select>` with devices.
 *
 * @param {HTMLSelectElement} select
 * @param {import("/sdk/devices.js").Device[]} devices
 * @param {string} chosen
 * @param {{ none: string, fallback: string }} texts
 */
export function fillDevices(select, devices, chosen, { none, fallback }) {
  const options = devices.map(({ deviceId, label }, index) => {
    const option = new Option(label || `${fallback} ${index + 1}`, deviceId);
    option.selected = deviceId === chosen;
    return option;
  });
  select.replaceChildren(...(options.length > 0 ? options : [new Option(none, "")]));
  select.disabled = options.length === 0;
}

export { listDevices };
