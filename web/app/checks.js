import { WitnessError } from "/sdk/errors.js";
import { FILE_BYTES, answerOf, photoProblem } from "./answers.js";
import { h, icon } from "./dom.js";
import { say } from "./language.js";
import { fittingPhoto } from "./photo.js";

/**
 * @typedef {import("/sdk/witness.js").Call} Call
 * @typedef {import("/sdk/protocol.js").Finding} Finding
 * @typedef {import("./checks_api.js").Ask} Ask
 */

/** @type {readonly Ask[]} */
const ASKS = ["blink", "turn"];
const WITHIN_S = 8;
/** Results come soon after the time is over; without detectors they never do. */
const LATE_S = 4;
const PHOTO_TRIES = 10;
const PHOTO_EVERY_MS = 2000;
const LIMITS = { most: FILE_BYTES / 1e6 };

/** For one person, on the RM's page alone: asks him to blink or turn his head, and takes the photo of his document. */
export class Checks {
  element;
  #api;
  #who;
  #opener;
  /** @type {Map<Ask, { button: HTMLButtonElement, result: HTMLElement }>} */
  #asks = new Map();
  /** What an answer is waited for. @type {Ask | null} */
  #pending = null;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #late;
  #photo = h("p", { class: "checks-result", role: "status" });
  #file = h("input", { type: "file", accept: "image/jpeg,image/png", id: "checks-photo", on: { change: () => void this.#give() } });
  #closed = false;
  #given = 0;
  #stops;

  /**
   * @param {object} parts
   * @param {Call} parts.call
   * @param {import("./checks_api.js").ChecksApi} parts.api
   * @param {{ id: string, name: string }} parts.who
   * @param {HTMLElement | null} parts.opener Gets the focus back.
   */
  constructor({ call, api, who, opener }) {
    this.#api = api;
    this.#who = who;
    this.#opener = opener;
    const heading = h("h2", { t: "checks.title", values: { name: who.name }, id: "checks-title" });
    this.element = h(
      "section",
      { class: "checks", id: "checks", role: "dialog", "aria-labelledby": heading.id, tabindex: "-1",
        on: { keydown: (/** @type {KeyboardEvent} */ event) => event.key === "Escape" && this.close() } },
      h("header", { class: "panel-head" }, heading,
        h("button", { type: "button", class: "plain", label: "control.close", on: { click: () => this.close() } }, icon("close"))),
      ...ASKS.map((ask) => this.#row(ask)),
      h("div", { class: "checks-row" }, h("label", { for: this.#file.id, t: "checks.photo" }), this.#file, this.#photo),
      h("p", { class: "checks-note", t: "checks.note" }),
    );
    this.#stops = [call.on("finding", (finding) => this.#onFinding(finding))];
  }

  /** Whose it is. */
  get participantId() {
    return this.#who.id;
  }

  close() {
    if (this.#closed) return;
    this.#closed = true;
    for (const stop of this.#stops) stop();
    clearTimeout(this.#late);
    this.element.remove();
    if (this.#opener?.isConnected) this.#opener.focus();
  }

  /** @param {Ask} ask */
  #row(ask) {
    const result = h("p", { class: "checks-result", role: "status" });
    const button = h("button", { type: "button", class: "secondary", t: `checks.${ask}`, "data-ask": ask, on: { click: () => void this.#put(ask) } });
    this.#asks.set(ask, { button, result });
    return h("div", { class: "checks-row" }, button, result);
  }

  /** One at a time: whoever turns his head may close his eyes, too. @param {Ask} ask */
  async #put(ask) {
    const row = this.#asks.get(ask);
    if (!row || this.#pending !== null) return;
    this.#wait(ask);
    this.#show(row.result, "checks.waiting", "waiting");
    try {
      await this.#api.challenge(this.#who.id, ask, WITHIN_S);
      if (this.#pending === ask && !this.#closed) this.#late = setTimeout(() => this.#answer("unknown"), (WITHIN_S + LATE_S) * 1000);
    } catch (error) {
      this.#wait(null);
      this.#refused(row.result, error);
    }
  }

  /** @param {Ask | null} pending */
  #wait(pending) {
    this.#pending = pending;
    const waiting = pending !== null;
    // The focus stays where it is: a button that is disabled would lose it.
    for (const { button } of this.#asks.values()) {
      button.setAttribute("aria-disabled", String(waiting));
      button.classList.toggle("is-waiting", waiting);
    }
  }

  /** @param {Finding} finding */
  #onFinding(finding) {
    const answer = finding.participant_id === this.#who.id ? answerOf(finding) : null;
    if (answer === null) return;
    if (finding.kind.startsWith("id_")) {
      this.#given += 1;
      this.#show(this.#photo, `checks.${answer}`, answer);
      return;
    }
    this.#answer(answer);
  }

  /** @param {string} answer */
  #answer(answer) {
    const row = this.#pending === null ? null : this.#asks.get(this.#pending);
    if (!row) return;
    clearTimeout(this.#late);
    this.#wait(null);
    this.#show(row.result, `checks.${answer}`, answer);
  }

  async #give() {
    const file = this.#file.files?.[0];
    if (!file) return;
    // Chosen again, the same file is another try.
    this.#file.value = "";
    const problem = photoProblem(file);
    if (problem) {
      this.#show(this.#photo, problem, "refused", LIMITS);
      return;
    }
    this.#given += 1;
    const given = this.#given;
    this.#show(this.#photo, "checks.photo_sent", "waiting");
    try {
      const photo = await fittingPhoto(file);
      if (given !== this.#given || this.#closed) return;
      if (photo === null) {
        this.#show(this.#photo, "checks.photo_unreadable", "refused");
        return;
      }
      await this.#api.givePhoto(this.#who.id, photo);
      await this.#follow(given);
    } catch (error) {
      if (given === this.#given) this.#refused(this.#photo, error);
    }
  }

  /** Until the photo was compared, which a finding says, or couldn't be read. @param {number} given */
  async #follow(given) {
    for (let tries = 0; tries < PHOTO_TRIES; tries += 1) {
      await new Promise((resolve) => setTimeout(resolve, PHOTO_EVERY_MS));
      if (this.#closed || given !== this.#given) return;
      const state = await this.#api.photoState(this.#who.id);
      if (given !== this.#given) return;
      if (state === "unreadable") {
        this.#show(this.#photo, "checks.photo_unreadable", "refused");
        return;
      }
      if (state === "none") break;
    }
    if (given === this.#given) this.#show(this.#photo, "checks.unknown", "unknown");
  }

  /** @param {HTMLElement} element @param {unknown} error */
  #refused(element, error) {
    const { code } = WitnessError.from(error);
    const key = { no_consent: "checks.no_consent", wrong_state: "checks.no_session", not_found: "checks.no_session",
      unauthorized: "checks.no_token", too_large: "checks.photo_large", bad_message: "checks.photo_size",
      rate_limited: "checks.too_fast" }[/** @type {string} */ (code)] ?? "checks.failed";
    this.#show(element, key, "refused", LIMITS);
  }

  /** @param {HTMLElement} element @param {string} key @param {string} state @param {Record<string, string | number>} [values] */
  #show(element, key, state, values) {
    element.dataset.state = state;
    say(element, key, values);
  }
}
