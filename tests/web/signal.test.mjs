import assert from "node:assert/strict";
import { test } from "node:test";

import { Connector } from "../../web/sdk/connector.js";
import { ResumeStore } from "../../web/sdk/resume_store.js";
import { Signal } from "../../web/sdk/signal.js";
import { FakeServer, FakeStorage } from "./fake_server.mjs";
import { VirtualClock, settle } from "./virtual_clock.mjs";

const TOKEN = "secret.token.value";

function setup({ token = TOKEN, autoOpen = true, mediaFlows = () => false } = {}) {
  const clock = new VirtualClock();
  const server = new FakeServer();
  server.autoOpen = autoOpen;
  const storage = new FakeStorage();
  const store = new ResumeStore(storage, () => clock.now());
  const signal = new Signal({
    url: "wss://bank.example/v1/ws", clock, open: server.open, store, idPrefix: "p",
    identity: { token, language: "zh-CN", autoSubscribe: true }, mediaFlows,
  });
  const seen = { joined: [], notices: [], closed: [], states: [] };
  signal.on("joined", (event) => seen.joined.push(event));
  signal.on("notice", (notice) => seen.notices.push(notice));
  signal.on("closed", (error) => seen.closed.push(error.code));
  signal.on("state", ({ state }) => seen.states.push(state));
  return { clock, server, storage, store, signal, seen };
}

async function joined(options) {
  const parts = setup(options);
  parts.signal.join();
  await settle();
  assert.equal(parts.signal.status.state, "open");
  return parts;
}

test("join sends the token in the first message and opens with the reply", async () => {
  const { server, seen } = await joined();
  const [hello] = server.sentOfType("join");
  assert.equal(hello.data.token, TOKEN);
  assert.equal(hello.data.language, "zh-CN");
  assert.equal(seen.joined[0].how, "joined");
});

test("a request resolves with the data of its reply", async () => {
  const { server, signal } = await joined();
  server.onRequest = () => ({ message_id: "m1", at: "now" });
  assert.deepEqual(await signal.request("message", { text: "你好" }), { message_id: "m1", at: "now" });
});

test("an error reply rejects with its code, field and retry time", async () => {
  const { server, signal } = await joined();
  server.onRequest = () => ({ error: { code: "forbidden", message: "no", field: "data.to", retry_after_s: 2 } });
  await assert.rejects(signal.request("message", { text: "x" }), { code: "forbidden", field: "data.to", retryAfterS: 2 });
});

test("a reply lost with the socket is asked for again with the same id and carried out once", async () => {
  const { clock, server, signal } = await joined();
  server.onRequest = (type, data, id) => ({ echoed: id });
  const deliver = server.socket.deliver;
  server.socket.deliver = () => {};
  const reply = signal.request("message", { text: "x" });
  await settle();
  server.unacknowledged = server.unacknowledged.filter(({ re }) => !re?.endsWith("-2"));
  server.socket.deliver = deliver;
  server.socket.break();
  await clock.advance(2000);
  assert.deepEqual(await reply, { echoed: "p-2" });
  assert.equal(server.carriedOut.length, 1);
  assert.equal(server.sentOfType("message").length, 2);
});

test("a request made while the socket is down is sent after the resume", async () => {
  const { clock, server, signal } = await joined();
  server.autoOpen = false;
  server.socket.break();
  const reply = signal.request("message", { text: "x" });
  await clock.advance(1000);
  assert.equal(server.sentOfType("message").length, 0);
  server.sockets.at(-1).accept();
  await settle();
  assert.deepEqual(await reply, {});
});

test("missed notices are replayed once each, in order", async () => {
  const { clock, server, seen } = await joined();
  server.notify("message", { text: "1" });
  await settle();
  server.socket.silent = true;
  server.notify("message", { text: "2" });
  server.notify("message", { text: "3" });
  server.socket.silent = false;
  server.socket.break();
  await clock.advance(1000);
  assert.deepEqual(seen.notices.map((notice) => notice.data.text), ["1", "2", "3"]);
  assert.deepEqual(seen.joined.map(({ how }) => how), ["joined", "resumed"]);
});

