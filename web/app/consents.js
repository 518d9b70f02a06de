import { h } from "./dom.js";
import { onLanguage, say, textLanguage } from "./language.js";

/**
 * @typedef {import("/sdk/witness.js").Call} Call
 * @typedef {import("/sdk/protocol.js").Permission} Permission
 * @typedef {import("/sdk/protocol.js").AskedConsent} AskedConsent
 */

/** Asks for consents when somebody joins a call that is watched, and lets them be withdrawn at any time. */
export class ConsentsView {
  /** Opens the dialog; shown where anything is asked for. */
  button = h("button", { type: "button", class: "pill pill-consents", hidden: true, on: { click: () => this.open() } });
  #call;
  #fail;
  /** @type {HTMLDialogElement | null} */
  #dialog = null;
  #list = h("div", { class: "consents" });
  #asked = false;
  /** @type {string | null} */
  #session = null;
  #stops;

  /**
   * @param {Call} call
   * @param {(error: unknown) => void} fail
   */
  constructor(call, fail) {
    this.#call = call;
    this.#fail = fail;
    this.#stops = [
      call.on("consents", () => this.#show()),
      call.on("recording", ({ state, sessionId }) => this.#onRecording(state, sessionId)),
      onLanguage(() => this.#show()),
    ];
    this.#show();
  }

  close() {
    for (const stop of this.#stops) stop();
    this.#dialog?.remove();
  }

  /** Another session asks anew: consents were for the one before. @param {string} state @param {string} sessionId */
  #onRecording(state, sessionId) {
    if (state === "off" || sessionId === this.#session) return;
    if (this.#session !== null) this.#asked = false;
    this.#session = sessionId;
    this.#show();
  }

  #show() {
    const { consents } = this.#call;
    const held = consents.filter((one) => one.held).length;
    this.button.hidden = consents.length === 0;
    this.button.classList.toggle("is-on", held > 0);
    say(this.button, "consents.short", { held, count: consents.length });
    if (this.#dialog) this.#fill();
    else if (consents.length > held && !this.#asked) this.open();
  }

  open() {
    this.#asked = true;
    if (this.#dialog) return;
    const heading = h("h2", { t: "consents.title", id: "consents-title" });
    const dialog = h(
      "dialog",
      { class: "dialog dialog-consents", "aria-labelledby": heading.id },
      heading,
      h("p", { t: "consents.text" }),
      this.#list,
      h(
        "div",
        { class: "dialog-actions" },
        h("button", { type: "button", class: "secondary", t: "consents.done", on: { click: () => dialog.close() } }),
        h("button", { type: "button", class: "primary", t: "consents.all", on: { click: () => void this.#giveAll() } }),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      this.#dialog = null;
    });
    this.#dialog = dialog;
    this.#fill();
    document.body.append(dialog);
    dialog.showModal();
  }

  #fill() {
    this.#list.replaceChildren(...this.#call.consents.map((one) => this.#row(one)));
  }

  /** @param {AskedConsent} asked */
  #row({ permission, held, ...texts }) {
    const box = h("input", {
      type: "checkbox", role: "switch", id: `consent-${permission}`, checked: held,
      on: { change: () => void this.#set(permission, box) },
    });
    return h(
      "div",
      { class: "consent" },
      h("label", { for: box.id, class: "consent-name", t: `consent.${permission}` }),
      box,
      h("p", { class: "consent-text" }, texts[textLanguage()].text),
    );
  }

  /** @param {Permission} permission @param {HTMLInputElement} box */
  async #set(permission, box) {
    try {
      if (box.checked) await this.#call.giveConsent(permission, textLanguage());
      else await this.#call.withdrawConsent(permission);
    } catch (error) {
      box.checked = !box.checked;
      this.#fail(error);
    }
  }

  async #giveAll() {
    try {
      const lacking = this.#call.consents.filter((one) => !one.held);
      await Promise.all(lacking.map(({ permission }) => this.#call.giveConsent(permission, textLanguage())));
      this.#dialog?.close();
    } catch (error) {
      this.#fail(error);
    }
  }
}
