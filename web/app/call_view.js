import { WitnessError, canShareScreen, describeError, openScreen } from "/sdk/witness.js";
import { bannerFor, timeLeft } from "./banner.js";
import { ChallengeView } from "./challenge.js";
import { Checks } from "./checks.js";
import { ChecksApi } from "./checks_api.js";
import { ConsentsView } from "./consents.js";
import { ask, openDevices } from "./dialogs.js";
import { control, h, icon } from "./dom.js";
import { language, onLanguage, say, t } from "./language.js";
import { Hints } from "./hints.js";
import { Messages } from "./messages.js";
import { Sound } from "./sound.js";
import { Stage } from "./stage.js";
import { Toasts } from "./toasts.js";

/**
 * @typedef {import("/sdk/witness.js").Call} Call
 * @typedef {import("/sdk/call.js").CallEvents} CallEvents
 * @typedef {import("/sdk/protocol.js").TrackInfo} TrackInfo
 * @typedef {import("./local_media.js").LocalMedia} LocalMedia
 * @typedef {import("./local_media.js").DeviceSource} DeviceSource
 */

const EXPIRY_NOTICE_MINUTES = 5;

/** The call itself: pictures, controls, messages, and what is wrong when something is. */
export class CallView {
  element;
  #call;
  #local;
  #toasts = new Toasts();
  #stage;
  #sound;
  #messages;
  #consents;
  #hints;
  #challenge;
  #checksApi;
  /** @type {Checks | null} */
  #checks = null;
  #status = h("span", { class: "pill" });
  #recording = h("span", { class: "pill pill-recording", role: "status" });
  #banner = h("div", { class: "banner", role: "status", "aria-live": "polite" });
  #bannerText = h("span");
  #bannerRetry = h("span", { class: "banner-retry", "aria-live": "off" });
  #hear = h("button", { type: "button", class: "hear", on: { click: () => this.#sound.unblock() } }, icon("sound"), h("span", { t: "call.hear" }));
  #controls;
  #retryAt = 0;
  /** @type {number | null} */
  #drainAt = null;
  #wasDown = false;
  #busy = new Set();
  #clock;
  /** @type {(() => void)[]} */
  #stops = [];

