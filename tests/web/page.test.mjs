import assert from "node:assert/strict";
import { readFile, readdir } from "node:fs/promises";
import { test } from "node:test";

import { FILE_BYTES, answerOf, photoProblem } from "../../web/app/answers.js";
import { bannerFor, timeLeft } from "../../web/app/banner.js";
import { describeToken, readParams, withoutToken } from "../../web/app/params.js";
import { STRINGS } from "../../web/app/strings.js";
import { preferCodec } from "../../web/sdk/codecs.js";
import { describeError, pickLanguage } from "../../web/sdk/i18n.js";
import { meterLevel } from "../../web/sdk/level.js";
import { socketUrl } from "../../web/sdk/protocol.js";
import { PAGE, moduleGraph, pageWithLinks } from "../../tools/modulepreload.mjs";

const WEB = new URL("../../web/", import.meta.url);
const quiet = { drain: null, expiry: null };
const status = (state, retryInMs = 0) => ({ state, media: "connected", audible: true, signaling: { state: "open", attempts: 0, retryInMs } });

test("the address gives room, role, name and codec, and nonsense falls back", () => {
  assert.deepEqual(readParams({ search: "?room=r1&role=rm&name=%E6%9D%8E&codec=VP9&lang=zh", hash: "#token=a.b.c" }), {
    token: "a.b.c", room: "r1", role: "rm", name: "李", codec: "vp9", language: "zh-CN", debug: false,
  });
  const odd = readParams({ search: `?room=../x&role=boss&codec=<b>&name=${"n".repeat(99)}`, hash: "" });
  assert.deepEqual([odd.token, odd.room, odd.role, odd.codec, odd.name.length], [null, null, "customer", null, 64]);
});

test("the token leaves the address, the rest stays", () => {
  assert.equal(withoutToken({ pathname: "/", search: "?lang=en", hash: "#token=secret" }), "/?lang=en");
  assert.equal(withoutToken({ pathname: "/", search: "", hash: "#a=1&token=secret" }), "/#a=1");
});

test("a token is read for display, a broken one says nothing", () => {
  const part = Buffer.from(JSON.stringify({ name: "王芳", role: "customer", room: "r" })).toString("base64url");
  assert.deepEqual(describeToken(`x.${part}.y`), { name: "王芳", role: "customer", room: "r" });
  for (const token of ["", "a", "a.!.c", "a.e30.c", "a.bnVsbA.c"]) assert.equal(describeToken(token).role, null);
});

test("the banner says the most urgent thing", () => {
  assert.equal(bannerFor(status("connected"), quiet), null);
  assert.equal(bannerFor(status("lost", 3000), { drain: { minutes: 4 }, expiry: { seconds: 60 } }).key, "banner.lost");
  assert.equal(bannerFor(status("lost", 3000), quiet).retryInMs, 3000);
  assert.equal(bannerFor(status("signaling_lost"), quiet).tone, "warn");
  assert.equal(bannerFor(status("connected"), { drain: { minutes: 4 }, expiry: { minutes: 2 } }).key, "banner.expiring");
  assert.deepEqual(bannerFor(status("connected"), { drain: { minutes: 4 }, expiry: null }).values, { minutes: 4 });
});

test("the last two minutes are told in seconds, in both languages", () => {
  const banner = bannerFor(status("connected"), { drain: { seconds: 30 }, expiry: null });
  assert.deepEqual([banner.key, banner.values], ["banner.draining_seconds", { seconds: 30 }]);
  assert.equal(bannerFor(status("connected"), { drain: null, expiry: { seconds: 30 } }).key, "banner.expiring_seconds");
  for (const text of STRINGS["banner.draining_seconds"]) assert.match(text, /\{seconds\} (秒|s)/);
});

test("the time left is rounded up and only told when it is near", () => {
  for (const [leftMs, told] of [
    [300_000, { minutes: 5 }], [299_000, { minutes: 5 }], [121_000, { minutes: 3 }], [120_000, { minutes: 2 }],
    [119_999, { seconds: 120 }], [61_000, { seconds: 70 }], [10_000, { seconds: 10 }], [3_000, { seconds: 10 }],
    [-1, { seconds: 10 }], [301_000, null], [NaN, null],
  ]) assert.deepEqual(timeLeft(leftMs + 7, 7, 5), told, `${leftMs}`);
  assert.deepEqual(timeLeft(3_600_000, 0, Infinity), { minutes: 60 });
});

test("the language follows the browser's preference", () => {
  assert.equal(pickLanguage(["zh-Hant-TW", "en"]), "zh-CN");
  assert.equal(pickLanguage(["fr-FR", "en-GB", "zh"]), "en");
  assert.equal(pickLanguage(["fr"]), "en");
  assert.equal(pickLanguage([]), "en");
});

test("every code of the protocol is explained in both languages", async () => {
  const page = await readFile(new URL("../docs/protocol.md", WEB), "utf8");
  const codes = [...page.slice(page.indexOf("## Errors")).matchAll(/^\| (\w+) \| [^|]+ \| [^|]*\p{Script=Han}/gmu)].map((row) => row[1]);
  assert.ok(codes.length >= 20);
  for (const code of codes) {
    for (const language of ["zh-CN", "en"]) {
      const { title, advice } = describeError(code, language);
      assert.ok(title && advice, code);
      assert.equal(/\p{Script=Han}/u.test(title + advice), language === "zh-CN", code);
    }
  }
  assert.match(describeError("from_the_future", "en").advice, /from_the_future/);
});

