/**
 * One camera picture in several sizes, so that everybody gets the one that fits.
 *
 * @typedef {{ rid: string, width: number, height: number }} EncodingSize
 * @typedef {{ rid: string | null, wanted: boolean }} EncodingDemand
 * @typedef {RTCRtpEncodingParameters & { scalabilityMode?: string }} Encoding
 */

/** Smallest first: name, and how much smaller than the camera's picture. */
const LADDERS = Object.freeze({
  3: [["q", 4], ["h", 2], ["f", 1]],
  2: [["q", 2], ["h", 1]],
});
const THREE_FROM = 960;
const TWO_FROM = 480;
/** Two temporal layers: every other frame can be left out for a subscriber at once. */
const TEMPORAL = "L1T2";

/** Of 1,280 × 720 pixels; half the side needs a third. Without a limit, a browser gives all it has to whichever
 * encoding is the only one, and its size on the wire says nothing about its size on the screen. */
const FULL_BPS = 1_500_000;
const FULL_PIXELS = 1280 * 720;
const LEAST_BPS = 120_000;

/** @param {number} pixels */
const mostFor = (pixels) => Math.max(LEAST_BPS, Math.round((FULL_BPS * (pixels / FULL_PIXELS) ** 0.8) / 1000) * 1000);

/**
 * What to offer for a video track.
 *
 * @param {MediaStreamTrack} track
 * @param {{ source: import("./protocol.js").Source, codec: string | null }} use A shared screen is sent in one size: its
 *   text must stay sharp. So is AV1, which browsers don't send in several.
 * @returns {Encoding[]} Empty for what is not video.
 */
export function encodingsFor(track, { source, codec }) {
  if (track.kind !== "video") return [];
  const name = (codec ?? "vp8").toLowerCase();
  const mode = name === "h264" ? {} : { scalabilityMode: TEMPORAL };
  const { width = 0, height = 0 } = track.getSettings?.() ?? {};
  const side = Math.max(width, height);
  if (source !== "camera" || !(side > 0)) return [mode];
  /** @param {number} scale */
  const limit = (scale) => ({ maxBitrate: mostFor((width * height) / scale ** 2) });
  if (name === "av1" || side < TWO_FROM) return [{ ...mode, ...limit(1) }];
  const ladder = LADDERS[side >= THREE_FROM ? 3 : 2];
  return ladder.map(([rid, scale]) => ({
    rid: String(rid), scaleResolutionDownBy: Number(scale), ...limit(Number(scale)), ...mode,
  }));
}

/**
 * Adds a sending line with what the browser can of the encodings.
 *
 * @param {RTCPeerConnection} peer
 * @param {MediaStreamTrack} track
 * @param {Encoding[]} encodings
 * @returns {RTCRtpTransceiver}
 */
export function addSendingLine(peer, track, encodings) {
  const plain = encodings.map(({ scalabilityMode: _, ...rest }) => rest);
  for (const sendEncodings of [encodings, plain]) {
    if (sendEncodings.length === 0) continue;
    try {
      return peer.addTransceiver(track, { direction: "sendonly", sendEncodings });
    } catch {
      // The browser has no temporal layers, or no simulcast.
    }
  }
  return peer.addTransceiver(track, { direction: "sendonly" });
}

/**
 * How large each encoding of a sender is at most.
 *
 * @param {RTCRtpSender} sender
 * @returns {EncodingSize[]} Empty where there is only one, or the size of the picture isn't known.
 */
export function encodingSizes(sender) {
  const { width = 0, height = 0 } = sender.track?.getSettings?.() ?? {};
  const encodings = sender.getParameters?.().encodings ?? [];
  if (encodings.length < 2 || width <= 0 || height <= 0) return [];
  return encodings.flatMap(({ rid, scaleResolutionDownBy = 1 }) =>
    rid
      ? [{ rid, width: Math.max(1, Math.floor(width / scaleResolutionDownBy)), height: Math.max(1, Math.floor(height / scaleResolutionDownBy)) }]
      : [],
  );
}

/**
 * Stops encodings nobody wants and starts those somebody does.
 *
 * @param {RTCRtpSender} sender
 * @param {readonly EncodingDemand[]} demand
 * @returns {Promise<boolean>} Whether something had to change.
 */
export async function applyDemand(sender, demand) {
  const parameters = sender.getParameters?.();
  const encodings = parameters?.encodings ?? [];
  let changed = false;
  for (const encoding of encodings) {
    const found = demand.find(({ rid }) => (rid ?? "") === (encoding.rid ?? "") || (rid === null && encodings.length === 1));
    if (!found || (encoding.active ?? true) === found.wanted) continue;
    encoding.active = found.wanted;
    changed = true;
  }
  if (changed && parameters) await sender.setParameters(parameters);
  return changed;
}