  /**
   * @param {Call} call
   * @param {LocalMedia} local
   * @param {() => Promise<string | null>} token For what goes over HTTP.
   */
  constructor(call, local, token) {
    this.#call = call;
    this.#local = local;
    this.#checksApi = new ChecksApi(call.info.room_id, token);
    this.#challenge = new ChallengeView(call);
    this.#stage = new Stage(call, (track) => void this.#askMute(track), (id, button) => this.#openChecks(id, button));
    this.#sound = new Sound((blocked) => (this.#hear.hidden = !blocked));
    this.#messages = new Messages({
      send: (text) => call.sendMessage(text),
      changed: () => this.#showControls(),
    });
    this.#consents = new ConsentsView(call, (error) => this.#fail(error));
    this.#hints = new Hints(call, (id) => this.#nameOf(id), (error) => this.#fail(error));
    this.#controls = this.#makeControls();
    this.#hear.hidden = true;
    this.#banner.append(icon("alert"), this.#bannerText, this.#bannerRetry);
    this.element = this.#layout();
    this.#follow();
    this.#clock = setInterval(() => this.#everySecond(), 1000);
    this.#showAll();
    this.#showConnection();
    this.#showRecording();
  }

  close() {
    clearInterval(this.#clock);
    for (const stop of this.#stops) stop();
    this.#stage.close();
    this.#sound.close();
    this.#consents.close();
    this.#hints.close();
    this.#challenge.close();
    this.#checks?.close();
    for (const dialog of document.querySelectorAll("dialog")) dialog.remove();
  }

  #layout() {
    const { room_id: room } = this.#call.info;
    const { microphone, camera, share, messages, devices, leave } = this.#controls;
    return h(
      "main",
      { class: "call" },
      h("header", { class: "call-head" }, h("h1", { class: "call-room", t: "lobby.room", values: { room } }), this.#consents.button, this.#recording, this.#status),
      this.#banner,
      h("div", { class: "call-body" }, this.#stage.element, this.#messages.element, this.#toasts.element, this.#hints.element, this.#challenge.element),
      this.#hear,
      h(
        "nav",
        { class: "controls", label: "call.controls" },
        microphone.button, camera.button, share.button, messages.button, devices.button, leave.button,
      ),
      this.#sound.element,
    );
  }

  #makeControls() {
    const call = this.#call;
    const controls = {
      microphone: control("mic", "control.mute", () => void this.#toggle("microphone")),
      camera: control("camera", "control.camera_off", () => void this.#toggle("camera")),
      share: control("screen", "control.share", () => void this.#toggleScreen()),
      messages: control("chat", "control.messages", () => this.#messages.toggle()),
      devices: control("tune", "control.devices", () => this.#openDevices()),
      leave: control("leave", "control.leave", () => void this.#leave(), "control-leave"),
    };
    controls.microphone.button.hidden = !call.mayPublish("microphone");
    controls.camera.button.hidden = !call.mayPublish("camera");
    controls.devices.button.hidden = !call.mayPublish("microphone") && !call.mayPublish("camera");
    controls.share.button.hidden = !call.mayPublish("screen") || !canShareScreen();
    controls.messages.button.hidden = call.info.role === "supervisor";
    controls.messages.button.setAttribute("aria-controls", "messages");
    return controls;
  }

  #follow() {
    const call = this.#call;
    /** @type {<Name extends keyof CallEvents>(name: Name, listener: (detail: CallEvents[Name]) => void) => void} */
    const on = (name, listener) => void this.#stops.push(call.on(name, listener));
    on("connection", () => this.#showConnection());
    on("participants", (event) => this.#onPeople(event));
    on("tracks", (event) => this.#onTracks(event));
    on("media", () => this.#showAll());
    on("consents", () => this.#showAll());
    on("speakers", ({ active }) => this.#stage.setSpeaker(active));
    on("quality", (people) => this.#stage.setQuality(people));
    on("message", (message) => this.#messages.receive(message, this.#nameOf(message.from)));
    on("mute_asked", (question) => void this.#onMuteAsked(question));
    on("mute_result", (result) => this.#onMuteResult(result));
    on("track_unavailable", ({ trackId }) => this.#stage.setUnavailable(trackId));
    on("device_lost", ({ source }) => this.#toasts.show("devices.lost", { device: t(`lobby.${source}`) }));
    on("alert", (alert) => this.#toasts.showAlert(alert));
    on("draining", ({ deadlineS }) => {
      this.#drainAt = Date.now() + deadlineS * 1000;
      this.#showConnection();
    });
    on("recording", () => this.#showRecording());
    on("error", (error) => this.#fail(error));
    this.#stops.push(onLanguage(() => this.#showConnection()));
  }

  // --- what happens

  /** @param {CallEvents["participants"]} event */
  #onPeople({ change, participant, reason }) {
    const name = participant.name || participant.participant_id;
    if (change === "joined") this.#toasts.show("people.joined", { name });
    if (change === "left") this.#toasts.show(reason === "left" ? "people.left" : "people.lost", { name });
    this.#showAll();
  }

  /** @param {CallEvents["tracks"]} event */
  #onTracks({ change, track, by }) {
    const own = track.participant_id === this.#call.selfId;
    if (change === "muted" && own && track.muted && by && by !== this.#call.selfId) {
      this.#toasts.show("mute.by", { name: this.#nameOf(by) });
      this.#local.setOff(/** @type {DeviceSource} */ (track.source), true);
      if (track.source === "camera") this.#local.close("camera");
    }
    this.#showAll();
  }

  /** @param {CallEvents["mute_asked"]} question */
  async #onMuteAsked(question) {
    const name = question.by?.name || t(`role.${question.by?.role ?? "rm"}`);
    const accept = await ask({
      title: "mute.question",
      values: { name },
      text: question.track.kind === "audio" ? "mute.question_text" : "mute.question_video",
      yes: "mute.accept",
      no: "mute.decline",
      expiresInS: question.expiresInS,
    });
    if (accept === null) return;
    if (accept) this.#local.setOff(/** @type {DeviceSource} */ (question.track.source), true);
    await this.#try(() => this.#call.answerMute(question, accept));
  }

  /** @param {CallEvents["mute_result"]} result */
  #onMuteResult({ trackId, accepted, reason }) {
    const owner = this.#call.track(trackId)?.participant_id;
    if (!owner) return;
    const key = accepted ? "mute.done" : reason === "expired" ? "mute.expired" : "mute.declined";
    this.#toasts.show(key, { name: this.#nameOf(owner) });
  }

  // --- what the person does

  /** @param {TrackInfo} track */
  async #askMute(track) {
    await this.#try(async () => {
      const outcome = await this.#call.requestMute(track.track_id);
      this.#toasts.show(outcome === "asked" ? "mute.asked" : "mute.done", { name: this.#nameOf(track.participant_id) });
    });
  }

  /** @param {string} id @param {HTMLElement} button */
  #openChecks(id, button) {
    this.#checks?.close();
    this.#checks = new Checks({ call: this.#call, api: this.#checksApi, who: { id, name: this.#nameOf(id) }, opener: button });
    this.#hints.element.before(this.#checks.element);
    this.#checks.element.focus();
  }

  /** @param {DeviceSource} source */
  async #toggle(source) {
    if (this.#busy.has(source)) return;
    this.#busy.add(source);
    await this.#try(() => (this.#call.isMuted(source) ? this.#switchOn(source) : this.#switchOff(source)));
    this.#busy.delete(source);
    this.#showAll();
  }

  /** @param {DeviceSource} source */
  async #switchOff(source) {
    this.#local.setOff(source, true);
    const told = this.#call.setMuted(source, true);
    this.#showAll();
    // A camera that is off lets its light go out; a microphone stays open, so that unmuting takes no time.
    if (source === "camera") this.#local.close("camera");
    await told;
  }

  /** @param {DeviceSource} source */
  async #switchOn(source) {
    this.#local.setOff(source, false);
    await this.#local.open([source]);
    const track = this.#local.tracks[source];
    if (!track) throw this.#local.problems[source] ?? new WitnessError("device_failed");
    if (this.#call.localTrack(source) !== track) await this.#call.publish({ [source]: track }, { muted: [source] });
    await this.#call.setMuted(source, false);
  }

  async #toggleScreen() {
    const call = this.#call;
    await this.#try(async () => {
      if (call.localTrack("screen")) {
        await Promise.all([call.unpublish("screen"), call.unpublish("screen_audio")]);
        return;
      }
      const { screen, screenAudio } = await openScreen();
      await call.publish({ screen, screen_audio: call.mayPublish("screen_audio") ? screenAudio : null });
    });
    this.#showAll();
  }

  #openDevices() {
    openDevices({
      local: this.#local,
      choose: async (source, deviceId) => {
        // A muted microphone is open, and stays muted when another takes its place; a camera that is off is not.
        if (this.#call.localTrack(source)?.readyState !== "live") {
          this.#local.deviceIds[source] = deviceId;
          return;
        }
        this.#local.adopt(source, await this.#call.switchDevice(source, deviceId));
        this.#showAll();
      },
      chooseSpeaker: (deviceId) => this.#sound.chooseSpeaker(deviceId),
    });
  }

  async #leave() {
    const sure = await ask({ title: "leave.title", text: "leave.text", yes: "control.leave", no: "leave.stay", danger: true });
    if (sure) this.#call.leave();
  }

  /** @param {() => Promise<void>} action */
  async #try(action) {
    try {
      await action();
    } catch (error) {
      this.#fail(error);
    }
  }

  /** @param {unknown} error */
  #fail(error) {
    const { code } = WitnessError.from(error);
    // The end of the call has a page of its own; a picker that was closed needs no comment.
    if (code === "closed" || code === "screen_denied") return;
    const { title, advice } = describeError(code, language());
    this.#toasts.showText(language() === "en" ? `${title}. ${advice}` : `${title}。${advice}`);
  }

  // --- what is shown

  /** @param {string} participantId */
  #nameOf(participantId) {
    if (participantId === this.#call.selfId) return t("call.you");
    return this.#call.participant(participantId)?.name || participantId;
  }

  #showAll() {
    this.#stage.update();
    /** @type {Map<string, MediaStreamTrack>} */
    const sounds = new Map();
    for (const { participant_id: id } of this.#call.participants) {
      for (const { kind, track_id: trackId } of this.#call.tracksOf(id)) {
        const track = kind === "audio" ? this.#call.mediaTrack(trackId) : null;
        if (track) sounds.set(trackId, track);
      }
    }
    this.#sound.set(sounds);
    this.#hints.update();
    // As hints: what others see of a shared screen must not hold it. And nobody is asked who has gone.
    const checked = this.#checks?.participantId;
    if (this.#call.localTrack("screen") || (checked && !this.#call.participant(checked))) this.#checks?.close();
    this.#showControls();
  }

  #showControls() {
    if (!this.#controls) return;
    const { microphone, camera, share, messages } = this.#controls;
    const call = this.#call;
    const silent = call.isMuted("microphone");
    microphone.show(silent ? "mic-off" : "mic", silent ? "control.unmute" : "control.mute", silent);
    const dark = call.isMuted("camera");
    camera.show(dark ? "camera-off" : "camera", dark ? "control.camera_on" : "control.camera_off", dark);
    const sharing = call.localTrack("screen") !== null;
    share.show("screen", sharing ? "control.share_stop" : "control.share");
    share.button.classList.toggle("is-active", sharing);
    const { open, unread } = this.#messages;
    messages.button.setAttribute("aria-expanded", String(open));
    messages.button.classList.toggle("is-active", open);
    messages.button.dataset.unread = unread > 0 ? String(Math.min(unread, 99)) : "";
    if (unread > 0) say(messages.button, "control.messages_new", { count: unread }, "tLabel");
    else say(messages.button, "control.messages", undefined, "tLabel");
  }

  #showConnection() {
    const status = this.#call.connection;
    document.documentElement.dataset.connection = status.state;
    document.documentElement.dataset.media = status.media;
    this.#status.className = `pill pill-${status.state}`;
    say(this.#status, `state.${status.state}`);
    const down = status.state === "lost" || status.state === "media_lost" || status.state === "signaling_lost";
    if (down && !this.#wasDown) this.#stage.forget();
    if (!down && this.#wasDown && status.state === "connected") this.#toasts.show("banner.restored");
    this.#wasDown = down || (this.#wasDown && status.state !== "connected");
    if (status.state !== "closed") this.#showBanner();
  }

  #showRecording() {
    const state = this.#call.recording?.state ?? "off";
    document.documentElement.dataset.recording = state;
    this.#recording.hidden = state === "off";
    this.#recording.classList.toggle("is-on", state === "on");
    if (state !== "off") say(this.#recording, `recording.${state}`);
  }

  #showBanner() {
    const now = Date.now();
    const expiresAt = Date.parse(this.#call.info.grant.expires_at);
    const banner = bannerFor(this.#call.connection, {
      drain: this.#drainAt === null ? null : timeLeft(this.#drainAt, now, Infinity),
      expiry: timeLeft(expiresAt, now, EXPIRY_NOTICE_MINUTES),
    });
    this.#banner.hidden = banner === null;
    if (!banner) return;
    this.#banner.className = `banner banner-${banner.tone}`;
    // Set only when it changes, so that screen readers don't repeat it every second.
    const key = banner.key + JSON.stringify(banner.values ?? {}) + language();
    if (this.#bannerText.dataset.shown !== key) {
      this.#bannerText.dataset.shown = key;
      say(this.#bannerText, banner.key, banner.values);
    }
    this.#retryAt = banner.retryInMs > 0 ? now + banner.retryInMs : 0;
    this.#showRetry();
  }

  #showRetry() {
    const seconds = Math.ceil((this.#retryAt - Date.now()) / 1000);
    this.#bannerRetry.textContent = this.#retryAt > 0 && seconds > 0 ? t("banner.retry_in", { seconds }) : "";
  }

  #everySecond() {
    this.#showRetry();
    if (this.#call.connection.state === "connected") this.#showBanner();
  }
}
