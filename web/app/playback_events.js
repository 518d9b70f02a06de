import { language, t, textLanguage } from "./language.js";

/**
 * @typedef {import("./playback_api.js").Recording} Recording
 * @typedef {import("./playback_api.js").Attempt} Attempt
 * @typedef {{ at_us: number, to_us: number, kind: string, text: string, attempt?: Attempt }} Moment Something that happened.
 */

const LEAST_GAP_US = 500_000;
const MOST = 2_000;

/** @param {number} us */
export function seconds(us) {
  return us < 9_950_000 ? (us / 1e6).toFixed(1) : String(Math.round(us / 1e6));
}

/** @param {number} us From the start of the film. */
export function clock(us) {
  const all = Math.max(0, Math.floor(us / 1e6));
  const parts = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  const text = parts.map((part) => String(part).padStart(2, "0"));
  return parts[0] ? text.join(":") : text.slice(1).join(":");
}

/** @param {Recording} recording @param {string} code */
export function nodeTitle(recording, code) {
  const title = recording.flow?.nodes.find((node) => node.code === code)?.title;
  return (language() === "en" ? title?.en ?? title?.zh : title?.zh ?? title?.en) ?? code;
}

/** @param {Recording} recording @param {Attempt} attempt */
export function attemptTitle(recording, attempt) {
  const node = nodeTitle(recording, attempt.node);
  const titled = attempt.attempt > 1 ? t("time.attempt", { node, attempt: attempt.attempt }) : node;
  return attempt.superseded_by === null ? titled : t("time.superseded", { node: titled, by: attempt.superseded_by });
}

/** @param {string} family @param {string | null} name @param {Record<string, string | number>} [values] A closed set that may grow: a new member is told as it is. */
export function named(family, name, values = {}) {
  const key = `${family}.${name ?? "unknown"}`;
  const text = t(key, values);
  return text === key ? String(name ?? "?") : text;
}

/** @param {Recording} recording @param {string} participant */
export function personName(recording, participant) {
  return recording.people.find((person) => person.participant === participant)?.name ?? participant;
}

/** @param {import("./playback_api.js").Alert} alert */
export function alertText(alert) {
  return t("event.alert", { what: named("alert", alert.alert, { cause: named("cause", alert.cause) }) });
}

/** @param {Recording} recording @param {import("./playback_api.js").Finding} finding */
export function findingText(recording, finding) {
  const who = finding.participant ? `${personName(recording, finding.participant)} · ` : "";
  const what = finding.text[textLanguage()] || finding.title[textLanguage()];
  if (finding.kind === "unknown") return t("event.unknown", { who, what: finding.title[textLanguage()], cause: named("unknown", finding.cause) });
  return t("event.finding", { who, what });
}

/** How a finding looks: what passed or informs, what warns, what nobody knows. @param {import("./playback_api.js").Finding} finding */
export function findingLook({ outcome, severity }) {
  if (outcome === "unknown") return "unknown";
  return outcome === "pass" || severity === "info" ? "info" : severity;
}

/**
 * Everything worth jumping to, in order of time.
 *
 * @param {Recording} recording
 * @returns {Moment[]}
 */
export function momentsOf(recording) {
  /** @type {Moment[]} */
  const found = [];
  const end = recording.to_us;
  for (const attempt of recording.attempts) {
    const kind = attempt.superseded_by === null ? "node" : "superseded";
    found.push({ at_us: attempt.from_us, to_us: attempt.to_us ?? end, kind, text: attemptTitle(recording, attempt), attempt });
  }
  for (const mark of recording.marks) found.push({ at_us: mark.at_us, to_us: mark.at_us, kind: "mark", text: t("event.mark", { label: mark.label }) });
  for (const [from, to] of recording.pauses) found.push({ at_us: from, to_us: to, kind: "pause", text: t("event.pause", { seconds: seconds(to - from) }) });
  for (const { from_us: from, to_us: to } of recording.outages) found.push({ at_us: from, to_us: to, kind: "outage", text: t("event.outage", { seconds: seconds(to - from) }) });
  for (const alert of recording.alerts) {
    found.push({ at_us: alert.from_us, to_us: alert.to_us ?? end, kind: alert.severity === "info" ? "info" : "alert", text: alertText(alert) });
  }
  for (const finding of recording.findings ?? []) {
    found.push({ at_us: finding.from_us, to_us: finding.to_us, kind: `finding-${findingLook(finding)}`, text: findingText(recording, finding) });
  }
  for (const person of recording.people) {
    for (const [from, to] of person.present) {
      found.push({ at_us: from, to_us: from, kind: "person", text: t("event.joined", { who: person.name }) });
      if (to < end - LEAST_GAP_US) found.push({ at_us: to, to_us: to, kind: "person", text: t("event.left", { who: person.name }) });
    }
  }
  for (const track of recording.tracks) {
    const who = personName(recording, track.participant);
    for (const gap of track.gaps) {
      if (gap.to_us - gap.from_us < LEAST_GAP_US || gap.cause === "paused") continue;
      const values = { who, kind: named("kind", track.kind), seconds: seconds(gap.to_us - gap.from_us), cause: named("cause", gap.cause) };
      found.push({ at_us: gap.from_us, to_us: gap.to_us, kind: gap.filled ? "filled" : "gap", text: t(gap.filled ? "event.filled" : "event.gap", values) });
    }
  }
  for (const line of recording.transcript) {
    const who = line.speaker ? `${personName(recording, line.speaker)}：` : "";
    found.push({ at_us: line.from_us, to_us: line.to_us, kind: "said", text: `${who}${line.text}` });
  }
  found.sort((a, b) => a.at_us - b.at_us);
  return found.slice(0, MOST);
}

/** @param {Recording} recording @param {number} at_us @returns {Attempt | null} What is being recorded at a moment. */
export function attemptAt(recording, at_us) {
  let found = null;
  for (const attempt of recording.attempts) {
    if (attempt.from_us <= at_us && (attempt.to_us === null || at_us < attempt.to_us)) found = attempt;
  }
  return found;
}

/** @param {Moment[]} moments @param {number} at_us @returns {number} The last that has begun, -1 before the first. */
export function momentAt(moments, at_us) {
  let low = 0;
  let high = moments.length;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (/** @type {Moment} */ (moments[middle]).at_us <= at_us) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

/** @param {{ expected_us: number, missing_us: number }} track @returns {string} Rounded down: what is not complete never reads as 100 %. */
export function shareOf(track) {
  if (track.expected_us === 0) return "–";
  return percent(1 - track.missing_us / track.expected_us);
}

/** @param {number} share */
export function percent(share) {
  return `${(Math.floor(share * 10_000) / 100).toFixed(share === 1 ? 0 : 2)} %`;
}
