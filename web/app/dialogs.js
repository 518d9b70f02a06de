import { describeError, watchDevices } from "/sdk/witness.js";
import { h, icon } from "./dom.js";
import { language, t } from "./language.js";
import { fillDevices, listDevices } from "./local_media.js";
import { Sound } from "./sound.js";

/**
 * Asks a question with two answers.
 *
 * @param {object} options
 * @param {string} options.title
 * @param {Record<string, string>} [options.values]
 * @param {string} options.text
 * @param {string} options.yes
 * @param {string} options.no
 * @param {boolean} [options.danger] Whether yes is something to think about.
 * @param {number} [options.expiresInS] After which the question closes by itself.
 * @returns {Promise<boolean | null>} Null when it closed without an answer.
 */
export function ask({ title, values, text, yes, no, danger = false, expiresInS }) {
  const { promise, resolve } = settleable();
  const answer = (/** @type {string} */ value) => () => dialog.close(value);
  const heading = h("h2", { t: title, values, id: `ask-${(asked += 1)}` });
  const dialog = h(
    "dialog",
    { class: "dialog", "aria-labelledby": heading.id },
    heading,
    h("p", { t: text }),
    h(
      "div",
      { class: "dialog-actions" },
      h("button", { type: "button", class: "secondary", t: no, on: { click: answer("no") } }),
      h("button", { type: "button", class: danger ? "primary danger" : "primary", t: yes, on: { click: answer("yes") } }),
    ),
  );
  const timer = expiresInS ? setTimeout(() => dialog.close(""), expiresInS * 1000) : undefined;
  dialog.addEventListener("close", () => {
    clearTimeout(timer);
    dialog.remove();
    resolve(dialog.returnValue === "yes" ? true : dialog.returnValue === "no" ? false : null);
  });
  document.body.append(dialog);
  dialog.showModal();
  return promise;
}

let asked = 0;

/** @returns {{ promise: Promise<boolean | null>, resolve: (value: boolean | null) => void }} */
function settleable() {
  /** @type {(value: boolean | null) => void} */
  let resolve = () => {};
  const promise = new Promise((/** @type {(value: boolean | null) => void} */ settle) => (resolve = settle));
  return { promise, resolve };
}

/**
 * Lets people change microphone, camera and speaker during the call.
 *
 * @param {object} options
 * @param {import("./local_media.js").LocalMedia} options.local
 * @param {(source: import("./local_media.js").DeviceSource, deviceId: string) => Promise<void>} options.choose
 * @param {(deviceId: string) => void} options.chooseSpeaker
 */
export function openDevices({ local, choose, chooseSpeaker }) {
  const problem = h("p", { class: "problem-advice", role: "alert" });
  const pick = (/** @type {import("./local_media.js").DeviceSource} */ source) =>
    h("select", {
      id: `call-${source}`,
      on: {
        change: (/** @type {Event} */ event) => {
          problem.textContent = "";
          const { value } = /** @type {HTMLSelectElement} */ (event.target);
          choose(source, value).catch((error) => {
            const { title, advice } = describeError(error.code ?? "internal", language());
            problem.textContent = `${title} · ${advice}`;
          });
        },
      },
    });
  const camera = pick("camera");
  const microphone = pick("microphone");
  const speaker = h("select", { id: "call-speaker", on: { change: () => chooseSpeaker(speaker.value) } });
  const row = (/** @type {string} */ text, /** @type {HTMLSelectElement} */ select) =>
    h("div", { class: "field" }, h("label", { for: select.id, t: text }), select);
  const dialog = h(
    "dialog",
    { class: "dialog", label: "devices.title" },
    h(
      "header",
      { class: "panel-head" },
      h("h2", { t: "devices.title" }),
      h("button", { type: "button", class: "plain", label: "control.close", on: { click: () => dialog.close() } }, icon("close")),
    ),
    row("lobby.camera", camera),
    row("lobby.microphone", microphone),
    Sound.canChoose ? row("lobby.speaker", speaker) : null,
    problem,
  );
  const fill = async () => {
    const devices = await listDevices();
    const texts = (/** @type {string} */ kind) => ({ none: t("lobby.none"), fallback: t(kind) });
    fillDevices(camera, devices.cameras, local.deviceIds.camera, texts("lobby.camera"));
    fillDevices(microphone, devices.microphones, local.deviceIds.microphone, texts("lobby.microphone"));
    fillDevices(speaker, devices.speakers, speaker.value, texts("lobby.speaker"));
  };
  const stop = watchDevices(() => void fill());
  dialog.addEventListener("close", () => {
    stop();
    dialog.remove();
  });
  document.body.append(dialog);
  void fill();
  dialog.showModal();
}