test("a repeated number is dropped", async () => {
  const { server, seen } = await joined();
  for (let copy = 0; copy < 2; copy += 1) server.socket.deliver({ type: "message", seq: 2, data: { text: "x" } });
  await settle();
  assert.equal(seen.notices.length, 1);
});

test("after a resume nothing is sent before the reply, then an ack at once", async () => {
  const { clock, server, signal } = await joined();
  const before = server.received.length;
  server.socket.break();
  void signal.request("message", { text: "x" });
  await clock.advance(10);
  const types = server.received.slice(before).map((text) => JSON.parse(text).type);
  assert.deepEqual(types, ["resume", "ack", "message"]);
});

test("state that is no longer covered continues at the server's latest number", async () => {
  const { clock, server, seen, signal } = await joined();
  server.replay = false;
  server.seq = 700;
  server.unacknowledged = [];
  server.socket.break();
  await clock.advance(1000);
  assert.equal(seen.joined[1].data.replay, false);
  assert.equal(server.acknowledged, 700);
  server.notify("message", { text: "next" });
  await settle();
  assert.equal(seen.notices.length, 1);
  assert.equal(signal.status.state, "open");
});

test("messages are acknowledged after 16, or within a second", async () => {
  const { clock, server } = await joined();
  for (let count = 0; count < 17; count += 1) server.notify("message", { text: "x" });
  await settle();
  assert.equal(server.acknowledged, 17);
  await clock.advance(1000);
  assert.equal(server.acknowledged, 18);
});

test("a silent socket is doubted after 8 s and replaced without loss", async () => {
  const { clock, server, signal, seen } = await joined();
  server.socket.silent = true;
  await clock.advance(7000);
  assert.equal(signal.status.state, "open");
  await clock.advance(3000);
  assert.equal(signal.status.state, "open");
  assert.equal(server.sockets.length, 2);
  assert.deepEqual(seen.states, ["connecting", "open", "retrying", "open"]);
});

test("a doubted socket that speaks again is kept", async () => {
  const { clock, server, signal } = await joined();
  server.autoOpen = false;
  server.socket.silent = true;
  await clock.advance(9000);
  assert.equal(signal.status.state, "retrying");
  const [first, second] = server.sockets;
  first.silent = false;
  first.deliver({ type: "quality", data: {} });
  await settle();
  assert.equal(signal.status.state, "open");
  assert.ok(second.closed);
  assert.ok(!first.closed);
});

test("a quiet connection is pinged and stays open", async () => {
  const { clock, server, signal } = await joined();
  await clock.advance(120_000);
  assert.equal(signal.status.state, "open");
  assert.equal(server.sockets.length, 1);
  const pings = server.sentOfType("ping").length;
  assert.ok(pings >= 20 && pings <= 30, `${pings} pings`);
});

test("the network coming back starts an attempt beside the waiting one", async () => {
  const { clock, server, signal } = await joined();
  server.autoOpen = false;
  server.socket.break();
  await clock.advance(100);
  assert.equal(server.sockets.length, 2);
  signal.networkChanged();
  assert.equal(server.sockets.length, 3);
  server.sockets[2].accept();
  await settle();
  assert.equal(signal.status.state, "open");
  assert.ok(server.sockets[1].closed);
});

test("a network change with a live socket costs one ping", async () => {
  const { clock, server, signal } = await joined();
  signal.networkChanged();
  await clock.advance(5000);
  assert.equal(server.sockets.length, 1);
});

test("a token that is refused ends the attempt with its code", async () => {
  const { clock, server, signal, seen } = setup();
  server.refuse = () => ({ code: "token_expired", message: "too late" });
  signal.join();
  await clock.advance(60_000);
  assert.deepEqual(seen.closed, ["token_expired"]);
  assert.equal(server.sockets.length, 1);
});

