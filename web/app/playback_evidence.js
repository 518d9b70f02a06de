import { h } from "./dom.js";
import { t } from "./language.js";
import { named, personName, seconds, shareOf } from "./playback_events.js";

/**
 * @typedef {import("./playback_api.js").Recording} Recording
 * @typedef {import("./playback_api.js").Work} Work
 */

/** What the recording is worth as evidence, and what of it there is. */
export class EvidencePanel {
  /** @param {Recording} recording @param {string} packageUrl @param {() => void} verify */
  constructor(recording, packageUrl, verify) {
    this.recording = recording;
    this.packageUrl = packageUrl;
    this.verify = verify;
    this.verdict = h("div", { class: "verdict", role: "status" });
    this.element = h("section", { class: "panel evidence" }, h("h2", { t: "evidence.title" }), this.verdict,
      h("h2", { t: "complete.title" }), h("ul", { class: "complete" }, ...recording.tracks.map((track) => this.track(track)), ...this.outages()));
    this.show(recording);
  }

  /** @param {Work} work */
  show(work) {
    const sealed = this.recording.packages.at(-1);
    if (!sealed || !work.package) {
      this.verdict.replaceChildren(h("p", { class: "hint", t: "evidence.no_package" }));
      return;
    }
    const { state, exit, code, timestamp, sha256 } = work.verification;
    const keys = ["evidence.pass", "evidence.gaps", "evidence.fail"];
    const word = state === "done"
      ? h("p", { class: `verdict-word verdict-${exit}`, t: keys[exit ?? 2], values: { code: code ?? "" } })
      : state === "failed" ? h("p", { class: "verdict-word verdict-2", t: "evidence.failed" })
        : h("p", { class: "verdict-word", t: state === "none" ? "evidence.unknown" : "evidence.running" });
    const busy = state === "queued" || state === "running";
    const button = h("button", { type: "button", class: "secondary", disabled: busy, t: state === "done" ? "evidence.again" : "evidence.verify", on: { click: this.verify } });
    const size = `${(work.package.bytes / 2 ** 20).toFixed(1)} MiB`;
    const stamp = state === "done" && timestamp === "unknown" ? h("p", { class: "hint", t: "evidence.timestamp_unknown" }) : "";
    this.verdict.replaceChildren(word, stamp, h("p", { class: "hint", t: "evidence.sealed_at", values: { at: new Date(sealed.sealed_at).toLocaleString() } }),
      h("div", { class: "evidence-actions" }, button, h("a", { class: "secondary as-button", href: this.packageUrl, download: true, t: "evidence.download", values: { size } })),
      this.digest("evidence.manifest", sealed.manifest.sha256), sha256 ? this.digest("evidence.file", sha256) : "");
  }

  /** @param {string} name @param {string} digest */
  digest(name, digest) {
    const copy = h("button", { type: "button", class: "link", t: "evidence.copy", on: { click: () => void navigator.clipboard.writeText(digest).then(() => { copy.textContent = t("evidence.copied"); }) } });
    return h("p", { class: "digest" }, h("span", { t: name }), h("code", {}, digest), copy);
  }

  /** They are of nobody's track, for nothing was. */
  outages() {
    const out_us = this.recording.outages.reduce((sum, { from_us: from, to_us: to }) => sum + to - from, 0);
    if (out_us === 0) return [];
    return [h("li", {}, h("span", { t: "complete.outages" }), h("span", { class: "hint" }, t("complete.missing", { seconds: seconds(out_us) })))];
  }

  /** @param {import("./playback_api.js").Track} track */
  track(track) {
    const who = personName(this.recording, track.participant);
    const parts = [];
    if (track.undeclared.length) parts.push(t("complete.undeclared"));
    if (track.filled_us) parts.push(t("complete.filled", { seconds: seconds(track.filled_us) }));
    parts.push(track.missing_us ? t("complete.missing", { seconds: seconds(track.missing_us) }) : t("complete.whole"));
    const meter = h("meter", { min: "0", max: "1", low: "0.95", high: "0.99", optimum: "1", value: String(track.expected_us ? 1 - track.missing_us / track.expected_us : 1) });
    return h("li", {}, h("span", {}, t("complete.track", { who, kind: named("kind", track.kind) })), h("span", { class: "complete-share" }, shareOf(track)), meter, h("span", { class: "hint" }, parts.join(" · ")));
  }
}
