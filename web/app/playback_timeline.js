import { h } from "./dom.js";
import { t } from "./language.js";
import { alertText, attemptTitle, clock, findingLook, findingText, named, personName, seconds } from "./playback_events.js";

/** @typedef {import("./playback_api.js").Recording} Recording */

const STEPS_S = [5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600];
const MOST_TICKS = 10;
const STEP_S = 5;

/** A recording along its time: nodes, people, gaps, marks and alerts, with a line where the film is. */
export class TimelineView {
  /**
   * @param {Recording} recording
   * @param {(at_us: number) => void} seek
   * @param {(direction: 1 | -1) => void} step To the next event, or the one before.
   */
  constructor(recording, seek, step) {
    this.from_us = recording.from_us ?? 0;
    this.length_us = Math.max(1, recording.to_us - this.from_us);
    this.seek = seek;
    this.recording = recording;
    this.line = h("div", { class: "tl-line", "aria-hidden": "true" });
    this.area = h("div", { class: "tl-area" }, this.ruler(), this.nodes(), ...recording.people.map((person) => this.person(person)), ...this.findings(), this.pins(), ...this.absences(), h("div", { class: "tl-over tl-over-line" }, this.line));
    this.area.addEventListener("click", (event) => this.clicked(event));
    this.element = h("div", {
      class: "timeline", role: "slider", tabindex: "0", label: "time.label",
      "aria-valuemin": "0", "aria-valuemax": String(Math.round(this.length_us / 1e6)),
      on: { keydown: (/** @type {KeyboardEvent} */ event) => this.pressed(event, step) },
    }, this.area);
    this.at_us = this.from_us;
    this.show(this.from_us);
  }

  /** @param {number} at_us The film is there now. */
  show(at_us) {
    this.at_us = at_us;
    this.line.style.left = this.at(at_us);
    this.element.setAttribute("aria-valuenow", String(Math.round((at_us - this.from_us) / 1e6)));
    this.element.setAttribute("aria-valuetext", clock(at_us - this.from_us));
  }

  /** @param {number} us */
  at(us) {
    return `${(Math.min(1, Math.max(0, (us - this.from_us) / this.length_us)) * 100).toFixed(3)}%`;
  }

  /** @param {HTMLElement} element @param {number} from_us @param {number} to_us */
  lay(element, from_us, to_us) {
    element.style.left = this.at(from_us);
    element.style.width = `${(Math.max(0, Math.min(to_us, this.from_us + this.length_us) - Math.max(from_us, this.from_us)) / this.length_us * 100).toFixed(3)}%`;
    return element;
  }

  /** @param {Node | string} head @param {...Node} content */
  row(head, ...content) {
    return h("div", { class: "tl-row" }, h("div", { class: "tl-head" }, head), h("div", { class: "tl-track" }, ...content));
  }

  ruler() {
    const length_s = this.length_us / 1e6;
    const step_s = STEPS_S.find((step) => length_s / step <= MOST_TICKS) ?? 3600 * Math.ceil(length_s / 3600 / MOST_TICKS);
    const ticks = [];
    for (let at_s = 0; at_s <= length_s; at_s += step_s) {
      const tick = h("span", { class: "tl-tick" }, clock(at_s * 1e6));
      tick.style.left = this.at(this.from_us + at_s * 1e6);
      ticks.push(tick);
    }
    const row = this.row("", ...ticks);
    row.classList.add("tl-ruler");
    return row;
  }

  nodes() {
    const blocks = this.recording.attempts.map((attempt) => {
      const title = attemptTitle(this.recording, attempt);
      const block = h("button", { type: "button", class: "tl-node", tabindex: "-1", title, on: { click: () => this.seek(attempt.from_us) } }, title);
      if (attempt.superseded_by !== null) block.classList.add("is-superseded");
      return this.lay(block, attempt.from_us, attempt.to_us ?? this.recording.to_us);
    });
    return this.row(h("span", { t: "time.nodes" }), ...blocks);
  }

