import assert from "node:assert/strict";
import { readdir, readFile } from "node:fs/promises";
import { register } from "node:module";
import { test } from "node:test";

// The pages name modules of the SDK by their address on the server.
const WEB = new URL("../../web/", import.meta.url).href;
const HOOKS = `export const resolve = (name, context, next) => next(name.startsWith("/sdk/") ? ${JSON.stringify(WEB)} + name.slice(1) : name, context);`;
register(`data:text/javascript,${encodeURIComponent(HOOKS)}`);
const { attemptAt, clock, momentAt, momentsOf, percent, seconds, shareOf } = await import("../../web/app/playback_events.js");
const { PLAYBACK_STRINGS } = await import("../../web/app/playback_strings.js");
const { useStrings } = await import("../../web/app/language.js");

useStrings(PLAYBACK_STRINGS, ["录像", "Recordings"]);
const S = 1_000_000;

function recording(changes = {}) {
  return {
    from_us: 0, to_us: 60 * S, pauses: [[20 * S, 25 * S]], outages: [{ from_us: 26 * S, to_us: 28 * S, cause: "crash" }], marks: [{ at_us: 5 * S, label: "x" }], alerts: [], transcript: [], flow: null,
    attempts: [
      { node: "risk", attempt: 1, supersedes: null, superseded_by: 2, from_us: 1 * S, to_us: 10 * S },
      { node: "risk", attempt: 2, supersedes: 1, superseded_by: null, from_us: 30 * S, to_us: null },
    ],
    people: [{ participant: "c", name: "王芳", role: "customer", present: [[0, 60 * S]], speech: null }],
    tracks: [{ track: "t", participant: "c", kind: "audio", gaps: [
      { from_us: 12 * S, to_us: 14 * S, cause: "network", filled: false },
      { from_us: 40 * S, to_us: 42 * S, cause: "network", filled: true },
      { from_us: 50 * S, to_us: 50 * S + 1_000, cause: "network", filled: false },
      { from_us: 20 * S, to_us: 25 * S, cause: "paused", filled: false },
    ] }],
    ...changes,
  };
}

test("every text of the playback page exists in both languages with the same values, and is used", async () => {
  const folder = new URL("../../web/app/", import.meta.url);
  const names = (await readdir(folder)).filter((name) => name.startsWith("playback") && name.endsWith(".js") && name !== "playback_strings.js");
  const source = (await Promise.all(names.map((name) => readFile(new URL(name, folder), "utf8")))).join("\n");
  const values = (text) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort();
  for (const [key, [chinese, english]] of Object.entries(PLAYBACK_STRINGS)) {
    assert.deepEqual(values(chinese), values(english), key);
    const family = key.split(".")[0];
    assert.ok(source.includes(`"${key}"`) || source.includes(`\`${family}.\${`) || source.includes(`named("${family}"`), `${key} is not used`);
  }
  for (const [, key] of source.matchAll(/"((?:playback|find|purpose|film|time|event|evidence|complete)\.[a-z_]+)"/g)) {
    assert.ok(key in PLAYBACK_STRINGS, `${key} is missing`);
  }
});

test("what happened is in order of time; small gaps and pauses of tracks are left out, filled ones say so", () => {
  const kinds = momentsOf(recording()).map(({ at_us, kind }) => [at_us / S, kind]);
  assert.deepEqual(kinds, [[0, "person"], [1, "superseded"], [5, "mark"], [12, "gap"], [20, "pause"], [26, "outage"], [30, "node"], [40, "filled"]]);
});

test("findings and times nobody knows of are told with the person, and look different", () => {
  const about = { detector: "d", participant: "c", track: "t", to_us: 9 * S, is_open: false, cause: null, acknowledged: null, title: { zh: "离开", en: "Away" } };
  const findings = [
    { ...about, finding: "1", kind: "face_absent", outcome: "warn", severity: "critical", from_us: 6 * S, text: { zh: "离开 3 秒", en: "away for 3 s" } },
    { ...about, finding: "2", kind: "unknown", outcome: "unknown", severity: "info", from_us: 7 * S, cause: "model_missing", text: about.title },
    { ...about, finding: "3", kind: "said", outcome: "pass", severity: "warning", from_us: 8 * S, participant: "", text: { zh: "已告知", en: "told" } },
  ];
  const told = momentsOf(recording({ findings })).filter(({ kind }) => kind.startsWith("finding"));
  assert.deepEqual(told.map(({ kind, text }) => [kind, text]), [
    ["finding-critical", "检测：王芳 · 离开 3 秒"],
    ["finding-unknown", "未检测：王芳 · 离开（模型未安装）"],
    ["finding-info", "检测：已告知"],
  ]);
  assert.deepEqual(told.map(({ at_us }) => at_us / S), [6, 7, 8]);
});

test("the list is bounded", () => {
  const transcript = Array.from({ length: 5_000 }, (_, index) => ({ from_us: index, to_us: index + 1, speaker: "", text: "x" }));
  assert.equal(momentsOf(recording({ transcript })).length, 2_000);
});

test("the attempt and the event at a moment", () => {
  const made = recording();
  assert.equal(attemptAt(made, 0), null);
  assert.equal(attemptAt(made, 1 * S).attempt, 1);
  assert.equal(attemptAt(made, 10 * S), null);
  assert.equal(attemptAt(made, 59 * S).attempt, 2);
  const moments = momentsOf(made);
  assert.equal(momentAt(moments, -1), -1);
  assert.equal(moments[momentAt(moments, 13 * S)].kind, "gap");
  assert.equal(momentAt(moments, 60 * S), moments.length - 1);
  assert.equal(momentAt([], 5), -1);
});

test("times and shares; what is not complete never reads as 100 %", () => {
  assert.equal(clock(0), "00:00");
  assert.equal(clock(3_725 * S), "01:02:05");
  assert.equal(clock(-5), "00:00");
  assert.equal(seconds(1_500_000), "1.5");
  assert.equal(seconds(61 * S), "61");
  assert.equal(percent(0.99999), "99.99 %");
  assert.equal(shareOf({ expected_us: 100 * S, missing_us: 1 }), "99.99 %");
  assert.equal(shareOf({ expected_us: 100 * S, missing_us: 0 }), "100 %");
  assert.equal(shareOf({ expected_us: 0, missing_us: 0 }), "–");
});
