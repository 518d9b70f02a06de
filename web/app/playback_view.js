import { h } from "./dom.js";
import { language, t } from "./language.js";
import { EvidencePanel } from "./playback_evidence.js";
import { attemptAt, attemptTitle, clock, momentAt, momentsOf, percent } from "./playback_events.js";
import { TimelineView } from "./playback_timeline.js";

/**
 * @typedef {import("./playback_api.js").PlaybackApi} PlaybackApi
 * @typedef {import("./playback_api.js").Recording} Recording
 * @typedef {import("./playback_api.js").Work} Work
 */

const POLL_MS = 1_000;
const SKIP_S = 5;

/** One recording: its film, its time, what happened in it, and what it is worth. */
export class RecordingView {
  /** @param {PlaybackApi} api @param {Recording} recording @param {() => void} back @param {(error: unknown) => void} fail */
  constructor(api, recording, back, fail) {
    this.api = api;
    this.recording = recording;
    this.fail = fail;
    /** @type {Work} */
    this.work = recording;
    this.start_us = recording.from_us ?? 0;
    this.moments = momentsOf(recording);
    this.current = -1;
    this.shownFilm = "";
    /** @type {ReturnType<typeof setTimeout> | undefined} */
    this.timer = undefined;
    this.video = h("video", { controls: true, playsinline: true, preload: "metadata", label: "film.label" });
    const stamp = h("div", { class: "film-viewer", "aria-hidden": "true" }, `${recording.viewer.who} · ${new Date().toLocaleString()}`);
    this.place = h("div", { class: "film" }, this.video, stamp);
    this.offer = h("div", { class: "film-offer" });
    this.now = h("p", { class: "film-now", "aria-live": "polite" });
    this.timeline = new TimelineView(recording, (at_us) => this.seek(at_us), (direction) => this.step(direction));
    this.list = h("ol", { class: "events" }, ...this.moments.map((moment, index) => this.event(moment, index)));
    this.evidence = new EvidencePanel(recording, api.packageUrl(recording.session_id), () => void this.ask(() => api.verify(recording.session_id)));
    const about = [recording.room, new Date(recording.started_at).toLocaleString(), clock(recording.to_us - this.start_us)].join(" · ");
    this.element = h("main", { class: "recording" },
      h("header", { class: "recording-head" }, h("button", { type: "button", class: "link", t: "find.back", on: { click: back } }), h("h1", {}, about), h("p", { class: "found-id" }, recording.session_id)),
      h("div", { class: "recording-film" }, this.place, this.offer, this.now, this.timeline.element, h("p", { class: "hint keys", t: "time.hint" })),
      h("aside", { class: "recording-side" }, h("section", { class: "panel" }, h("h2", { t: "event.title" }), this.moments.length ? this.list : h("p", { class: "hint", t: "event.none" })), this.evidence.element));
    this.video.addEventListener("timeupdate", () => this.moved());
    this.video.addEventListener("seeking", () => this.moved());
    this.video.addEventListener("error", () => { if (this.shownFilm) void this.unplayable(); });
    this.onKey = (/** @type {KeyboardEvent} */ event) => this.pressed(event);
    document.addEventListener("keydown", this.onKey);
    this.update(recording);
    this.moved();
  }

  close() {
    clearTimeout(this.timer);
    document.removeEventListener("keydown", this.onKey);
    this.video.removeAttribute("src");
    this.video.load();
  }

  /** @param {import("./playback_events.js").Moment} moment @param {number} index */
  event(moment, index) {
    const button = h("button", { type: "button", class: `event event-${moment.kind}`, on: { click: () => this.seek(moment.at_us) } },
      h("time", {}, clock(moment.at_us - this.start_us)), h("span", {}, moment.text));
    button.dataset["index"] = String(index);
    const next = moment.attempt?.superseded_by;
    const replacement = next ? this.recording.attempts.find((one) => one.node === moment.attempt?.node && one.attempt === next) : undefined;
    const link = replacement ? h("button", { type: "button", class: "link event-link", t: "time.to_replacement", on: { click: () => this.seek(replacement.from_us) } }) : null;
    return h("li", {}, button, link);
  }

  get at_us() {
    return this.shownFilm ? this.start_us + this.video.currentTime * 1e6 : this.timeline.at_us;
  }

  /** @param {number} at_us */
  seek(at_us) {
    const inside = Math.min(this.recording.to_us, Math.max(this.start_us, at_us));
    // A little later than its beginning, else rounding shows what was before.
    if (this.shownFilm) this.video.currentTime = (inside - this.start_us) / 1e6 + 0.001;
    else this.moved(inside);
  }

  /** @param {1 | -1} direction */
  step(direction) {
    const at_us = this.at_us;
    const next = direction > 0 ? this.moments.find((moment) => moment.at_us > at_us + 10_000) : this.moments.filter((moment) => moment.at_us < at_us - 1_000_000).at(-1);
    if (next) this.seek(next.at_us);
  }

