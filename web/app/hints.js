import { answerOf } from "./answers.js";
import { h } from "./dom.js";
import { onLanguage, t, textLanguage } from "./language.js";

/**
 * @typedef {import("/sdk/witness.js").Call} Call
 * @typedef {import("/sdk/protocol.js").Finding} Finding
 */

const PASSING_MS = 8000;
/** More at a time would be no hint any more; the newest are shown. */
const SHOWN = 4;

/**
 * What detectors found, on the page of the RM alone: small, without sound, beside the pictures.
 *
 * While the RM shares the screen nothing of it is shown: what others see, and what is recorded of it, must not hold it.
 */
export class Hints {
  element = h("section", { class: "hints", role: "status", "aria-live": "polite", label: "hints.label", hidden: true });
  /** @type {Map<string, Finding>} */
  #shown = new Map();
  /** @type {Map<string, ReturnType<typeof setTimeout>>} */
  #passing = new Map();
  #call;
  #nameOf;
  #fail;
  #stops;

  /**
   * @param {Call} call
   * @param {(participantId: string) => string} nameOf
   * @param {(error: unknown) => void} fail
   */
  constructor(call, nameOf, fail) {
    this.#call = call;
    this.#nameOf = nameOf;
    this.#fail = fail;
    for (const finding of call.findings) this.#shown.set(finding.finding_id, finding);
    this.#stops = [call.on("finding", (finding) => this.#onFinding(finding)), onLanguage(() => this.update())];
    this.update();
  }

  close() {
    for (const stop of this.#stops) stop();
    for (const timer of this.#passing.values()) clearTimeout(timer);
  }

  /** @param {Finding} finding */
  #onFinding(finding) {
    // Answers are told where the question was asked; that a face is unlike the photo is a hint besides.
    if (answerOf(finding) !== null && finding.outcome !== "fail" && finding.outcome !== "warn") return;
    const id = finding.finding_id;
    clearTimeout(this.#passing.get(id));
    this.#passing.delete(id);
    this.#shown.set(id, finding);
    // What is over, and what was seen, leaves by itself.
    if (finding.state === "over" || finding.acknowledged_by) this.#passing.set(id, setTimeout(() => this.#forget(id), PASSING_MS));
    this.update();
  }

  /** @param {string} id */
  #forget(id) {
    this.#passing.delete(id);
    this.#shown.delete(id);
    this.update();
  }

  update() {
    const open = new Set(this.#call.findings.map(({ finding_id: id }) => id));
    // After a new beginning what isn't said again has ended meanwhile.
    for (const [id, { state }] of this.#shown) if (state === "open" && !open.has(id)) this.#shown.delete(id);
    const sharing = this.#call.localTrack("screen") !== null;
    const found = sharing ? [] : [...this.#shown.values()].slice(-SHOWN).reverse();
    this.element.hidden = found.length === 0;
    this.element.replaceChildren(...found.map((finding) => this.#item(finding)));
  }

  /** @param {Finding} finding */
  #item(finding) {
    const who = finding.participant_id ? this.#nameOf(finding.participant_id) : "";
    const { title, text } = { title: finding.title[textLanguage()], text: finding.text[textLanguage()] };
    const over = finding.state === "over";
    const seen = finding.acknowledged_by !== null;
    const acknowledge = h("button", { type: "button", class: "link", t: "hints.seen", on: { click: () => void this.#acknowledge(finding.finding_id) } });
    return h(
      "article",
      { class: `hint-item hint-${finding.severity}${over ? " is-over" : ""}`, "data-kind": finding.kind, "data-state": finding.state },
      h("p", { class: "hint-title" }, who ? `${who} · ${title}` : title),
      text === title ? null : h("p", { class: "hint-text" }, text),
      over ? h("p", { class: "hint-text", t: "hints.over" }) : seen ? h("p", { class: "hint-text" }, t("hints.seen_by", { name: this.#nameOf(finding.acknowledged_by ?? "") })) : acknowledge,
    );
  }

  /** @param {string} id */
  async #acknowledge(id) {
    try {
      await this.#call.acknowledgeFinding(id);
    } catch (error) {
      this.#fail(error);
    }
  }
}
