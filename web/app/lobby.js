import { LevelMeter, describeError, watchDevices } from "/sdk/witness.js";
import { h, icon } from "./dom.js";
import { language, onLanguage, say, t } from "./language.js";
import { fillDevices, listDevices } from "./local_media.js";
import { ROLES } from "./params.js";

/**
 * @typedef {import("./local_media.js").DeviceSource} DeviceSource
 * @typedef {import("/sdk/errors.js").WitnessError} WitnessError
 *
 * @typedef {object} LobbyOptions
 * @property {import("./local_media.js").LocalMedia} local
 * @property {boolean} demo Name and role may be chosen; otherwise the token says them.
 * @property {string} name
 * @property {import("/sdk/protocol.js").Role | null} role
 * @property {string} room
 * @property {WitnessError | null} error Why the last attempt failed.
 * @property {(choice: { name: string, role: import("/sdk/protocol.js").Role }) => Promise<void>} join
 */

/** Where people check camera and microphone before they join. */
export class Lobby {
  element;
  /** @type {LevelMeter | null} */
  #meter = null;
  #frame = 0;
  #stop;
  #options;
  #video = h("video", { class: "preview-video", tabindex: "-1", playsinline: true, muted: true, autoplay: true, label: "lobby.preview" });
  #placeholder = h("p", { class: "preview-note", role: "status" });
  #level = h("div", { class: "level", role: "meter", label: "lobby.level", "aria-valuemin": "0", "aria-valuemax": "100" });
  #speak = h("p", { class: "hint" });
  #problems = h("div", { class: "problems" });
  #camera = h("select", { id: "lobby-camera" });
  #microphone = h("select", { id: "lobby-microphone" });
  #cameraSwitch;
  #microphoneSwitch;
  #name = h("input", { id: "lobby-name", autocomplete: "name", maxlength: "64", required: true });
  #role = h("select", { id: "lobby-role" });
  #join = h("button", { type: "submit", class: "primary", t: "lobby.join" });
  #error = h("div", { class: "problems", role: "alert" });

