import { h } from "./dom.js";
import { STRINGS } from "./strings.js";

/**
 * What somebody is asked to do for the camera, over the pictures until the time for it is over. In both languages: who
 * doesn't understand it can't do it.
 */
export class ChallengeView {
  element = h("section", { class: "challenge", role: "alert", hidden: true });
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #stop;

  /** @param {import("/sdk/witness.js").Call} call */
  constructor(call) {
    this.#stop = call.on("challenge", ({ ask, withinS }) => this.#show(ask, withinS));
  }

  close() {
    this.#stop();
    clearTimeout(this.#timer);
  }

  /** @param {string} ask @param {number} withinS */
  #show(ask, withinS) {
    const texts = STRINGS[`challenge.${ask}`];
    if (!texts) return;
    clearTimeout(this.#timer);
    this.element.replaceChildren(h("p", { lang: "zh-CN" }, texts[0]), h("p", { lang: "en" }, texts[1]));
    this.element.hidden = false;
    this.#timer = setTimeout(() => (this.element.hidden = true), withinS * 1000);
  }
}
