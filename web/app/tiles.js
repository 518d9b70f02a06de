import { h, icon, initials } from "./dom.js";
import { say } from "./language.js";

/**
 * @typedef {import("/sdk/protocol.js").ParticipantInfo} ParticipantInfo
 * @typedef {import("/sdk/protocol.js").Score} Score
 */

/** One person, or one shared screen, in the call. */
export class Tile {
  element;
  #video = h("video", { class: "tile-video", tabindex: "-1", playsinline: true, autoplay: true });
  #avatar = h("div", { class: "avatar", "aria-hidden": "true" });
  #muted = h("span", { class: "tile-muted", role: "img", label: "call.muted" }, icon("mic-off"));
  #bars;
  #note = h("p", { class: "tile-note" });
  #ask;
  #check;

  /**
   * @param {object} options
   * @param {string} options.name
   * @param {import("/sdk/protocol.js").Role} options.role
   * @param {"person" | "self" | "screen"} options.kind
   * @param {(() => void) | null} [options.askMute]
   * @param {((button: HTMLElement) => void) | null} [options.check] Opens the checks of this person.
   */
  constructor({ name, role, kind, askMute = null, check = null }) {
    this.#video.muted = true;
    this.#bars = h("span", { class: "bars", role: "img" }, h("i"), h("i"), h("i"));
    this.#bars.hidden = kind === "screen";
    if (kind === "self") say(this.#avatar, "call.you");
    else this.#avatar.textContent = initials(name) || "·";
    const title = h("span", { class: "tile-name" });
    if (kind === "screen") say(title, "call.screen_of", { name });
    else if (kind === "self") say(title, "call.you");
    else title.textContent = name;
    const badge = kind === "screen" ? null : h("span", { class: `badge badge-${role}`, t: `role.${role}` });
    this.#ask = h(
      "button",
      { type: "button", class: "tile-ask", label: "mute.ask_person", values: { name }, on: { click: askMute ?? (() => {}) } },
      icon("mic-off"),
      h("span", { t: "mute.ask" }),
    );
    this.#ask.hidden = true;
    this.#check = h(
      "button",
      { type: "button", class: "tile-check", label: "checks.open_person", values: { name }, "aria-haspopup": "dialog", hidden: true,
        on: { click: () => check?.(this.#check) } },
      h("span", { t: "checks.open" }),
    );
    this.#canAsk = askMute !== null;
    this.element = h(
      "article",
      { class: `tile tile-${kind}` },
      this.#avatar,
      this.#video,
      this.#note,
      h("div", { class: "tile-bar" }, this.#muted, title, badge, this.#bars),
      this.#ask,
      this.#check,
    );
    this.setAudio({ published: false, muted: kind !== "screen" });
    this.setScore("unknown");
    this.setNote(null);
    this.setPicture(null);
  }

  #canAsk;
  /** @type {string | null} */
  #followed = null;
  #unfollow = () => {};

  /** @param {MediaStreamTrack | null} track Null while there is no picture. */
  setPicture(track) {
    const shown = this.#video.srcObject instanceof MediaStream ? this.#video.srcObject.getVideoTracks()[0] : null;
    if ((shown ?? null) !== track) {
      this.#video.srcObject = track ? new MediaStream([track]) : null;
      if (track) this.#video.play().catch(() => {});
    }
    this.#video.hidden = track === null;
    this.#avatar.hidden = track !== null;
  }

  /** @param {{ published: boolean, muted: boolean }} audio */
  setAudio({ published, muted }) {
    this.#muted.hidden = !muted;
    this.#ask.hidden = !this.#canAsk || !published || muted;
  }

  /** @param {boolean} possible Whether the person can be checked. */
  setCheckable(possible) {
    this.#check.hidden = !possible;
  }

  /** @param {boolean} speaking */
  setSpeaking(speaking) {
    this.element.classList.toggle("is-speaking", speaking);
  }

  /** @param {Score} score */
  setScore(score) {
    this.#bars.dataset.score = score;
    say(this.#bars, `quality.${score}`, undefined, "tLabel");
    say(this.#bars, `quality.${score}`, undefined, "tTitle");
  }

  /** @param {string | null} key Text over the picture. */
  setNote(key) {
    this.#note.hidden = key === null;
    if (key) say(this.#note, key);
    this.element.classList.toggle("is-away", key === "call.person_reconnecting");
  }

  /**
   * Follows how large the track is shown.
   *
   * @param {string | null} trackId
   * @param {(trackId: string, element: Element) => () => void} watch
   */
  followSize(trackId, watch) {
    if (trackId === this.#followed) return;
    this.#followed = trackId;
    this.#unfollow();
    // Of the tile and not of the picture: a camera that is switched on again shall not have to be asked for.
    this.#unfollow = trackId ? watch(trackId, this.element) : () => {};
  }

  close() {
    this.#unfollow();
    this.#video.srcObject = null;
    this.element.remove();
  }
}