  /** @param {number} [at_us] The film is there now. */
  moved(at_us = this.at_us) {
    this.timeline.show(at_us);
    const attempt = attemptAt(this.recording, at_us);
    const title = attempt ? attemptTitle(this.recording, attempt) : t("time.no_node");
    if (this.now.textContent !== title) {
      this.now.textContent = title;
      this.now.classList.toggle("is-superseded", attempt !== null && attempt.superseded_by !== null);
    }
    const index = momentAt(this.moments, at_us + 2_000);
    if (index === this.current) return;
    this.list.querySelector("[aria-current]")?.removeAttribute("aria-current");
    this.current = index;
    const button = this.list.querySelector(`[data-index="${index}"]`);
    button?.setAttribute("aria-current", "true");
    this.follow(button);
  }

  /** Scrolls the list, not the page. @param {Element | null} button */
  follow(button) {
    if (!(button instanceof HTMLElement) || this.list.matches(":hover")) return;
    const item = button.parentElement ?? button;
    const box = this.list.getBoundingClientRect();
    const at = item.getBoundingClientRect();
    if (at.top < box.top || at.bottom > box.bottom) this.list.scrollTop += at.top - box.top - box.height / 3;
  }

  /** @param {KeyboardEvent} event */
  pressed(event) {
    const target = event.target;
    if (target instanceof HTMLInputElement || target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement) return;
    if (event.ctrlKey || event.metaKey || event.altKey || (target === this.video && event.key !== "PageUp" && event.key !== "PageDown")) return;
    const isButton = target instanceof HTMLButtonElement || target instanceof HTMLAnchorElement;
    if (event.key === " " && !isButton && this.shownFilm) {
      if (this.video.paused) void this.video.play();
      else this.video.pause();
    } else if (event.key === "ArrowLeft") this.seek(this.at_us - SKIP_S * 1e6);
    else if (event.key === "ArrowRight") this.seek(this.at_us + SKIP_S * 1e6);
    else if (event.key === "PageUp") this.step(-1);
    else if (event.key === "PageDown") this.step(1);
    else return;
    event.preventDefault();
  }

  /** @param {() => Promise<Work>} work */
  async ask(work) {
    try {
      this.update(await work());
    } catch (error) {
      this.fail(error);
    }
  }

  /** The film stopped: asks for the purpose where its hour is over. */
  async unplayable() {
    await this.ask(() => this.api.work(this.recording.session_id));
    this.told("film.error");
  }

  /** @param {Work} work How far film and verification are. */
  update(work) {
    this.work = work;
    this.showFilm(work);
    this.evidence.show(work);
    clearTimeout(this.timer);
    const busy = [work.films.zh, work.films.en, work.verification].some(({ state }) => state === "queued" || state === "running");
    if (busy) this.timer = setTimeout(() => void this.ask(() => this.api.work(this.recording.session_id)), POLL_MS);
  }

  /** @param {Work} work */
  showFilm({ films }) {
    /** @type {"zh" | "en"} */
    const mine = language() === "en" ? "en" : "zh";
    /** @type {"zh" | "en"} */
    const other = mine === "en" ? "zh" : "en";
    const there = films[mine].state === "done" ? mine : films[other].state === "done" && films[mine].state === "none" ? other : null;
    this.place.hidden = there === null && !this.shownFilm;
    if (there && this.shownFilm !== `${there}${films[there].uploads}`) {
      const at_s = this.video.currentTime;
      this.shownFilm = `${there}${films[there].uploads}`;
      this.video.src = `${this.api.filmUrl(this.recording.session_id, there)}&made=${films[there].uploads ?? 0}`;
      if (at_s) this.video.currentTime = at_s;
    }
    const { state, share, before } = films[mine];
    const make = (/** @type {string} */ text) => h("button", { type: "button", class: "primary", t: text, on: { click: () => void this.ask(() => this.api.makeFilm(this.recording.session_id, mine)) } });
    if (state === "done" || (there && state === "none")) {
      const old = there !== null && (films[there].uploads ?? 0) < this.recording.uploads;
      const damaged = (there && films[there].damaged) || 0;
      const told = damaged ? h("p", { class: "hint", role: "alert", t: "film.damaged", values: { count: damaged } }) : "";
      this.offer.replaceChildren(told, old ? make("film.again") : "");
    } else if (state === "queued") this.offer.replaceChildren(h("p", { role: "status", t: "film.queued", values: { before: before ?? 0 } }), h("progress", {}));
    else if (state === "running") this.offer.replaceChildren(h("p", { role: "status", t: "film.running", values: { share: percent(share ?? 0) } }), h("progress", { max: "1", value: String(share ?? 0) }));
    else if (this.recording.state !== "stopped") this.offer.replaceChildren(h("p", { t: "film.not_stopped" }));
    else {
      const why = state === "failed" ? h("p", { role: "alert", t: "film.failed" }) : h("p", { class: "card-title", t: "film.none" });
      this.offer.replaceChildren(why, h("p", { class: "hint", t: "film.none_text" }), make("film.make"));
    }
  }

  /** @param {string} key */
  told(key) {
    this.offer.replaceChildren(h("p", { role: "alert", t: key }));
  }
}
