import { AudioProtection } from "./audio_protection.js";
import { Timer } from "./clock.js";
import { connectionStatus } from "./connection.js";
import { canDeflate } from "./deflate.js";
import { cameraConstraints, microphoneConstraints, openTrack } from "./devices.js";
import { EarlyOffer } from "./early_offer.js";
import { Emitter } from "./emitter.js";
import { WitnessError } from "./errors.js";
import { DTLS_SERVER, KIND_OF, LAYERS, MAX_TEXT, PROTECTION, RECORDING, SDP_DEFLATE } from "./protocol.js";
import { uploadRate } from "./recording.js";
import { MediaRecovery } from "./recovery.js";
import { Roster } from "./roster.js";
import { SizeWatch } from "./sizes.js";
import { StatsReader, linkOf, pathOf, receivedOf } from "./stats.js";
import { UdpReturn } from "./udp_return.js";
import { Watching } from "./watching.js";

/**
 * @typedef {import("./protocol.js").ParticipantInfo} ParticipantInfo
 * @typedef {import("./protocol.js").TrackInfo} TrackInfo
 * @typedef {import("./protocol.js").Source} Source
 * @typedef {import("./protocol.js").Joined} Joined
 * @typedef {import("./protocol.js").TextMessage} TextMessage
 * @typedef {import("./protocol.js").PersonQuality} PersonQuality
 * @typedef {import("./protocol.js").QualityReport} QualityReport
 * @typedef {import("./protocol.js").AskedConsent} AskedConsent
 * @typedef {import("./protocol.js").Finding} Finding
 * @typedef {import("./protocol.js").Permission} Permission
 * @typedef {import("./connection.js").ConnectionStatus} ConnectionStatus
 * @typedef {import("./recovery.js").MediaState} MediaState
 *
 * @typedef {object} Initial What the first offer sends, as far as the grant allows.
 * @property {Partial<Record<Source, MediaStreamTrack | null>>} tracks
 * @property {readonly Source[]} muted Sources to begin muted.
 *
 * @typedef {object} MuteQuestion Somebody asks this participant to mute a track; nobody can be unmuted by another.
 * @property {string} requestId
 * @property {TrackInfo} track
 * @property {ParticipantInfo | undefined} by
 * @property {number} expiresInS
 *
 * @typedef {object} CallEvents
 * @property {ConnectionStatus} connection
 * @property {{ change: "joined" | "left" | "presence", participant: ParticipantInfo, reason?: string }} participants
 * @property {{ change: "published" | "unpublished" | "muted", track: TrackInfo, by?: string }} tracks
 * @property {void} media Which tracks are received or sent changed; read them with `mediaTrack`.
 * @property {{ active: string | null, levels: Map<string, number> }} speakers Levels in dBov, by track id.
 * @property {PersonQuality[]} quality
 * @property {TextMessage} message From somebody else.
 * @property {MuteQuestion} mute_asked
 * @property {{ requestId: string, trackId: string, accepted: boolean, reason: string }} mute_result
 * @property {{ trackId: string, reason: string }} track_unavailable
 * @property {{ source: Source }} device_lost The device was unplugged or taken away.
 * @property {{ deadlineS: number }} draining
 * @property {{ alert: string, severity: string, cause: string, ended: boolean }} alert Something is wrong with the recording; RMs are told.
 * @property {readonly AskedConsent[]} consents What detectors would like to do with one's own media; people have to be asked.
 * @property {{ ask: string, withinS: number }} challenge One is asked to do something for the camera, and detectors look whether.
 * @property {Finding} finding What a detector found, or that it is over; RMs are told.
 * @property {import("./recording.js").RecordingView} recording Whether the call is recorded; people have to be shown it.
 * @property {import("./recording.js").Progress} upload Of what the recording lacks; goes on after the call is closed.
 * @property {QualityReport} stats
 * @property {WitnessError} error Something failed that nobody waits for; the call goes on.
 * @property {WitnessError} closed The call is over.
 */

const STATS_MS = 1000;
/** Reports are for every second sample. */
const REPORT_EVERY = 2;
/** A server that says something every two seconds and was silent for this long can't be heard. */
const SILENT_MS = 5000;

/**
 * One participation in a room.
 *
 * Made by `join` and `resume` of `witness.js`; data objects have the shapes of docs/protocol.md.
 *
 * @extends {Emitter<CallEvents>}
 */
