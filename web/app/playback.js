import { h, icon } from "./dom.js";
import { language, onLanguage, setLanguage, startLanguage, useStrings } from "./language.js";
import { readParams, withoutToken } from "./params.js";
import { PlaybackApi, PlaybackError } from "./playback_api.js";
import { FindView, PurposeView } from "./playback_find.js";
import { PLAYBACK_STRINGS } from "./playback_strings.js";
import { RecordingView } from "./playback_view.js";

/** @typedef {{ element: HTMLElement, close?: () => void }} View */

const STORED = "witness.staff";
const params = readParams(location);
const root = /** @type {HTMLElement} */ (document.getElementById("app"));
const wanted = new URLSearchParams(location.search).get("session") ?? "";
if (params.token) history.replaceState(null, "", withoutToken(location));
/** @type {View | null} */
let shown = null;
/** Makes the present view anew, in another language. @type {() => void} */
let again = () => {};

/** For this tab only, so that the page may be loaded again. @returns {string | null} */
function keptToken() {
  try {
    if (params.token) sessionStorage.setItem(STORED, params.token);
    return params.token ?? sessionStorage.getItem(STORED);
  } catch {
    return params.token;
  }
}

/** @param {string} name @param {View} view */
function show(name, view) {
  shown?.close?.();
  shown = view;
  document.documentElement.dataset["view"] = name;
  const brand = h("header", { class: "brand" }, h("span", { class: "seal", "aria-hidden": "true" }, "证"), h("span", { class: "brand-name", t: "app.title" }), h("span", { class: "brand-line", t: "playback.tagline" }));
  const change = () => setLanguage(language() === "zh-CN" ? "en" : "zh-CN");
  root.replaceChildren(brand, view.element, h("button", { type: "button", class: "language", t: "language.switch", label: "language.label", on: { click: change } }));
}

/** @param {string} title @param {Record<string, string>} values @param {(() => void) | null} retry */
function showProblem(title, values, retry) {
  again = () => showProblem(title, values, retry);
  const button = retry ? h("button", { type: "button", class: "primary", t: "playback.retry", on: { click: retry } }) : null;
  show("problem", { element: h("main", { class: "card" }, icon("alert"), h("p", { class: "card-title", role: "alert", t: title, values }), button) });
}

/** @param {PlaybackApi} api */
function begin(api) {
  /** @param {unknown} error @param {() => void} retry */
  const fail = (error, retry) => {
    const { code, status } = error instanceof PlaybackError ? error : { code: String(error), status: -1 };
    if (code === "no_view") retry();
    else if (status === 401 || status === 403) showProblem("playback.denied", {}, null);
    else showProblem(status === 0 ? "playback.offline" : "playback.failed", { code }, retry);
  };

  const find = () => {
    history.replaceState(null, "", location.pathname);
    again = find;
    show("find", new FindView(api, (found) => why(found.session), (error) => fail(error, find)));
  };

  /** @param {string} session */
  const why = (session) => {
    history.replaceState(null, "", `?session=${encodeURIComponent(session)}`);
    again = () => why(session);
    show("purpose", new PurposeView(session, (told) => void open(session, told), find));
  };

  /** @param {string} session @param {{ purpose: string, note: string }} told */
  const open = async (session, told) => {
    try {
      await api.open(session, told);
      await watch(session);
    } catch (error) {
      fail(error, () => why(session));
    }
  };

  /** @param {string} session */
  const watch = async (session) => {
    const recording = await api.recording(session);
    const made = () => show("recording", new RecordingView(api, recording, find, (error) => fail(error, () => why(session))));
    again = made;
    made();
  };

  if (/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/.test(wanted)) why(wanted);
  else find();
}

useStrings(PLAYBACK_STRINGS, ["见证 · 录像调阅", "Witness · Recordings"]);
startLanguage(params.language);
onLanguage(() => again());
const token = keptToken();
if (token) begin(new PlaybackApi(token));
else show("problem", { element: h("main", { class: "card" }, icon("alert"), h("h1", { class: "card-title", t: "playback.link" }), h("p", { t: "playback.link_text" })) });