  /** @param {import("./playback_api.js").Person} person */
  person(person) {
    const bars = person.present.map(([from, to]) => this.lay(h("span", { class: "tl-present" }), from, to));
    const speech = (person.speech ?? []).map(([from, to]) => this.lay(h("span", { class: "tl-speech" }), from, to));
    const gaps = this.recording.tracks.filter((track) => track.participant === person.participant).flatMap((track) => track.gaps.map((gap) => {
      const what = t(gap.filled ? "event.filled" : "event.gap", {
        who: personName(this.recording, track.participant), kind: named("kind", track.kind), seconds: seconds(gap.to_us - gap.from_us), cause: named("cause", gap.cause),
      });
      const bar = h("span", { class: `tl-gap tl-gap-${track.kind === "audio" ? "audio" : "video"}`, title: what });
      bar.dataset["cause"] = gap.filled ? "filled" : gap.cause;
      return this.lay(bar, gap.from_us, gap.to_us);
    }));
    const title = person.speech === null ? t("time.speech_unknown") : person.name;
    return this.row(h("span", { title }, person.name), ...bars, ...speech, ...gaps);
  }

  /** Findings of detectors, and the times of which they don't know; no row where there are none. */
  findings() {
    const found = this.recording.findings ?? [];
    if (found.length === 0) return [];
    const bars = found.map((finding) => {
      const title = findingText(this.recording, finding);
      const bar = h("button", { type: "button", class: `tl-finding tl-finding-${findingLook(finding)}`, tabindex: "-1", title, "aria-label": title, on: { click: () => this.seek(finding.from_us) } });
      return this.lay(bar, finding.from_us, finding.to_us);
    });
    return [this.row(h("span", { t: "time.findings" }), ...bars)];
  }

  pins() {
    const marks = this.recording.marks.map((mark) => this.pin("mark", mark.at_us, t("event.mark", { label: mark.label })));
    const alerts = this.recording.alerts.map((alert) => this.pin(alert.severity, alert.from_us, alertText(alert)));
    return this.row(h("span", { t: "time.marks" }), ...marks, ...alerts);
  }

  /** @param {string} kind @param {number} at_us @param {string} title */
  pin(kind, at_us, title) {
    const pin = h("button", { type: "button", class: `tl-pin tl-pin-${kind}`, tabindex: "-1", title, "aria-label": title, on: { click: () => this.seek(at_us) } });
    pin.style.left = this.at(at_us);
    return pin;
  }

  /** Pauses, and outages of the server: nobody is recorded. */
  absences() {
    const pauses = this.recording.pauses.map(([from, to]) => this.absence("pause", from, to));
    return [...pauses, ...this.recording.outages.map(({ from_us: from, to_us: to }) => this.absence("outage", from, to))];
  }

  /** @param {"pause" | "outage"} kind @param {number} from_us @param {number} to_us */
  absence(kind, from_us, to_us) {
    const title = t(`event.${kind}`, { seconds: seconds(to_us - from_us) });
    const label = kind === "outage" ? h("span", {}, title) : "";
    return h("div", { class: "tl-over" }, this.lay(h("div", { class: `tl-${kind}`, title }, label), from_us, to_us));
  }

  /** @param {MouseEvent} event */
  clicked(event) {
    if (event.target instanceof HTMLButtonElement) return;
    const track = this.area.querySelector(".tl-track");
    if (!track) return;
    const box = track.getBoundingClientRect();
    if (event.clientX < box.left) return;
    this.seek(this.from_us + Math.min(1, (event.clientX - box.left) / box.width) * this.length_us);
  }

  /** @param {KeyboardEvent} event @param {(direction: 1 | -1) => void} step */
  pressed(event, step) {
    const end_us = this.from_us + this.length_us;
    /** @type {Record<string, () => void>} */
    const keys = {
      ArrowLeft: () => this.seek(this.at_us - STEP_S * 1e6),
      ArrowRight: () => this.seek(this.at_us + STEP_S * 1e6),
      Home: () => this.seek(this.from_us),
      End: () => this.seek(end_us),
      PageUp: () => step(-1),
      PageDown: () => step(1),
    };
    const act = keys[event.key];
    if (!act || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    act();
  }
}