export class Call extends Emitter {
  /** @type {Joined | null} */
  #joined = null;
  /** What the server says of the media; null while it hasn't said anything that still holds. @type {string | null} */
  #serverMedia = null;
  #hadMedia = false;
  #reporting = false;
  #samples = 0;
  /** The server gives advice against loss of audio. */
  #advised = false;
  #stats = new StatsReader();
  #roster = new Roster();
  #sizes;
  #layered = false;
  /** The peer connection sizes were said for. @type {RTCPeerConnection | null} */
  #sizedPeer = null;
  #clock;
  #protection;
  #red;
  #recording;
  #watching = new Watching();
  /** Of the own connection. @type {string | undefined} */
  #score;
  /** Bytes sent, and when that was read. @type {{ bytes: number, at: number } | null} */
  #sent = null;
  /** The peer connection the protection is for. @type {RTCPeerConnection | null} */
  #protectedPeer = null;
  #signal;
  #media;
  #recovery;
  #udpReturn;
  #statsTimer;
  #initial;
  #early;
  /** @type {ConnectionStatus} */
  #connection;

  /**
   * @param {object} parts
   * @param {import("./signal.js").Signal} parts.signal
   * @param {import("./media.js").Media} parts.media
   * @param {import("./clock.js").Clock} parts.clock
   * @param {import("./sizes.js").View | null} [parts.view] Null where nothing is shown.
   * @param {Initial} [parts.initial]
   * @param {import("./red_sender.js").RedSenders | null} [parts.red] As given to `media`.
   * @param {import("./recording.js").Recording | null} [parts.recording]
   */
  constructor({ signal, media, clock, view = null, initial = { tracks: {}, muted: [] }, red = null, recording = null }) {
    super();
    this.#clock = clock;
    this.#red = red;
    this.#recording = recording;
    recording?.on("state", (state) => this.emit("recording", state));
    recording?.on("progress", (progress) => this.emit("upload", progress));
    this.#protection = new AudioProtection(red);
    this.#initial = initial;
    this.#signal = signal;
    this.#media = media;
    this.#early = new EarlyOffer({ media, failed: (error) => this.#report(error) });
    this.#statsTimer = new Timer(clock);
    this.#sizes = view && new SizeWatch({ clock, view, say: (tracks) => this.#saySizes(tracks) });
    this.#recovery = new MediaRecovery(clock, (remedy) => this.#remedy(remedy));
    this.#udpReturn = new UdpReturn(clock.random);
    this.#connection = connectionStatus(signal.status, "none", false);
    signal.on("state", ({ state }) => {
      if (state !== "open") this.#serverMedia = null;
      this.#refresh();
      // What the reply to the hello says of the media comes right after, and decides between remedies.
      queueMicrotask(() => this.#recovery.signaling(this.#signal.status.state === "open"));
    });
    signal.on("joined", ({ data, how }) => this.#onJoined(data, how));
    signal.on("notice", (notice) => this.#onNotice(notice));
    signal.on("closed", (reason) => this.#onClosed(reason));
    media.on("state", () => this.#refresh());
    media.on("path", () => this.#recovery.path());
    media.on("sending", () => this.#onSending());
    media.on("receiving", () => {
      // Of a new peer connection the server knows no sizes yet.
      if (this.#media.receiving.size > 0 && this.#media.peer !== this.#sizedPeer) {
        this.#sizedPeer = this.#media.peer;
        this.#sizes?.startOver();
      }
      this.emit("media", undefined);
    });
    media.on("error", (error) => this.#report(error));
    this.#followRoster();
  }

  // --- who and what

  /** The last `joined` or `resumed` reply. @throws {WitnessError} `not_joined`. @returns {Joined} */
  get info() {
    if (!this.#joined) throw new WitnessError("not_joined", "the call was not joined yet");
    return this.#joined;
  }

  get selfId() {
    return this.#roster.selfId;
  }

  get connection() {
    return this.#connection;
  }

  /** Everybody else, in the order they came. */
  get participants() {
    return [...this.#roster.participants.values()];
  }

  /** @param {string} participantId */
  participant(participantId) {
    return this.#roster.participants.get(participantId);
  }

  /** Published tracks of one participant, one's own included. @param {string} participantId */
  tracksOf(participantId) {
    return this.#roster.tracksOf(participantId);
  }

  /** @param {string} trackId */
  track(trackId) {
    return this.#roster.tracks.get(trackId);
  }

  /** What can be played for a track: received, or one's own. @param {string} trackId */
  mediaTrack(trackId) {
    const own = [...this.#media.sending.values()].find((sending) => sending.trackId === trackId);
    return own?.track ?? this.#media.receiving.get(trackId)?.track ?? null;
  }

  /** What is sent for a source. @param {Source} source */
  localTrack(source) {
    return this.#media.sending.get(source)?.track ?? null;
  }

  /** @param {Source} source */
  isMuted(source) {
    return this.#media.sending.get(source)?.muted ?? true;
  }

  /** @param {Source} source */
  mayPublish(source) {
    return this.#joined?.grant.publish.includes(source) ?? false;
  }

  /** The peer connection, for measurements; null before media is needed. */
  get peer() {
    return this.#media.peer;
  }

  /**
   * What is done about loss of audio: who decides, and what holds for each sent and received track.
   *
   * @returns {{ steering: "server" | "own", sending: { source: Source, offsets: readonly number[], bitrateBps: number | null,
   *   counts: import("./red_sender.js").RedCounts | null }[], receiving: { trackId: string, delayMs: number }[] }}
   */
  get protection() {
    const sending = this.#sendingAudio().flatMap(({ source, mid, sender }) => {
      const { offsets = [], bitrateBps = null } = this.#protection.applied.get(mid) ?? {};
      return [{ source, offsets, bitrateBps, counts: this.#red?.countsOf(sender) ?? null }];
    });
    const receiving = [...this.#media.receiving.values()].map(({ trackId, receiver }) => ({
      trackId, delayMs: this.#protection.heldMs(receiver),
    }));
    return { steering: this.#protection.steering, sending, receiving };
  }

  /** Makes the first offer before the call is joined. */
  offerEarly() {
    for (const [source, track] of /** @type {[Source, MediaStreamTrack | null][]} */ (Object.entries(this.#initial.tracks))) {
      if (track) this.#watch(source, track);
    }
    this.#early.make(this.#initial, this.#recording !== null, () => this.#joined);
    this.#initial = { tracks: {}, muted: [] };
  }

  /** Whether the call is recorded; null where the server never said so. */
  get recording() {
    return this.#recording?.view ?? null;
  }

  /** What detectors ask for, and what is held. @returns {readonly AskedConsent[]} */
  get consents() {
    return this.#watching.consents;
  }

  /** What detectors found that goes on; for RMs. @returns {readonly Finding[]} */
  get findings() {
    return this.#watching.open;
  }

  /**
   * Allows detectors something, for this session.
   *
   * @param {Permission} permission
   * @param {"zh" | "en"} language Of the text that was shown.
   * @throws {WitnessError} `unknown_request` where nobody asks for it.
   */
  async giveConsent(permission, language) {
    await this.#signal.request("consent.give", { permission, text_sha256: this.#watching.digest(permission, language) });
  }

  /** Withdraws a consent: what needs it stops within a second. @param {Permission} permission */
  async withdrawConsent(permission) {
    await this.#signal.request("consent.withdraw", { permission });
  }

  /** Says that a finding was seen (RM only). @param {string} findingId */
  async acknowledgeFinding(findingId) {
    await this.#signal.request("finding.acknowledge", { finding_id: findingId });
  }

  // --- own media

  /**
   * Starts sending tracks; a source that is already published gets the new track.
   *
   * @param {Partial<Record<Source, MediaStreamTrack | null>>} tracks
   * @param {{ muted?: Source[] }} [options] Sources to begin muted.
   * @returns {Promise<void>} Settles when the server has answered the offer.
   * @throws {WitnessError} `forbidden`, `bad_sdp`, `no_common_codec`, `timeout`.
   */
  async publish(tracks, { muted = [] } = {}) {
    const wanted = /** @type {[Source, MediaStreamTrack | null][]} */ (Object.entries(tracks));
    await Promise.all(
      wanted.map(([source, track]) => {
        if (!track) return undefined;
        if (!this.mayPublish(source)) throw new WitnessError("forbidden", `the grant has no ${source}`);
        this.#watch(source, track);
        return this.#media.publish(source, track, muted.includes(source));
      }),
    );
  }

  /**
   * Stops sending a source and releases its device.
   *
   * @param {Source} source
   */
  async unpublish(source) {
    const track = this.localTrack(source);
    await this.#media.unpublish(source);
    track?.stop();
  }

  /**
   * Mutes or unmutes one's own source. Muting works at once, whatever the network does; unmuting holds when the server
   * has agreed.
   *
   * @param {Source} source
   * @param {boolean} muted
   */
  async setMuted(source, muted) {
    const trackId = this.#media.sending.get(source)?.trackId;
    if (muted || !trackId) this.#media.setMuted(source, muted);
    if (!trackId) return;
    if (muted) this.#roster.setOwnMuted(trackId, true);
    await this.#signal.request("mute", { track_id: trackId, muted });
    if (muted) return;
    this.#media.setMuted(source, false);
    this.#roster.setOwnMuted(trackId, false);
  }

  /**
   * Sends from another microphone or camera, without interrupting the call.
   *
   * @param {"microphone" | "camera"} source
   * @param {string} deviceId
   * @returns {Promise<MediaStreamTrack>} The new track.
   * @throws {WitnessError} A device error; then the old device goes on, unless the system can only open one at a time.
   */
  async switchDevice(source, deviceId) {
    const constraints =
      source === "microphone" ? { audio: microphoneConstraints(deviceId) } : { video: cameraConstraints(deviceId) };
    const old = this.localTrack(source);
    const track = await openTrack(constraints).catch((error) => {
      if (error.code !== "device_busy" || !old) throw error;
      // Phones open one camera at a time.
      old.stop();
      return openTrack(constraints);
    });
    this.#watch(source, track);
    await this.#media.replace(source, track);
    old?.stop();
    this.emit("media", undefined);
    return track;
  }

  // --- others

  /**
   * Says how large a received video is shown, for as long as it is: nobody is sent more than they see. A track that was
   * never watched is received at its best.
   *
   * @param {string} trackId
   * @param {Element} element The `<video>`, or what surrounds it.
   * @returns {() => void} Ends it; a track that is shown nowhere is not sent any more.
   */
  watchSize(trackId, element) {
    return this.#sizes?.watch(trackId, element) ?? (() => {});
  }

  /** @param {import("./sizes.js").ShownTrack[]} tracks */
  async #saySizes(tracks) {
    // Without a socket it is said when there is one again, and by then it may be something else.
    if (!this.#layered || !this.#signal.ready) return;
    await this.#signal.request("layers.want", { tracks });
  }

  /**
   * Says what comes first for everybody where a link can't carry all (RM only).
   *
   * @param {"screen" | "faces"} first
   */
  async putFirst(first) {
    await this.#signal.request("layers.first", { first });
  }

  /** @param {string} trackId */
  async subscribe(trackId) {
    await this.#signal.request("subscribe", { track_id: trackId });
  }

  /** @param {string} trackId */
  async unsubscribe(trackId) {
    await this.#signal.request("unsubscribe", { track_id: trackId });
  }

  /**
   * Asks for another's track to be muted (RM only).
   *
   * @param {string} trackId
   * @returns {Promise<"muted" | "asked">} What happened depends on the policy for the other's role.
   */
  async requestMute(trackId) {
    const reply = await this.#signal.request("mute.request", { track_id: trackId });
    return reply.state;
  }

  /**
   * Answers a `mute_asked` event.
   *
   * @param {MuteQuestion} question
   * @param {boolean} accept
   */
  async answerMute({ requestId, track }, accept) {
    if (accept) this.#media.setMuted(track.source, true);
    await this.#signal.request("mute.answer", { request_id: requestId, accept });
    if (accept) this.#roster.setOwnMuted(track.track_id, true);
  }

  /**
   * @param {string} text At most `info.limits.text_chars` characters.
   * @param {string | null} [to] One participant, or null for the room.
   * @returns {Promise<TextMessage>} As the others get it.
   */
  async sendMessage(text, to = null) {
    const limit = this.#joined?.limits?.text_chars ?? MAX_TEXT;
    if ([...text].length > limit) throw new WitnessError("too_large", `more than ${limit} characters`);
    const { message_id, at } = await this.#signal.request("message", { text, to });
    return { message_id, at, from: this.selfId, to, text };
  }

  /** The page learned that the network is another, or back. */
  networkChanged() {
    this.#udpReturn.networkChanged(this.#clock.now());
    this.#signal.networkChanged();
  }

  /** Leaves for good. */
  leave() {
    this.#signal.leave();
  }

  // --- what the server says

  /**
   * @param {Joined} data
   * @param {"joined" | "resumed" | "rejoined"} how
   */
  #onJoined(data, how) {
    const first = this.#joined === null;
    this.#joined = data;
    // Also where nothing else changed: credentials for TURN expire.
    this.#media.iceServers = data.ice_servers ?? [];
    this.#layered = data.features?.includes(LAYERS) ?? false;
    this.#media.layered = this.#layered;
    this.#advised = data.features?.includes(PROTECTION) ?? false;
    this.#media.copied = this.#advised;
    this.#media.dtlsServer = data.features?.includes(DTLS_SERVER) ?? false;
    this.#media.deflates = (data.features?.includes(SDP_DEFLATE) ?? false) && canDeflate();
    if (this.#recording) this.#recording.participant = data.participant_id;
    this.#media.recorded = (data.features?.includes(RECORDING) ?? false) && this.#recording !== null;
    this.#sizes?.startOver();
    // Said of a connection that a page which was reloaded doesn't have any more, and of no other.
    this.#serverMedia = how === "resumed" && this.#media.peer ? data.media : null;
    this.#refresh();
    if (data.replay && !first) return;
    this.#watching.startOver();
    this.#roster.replace(data);
    if (first && this.#early.made) {
      this.#early.joined(data, this.#roster.ownTracks);
    } else {
      if (first) this.#prepare(data);
      this.#media.setLines(data.lines);
    }
    if (how === "rejoined") this.#media.rebuild().catch((error) => this.#report(error));
    if (first) this.#measureLater();
  }

  /**
   * What is to be sent goes into the very first offer: after a reload an offer without it would end the tracks others
   * are still showing. What was muted stays muted.
   *
   * @param {Joined} data
   */
  #prepare(data) {
    const { tracks, muted } = this.#initial;
    const silent = new Set([...muted, ...this.#roster.ownTracks.filter((track) => track.muted).map(({ source }) => source)]);
    this.#initial = { tracks: {}, muted: [] };
    for (const source of data.grant.publish) {
      const track = tracks[source];
      if (!track) continue;
      this.#watch(source, track);
      this.#media.prepare(source, track, silent.has(source));
    }
  }

  /** @param {import("./protocol.js").Incoming} notice */
  #onNotice(notice) {
    const { type, data } = notice;
    if (this.#roster.apply(notice)) return;
    switch (type) {
      case "negotiate":
        this.#media.setLines({ audio: Number(data.audio) || 0, video: Number(data.video) || 0 });
        break;
      case "media.state":
        this.#serverMedia = data.state;
        this.#refresh();
        break;
      case "layers.wanted":
        this.#media.setDemand(data.track_id, data.encodings ?? []).catch((error) => this.#report(error));
        break;
      case "protection":
        this.#protectionOf(this.#media.peer).onProtection(data);
        this.#media.setFloor(this.#protection.floorBps);
        break;
      case "playout":
        this.#protectionOf(this.#media.peer).onPlayout(data);
        break;
      case "recording":
        this.#recording?.onNotice(data);
        this.#carry();
        break;
      case "consents":
        this.emit("consents", this.#watching.onConsents(data));
        break;
      case "challenge":
        this.emit("challenge", { ask: data.ask, withinS: data.within_s });
        break;
      case "finding":
        this.emit("finding", this.#watching.onFinding(data));
        break;
      case "gap.want":
        this.#recording?.onWant(data);
        break;
      case "speakers":
        this.emit("speakers", { active: data.active ?? null, levels: new Map(data.levels ?? []) });
        break;
      case "quality":
        this.#score = (data.participants ?? []).find((/** @type {any} */ item) => item.participant_id === this.selfId)?.score;
        this.emit("quality", data.participants ?? []);
        break;
      case "message":
        this.emit("message", /** @type {TextMessage} */ (/** @type {unknown} */ (data)));
        break;
      case "mute.asked":
        this.#onMuteAsked(data);
        break;
      case "mute.result": {
        const { request_id: requestId, track_id: trackId, accepted, reason } = data;
        this.emit("mute_result", { requestId, trackId, accepted, reason: reason ?? "answered" });
        break;
      }
      case "track.unavailable":
        this.emit("track_unavailable", { trackId: data.track_id, reason: data.reason });
        break;
      case "alert":
        this.emit("alert", { alert: data.alert, severity: data.severity, cause: data.cause, ended: data.state === "ended" });
        break;
      case "draining":
        this.emit("draining", { deadlineS: data.deadline_s });
        break;
      case "error":
        this.#report(WitnessError.fromMessage(data));
        break;
      default:
      // A newer server's notice: ignored, as the protocol asks.
    }
  }

  /** @param {Record<string, any>} data */
  #onMuteAsked(data) {
    const track = this.#roster.tracks.get(data.track_id);
    if (!track) return;
    const by = this.#roster.participants.get(data.by);
    this.emit("mute_asked", { requestId: data.request_id, track, by, expiresInS: data.expires_in_s ?? 30 });
  }

  /** @param {WitnessError} reason */
  #onClosed(reason) {
    this.#statsTimer.clear();
    this.#sizes?.close();
    this.#recovery.close();
    for (const { track } of this.#media.sending.values()) track.stop();
    this.#media.close();
    if (this.#recording?.isKnown) {
      // The worker stays until nothing is left to upload.
      this.#recording.on("finished", () => this.#red?.close());
      this.#recording.finish();
    } else {
      this.#red?.close();
    }
    this.emit("closed", reason);
  }

  // --- keeping state in step

  #followRoster() {
    const roster = this.#roster;
    roster.on("joined", (participant) => this.emit("participants", { change: "joined", participant }));
    roster.on("left", ({ participant, reason }) => this.emit("participants", { change: "left", participant, reason }));
    roster.on("presence", (participant) => this.emit("participants", { change: "presence", participant }));
    roster.on("published", (track) => this.emit("tracks", { change: "published", track }));
    roster.on("unpublished", (track) => {
      this.#sizes?.forget(track.track_id);
      this.emit("tracks", { change: "unpublished", track });
    });
    roster.on("muted", ({ track, by }) => {
      // Muted by somebody else: what the server drops must not be recorded by the browser either.
      if (track.muted && track.participant_id === this.selfId) this.#media.setMuted(track.source, true);
      this.emit("tracks", { change: "muted", track, by });
    });
  }

  /** The server tells nobody about his own tracks, so the answer does. */
  #onSending() {
    const own = [...this.#media.sending].flatMap(([source, { trackId, muted }]) =>
      trackId ? [{ track_id: trackId, participant_id: this.selfId, kind: KIND_OF[source], source, muted }] : [],
    );
    this.#roster.setOwnTracks(own);
    for (const source of this.#early.takeToMute(own.map((track) => track.source))) {
      this.setMuted(source, true).catch((error) => this.#report(error));
    }
    this.#carry();
    this.emit("media", undefined);
  }

  /** Says which track each line carries that passes through the worker. */
  #carry() {
    this.#recording?.carry([...this.#media.sending.values()].flatMap(({ trackId, transceiver }) => {
      const line = transceiver ? this.#red?.lineOf(transceiver.sender) : undefined;
      if (!line || !trackId) return [];
      return [{ line, id: trackId, mimeType: transceiver?.sender.getParameters?.().codecs?.[0]?.mimeType }];
    }));
  }

  /**
   * @param {Source} source
   * @param {MediaStreamTrack} track
   */
  #watch(source, track) {
    track.addEventListener("ended", () => {
      if (this.localTrack(source) !== track) return;
      if (source === "screen" || source === "screen_audio") {
        this.unpublish(source).catch((error) => this.#report(error));
      } else {
        this.emit("device_lost", { source });
      }
    });
  }

  // --- connection

  /** @returns {MediaState} What is true at both ends: this browser may still send into a path the server gave up. */
  get #mediaState() {
    const local = this.#media.state;
    if (local !== "connected") return local;
    const server = this.#serverMedia;
    return server === "disconnected" || server === "failed" ? server : local;
  }

  #refresh() {
    const media = this.#mediaState;
    if (media === "connected") this.#hadMedia = true;
    // An early offer waits for the hello, which is nothing to recover from.
    if (this.#joined) this.#recovery.media(media, this.#serverMedia === "failed");
    const status = connectionStatus(this.#signal.status, media, this.#hadMedia);
    const before = this.#connection;
    this.#connection = status;
    const same = before.state === status.state && before.media === media && before.signaling === status.signaling;
    if (!same) this.emit("connection", status);
  }

  /** @param {import("./recovery.js").Remedy} remedy */
  async #remedy(remedy) {
    // What the server said is true of the connection that is given up.
    if (remedy === "rebuild") this.#serverMedia = null;
    try {
      await (remedy === "restart_ice" ? this.#media.restartIce() : this.#media.rebuild());
    } catch (error) {
      // The recovery's own timer tries again.
      this.#report(error);
    }
  }

  /** @param {unknown} error */
  #report(error) {
    const known = WitnessError.from(error);
    // Requests cut short by the end of the call, or by joining anew, aren't news.
    if (known.code !== "closed" && known.code !== "connection_lost") this.emit("error", known);
  }

  // --- measurements

  #measureLater() {
    this.#statsTimer.set(STATS_MS, () => {
      this.#measureLater();
      this.#measure().catch((error) => this.#report(error));
    });
  }

  async #measure() {
    const peer = this.#media.peer;
    if (!peer) return;
    const stats = await peer.getStats();
    const ids = new Map();
    for (const { mid, track, trackId } of this.#media.receiving.values()) ids.set(mid, trackId).set(track.id, trackId);
    /** @type {import("./stats.js").StatsEntry[]} */
    const entries = [];
    stats.forEach((entry) => entries.push(entry));
    if (peer !== this.#media.peer) return;
    this.#media.pulse(receivedOf(entries));
    this.#protect(peer, entries);
    this.#returnToUdp(entries);
    this.#leaveRoom(entries);
    this.#samples += 1;
    if (this.#samples % REPORT_EVERY !== 0) return;
    const report = this.#stats.read(entries, (entry) => ids.get(entry.mid) ?? ids.get(entry.trackIdentifier));
    this.emit("stats", report);
    if (this.#reporting || !this.#signal.ready) return;
    this.#reporting = true;
    try {
      await this.#signal.request("quality.report", report);
    } finally {
      this.#reporting = false;
    }
  }

  /** @param {import("./stats.js").StatsEntry[]} entries */
  #returnToUdp(entries) {
    const well = this.#mediaState === "connected" && this.#signal.ready;
    if (!this.#udpReturn.sample(this.#clock.now(), pathOf(entries), well)) return;
    this.#media.restartIce().catch((error) => this.#report(error));
  }

  /** Lets uploads have what the call doesn't need. @param {import("./stats.js").StatsEntry[]} entries */
  #leaveRoom(entries) {
    if (!this.#recording?.isKnown) return;
    const { sentBytes, availableBps } = linkOf(entries);
    const [before, now] = [this.#sent, { bytes: sentBytes, at: this.#clock.now() }];
    this.#sent = now;
    if (!before || now.at <= before.at) return;
    this.#recording.allow(uploadRate({
      protectsAudio: [...this.#protection.applied.values()].some(({ offsets }) => offsets.length > 0),
      score: this.#score,
      availableBps,
      sendingBps: Math.max(0, (now.bytes - before.bytes) * 8000) / (now.at - before.at),
    }));
  }

  // --- loss of audio

  #sendingAudio() {
    return [...this.#media.sending].flatMap(([source, { transceiver }]) =>
      KIND_OF[source] === "audio" && transceiver?.mid ? [{ source, mid: transceiver.mid, sender: transceiver.sender }] : [],
    );
  }

  /** @param {RTCPeerConnection | null} peer What was said of another one is forgotten. */
  #protectionOf(peer) {
    if (peer !== this.#protectedPeer) this.#protection.startOver();
    this.#protectedPeer = peer;
    return this.#protection;
  }

  /**
   * @param {RTCPeerConnection} peer
   * @param {import("./stats.js").StatsEntry[]} entries
   */
  #protect(peer, entries) {
    const protection = this.#protectionOf(peer);
    const sending = this.#sendingAudio();
    const receiving = [...this.#media.receiving.values()].map(({ mid, participantId, track, receiver }) => ({
      mid, participantId, kind: /** @type {"audio" | "video"} */ (track.kind), receiver,
    }));
    const guided = this.#advised && this.#signal.silentMs < SILENT_MS;
    protection.tick({ nowMs: this.#clock.now(), guided, entries, sending, receiving });
    this.#media.setFloor(protection.floorBps);
    // Nothing is sent on a line before its offer was answered.
    const isSettled = peer.signalingState === "stable" && this.#media.state === "connected";
    if (!protection.isStuck(entries, isSettled ? sending : [])) return;
    // The worker is gone: sound matters more than copies.
    this.#red?.giveUp();
    this.#media.rebuild().catch((error) => this.#report(error));
  }
}
