import { h } from "./dom.js";

const SHOWN_MS = 5000;
const KEPT = 3;

/** Short notes that go away by themselves; screen readers say them. */
export class Toasts {
  element = h("div", { class: "toasts", role: "status", "aria-live": "polite" });

  /**
   * @param {string} key
   * @param {Record<string, string | number>} [values]
   */
  show(key, values) {
    this.#add(h("p", { class: "toast", t: key, values }));
  }

  /** @param {string} text Already in the page's language. */
  showText(text) {
    this.#add(h("p", { class: "toast" }, text));
  }

  /** @param {HTMLElement} toast */
  #add(toast) {
    this.element.append(toast);
    while (this.element.childElementCount > KEPT) this.element.firstElementChild?.remove();
    setTimeout(() => toast.remove(), SHOWN_MS);
  }
}