test("a full server is asked again after the time it named", async () => {
  const { clock, server, signal } = setup();
  let refusals = 2;
  server.refuse = () => (refusals-- > 0 ? { code: "server_full", retry_after_s: 3 } : null);
  signal.join();
  await clock.advance(2900);
  assert.equal(server.sockets.length, 1);
  await clock.advance(10_000);
  assert.equal(signal.status.state, "open");
});

test("a place that is gone is joined anew on the same socket, and waiting requests are told", async () => {
  const { clock, server, signal, seen } = await joined();
  server.refuse = (type) => (type === "resume" ? { code: "resume_unknown" } : null);
  server.onRequest = () => null;
  const lost = assert.rejects(signal.request("message", { text: "x" }), { code: "connection_lost" });
  server.socket.break();
  await clock.advance(1000);
  await lost;
  assert.deepEqual(seen.joined.map(({ how }) => how), ["joined", "rejoined"]);
  assert.equal(server.sockets.length, 2);
});

test("a reloaded page resumes with the stored token and without a number", async () => {
  const first = await joined();
  const saved = first.store.load();
  assert.equal(saved.resumeToken, "resume-1");
  const second = setup({ token: null });
  second.signal.resume(saved);
  await settle();
  const [hello] = second.server.sentOfType("resume");
  assert.deepEqual(hello.data, { resume_token: "resume-1", last_seq: null });
  assert.equal(second.seen.joined[0].how, "resumed");
});

test("a reloaded page whose place is gone ends with resume_unknown", async () => {
  const { server, signal, seen } = setup({ token: null });
  server.refuse = () => ({ code: "resume_unknown" });
  signal.resume({ url: "", resumeToken: "old", participantId: "rm-1", roomId: "sale", windowS: 60, savedAt: 0 });
  await settle();
  assert.deepEqual(seen.closed, ["resume_unknown"]);
});

test("a call taken over elsewhere doesn't come back by itself", async () => {
  const { clock, server, seen } = await joined();
  server.socket.deliver({ type: "bye", data: { code: "resume_superseded", message: "" } });
  await clock.advance(60_000);
  assert.deepEqual(seen.closed, ["resume_superseded"]);
  assert.equal(server.sockets.length, 1);
});

test("a slow consumer resumes", async () => {
  const { clock, server, signal, seen } = await joined();
  server.socket.deliver({ type: "bye", data: { code: "slow_consumer" } });
  await clock.advance(1000);
  assert.equal(signal.status.state, "open");
  assert.equal(seen.joined.length, 2);
});

for (const code of ["rate_limited", "busy"]) {
  test(`a request that is refused as ${code} is sent again with the same id`, async () => {
    const { clock, server, signal } = await joined();
    let refusals = 1;
    server.onRequest = () => (refusals-- > 0 ? { error: { code, retry_after_s: 0.4 } } : { done: true });
    const reply = signal.request("message", { text: "x" });
    await clock.advance(500);
    assert.deepEqual(await reply, { done: true });
    assert.equal(new Set(server.sentOfType("message").map(({ id }) => id)).size, 1);
  });
}

test("a request that stays unanswered on a live socket times out", async () => {
  const { clock, server, signal } = await joined();
  server.onRequest = () => null;
  const refused = assert.rejects(signal.request("message", { text: "x" }), { code: "timeout" });
  await clock.advance(22_000);
  await refused;
});

test("more than 64 unanswered requests are refused", async () => {
  const { server, signal } = await joined();
  server.onRequest = () => null;
  const waiting = Array.from({ length: 64 }, () => signal.request("message", {}).catch((error) => error.code));
  await assert.rejects(signal.request("message", {}), { code: "queue_full" });
  signal.leave();
  assert.deepEqual(new Set(await Promise.all(waiting)), new Set(["closed"]));
});

