import { Witness, WitnessError, environmentProblem } from "/sdk/witness.js";
import { CallView } from "./call_view.js";
import { fetchDemoToken } from "./demo.js";
import { h, icon } from "./dom.js";
import { language, setLanguage, startLanguage } from "./language.js";
import { Lobby, problemCard } from "./lobby.js";
import { LocalMedia } from "./local_media.js";
import { describeToken, readParams, withoutToken } from "./params.js";
import { UploadNote } from "./uploads.js";

/**
 * @typedef {import("/sdk/witness.js").Call} Call
 * @typedef {import("/sdk/protocol.js").Role} Role
 * @typedef {{ element: HTMLElement, close?: () => void }} View
 */

const params = readParams(location);
if (params.token) history.replaceState(null, "", withoutToken(location));
const demoRoom = params.room ?? "demo";
const identity = params.token ? describeToken(params.token) : null;
const local = new LocalMedia();
const root = /** @type {HTMLElement} */ (document.getElementById("app"));
const uploads = new UploadNote();
/** @type {View | null} */
let shown = null;

/**
 * @param {string} name For tests and measurements: which view is shown.
 * @param {View} view
 */
function show(name, view) {
  shown?.close?.();
  shown = view;
  document.documentElement.dataset.view = name;
  // Around a dark call the browser's own bars are dark too.
  document.querySelector("meta[name=theme-color]")?.setAttribute("content", name === "call" ? "#111a18" : "#f4f3ee");
  root.replaceChildren(name === "call" ? "" : brand(), view.element, uploads.element, languageSwitch());
}

function brand() {
  return h("header", { class: "brand" }, h("span", { class: "seal", "aria-hidden": "true" }, "证"), h("span", { class: "brand-name", t: "app.title" }), h("span", { class: "brand-line", t: "app.tagline" }));
}

function languageSwitch() {
  const change = () => setLanguage(language() === "zh-CN" ? "en" : "zh-CN");
  return h("button", { type: "button", class: "language", t: "language.switch", label: "language.label", on: { click: change } });
}

/** @param {...Node} content */
function card(...content) {
  return { element: h("main", { class: "card" }, ...content) };
}

/** @param {string} key */
function showWaiting(key) {
  show("waiting", card(h("div", { class: "spinner", "aria-hidden": "true" }), h("p", { class: "card-title", role: "status", t: key })));
}

/** @param {WitnessError} error Nothing can be done on this page. */
function showProblem(error) {
  const element = problemCard(error.code);
  element.setAttribute("role", "alert");
  show("problem", card(element));
}

/** @param {WitnessError | null} error */
function showLobby(error) {
  const demo = params.token === null;
  if (demo && !isLoopback(location.hostname)) {
    show("problem", card(icon("alert"), h("h1", { class: "card-title", t: "link.title" }), h("p", { t: "link.text" })));
    return;
  }
  const lobby = new Lobby({
    local,
    demo,
    error,
    name: identity?.name ?? params.name,
    role: identity ? identity.role : params.role,
    room: identity?.room || demoRoom,
    join: async ({ name, role }) => {
      try {
        const token = params.token ?? (await fetchDemoToken({ room: demoRoom, role, name }));
        enter(await Witness.join({ token, ...options() }));
      } catch (cause) {
        lobby.fail(WitnessError.from(cause));
      }
    },
  });
  show("lobby", lobby);
  Witness.prepare();
  void lobby.start();
}

/** @param {Call} call A call that was joined, or resumed after a reload. */
function enter(call) {
  const view = new CallView(call, local, () => tokenOf(call));
  show("call", view);
  call.on("closed", (reason) => showEnded(reason));
  call.on("upload", (progress) => uploads.show(progress));
  if (params.debug) Object.assign(globalThis, { witness: { call } });
}

/**
 * The room's token for what goes over HTTP: that of the link, or a demonstration's. A page that was reloaded has no link any more.
 *
 * @param {Call} call
 * @returns {Promise<string | null>}
 */
async function tokenOf(call) {
  if (params.token) return params.token;
  if (!isLoopback(location.hostname)) return null;
  return fetchDemoToken({ room: call.info.room_id, role: call.info.role, name: "" });
}

function options() {
  return { language: language(), codec: params.codec, tracks: local.tracks, muted: local.muted };
}

/** @param {WitnessError} reason */
function showEnded(reason) {
  local.closeAll();
  delete document.documentElement.dataset.connection;
  delete document.documentElement.dataset.recording;
  const again = reason.code === "resume_superseded" || reason.code === "token_expired" ? [] : [
    h("button", { type: "button", class: "primary", t: "ended.rejoin", on: { click: () => showLobby(null) } }),
  ];
  const element = problemCard(reason.code);
  element.classList.toggle("problem-calm", reason.code === "left");
  element.setAttribute("role", "status");
  show("ended", card(element, ...again));
}

async function begin() {
  startLanguage(params.language);
  const problem = environmentProblem();
  if (problem) {
    showProblem(problem);
    return;
  }
  void Witness.recoverUploads((progress) => uploads.show(progress));
  if (!params.token && Witness.canResume({ room: params.room })) {
    showWaiting("call.resuming");
    try {
      // A microphone that was muted stays published, so that its track goes on.
      await local.open(["microphone", "camera"], ["microphone"]);
      const call = await Witness.resume(options());
      if (call) {
        enter(call);
        return;
      }
    } catch (error) {
      showLobby(WitnessError.from(error));
      return;
    }
  }
  showLobby(null);
}

/** @param {string} host */
function isLoopback(host) {
  return host === "localhost" || host.endsWith(".localhost") || host === "[::1]" || /^127(\.\d+){3}$/.test(host);
}

void begin();
