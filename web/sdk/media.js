import { applyCodecPreference } from "./codecs.js";
import { PulseCheck } from "./connection.js";
import { deflated, inflated } from "./deflate.js";
import { Emitter } from "./emitter.js";
import { WitnessError } from "./errors.js";
import { NegotiationQueue } from "./negotiation.js";
import { KIND_OF } from "./protocol.js";
import { withAudioNack, withVideoFloor } from "./sdp.js";
import { addSendingLine, applyDemand, encodingSizes, encodingsFor } from "./simulcast.js";

/**
 * @typedef {import("./protocol.js").Source} Source
 * @typedef {import("./protocol.js").Kind} Kind
 * @typedef {import("./protocol.js").Offer} Offer
 * @typedef {import("./protocol.js").Answer} Answer
 * @typedef {import("./protocol.js").Lines} Lines
 * @typedef {import("./recovery.js").MediaState} MediaState
 *
 * @typedef {object} Sending
 * @property {MediaStreamTrack} track
 * @property {boolean} muted
 * @property {RTCRtpTransceiver | null} transceiver
 * @property {string | null} trackId Given by the server.
 *
 * @typedef {object} Receiving
 * @property {string} trackId
 * @property {string} mid
 * @property {string} participantId
 * @property {MediaStreamTrack} track
 * @property {RTCRtpReceiver} receiver
 *
 * @typedef {object} MediaEvents
 * @property {MediaState} state
 * @property {null} path ICE has found a path; DTLS is what is left.
 * @property {Map<string, Receiving>} receiving Changed; by track id.
 * @property {Map<Source, Sending>} sending Changed, or got their ids.
 * @property {WitnessError} error A negotiation nobody waits for failed.
 */

/**
 * The one peer connection: what is sent, what is received, and the offers between.
 *
 * @extends {Emitter<MediaEvents>}
 */
export class Media extends Emitter {
  /** @type {MediaState} */
  state = "none";
  /** @type {Map<Source, Sending>} */
  sending = new Map();
  /** @type {Map<string, Receiving>} */
  receiving = new Map();
  /** @type {RTCPeerConnection | null} */
  peer = null;
  /** @type {RTCIceServer[]} */
  iceServers = [];
  /** The server takes simulcast and the sizes of its encodings. */
  layered = false;
  /** The server takes copies in sent audio, and says which. */
  copied = false;
  /** The server may record: what is sent passes through the worker. */
  recorded = false;
  /** The server takes the DTLS client's part: what is left to the browser is then one flight of one packet. */
  dtlsServer = false;
  /** The server takes offers deflated, and this browser can. */
  deflates = false;
  /** @type {Lines} */
  #lines = { audio: 0, video: 0 };
  /** @type {Record<Kind, RTCRtpTransceiver[]>} */
  #receivers = { audio: [], video: [] };
  /** Sending lines whose source was unpublished, for the next of that source. @type {{ source: Source, line: RTCRtpTransceiver }[]} */
  #spare = [];
  /** What the server wants of each own track. @type {Map<string, import("./simulcast.js").EncodingDemand[]>} */
  #demand = new Map();
  #restart = false;
  /** What the estimate of the way up shall stay above, as the server says, and as the peer connection was told. */
  #floor = noFloor();
  /** The answer in force, as the server sent it. */
  #answer = "";
  /** Ends the negotiation under way, when its peer connection is dropped. */
  #abandon = () => {};
  #closed = false;
  /** Offers in a row that were refused as `bad_sdp`. */
  #refusals = 0;
  #pulse = new PulseCheck();
  #queue = new NegotiationQueue(() => this.#negotiate());
  #createPeer;
  #sendOffer;
  #codec;
  #red;

  /**
   * @param {object} parts
   * @param {(config: RTCConfiguration) => RTCPeerConnection} parts.createPeer
   * @param {(offer: Offer) => Promise<Answer>} parts.sendOffer
   * @param {string | null} [parts.codec] Preferred video codec, such as `vp9`.
   * @param {import("./red_sender.js").RedSenders | null} [parts.red] Null where sent audio carries no copies.
   */
  constructor({ createPeer, sendOffer, codec = null, red = null }) {
    super();
    this.#createPeer = createPeer;
    this.#sendOffer = sendOffer;
    this.#codec = codec;
    this.#red = red;
  }

  /**
   * The receiving lines the server wants; more than before means another offer.
   *
   * @param {Lines} lines
   */
  setLines(lines) {
    this.#lines = { audio: lines.audio, video: lines.video };
    this.#negotiateLater();
  }