test("every text of the page exists in both languages with the same values, and is used", async () => {
  const folder = new URL("app/", WEB);
  const names = (await readdir(folder)).filter((name) => name.endsWith(".js") && name !== "strings.js");
  const source = (await Promise.all(names.map((name) => readFile(new URL(name, folder), "utf8")))).join("\n");
  const values = (text) => [...text.matchAll(/\{(\w+)\}/g)].map((match) => match[1]).sort();
  for (const [key, [chinese, english]] of Object.entries(STRINGS)) {
    assert.deepEqual(values(chinese), values(english), key);
    assert.ok(english && chinese, key);
    const family = key.replace(/\.\w+$/, ".${");
    assert.ok(source.includes(`"${key}"`) || source.includes(`\`${family}`), `${key} is not used`);
  }
  for (const [, key] of source.matchAll(/"((?:app|lobby|call|control|leave|quality|state|banner|mute|people|messages|devices|ended|link|error|language|role)\.[a-z_]+)"/g)) {
    assert.ok(key in STRINGS, `${key} is missing`);
  }
});

test("the page has no inline script or style and loads nothing from elsewhere", async () => {
  const html = await readFile(new URL("app/index.html", WEB), "utf8");
  assert.doesNotMatch(html, /<script(?![^>]*\bsrc=)|<style|\sstyle=|\son\w+=/);
  for (const folder of ["app/", "sdk/"]) {
    for (const name of await readdir(new URL(folder, WEB))) {
      const text = await readFile(new URL(folder + name, WEB), "utf8");
      const elsewhere = [...text.matchAll(/(?:src|href|from|import|url)\s*[=(]?\s*["'(]\s*(https?:)?\/\/[^"')]+/g)].map(([found]) => found);
      assert.deepEqual(elsewhere, [], name);
      assert.doesNotMatch(text, /\beval\(|new Function\(|innerHTML|document\.write/, name);
    }
  }
});

test("the wanted codec comes first and repair formats stay", () => {
  const codecs = ["video/VP8", "video/rtx", "video/VP9", "video/H264", "video/VP9"].map((mimeType) => ({ mimeType }));
  assert.deepEqual(preferCodec(codecs, "vp9").map(({ mimeType }) => mimeType), ["video/VP9", "video/VP9", "video/VP8", "video/rtx", "video/H264"]);
  assert.deepEqual(preferCodec(codecs, "theora"), codecs);
});

test("the meter is empty in silence, full at full scale, and even in decibels", () => {
  const wave = (amplitude) => Float32Array.from({ length: 480 }, (_, index) => (index % 2 ? amplitude : -amplitude));
  assert.equal(meterLevel(wave(0)), 0);
  assert.equal(meterLevel(new Float32Array(0)), 0);
  assert.equal(meterLevel(wave(1)), 1);
  assert.ok(Math.abs(meterLevel(wave(0.0316)) - 0.5) < 0.01);
  assert.equal(meterLevel(wave(0.0001)), 0);
});

test("the socket's address follows from the server's", () => {
  const page = "https://bank.example/call?x=1#y";
  assert.equal(socketUrl("/", page), "wss://bank.example/v1/ws");
  assert.equal(socketUrl("http://127.0.0.1:8080", page), "ws://127.0.0.1:8080/v1/ws");
  assert.equal(socketUrl("wss://media.example/v1/ws?token=no", page), "wss://media.example/v1/ws");
});

test("the page asks for all its modules at once", async () => {
  const graph = await moduleGraph();
  for (const file of ["/sdk/call.js", "/sdk/clock.js", "/app/strings.js"]) assert.ok(graph.has(file), file);
  assert.equal(await readFile(PAGE, "utf8"), await pageWithLinks(), "node tools/modulepreload.mjs --write");
});

test("an answer to a question of the RM is seen, not seen or unknown, and nothing that isn't known passes", () => {
  for (const [kind, outcome, told] of [
    ["challenge_seen", "unknown", "seen"], ["challenge_missed", "warn", "missed"], ["challenge_missed", "unknown", "unknown"],
    ["id_match", "pass", "match"], ["id_match", "unknown", "unknown"], ["id_mismatch", "fail", "mismatch"],
    ["id_mismatch", "unknown", "unknown"], ["face_absent", "warn", null],
  ]) assert.equal(answerOf({ kind, outcome }), told, `${kind} ${outcome}`);
});

test("a file that can be no photo is refused before it is read, and why", () => {
  assert.equal(photoProblem({ size: FILE_BYTES, type: "image/png" }), null);
  assert.equal(photoProblem({ size: FILE_BYTES + 1, type: "image/jpeg" }), "checks.photo_large");
  for (const type of ["image/webp", "application/pdf", ""]) assert.equal(photoProblem({ size: 1, type }), "checks.photo_type");
});

test("whatever may be asked, and whatever may come of it, has a text in both languages", () => {
  const said = [
    ...["blink", "turn", "turn_left", "turn_right", "open_mouth"].map((ask) => `challenge.${ask}`),
    ...["blink", "turn", "seen", "missed", "unknown", "match", "mismatch"].map((key) => `checks.${key}`),
  ];
  for (const key of said) {
    assert.match(STRINGS[key]?.[0] ?? "", /\p{Script=Han}/u, key);
    assert.match(STRINGS[key]?.[1] ?? "", /[a-z]/, key);
  }
});
