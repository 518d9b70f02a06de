import { h } from "./dom.js";
import { STRINGS } from "./strings.js";

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

  /**
   * Stays until it ends, or is closed by hand: an RM has to see it.
   *
   * @param {{ alert: string, severity: string, cause: string, ended: boolean }} told
   */
  showAlert({ alert, severity, cause, ended }) {
    const name = `alert-${alert}`;
    this.element.querySelector(`.${CSS.escape(name)}`)?.remove();
    const key = `recording_alert.${alert}`;
    if (!(key in STRINGS)) return;
    if (ended) {
      this.show("recording_alert.ended");
      return;
    }
    const why = `recording_cause.${cause}`;
    const toast = h("div", { class: `toast toast-alert toast-${severity} ${name}`, role: "alert" }, h("p", { t: key }),
      why in STRINGS ? h("p", { t: why }) : null,
      h("button", { type: "button", class: "link", t: "recording_alert.close", on: { click: () => toast.remove() } }));
    this.element.prepend(toast);
  }

  /** @param {HTMLElement} toast */
  #add(toast) {
    this.element.append(toast);
    const passing = this.element.querySelectorAll(":scope > :not(.toast-alert)");
    for (const old of [...passing].slice(0, -KEPT)) old.remove();
    setTimeout(() => toast.remove(), SHOWN_MS);
  }
}
