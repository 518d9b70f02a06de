/**
 * Shapes of the wire protocol (docs/protocol.md), as types for the checker, and the few constants the SDK needs.
 *
 * @typedef {"rm" | "customer" | "expert" | "supervisor"} Role
 * @typedef {"microphone" | "camera" | "screen" | "screen_audio"} Source
 * @typedef {"audio" | "video"} Kind
 * @typedef {"connected" | "reconnecting"} Presence
 * @typedef {"good" | "fair" | "poor" | "lost" | "unknown"} Score
 *
 * @typedef {object} ParticipantInfo
 * @property {string} participant_id
 * @property {Role} role
 * @property {string} name
 * @property {Presence} connection
 *
 * @typedef {object} TrackInfo
 * @property {string} track_id
 * @property {string} participant_id
 * @property {Kind} kind
 * @property {Source} source
 * @property {boolean} muted
 *
 * @typedef {object} Lines Receiving m-lines the server needs in the next offer.
 * @property {number} audio
 * @property {number} video
 *
 * @typedef {object} Grant
 * @property {Source[]} publish
 * @property {Role[]} subscribe
 * @property {string} expires_at RFC 3339.
 *
 * @typedef {object} Joined The reply to `join` and `resume`.
 * @property {number} protocol
 * @property {string[]} [features] Optional additions the server has.
 * @property {string} participant_id
 * @property {string} room_id
 * @property {Role} role
 * @property {string} resume_token
 * @property {number} resume_window_s
 * @property {ParticipantInfo[]} participants
 * @property {TrackInfo[]} tracks
 * @property {Lines} lines
 * @property {RTCIceServer[]} [ice_servers]
 * @property {Grant} grant
 * @property {{ message_bytes?: number, messages_per_s?: number, text_chars?: number }} [limits]
 * @property {string} server_time
 * @property {string} media
 * @property {boolean} [replay] In `resumed`: the missed messages follow, and this state may be ignored.
 * @property {number} [latest_seq] In `resumed`: the highest number given out; this state includes it.
 *
 * @typedef {object} Offer
 * @property {string} [sdp]
 * @property {string} [sdp_deflate] In place of `sdp`: see `deflate.js`.
 * @property {{ mid: string, source: Source, muted: boolean, encodings?: import("./simulcast.js").EncodingSize[] }[]} tracks
 * @property {boolean} [dtls_server] The server may be the DTLS client.
 *
 * @typedef {object} Answer
 * @property {string} [sdp]
 * @property {string} [sdp_deflate] In place of `sdp`, where the offer had that.
 * @property {{ mid: string, track_id: string }[]} published
 * @property {{ mid: string, track_id: string, participant_id: string }[]} subscribed
 *
 * @typedef {object} TextMessage
 * @property {string} message_id
 * @property {string} from
 * @property {string | null} to
 * @property {string} text
 * @property {string} at RFC 3339.
 *
 * @typedef {"face" | "identity" | "voice" | "speech"} Permission
 *
 * @typedef {object} AskedConsent What detectors would like to do, and whether they may.
 * @property {Permission} permission
 * @property {boolean} held
 * @property {string | null} consent_id
 * @property {{ text: string, sha256: string }} zh
 * @property {{ text: string, sha256: string }} en
 *
 * @typedef {object} Finding What a detector found; only RMs are told.
 * @property {string} finding_id
 * @property {string} session_id
 * @property {string} detector
 * @property {string} kind
 * @property {"pass" | "warn" | "fail" | "unknown"} outcome
 * @property {"info" | "warning" | "critical"} severity
 * @property {"open" | "over"} state
 * @property {string | null} participant_id
 * @property {string | null} track_id
 * @property {number} from_us
 * @property {number} to_us
 * @property {{ zh: string, en: string }} title
 * @property {{ zh: string, en: string }} text
 * @property {string | null} acknowledged_by
 *
 * @typedef {object} PersonQuality
 * @property {string} participant_id
 * @property {number | null} uplink_loss 0 to 1.
 * @property {number | null} downlink_loss 0 to 1.
 * @property {number | null} rtt_ms
 * @property {Score} score
 *
 * @typedef {object} TrackReport One received track in a `quality.report`; counts since the last report.
 * @property {string} track_id
 * @property {number} packets_lost
 * @property {number} packets_received
 * @property {number} jitter_ms
 * @property {number} [concealed_ratio]
 * @property {number} [frames_per_second]
 * @property {number} [freeze_count]
 * @property {number} [jitter_buffer_ms]
 *
 * @typedef {object} QualityReport
 * @property {TrackReport[]} tracks
 * @property {number} [rtt_ms]
 * @property {number} [available_outgoing_bps]
 */

export const PROTOCOL = 1;
export const SUBPROTOCOL = "witness.v1";
export const CLIENT = Object.freeze({ name: "witness-web", version: "0.1.0" });
/** Names the server's advice against loss of audio. */
export const PROTECTION = "protection";
/** Names the server's addition for simulcast and sizes. */
export const LAYERS = "layers";
/** Names that the server may be told to take the DTLS client's part. */
export const DTLS_SERVER = "dtls_server";
export const SDP_DEFLATE = "sdp_deflate";
/** Names the server's addition for recordings. */
export const RECORDING = "recording";
/** Code points of a text message. */
export const MAX_TEXT = 4000;

/** @type {Readonly<Record<Source, Kind>>} */
export const KIND_OF = Object.freeze({ microphone: "audio", camera: "video", screen: "video", screen_audio: "audio" });

/**
 * One message of the server, as far as it can be told apart.
 *
 * @typedef {{ type: string, re?: string, seq?: number, data: Record<string, any> }} Incoming
 */

/**
 * Reads one frame of the socket.
 *
 * @param {unknown} frame
 * @returns {Incoming | null} Null for what is no message of this protocol.
 */
export function parseMessage(frame) {
  if (typeof frame !== "string") return null;
  /** @type {any} */
  let message;
  try {
    message = JSON.parse(frame);
  } catch {
    return null;
  }
  if (message === null || typeof message !== "object" || typeof message.type !== "string") return null;
  const data = message.data !== null && typeof message.data === "object" ? message.data : {};
  return {
    type: message.type,
    re: typeof message.re === "string" ? message.re : undefined,
    seq: typeof message.seq === "number" ? message.seq : undefined,
    data,
  };
}

/**
 * The socket's address for the address of the server.
 *
 * @param {string} url `https://host` or `wss://host/v1/ws`; relative to the page.
 * @param {string} base
 */
export function socketUrl(url, base) {
  const address = new URL(url, base);
  if (address.protocol === "http:") address.protocol = "ws:";
  if (address.protocol === "https:") address.protocol = "wss:";
  if (!address.pathname.endsWith("/v1/ws")) address.pathname = `${address.pathname.replace(/\/$/, "")}/v1/ws`;
  address.search = "";
  address.hash = "";
  return address.href;
}