  /**
   * Offers before the server has said what it wants: everything prepared, and as many receiving lines.
   *
   * @param {Lines} lines
   * @returns {Promise<void>} Settles with the answer.
   */
  async offerEarly(lines) {
    this.#lines = { ...lines };
    await this.#queue.request();
  }

  /** Whether the offers so far have as many receiving lines. @param {Lines} lines */
  has(lines) {
    return lines.audio <= this.#lines.audio && lines.video <= this.#lines.video;
  }

  /**
   * Makes a track part of the next offer, without asking for one.
   *
   * @param {Source} source
   * @param {MediaStreamTrack} track
   * @param {boolean} muted
   */
  prepare(source, track, muted) {
    track.enabled = !muted;
    this.sending.set(source, { track, muted, transceiver: null, trackId: null });
  }

  /**
   * Starts sending, or replaces what is sent for this source.
   *
   * @param {Source} source
   * @param {MediaStreamTrack} track
   * @param {boolean} muted
   */
  async publish(source, track, muted) {
    const sending = this.sending.get(source);
    if (sending) {
      sending.muted = muted;
      await this.replace(source, track);
      return;
    }
    this.prepare(source, track, muted);
    await this.#queue.request();
  }

  /** Takes a source out of what the next peer connection offers. @param {Source} source */
  withdraw(source) {
    this.sending.delete(source);
  }

  /** @param {Source} source */
  async unpublish(source) {
    const sending = this.sending.get(source);
    if (!sending) return;
    this.sending.delete(source);
    if (sending.transceiver) {
      sending.transceiver.direction = "inactive";
      this.#spare.push({ source, line: sending.transceiver });
      await sending.transceiver.sender.replaceTrack(null);
    }
    await this.#queue.request();
  }

  /**
   * Sends another device's track in place of the present one, without negotiation.
   *
   * @param {Source} source
   * @param {MediaStreamTrack} track
   */
  async replace(source, track) {
    const sending = this.sending.get(source);
    if (!sending) throw new WitnessError("unknown_track", `${source} is not published`);
    track.enabled = !sending.muted;
    sending.track = track;
    await sending.transceiver?.sender.replaceTrack(track);
  }

  /**
   * Stops or resumes sending at once, on this side.
   *
   * @param {Source} source
   * @param {boolean} muted
   */
  setMuted(source, muted) {
    const sending = this.sending.get(source);
    if (!sending) return;
    sending.muted = muted;
    sending.track.enabled = !muted;
  }