test("without a server the first contact fails after 30 s", async () => {
  const { clock, server, signal, seen } = setup();
  server.autoOpen = false;
  signal.join();
  await clock.advance(31_000);
  assert.deepEqual(seen.closed, ["connection_lost"]);
  assert.equal(clock.pending, 0);
  assert.ok(server.sockets.every((socket) => socket.closed));
});

test("without a token a lost call is given up after the resume window", async () => {
  const { clock, server, signal, seen } = setup({ token: null });
  signal.resume({ url: "", resumeToken: "r", participantId: "rm-1", roomId: "sale", windowS: 60, savedAt: 0 });
  await settle();
  server.autoOpen = false;
  server.socket.break();
  await clock.advance(59_000);
  assert.deepEqual(seen.closed, []);
  await clock.advance(2000);
  assert.deepEqual(seen.closed, ["connection_lost"]);
});

test("attempts during a long outage stay few and at most five at a time, one of them new", async () => {
  const { clock, server } = await joined();
  server.autoOpen = false;
  server.socket.break();
  for (let second = 0; second < 300; second += 1) {
    await clock.advance(1000);
    assert.ok(server.sockets.filter((socket) => !socket.closed).length <= Connector.MAX_PARALLEL);
  }
  assert.ok(server.sockets.length < 160, `${server.sockets.length} sockets in 5 minutes`);
});

test("leaving tells the server, forgets the resume token and closes", async () => {
  const { clock, server, signal, store, seen } = await joined();
  signal.leave();
  assert.equal(server.sentOfType("leave").length, 1);
  assert.equal(store.load(), null);
  assert.deepEqual(seen.closed, ["left"]);
  assert.equal(clock.pending, 0);
  await assert.rejects(signal.request("message", {}), { code: "closed" });
});

test("what is no message of the protocol is ignored", async () => {
  const { server, signal, seen } = await joined();
  for (const data of ["", "{", "null", "[]", "7", '{"type":3}', new ArrayBuffer(4)]) server.socket.onmessage({ data });
  server.socket.onmessage({ data: '{"type":"message","seq":"9","data":null}' });
  assert.equal(signal.status.state, "open");
  assert.deepEqual(seen.notices.map(({ data }) => data), [{}]);
});

test("the token is neither stored nor part of a saved call", async () => {
  const { storage } = await joined();
  assert.ok(![...storage.items.values()].join().includes(TOKEN));
});

test("a saved call is of no use after the resume window", () => {
  let now = 0;
  const store = new ResumeStore(new FakeStorage(), () => now);
  store.save({ url: "u", resumeToken: "r", participantId: "p", roomId: "s", windowS: 60 });
  now = 60_000;
  assert.equal(store.load().resumeToken, "r");
  now = 60_001;
  assert.equal(store.load(), null);
});

test("a server that answers join with resume_unknown ends the attempt", async () => {
  const { server, signal, seen } = setup();
  server.refuse = () => ({ code: "resume_unknown" });
  signal.join();
  await settle();
  assert.deepEqual(seen.closed, ["resume_unknown"]);
});

test("a long message refused unread is sent again with the same id", async () => {
  const { clock, server, signal } = await joined();
  let refusals = 1;
  server.onRequest = () => {
    if (refusals-- <= 0) return { sdp: "answer" };
    server.socket.deliver({ type: "error", data: { code: "rate_limited", message: "", retry_after_s: 0.5 } });
    return null;
  };
  const reply = signal.request("offer", { sdp: "x".repeat(5000), tracks: [] });
  await clock.advance(1000);
  assert.deepEqual(await reply, { sdp: "answer" });
  assert.equal(new Set(server.sentOfType("offer").map(({ id }) => id)).size, 1);
});

