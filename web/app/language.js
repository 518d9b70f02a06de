import { pickLanguage } from "/sdk/i18n.js";
import { STRINGS } from "./strings.js";

/** @typedef {import("/sdk/i18n.js").Language} Language */
/** @typedef {Record<string, string | number>} Values */

const STORED = "witness.language";
/** Attributes that carry text: `data-t-label="key"` sets `aria-label`. */
const TARGETS = /** @type {const} */ ({ tLabel: "aria-label", tTitle: "title", tPlaceholder: "placeholder" });

/** @type {Record<string, [string, string]>} */
let strings = STRINGS;
/** @type {[string, string]} */
let title = ["见证 · 视频面签", "Witness · Video meeting"];

/** @type {Language} */
let current = "zh-CN";
/** @type {Set<() => void>} */
const listeners = new Set();

/**
 * Texts of another page than the call, before {@link startLanguage}.
 *
 * @param {Record<string, [string, string]>} more
 * @param {[string, string]} named The page's title.
 */
export function useStrings(more, named) {
  strings = { ...STRINGS, ...more };
  title = named;
}

/** The language as texts of the server are keyed. @returns {"zh" | "en"} */
export function textLanguage() {
  return language() === "en" ? "en" : "zh";
}

export function language() {
  return current;
}

/** @param {Language | null} wanted From the address; otherwise what was chosen before, or what the browser prefers. */
export function startLanguage(wanted) {
  let stored = null;
  try {
    stored = localStorage.getItem(STORED);
  } catch {
    // Storage is forbidden: the browser's preference decides each time.
  }
  const known = stored === "zh-CN" || stored === "en" ? stored : null;
  setLanguage(wanted ?? known ?? pickLanguage(navigator.languages ?? [navigator.language]), false);
}

/**
 * @param {Language} wanted
 * @param {boolean} [remember]
 */
export function setLanguage(wanted, remember = true) {
  current = wanted;
  if (remember) {
    try {
      localStorage.setItem(STORED, wanted);
    } catch {
      // It holds for this page then.
    }
  }
  document.documentElement.lang = wanted;
  document.title = wanted === "zh-CN" ? title[0] : title[1];
  translate(document.body);
  for (const listener of listeners) listener();
}

/** @param {() => void} listener @returns {() => void} Stops it. */
export function onLanguage(listener) {
  listeners.add(listener);
  return () => void listeners.delete(listener);
}

/**
 * @param {string} key
 * @param {Values} [values]
 */
export function t(key, values = {}) {
  const [chinese, english] = strings[key] ?? [key, key];
  const text = current === "zh-CN" ? chinese : english;
  return text.replace(/\{(\w+)\}/g, (_, name) => String(values[name] ?? ""));
}

/**
 * Gives an element a text that follows the language.
 *
 * @param {Element} element
 * @param {string} key
 * @param {Values} [values]
 * @param {"t" | keyof typeof TARGETS} [target]
 */
export function say(element, key, values, target = "t") {
  if (!(element instanceof HTMLElement || element instanceof SVGElement)) return;
  element.dataset[target] = key;
  if (values) element.dataset[`${target}Values`] = JSON.stringify(values);
  else delete element.dataset[`${target}Values`];
  render(element, target);
}

/** @param {ParentNode} root */
function translate(root) {
  for (const element of root.querySelectorAll("[data-t]")) render(element, "t");
  for (const target of /** @type {(keyof typeof TARGETS)[]} */ (Object.keys(TARGETS))) {
    const attribute = target.replace(/[A-Z]/, (letter) => `-${letter.toLowerCase()}`);
    for (const element of root.querySelectorAll(`[data-${attribute}]`)) render(element, target);
  }
}

/**
 * @param {Element} element
 * @param {"t" | keyof typeof TARGETS} target
 */
function render(element, target) {
  const { dataset } = /** @type {HTMLElement} */ (element);
  const text = t(dataset[target] ?? "", JSON.parse(dataset[`${target}Values`] ?? "{}"));
  if (target === "t") element.textContent = text;
  else element.setAttribute(TARGETS[target], text);
}