  /**
   * Stops encodings of an own track that nobody wants, and starts those that somebody does.
   *
   * @param {string} trackId
   * @param {import("./simulcast.js").EncodingDemand[]} demand
   */
  async setDemand(trackId, demand) {
    this.#demand.set(trackId, demand);
    const sender = [...this.sending.values()].find((sending) => sending.trackId === trackId)?.transceiver?.sender;
    if (!sender) return;
    try {
      await applyDemand(sender, demand);
    } catch (error) {
      // Parameters changed between reading and setting them: what counts is the newest demand.
      const newest = this.#demand.get(trackId);
      if (this.#closed || !newest || !this.peer) return;
      await applyDemand(sender, newest).catch(() => {
        throw WitnessError.from(error);
      });
    }
  }

  /**
   * Keeps the browser's estimate of its way up above a rate; to be said again, once a second, while it holds.
   *
   * @param {number | null} bps Null: it may fall.
   */
  setFloor(bps) {
    const floor = this.#floor;
    floor.wanted = bps;
    if (bps === floor.applied || floor.due) return;
    floor.due = true;
    this.#queue.alone(async () => {
      floor.due = false;
      await this.#applyFloor();
    });
  }

  /** The answer that is in force, once more and with the floor: nobody else has to know. */
  async #applyFloor() {
    const { peer } = this;
    const floor = this.#floor.wanted;
    if (!peer || !this.#answer || floor === this.#floor.applied) return;
    try {
      await setLocalOffer(peer, await peer.createOffer({}));
      await peer.setRemoteDescription({ type: "answer", sdp: withVideoFloor(this.#answer, floor) });
      if (peer === this.peer) this.#floor.applied = floor;
    } catch {
      // The next answer brings it, or the next time it is said.
      if (peer.signalingState === "have-local-offer") await peer.setLocalDescription({ type: "rollback" }).catch(() => {});
    }
  }

  /** Finds new network paths for the same peer connection. */
  async restartIce() {
    if (!this.peer) return;
    this.#restart = true;
    await this.#queue.request();
  }

  /** Starts over with a new peer connection; the server keeps the track ids. */
  async rebuild() {
    this.#dropPeer();
    this.#setState("connecting");
    await this.#queue.request();
  }

  /** @param {number | null} received See `PulseCheck`. */
  pulse(received) {
    const state = this.peer?.connectionState;
    if (state !== "connected" && state !== "disconnected") return;
    this.#setState(this.#pulse.sample(received, state === "disconnected") ? "connected" : "disconnected");
  }

  close() {
    this.#closed = true;
    this.#dropPeer();
    this.sending.clear();
    this.#setState("none");
  }

  #negotiateLater() {
    this.#queue.request().catch((error) => this.emit("error", WitnessError.from(error)));
  }

  // --- peer connection

  #openPeer() {
    if (this.peer) return this.peer;
    const peer = this.#createPeer({ iceServers: this.iceServers, bundlePolicy: "max-bundle", rtcpMuxPolicy: "require" });
    this.peer = peer;
    this.#pulse.reset();
    // Firefox before 113 has no connectionState; what ICE says is the nearest.
    const event = "onconnectionstatechange" in peer ? "connectionstatechange" : "iceconnectionstatechange";
    peer.addEventListener(event, () => {
      if (peer === this.peer) this.#peerChanged(peer);
    });
    peer.addEventListener("iceconnectionstatechange", () => {
      const found = peer.iceConnectionState === "connected" || peer.iceConnectionState === "completed";
      if (found && peer === this.peer && this.state === "connecting") this.emit("path", null);
    });
    this.#setState("connecting");
    return peer;
  }

  /** @param {RTCPeerConnection} peer */
  #peerChanged(peer) {
    /** @type {Record<string, MediaState>} */
    const states = {
      new: "connecting", connecting: "connecting", checking: "connecting", connected: "connected",
      completed: "connected", disconnected: "disconnected", failed: "failed", closed: "failed",
    };
    const state = states[peer.connectionState ?? peer.iceConnectionState] ?? "connecting";
    // At heavy loss connectivity checks go unanswered for seconds while every third packet of media arrives.
    if (state === "disconnected" && this.state === "connected" && this.#pulse.beats) return;
    if (state !== "disconnected") this.#pulse.reset();
    this.#setState(state);
  }

  /** @param {MediaState} state */
  #setState(state) {
    if (state === this.state) return;
    this.state = state;
    this.emit("state", state);
  }

  #dropPeer() {
    const peer = this.peer;
    this.peer = null;
    this.#receivers = { audio: [], video: [] };
    this.#spare = [];
    this.#demand.clear();
    this.#answer = "";
    this.#floor = noFloor();
    this.#restart = false;
    for (const transceiver of peer?.getTransceivers() ?? []) this.#red?.forget(transceiver.sender);
    for (const sending of this.sending.values()) sending.transceiver = null;
    // Listeners are still attached, but compare with the present peer connection.
    peer?.close();
    this.#abandon();
    if (this.receiving.size > 0) {
      this.receiving = new Map();
      this.emit("receiving", this.receiving);
    }
  }

  // --- offers

  get #hasLines() {
    return this.sending.size + this.#lines.audio + this.#lines.video > 0;
  }

  async #negotiate() {
    // A line is made with the worker its frames pass through, or without one for good.
    if ((this.copied || this.recorded) && this.#red?.state === "loading") await this.#red.known();
    if (this.#closed || (!this.peer && !this.#hasLines)) return;
    const peer = this.#openPeer();
    const restart = this.#restart;
    this.#restart = false;
    try {
      // What a closed peer connection was asked for is never answered.
      const abandoned = new Promise((_resolve, reject) => {
        this.#abandon = () => reject(new WitnessError("internal", "the peer connection was replaced"));
      });
      await Promise.race([this.#exchange(peer, restart), abandoned]);
      this.#refusals = 0;
    } catch (error) {
      // A peer connection that was replaced meanwhile may fail as it likes.
      if (peer !== this.peer) return;
      this.#restart ||= restart;
      await this.#afterFailure(peer, WitnessError.from(error));
    }
  }

  /**
   * @param {RTCPeerConnection} peer
   * @param {boolean} iceRestart
   */
  async #exchange(peer, iceRestart) {
    this.#addLines(peer);
    await setLocalOffer(peer, await peer.createOffer({ iceRestart }));
    const tracks = [...this.sending].flatMap(([source, { transceiver, muted }]) => {
      if (!transceiver?.mid) return [];
      const sizes = this.layered ? encodingSizes(transceiver.sender) : [];
      return [{ mid: transceiver.mid, source, muted, ...(sizes.length > 0 ? { encodings: sizes } : {}) }];
    });
    const offer = peer.localDescription?.sdp ?? "";
    const answer = await this.#sendOffer({
      ...(this.deflates ? { sdp_deflate: await deflated(offer) } : { sdp: offer }),
      tracks, ...(this.dtlsServer ? { dtls_server: true } : {}),
    });
    const sdp = answer.sdp ?? (await inflated(answer.sdp_deflate ?? ""));
    if (peer !== this.peer) return;
    const floor = this.#floor.wanted;
    try {
      await peer.setRemoteDescription({ type: "answer", sdp: withVideoFloor(sdp, floor) });
    } catch (error) {
      throw new WitnessError("bad_sdp", "the browser refused the answer", { cause: error });
    }
    if (peer === this.peer) {
      this.#answer = sdp;
      this.#floor.applied = floor;
    }
    this.#learn(peer, answer);
  }

  /**
   * @param {RTCPeerConnection} peer
   * @param {WitnessError} error
   */
  async #afterFailure(peer, error) {
    if (error.code === "bad_sdp" && this.#refusals === 0) {
      this.#refusals += 1;
      this.#dropPeer();
      await this.#negotiate();
      return;
    }
    if (peer.signalingState === "have-local-offer") await peer.setLocalDescription({ type: "rollback" });
    throw error;
  }

  /** @param {RTCPeerConnection} peer */
  #addLines(peer) {
    for (const [source, sending] of this.sending) {
      if (!sending.transceiver) sending.transceiver = this.#sendingLine(peer, source, sending.track);
    }
    for (const kind of /** @type {const} */ (["audio", "video"])) {
      const receivers = this.#receivers[kind];
      while (receivers.length < this.#lines[kind]) {
        const transceiver = peer.addTransceiver(kind, { direction: "recvonly" });
        if (kind === "video" && this.#codec) applyCodecPreference(transceiver, this.#codec);
        receivers.push(transceiver);
      }
    }
  }

  /**
   * @param {RTCPeerConnection} peer
   * @param {Source} source
   * @param {MediaStreamTrack} track
   */
  #sendingLine(peer, source, track) {
    // The encodings of a line are fixed when it is made, so a screen never takes a camera's.
    const fits = (/** @type {Source} */ other) => !this.layered || other === source || KIND_OF[source] === "audio";
    const spare = this.#spare.findIndex(
      (entry) => entry.line.sender.track === null && kindOf(entry.line) === KIND_OF[source] && fits(entry.source),
    );
    const reused = spare >= 0 ? this.#spare.splice(spare, 1)[0]?.line : undefined;
    if (reused) {
      reused.direction = "sendonly";
      void reused.sender.replaceTrack(track);
      return reused;
    }
    const encodings = this.layered ? encodingsFor(track, { source, codec: this.#codec }) : [];
    const transceiver = addSendingLine(peer, track, encodings);
    if (this.copied && track.kind === "audio") this.#red?.adopt(transceiver);
    if (this.recorded) this.#red?.pass(transceiver);
    if (track.kind === "video" && this.#codec) applyCodecPreference(transceiver, this.#codec);
    return transceiver;
  }

  /**
   * Takes over which line carries what.
   *
   * @param {RTCPeerConnection} peer
   * @param {Answer} answer
   */
  #learn(peer, answer) {
    const lines = new Map(peer.getTransceivers().map((transceiver) => [transceiver.mid, transceiver]));
    for (const { mid, track_id: trackId } of answer.published) {
      const sending = [...this.sending.values()].find(({ transceiver }) => transceiver?.mid === mid);
      if (sending) sending.trackId = trackId;
    }
    this.receiving = new Map();
    for (const { mid, track_id: trackId, participant_id: participantId } of answer.subscribed) {
      const receiver = lines.get(mid)?.receiver;
      if (receiver) this.receiving.set(trackId, { trackId, mid, participantId, track: receiver.track, receiver });
    }
    this.emit("sending", this.sending);
    this.emit("receiving", this.receiving);
  }
}

/**
 * @param {RTCPeerConnection} peer
 * @param {RTCSessionDescriptionInit} offer
 */
async function setLocalOffer(peer, offer) {
  const sdp = withAudioNack(offer.sdp ?? "");
  if (sdp !== offer.sdp) {
    try {
      await peer.setLocalDescription({ type: "offer", sdp });
      return;
    } catch {
      // A browser that takes its offers only as it made them: audio is repaired by copies alone.
    }
  }
  await peer.setLocalDescription(offer);
}

/** @param {RTCRtpTransceiver} transceiver */
function kindOf(transceiver) {
  return transceiver.receiver.track.kind;
}

function noFloor() {
  return { wanted: /** @type {number | null} */ (null), applied: /** @type {number | null} */ (null), due: false };
}
