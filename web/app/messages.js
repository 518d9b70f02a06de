import { h, icon } from "./dom.js";
import { language, say } from "./language.js";

/**
 * @typedef {import("/sdk/protocol.js").TextMessage} TextMessage
 */

/** Messages that are kept on the page; older ones leave the list. */
const KEPT = 500;
const LIMIT = 4000;

/** The panel with what people wrote to each other. */
export class Messages {
  element;
  open = false;
  unread = 0;
  #list = h("ol", { class: "messages-list", "aria-live": "polite", label: "messages.title", tabindex: "0" });
  #empty = h("div", { class: "empty" }, icon("chat"), h("p", { t: "messages.empty" }), h("p", { class: "hint", t: "messages.empty_text" }));
  #input = h("textarea", { id: "message-input", rows: "1", maxlength: String(LIMIT), label: "messages.label", placeholder: "messages.label" });
  #left = h("p", { class: "hint messages-left", "aria-live": "polite" });
  #changed;
  #send;

  /**
   * @param {object} options
   * @param {(text: string) => Promise<TextMessage>} options.send
   * @param {() => void} options.changed Opened, closed, or the number of unread ones changed.
   */
  constructor({ send, changed }) {
    this.#send = send;
    this.#changed = changed;
    const submit = h("button", { type: "submit", class: "round round-primary", label: "messages.send" }, icon("send"));
    const form = h("form", { class: "messages-form", on: { submit: (/** @type {Event} */ event) => this.#submit(event) } }, this.#input, submit);
    this.#input.addEventListener("keydown", (event) => this.#key(event));
    this.#input.addEventListener("input", () => this.#typed());
    const close = h("button", { type: "button", class: "plain", label: "control.close", on: { click: () => this.toggle(false) } }, icon("close"));
    this.element = h(
      "aside",
      { class: "messages", label: "messages.title", id: "messages" },
      h("header", { class: "panel-head" }, h("h2", { t: "messages.title" }), close),
      this.#list,
      this.#empty,
      this.#left,
      form,
    );
    this.element.addEventListener("keydown", (event) => {
      if (event.key === "Escape") this.toggle(false);
    });
    this.element.hidden = true;
    this.#left.hidden = true;
  }

  /** @param {boolean} [open] */
  toggle(open = !this.open) {
    this.open = open;
    this.element.hidden = !open;
    if (open) {
      this.unread = 0;
      this.#input.focus();
      this.#list.scrollTop = this.#list.scrollHeight;
    }
    this.#changed();
  }

  /**
   * @param {TextMessage} message
   * @param {string} name
   */
  receive({ text, at }, name) {
    this.#append(h("li", { class: "message" }, this.#head(name, at), paragraph(text)));
    if (!this.open) this.unread += 1;
    this.#changed();
  }

  /** @param {Event} event */
  #submit(event) {
    event.preventDefault();
    const text = this.#input.value.trim();
    if (!text) return;
    this.#input.value = "";
    this.#typed();
    const state = h("span", { class: "message-state", role: "status" });
    const item = h("li", { class: "message message-own" }, this.#head(null, new Date().toISOString()), paragraph(text), state);
    this.#append(item);
    void this.#deliver(text, item, state);
  }

  /**
   * @param {string} text
   * @param {HTMLElement} item
   * @param {HTMLElement} state
   */
  async #deliver(text, item, state) {
    say(state, "messages.sending");
    item.classList.add("is-sending");
    item.classList.remove("is-failed");
    try {
      await this.#send(text);
      state.remove();
    } catch {
      item.classList.add("is-failed");
      say(state, "messages.failed");
      const again = h("button", { type: "button", class: "link", t: "messages.again", on: { click: () => void this.#deliver(text, item, state) } });
      state.append(" ", again);
    } finally {
      item.classList.remove("is-sending");
    }
  }

  /** @param {KeyboardEvent} event */
  #key(event) {
    // While an input method composes, Enter chooses a word.
    if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
    event.preventDefault();
    this.#input.form?.requestSubmit();
  }

  #typed() {
    const left = LIMIT - this.#input.value.length;
    this.#left.hidden = left > 200;
    if (left <= 200) say(this.#left, "messages.left", { count: left });
    this.#input.style.height = "auto";
    this.#input.style.height = `${Math.min(120, this.#input.scrollHeight + 2)}px`;
  }

  /**
   * @param {string | null} name Null for one's own.
   * @param {string} at
   */
  #head(name, at) {
    const who = h("span", { class: "message-name" });
    if (name === null) say(who, "call.you");
    else who.textContent = name;
    const time = new Date(at);
    const shown = Number.isNaN(time.getTime()) ? "" : time.toLocaleTimeString(language(), { hour: "2-digit", minute: "2-digit" });
    return h("div", { class: "message-head" }, who, h("time", { datetime: at }, shown));
  }

  /** @param {HTMLElement} item */
  #append(item) {
    this.#empty.hidden = true;
    const atEnd = this.#list.scrollHeight - this.#list.scrollTop - this.#list.clientHeight < 40;
    this.#list.append(item);
    while (this.#list.childElementCount > KEPT) this.#list.firstElementChild?.remove();
    if (atEnd || item.classList.contains("message-own")) this.#list.scrollTop = this.#list.scrollHeight;
  }
}

/** @param {string} text Text, never markup. */
function paragraph(text) {
  return h("p", { class: "message-text" }, text);
}
