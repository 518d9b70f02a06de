import { say } from "./language.js";

/**
 * Makes an element.
 *
 * `class`, `t` (text key), `label` and `title` (text keys), `on` (listeners) mean what they say; everything else is an
 * attribute, set when it is a string or true.
 *
 * @template {keyof HTMLElementTagNameMap} Tag
 * @param {Tag} tag
 * @param {Record<string, any>} [props]
 * @param {...(Node | string | null)} children
 * @returns {HTMLElementTagNameMap[Tag]}
 */
export function h(tag, props = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === undefined || value === null || value === false) continue;
    if (name === "t") say(element, value, props.values);
    else if (name === "label") say(element, value, props.values, "tLabel");
    else if (name === "placeholder") say(element, value, undefined, "tPlaceholder");
    else if (name === "on") for (const [event, listener] of Object.entries(value)) element.addEventListener(event, listener);
    else if (name !== "values") element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null));
  return element;
}

/** @param {string} name @returns {SVGSVGElement} Decoration: the text beside it, or the label around it, says it. */
export function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** @param {SVGSVGElement} svg @param {string} name */
export function setIcon(svg, name) {
  svg.firstElementChild?.setAttribute("href", `#i-${name}`);
}

/**
 * A button of the call's toolbar: an icon with a word under it.
 *
 * @param {string} iconName
 * @param {string} text
 * @param {() => void} run
 * @param {string} [className]
 */
export function control(iconName, text, run, className = "") {
  const image = icon(iconName);
  const word = h("span", { class: "control-word", t: text });
  const button = h("button", { type: "button", class: `control ${className}`, on: { click: run } }, image, word);
  return {
    button,
    /** @param {string} name @param {string} key @param {boolean} [warn] */
    show(name, key, warn = false) {
      setIcon(image, name);
      say(word, key);
      button.classList.toggle("is-off", warn);
    },
  };
}

/** The first letters of a name, for a person without a picture. @param {string} name */
export function initials(name) {
  const trimmed = name.trim();
  if (/\p{Script=Han}/u.test(trimmed)) return [...trimmed].slice(-2).join("");
  const words = trimmed.split(/\s+/).filter(Boolean);
  return (words.length > 1 ? [words[0], words.at(-1)] : words)
    .map((word) => [...(word ?? "")][0] ?? "")
    .join("")
    .toUpperCase();
}
