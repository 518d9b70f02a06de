import { h } from "./dom.js";
import { t } from "./language.js";
import { clock, percent } from "./playback_events.js";

/**
 * @typedef {import("./playback_api.js").PlaybackApi} PlaybackApi
 * @typedef {import("./playback_api.js").Found} Found
 */

const STATES = ["ready", "recording", "paused", "interrupted", "stopped", "damaged"];
const PURPOSES = ["review", "complaint", "dispute", "audit", "customer_request", "training", "other"];

/** A field with its label. @param {string} text @param {HTMLElement} control @param {string} id */
function field(text, control, id) {
  control.id = id;
  return h("div", { class: "field" }, h("label", { for: id, t: text }), control);
}

/** Finds recordings. */
export class FindView {
  /** @param {PlaybackApi} api @param {(found: Found) => void} choose @param {(error: unknown) => void} fail */
  constructor(api, choose, fail) {
    this.api = api;
    this.choose = choose;
    this.fail = fail;
    this.text = h("input", { type: "search", maxlength: "64", pattern: "[A-Za-z0-9._:\\-]*", autocomplete: "off" });
    this.from = h("input", { type: "date" });
    this.to = h("input", { type: "date" });
    this.state = h("select", {}, h("option", { value: "", t: "find.any" }), ...STATES.map((state) => h("option", { value: state, t: `session_state.${state}` })));
    this.list = h("ul", { class: "found" });
    this.note = h("p", { class: "hint", role: "status" });
    this.more = h("button", { type: "button", class: "secondary", hidden: true, t: "find.more", on: { click: () => void this.search(this.before) } });
    /** @type {string} */
    this.before = "";
    this.count = 0;
    const form = h("form", { class: "find-form", on: { submit: (/** @type {Event} */ event) => { event.preventDefault(); void this.search(""); } } },
      field("find.text", this.text, "find-text"), field("find.from", this.from, "find-from"), field("find.to", this.to, "find-to"),
      field("find.state", this.state, "find-state"), h("button", { class: "primary", t: "find.go" }));
    this.element = h("main", { class: "find" }, h("h1", { t: "find.title" }), form, this.note, this.list, this.more);
    void this.search("");
  }

  /** @param {string} before Where to go on. */
  async search(before) {
    try {
      const told = await this.api.find({ q: this.text.value.trim(), from: this.from.value, to: this.to.value, state: this.state.value, before });
      if (!before) {
        this.list.replaceChildren();
        this.count = 0;
      }
      this.list.append(...told.recordings.map((found) => this.item(found)));
      this.count += told.recordings.length;
      this.before = told.before ?? "";
      this.more.hidden = told.before === null;
      this.note.textContent = this.count ? t("find.count", { count: this.count + (told.before ? "+" : "") }) : t("find.none");
    } catch (error) {
      this.fail(error);
    }
  }

  /** @param {Found} found */
  item(found) {
    const started = new Date(found.started_at).toLocaleString();
    const about = [found.order?.order_no, found.customer?.crm_customer_id].filter(Boolean).join(" · ");
    const badges = h("span", { class: "badges" },
      h("span", { class: `badge state-${found.state}`, t: `session_state.${found.state}` }),
      h("span", { class: found.sealed ? "badge badge-rm" : "badge", t: found.sealed ? "find.sealed" : "find.unsealed" }),
      found.captured === null ? null : h("span", { class: "badge", t: "find.captured", values: { share: percent(found.captured) } }));
    const button = h("button", { type: "button", class: "found-item", on: { click: () => this.choose(found) } },
      h("span", { class: "found-room" }, found.room), h("span", { class: "found-when" }, `${started} · ${clock(found.length_us)}`),
      h("span", { class: "found-id" }, about ? `${found.session} · ${about}` : found.session), badges);
    button.dataset["session"] = found.session;
    return h("li", {}, button);
  }
}

/** Asks why a recording is watched. */
export class PurposeView {
  /** @param {string} session @param {(why: { purpose: string, note: string }) => void} open @param {() => void} back */
  constructor(session, open, back) {
    this.kind = h("select", { required: true }, ...PURPOSES.map((purpose) => h("option", { value: purpose, t: `purpose.${purpose}` })));
    this.note = h("textarea", { maxlength: "500", rows: "3" });
    this.kind.addEventListener("change", () => this.check());
    this.note.addEventListener("input", () => this.check());
    const submit = (/** @type {Event} */ event) => {
      event.preventDefault();
      open({ purpose: this.kind.value, note: this.note.value.replace(/[\u0000-\u001f\u007f]+/g, " ").trim() });
    };
    this.element = h("main", { class: "card purpose" }, h("h1", { class: "card-title", t: "purpose.title" }), h("p", { class: "found-id" }, session),
      h("p", { class: "hint", t: "purpose.text" }),
      h("form", { class: "purpose-form", on: { submit } }, field("purpose.kind", this.kind, "purpose-kind"), field("purpose.note", this.note, "purpose-note"),
        h("button", { class: "primary", t: "purpose.open" })),
      h("button", { type: "button", class: "link", t: "find.back", on: { click: back } }));
  }

  check() {
    const lacks = this.kind.value === "other" && this.note.value.trim().length < 4;
    this.note.setCustomValidity(lacks ? t("purpose.note_needed") : "");
  }
}