test("a network that swallows everything is asked at least every second, and by two attempts that may be on their way", async () => {
  const { clock, server } = await joined();
  server.autoOpen = false;
  server.socket.break();
  await clock.advance(20_000);
  const asked = [];
  for (let step = 0; step < 600; step += 1) {
    const born = new Map(server.sockets.map((socket, index) => [socket, index]));
    await clock.advance(100);
    // TCP asks at 0, 1, 3 and 7 s of an attempt's life.
    for (const socket of server.sockets) if (!born.has(socket)) socket.bornAt = clock.now();
    for (const socket of server.sockets.filter(({ closed }) => !closed)) {
      const age = clock.now() - (socket.bornAt ?? -Infinity);
      if ([0, 1000, 3000, 7000].some((at) => age >= at && age < at + 100)) asked.push(clock.now());
    }
  }
  const gaps = asked.slice(1).map((at, index) => at - asked[index]);
  assert.ok(Math.max(...gaps) <= 1200, `${Math.max(...gaps)} ms`);
  const ages = server.sockets.filter(({ closed, bornAt }) => !closed && bornAt).map(({ bornAt }) => clock.now() - bornAt);
  assert.ok(ages.filter((age) => age > 8000).length >= 1, `${ages}`);
});

test("the first of several sockets to open joins, the others say nothing", async () => {
  const { clock, server, signal } = setup({ autoOpen: false });
  signal.join();
  await clock.advance(5000);
  assert.equal(server.sockets.length, 3);
  server.sockets[1].accept();
  await settle();
  for (const socket of server.sockets) if (socket !== server.sockets[1]) socket.accept();
  await clock.advance(60_000);
  const hellos = server.received.map((text) => JSON.parse(text)).filter(({ type }) => type === "join" || type === "resume");
  assert.equal(hellos.length, 1);
  assert.deepEqual(server.sockets.map(({ closed }) => Boolean(closed)), [true, false, true]);
  assert.equal(signal.status.state, "open");
});

test("a greeting that gets no answer is tried on another socket beside the first", async () => {
  const { clock, server, signal } = setup({ autoOpen: false });
  signal.join();
  const [old] = server.sockets;
  old.silent = true;
  old.accept();
  await clock.advance(5900);
  assert.equal(server.sockets.length, 1);
  await clock.advance(200);
  assert.equal(server.sockets.length, 2);
  assert.equal(old.closed, false, "its answer may yet come");
  server.sockets[1].accept();
  await settle();
  assert.equal(signal.status.state, "open");
  assert.equal(old.closed, true);
});

test("a late answer to the first greeting ends the search for another socket", async () => {
  const { clock, server, signal } = setup({ autoOpen: false });
  signal.join();
  const [old] = server.sockets;
  old.silent = true;
  old.accept();
  await clock.advance(9000);
  old.silent = false;
  old.deliver({ type: "joined", re: "p-1", seq: 1, data: server.joinedData() });
  await clock.advance(5000);
  assert.equal(signal.status.state, "open");
  assert.deepEqual(server.sockets.map(({ closed }) => closed), [false, ...server.sockets.slice(1).map(() => true)]);
});

test("while media flows a call without a token outlives the resume window", async () => {
  let flows = true;
  const { clock, server, signal } = setup({ token: null, mediaFlows: () => flows });
  signal.resume({ url: "", resumeToken: "r", participantId: "rm-1", roomId: "sale", windowS: 60, savedAt: 0 });
  await settle();
  server.autoOpen = false;
  server.socket.break();
  await clock.advance(600_000);
  assert.equal(signal.status.state, "retrying");
  flows = false;
  await clock.advance(60_000);
  assert.equal(signal.status.state, "closed");
});

test("a request on a socket that falls silent waits for the next socket instead of timing out", async () => {
  const { clock, server, signal } = await joined();
  server.autoOpen = false;
  server.socket.silent = true;
  let outcome = "waiting";
  signal.request("message", { text: "a", to: null }).then(() => (outcome = "answered"), (error) => (outcome = error.code));
  await clock.advance(50_000);
  assert.equal(outcome, "waiting");
  server.autoOpen = true;
  await clock.advance(3000);
  assert.equal(outcome, "answered");
  assert.equal(server.carriedOut.filter(({ type }) => type === "message").length, 1);
});
