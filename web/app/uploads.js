import { h } from "./dom.js";
import { say } from "./language.js";

/**
 * @typedef {import("/sdk/recording.js").Progress} Progress
 */

/** What is still being uploaded for a recording, of the call that ended or of one before; asks people to stay. */
export class UploadNote {
  element;
  #title = h("p", { class: "upload-title" });
  #text = h("p", { class: "upload-text" });
  #bar = h("progress", { class: "upload-bar", label: "upload.title" });
  /** By session. @type {Map<string, Progress>} */
  #sessions = new Map();
  #stay = (/** @type {BeforeUnloadEvent} */ event) => event.preventDefault();

  constructor() {
    this.element = h("aside", { class: "upload", role: "status" }, this.#title, this.#text, this.#bar);
    this.element.hidden = true;
  }

  /** @param {Progress} progress */
  show(progress) {
    if (progress.phase === "call") return;
    this.#sessions.set(progress.session, progress);
    const all = [...this.#sessions.values()];
    const busy = all.some(({ phase, left }) => phase === "after" && left > 0);
    const over = all.every(({ phase }) => phase !== "after");
    const [left, uploaded, lost] = [sum(all, "left"), sum(all, "uploaded"), sum(all, "lost")];
    const refused = all.some(({ phase }) => phase === "refused");
    document.documentElement.dataset.upload = busy ? "busy" : over ? (refused ? "refused" : "done") : "asking";
    this.element.hidden = uploaded + lost + left === 0 && !refused;
    if (busy) {
      say(this.#title, "upload.title");
      say(this.#text, "upload.text", { left });
      this.#bar.max = uploaded + left;
      this.#bar.value = uploaded;
      addEventListener("beforeunload", this.#stay);
    } else if (over) {
      say(this.#title, refused || lost > 0 ? "upload.incomplete" : "upload.done");
      removeEventListener("beforeunload", this.#stay);
    }
    this.#text.hidden = this.#bar.hidden = !busy;
  }
}

/**
 * @param {readonly Progress[]} list
 * @param {"left" | "uploaded" | "lost"} member
 */
function sum(list, member) {
  return list.reduce((total, progress) => total + progress[member], 0);
}