  /** @param {LobbyOptions} options */
  constructor(options) {
    this.#options = options;
    this.#video.muted = true;
    this.#cameraSwitch = this.#deviceSwitch("camera");
    this.#microphoneSwitch = this.#deviceSwitch("microphone");
    this.#camera.addEventListener("change", () => void this.#choose("camera", this.#camera.value));
    this.#microphone.addEventListener("change", () => void this.#choose("microphone", this.#microphone.value));
    for (const role of ROLES) this.#role.append(h("option", { value: role, t: `role.${role}` }));
    this.#role.value = options.role ?? "customer";
    this.#name.value = options.name;
    this.element = this.#layout();
    const stops = [watchDevices(() => void this.#listDevices()), onLanguage(() => this.#show())];
    this.#stop = () => stops.forEach((stop) => stop());
    if (options.error) this.fail(options.error);
  }

  async start() {
    this.#show();
    if (this.#sends) {
      say(this.#placeholder, "lobby.opening");
      await this.#options.local.open();
    }
    await this.#listDevices();
    this.#show();
    this.#animate();
  }

  close() {
    cancelAnimationFrame(this.#frame);
    this.#meter?.close();
    this.#video.srcObject = null;
    this.#stop();
  }

  /** @param {WitnessError} error */
  fail(error) {
    this.#error.replaceChildren(problemCard(error.code));
    this.#busy(false);
  }

  get #sends() {
    return this.#options.demo || this.#options.role !== "supervisor";
  }

  #layout() {
    const { demo, name, role, room } = this.#options;
    const identity = demo
      ? [
          field("lobby.name", this.#name),
          field("lobby.role", this.#role),
        ]
      : [h("p", { class: "lobby-as", t: "lobby.as", values: { name: name || t(`role.${role ?? "customer"}`) } })];
    const badge = !demo && role ? h("span", { class: `badge badge-${role}`, t: `role.${role}` }) : null;
    const devices = this.#sends
      ? [field("lobby.camera", this.#camera), field("lobby.microphone", this.#microphone)]
      : [h("p", { class: "hint", t: "lobby.listen_only" })];
    const form = h(
      "form",
      { class: "lobby-form", novalidate: true, on: { submit: (/** @type {Event} */ event) => void this.#submit(event) } },
      h("h1", { t: "lobby.title" }),
      h("p", { class: "lobby-room" }, h("span", { t: "lobby.room", values: { room } }), badge),
      ...identity,
      ...devices,
      this.#error,
      this.#join,
    );
    const preview = h(
      "section",
      { class: "preview", label: "lobby.preview" },
      h(
        "div",
        { class: "preview-frame" },
        this.#video,
        this.#placeholder,
        h("div", { class: "preview-switches" }, this.#microphoneSwitch, this.#cameraSwitch),
      ),
      h("div", { class: "level-row" }, icon("mic"), this.#level),
      this.#speak,
      this.#problems,
    );
    return h("main", { class: `lobby ${this.#sends ? "" : "lobby-narrow"}` }, this.#sends ? preview : null, form);
  }

  /** @param {DeviceSource} source */
  #deviceSwitch(source) {
    const toggle = async () => {
      const { local } = this.#options;
      local.setOff(source, !local.off[source]);
      if (local.off[source]) local.close(source);
      else await local.open([source]);
      await this.#listDevices();
      this.#show();
    };
    return h("button", { type: "button", class: "round", on: { click: () => void toggle() } }, icon(source === "camera" ? "camera" : "mic"));
  }

  /**
   * @param {DeviceSource} source
   * @param {string} deviceId
   */
  async #choose(source, deviceId) {
    const { local } = this.#options;
    local.setOff(source, false);
    await local.choose(source, deviceId);
    this.#show();
  }

  async #listDevices() {
    const { local } = this.#options;
    const { cameras, microphones } = await listDevices();
    const texts = (/** @type {string} */ kind) => ({ none: t("lobby.none"), fallback: t(kind) });
    fillDevices(this.#camera, cameras, local.deviceIds.camera, texts("lobby.camera"));
    fillDevices(this.#microphone, microphones, local.deviceIds.microphone, texts("lobby.microphone"));
  }

  #show() {
    const { local } = this.#options;
    const { camera, microphone } = local.tracks;
    const shown = this.#video.srcObject instanceof MediaStream ? this.#video.srcObject.getVideoTracks()[0] : null;
    if (shown !== camera) this.#video.srcObject = camera ? new MediaStream([camera]) : null;
    this.#video.hidden = camera === null;
    this.#placeholder.hidden = camera !== null;
    if (camera === null) {
      say(this.#placeholder, local.off.camera ? "lobby.camera_off" : local.problems.camera ? "lobby.camera_failed" : "lobby.ask");
    }
    this.#showSwitch(this.#cameraSwitch, "camera", local.off.camera);
    this.#showSwitch(this.#microphoneSwitch, "mic", local.off.microphone);
    this.#meter?.close();
    this.#meter = microphone ? new LevelMeter(microphone) : null;
    this.#showProblems();
  }

  /**
   * @param {HTMLButtonElement} button
   * @param {"camera" | "mic"} name
   * @param {boolean} off
   */
  #showSwitch(button, name, off) {
    button.replaceChildren(icon(off ? `${name}-off` : name));
    button.classList.toggle("is-off", off);
    const keys = name === "camera" ? ["control.camera_on", "control.camera_off"] : ["control.unmute", "control.mute"];
    say(button, /** @type {string} */ (keys[off ? 0 : 1]), undefined, "tLabel");
  }

  #showProblems() {
    const { problems } = this.#options.local;
    const entries = /** @type {[DeviceSource, WitnessError][]} */ (Object.entries(problems));
    const [first, second] = entries;
    const both = first && second && first[1].code === second[1].code;
    const cards = both
      ? [problemCard(first[1].code, "lobby.both")]
      : entries.map(([source, error]) => problemCard(error.code, `lobby.${source}`));
    if (cards.length > 0) {
      const retry = h("button", { type: "button", class: "secondary", t: "lobby.retry", on: { click: () => void this.start() } });
      cards.push(h("div", { class: "problem-actions" }, retry, h("span", { class: "hint", t: "lobby.without" })));
    }
    this.#problems.replaceChildren(...cards);
  }

  #animate() {
    cancelAnimationFrame(this.#frame);
    /** @type {boolean | null} */
    let said = null;
    const step = () => {
      const level = this.#meter?.read() ?? 0;
      const waits = this.#meter !== null && !this.#meter.running;
      if (this.#speak.classList.toggle("is-waiting", waits) !== said) {
        said = waits;
        say(this.#speak, waits ? "lobby.speak_after_click" : "lobby.speak");
      }
      this.#level.style.setProperty("--level", level.toFixed(3));
      this.#level.setAttribute("aria-valuenow", String(Math.round(level * 100)));
      this.#frame = requestAnimationFrame(step);
    };
    step();
  }

  /** @param {Event} event */
  async #submit(event) {
    event.preventDefault();
    const name = this.#name.value.trim();
    if (this.#options.demo && !name) {
      this.#name.setAttribute("aria-invalid", "true");
      this.#error.replaceChildren(h("p", { class: "problem-title", t: "lobby.name_needed" }));
      this.#name.focus();
      return;
    }
    this.#name.removeAttribute("aria-invalid");
    this.#error.replaceChildren();
    this.#busy(true);
    await this.#options.join({ name, role: /** @type {import("/sdk/protocol.js").Role} */ (this.#role.value) });
  }

  /** @param {boolean} busy */
  #busy(busy) {
    this.#join.disabled = busy;
    say(this.#join, busy ? "lobby.joining" : "lobby.join");
  }
}

/**
 * What happened and what to do, in the language of the page.
 *
 * @param {string} code
 * @param {string} [subject] Text key of what it is about.
 */
export function problemCard(code, subject) {
  const title = h("p", { class: "problem-title" });
  const advice = h("p", { class: "problem-advice" });
  const card = h("div", { class: "problem" }, icon("alert"), h("div", {}, title, advice));
  const show = () => {
    const explained = describeError(code, language());
    const join = language() === "en" ? ": " : "：";
    title.textContent = subject ? t(subject) + join + explained.title : explained.title;
    advice.textContent = explained.advice;
  };
  show();
  const stop = onLanguage(() => (card.isConnected ? show() : stop()));
  return card;
}

/**
 * @param {string} text
 * @param {HTMLInputElement | HTMLSelectElement} input
 */
function field(text, input) {
  return h("div", { class: "field" }, h("label", { for: input.id, t: text }), input);
}
