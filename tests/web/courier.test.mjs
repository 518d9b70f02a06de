import assert from "node:assert/strict";
import { test } from "node:test";

import { Call } from "../../web/sdk/call.js";
import { Courier, fetchPost } from "../../web/sdk/courier.js";
import { Media } from "../../web/sdk/media.js";
import { RedSenders, loadRedWorker } from "../../web/sdk/red_sender.js";
import { ResumeStore } from "../../web/sdk/resume_store.js";
import { Signal } from "../../web/sdk/signal.js";
import { FakePeer, fakeTrack } from "./fake_peer.mjs";
import { FakeServer, FakeStorage } from "./fake_server.mjs";
import { VirtualClock, settle } from "./virtual_clock.mjs";

/** A courier whose requests wait until they are answered. */
function courier() {
  const clock = new VirtualClock();
  const posts = [];
  const heard = [];
  const post = (lines, signal) => new Promise((resolve, reject) => posts.push({ lines, signal, resolve, reject }));
  const parts = { clock, posts, heard, courier: new Courier({ clock, post, heard: (lines) => heard.push(lines) }) };
  return parts;
}

test("a request that isn't answered gets company, five at a time, and what takes too long makes room", async () => {
  const { clock, posts, courier: one } = courier();
  one.start(() => ["hello"]);
  assert.equal(posts.length, 1);
  await clock.advance(4 * Courier.STAGGER_MS);
  assert.equal(posts.length, Courier.MOST);
  await clock.advance(5000);
  assert.equal(posts.length, Courier.MOST);
  await clock.advance(Courier.PATIENCE_MS - 5000);
  assert.ok(posts[0].signal.aborted);
  assert.equal(posts.filter(({ signal }) => !signal.aborted).length, Courier.MOST);
});

test("what is said is asked for with every request, and a stop ends all of them", async () => {
  const { clock, posts, heard, courier: one } = courier();
  let count = 0;
  one.start(() => [String((count += 1))]);
  await clock.advance(Courier.STAGGER_MS);
  assert.deepEqual(posts.map(({ lines }) => lines[0]), ["1", "2"]);
  one.stop();
  assert.ok(posts.every(({ signal }) => signal.aborted));
  posts[0].resolve({ status: 200, lines: ["late"] });
  await clock.advance(10_000);
  assert.deepEqual(heard, []);
  assert.equal(posts.length, 2);
  assert.equal(clock.pending, 0);
});

for (const status of [403, 404, 405, 413, 415]) {
  test(`a server that answers ${status} isn't asked again`, async () => {
    const { clock, posts, courier: one } = courier();
    one.start(() => ["hello"]);
    posts[0].resolve({ status, lines: [] });
    await clock.advance(60_000);
    one.start(() => ["hello"]);
    assert.equal(posts.length, 1);
    assert.equal(one.running, false);
  });
}

test("a busy server is left alone for a while, a broken connection isn't waited for", async () => {
  const { clock, posts, courier: one } = courier();
  one.start(() => ["hello"]);
  posts[0].resolve({ status: 503, lines: [] });
  await clock.advance(Courier.BUSY_MS - 1);
  assert.equal(posts.length, 1);
  await clock.advance(1);
  assert.equal(posts.length, 2);
  posts[1].reject(new Error("network"));
  await clock.advance(Courier.STAGGER_MS);
  assert.equal(posts.length, 3);
});

test("messages are posted deflated, one a line, and answers are read likewise", async (t) => {
  const before = globalThis.fetch;
  t.after(() => (globalThis.fetch = before));
  let seen;
  globalThis.fetch = async (url, init) => {
    const stream = new Blob([init.body]).stream().pipeThrough(new DecompressionStream("deflate"));
    seen = { url, headers: init.headers, text: await new Response(stream).text() };
    return new Response('{"type":"joined"}\n{"type":"answer"}\n');
  };
  const answer = await fetchPost("https://bank.example/v1/join")(["一", "{}"], new AbortController().signal);
  assert.equal(seen.text, "一\n{}\n");
  assert.equal(seen.headers["Content-Encoding"], "deflate");
  assert.deepEqual(answer, { status: 200, lines: ['{"type":"joined"}', '{"type":"answer"}'] });
});

// --- joining

function scene({ state = {}, tracks = {}, muted = [], autoOpen = false, answers = true, worker = null } = {}) {
  const clock = new VirtualClock();
  const server = new FakeServer();
  Object.assign(server, { state, autoOpen });
  const offers = [];
  const peers = [];
  const posts = [];
  server.onRequest = (type, data) => {
    if (type !== "offer") return {};
    offers.push(data);
    const published = data.tracks.map(({ mid, source }) => ({ mid, track_id: `own-${source}` }));
    return { reply: "answer", data: { sdp: "", published, subscribed: [] } };
  };
  const parts = { clock, server, offers, peers, posts, answers };
  parts.signal = new Signal({
    url: "wss://bank.example/v1/ws", clock, open: server.open, idPrefix: "p",
    store: new ResumeStore(new FakeStorage(), () => clock.now()),
    identity: { token: "token", language: "en", autoSubscribe: true },
    post: async (lines) => {
      posts.push(lines.map((line) => JSON.parse(line)));
      const answer = parts.answers ? server.visit(lines) : null;
      return answer ? { status: 200, lines: answer } : new Promise(() => {});
    },
  });
  const red = worker && new RedSenders({ clock, ...worker, makeTransform: () => ({}), codecs: () => null });
  parts.media = new Media({
    createPeer: () => (peers.push(new FakePeer()), peers.at(-1)),
    sendOffer: (offer) => parts.signal.request("offer", offer),
    red,
  });
  parts.call = new Call({ signal: parts.signal, media: parts.media, clock, initial: { tracks, muted }, red });
  parts.joins = [];
  parts.signal.on("joined", ({ how }) => parts.joins.push(how));
  return parts;
}

async function join(parts) {
  parts.call.offerEarly();
  await settle();
  parts.signal.join();
  await settle();
  await settle();
  return parts;
}

const SOURCES = () => ({ microphone: fakeTrack("audio"), camera: fakeTrack("video") });

test("one request and its answer are all that media waits for", async () => {
  const { posts, offers, peers, joins, call, media, signal } = await join(scene({ tracks: SOURCES(), state: { lines: { audio: 1, video: 1 } } }));
  assert.deepEqual(posts.map((lines) => lines.map(({ type }) => type)), [["join", "offer"]]);
  assert.equal(offers.length, 1);
  assert.equal(peers[0].answers.length, 1);
  assert.deepEqual(peers[0].transceivers.map(({ direction }) => direction), ["sendonly", "sendonly", "recvonly", "recvonly"]);
  assert.equal(media.sending.get("camera").trackId, "own-camera");
  assert.deepEqual(joins, ["joined"]);
  assert.equal(call.selfId, "rm-1");
  assert.equal(signal.status.state, "open");
  assert.equal(signal.ready, false);
});

test("the socket goes on where the request left off, and nobody is told twice", async () => {
  const { server, joins, signal, clock, offers } = await join(scene({ tracks: SOURCES() }));
  server.notify("participant.joined", { participant: { participant_id: "c", role: "customer", name: "", connection: "connected" } });
  const sent = signal.request("message", { text: "x" });
  server.socket.accept();
  await clock.advance(100);
  await sent;
  assert.deepEqual(server.sentOfType("resume").map(({ data }) => data.last_seq), [2]);
  assert.deepEqual(joins, ["joined", "resumed"]);
  assert.equal(server.sentOfType("join").length, 1);
  assert.equal(offers.length, 1);
  assert.equal(signal.status.state, "open");
  assert.equal(server.acknowledged > 0, true);
});

test("a socket that opens before any answer says the same hello and offer, and requests end", async () => {
  const parts = scene({ tracks: SOURCES(), autoOpen: true, answers: false });
  const { server, posts, joins, offers, clock } = await join(parts);
  const hellos = server.sentOfType("join");
  assert.deepEqual([hellos.length, posts[0][0].id], [1, hellos[0].id]);
  assert.deepEqual(server.sentOfType("offer").map(({ id }) => id), [posts[0][1].id]);
  assert.deepEqual(joins, ["joined"]);
  assert.equal(offers.length, 1);
  await clock.advance(5000);
  assert.equal(posts.length, 1);
});

test("the answer of a socket after that of a request changes nothing", async () => {
  const parts = scene({ tracks: SOURCES(), autoOpen: false, answers: false });
  const { server, joins, clock, peers, call } = await join(parts);
  server.socket.accept();
  // The socket's hello is under way when the request is answered.
  parts.answers = true;
  await clock.advance(Courier.STAGGER_MS);
  await clock.advance(1000);
  assert.deepEqual(joins, ["joined"]);
  assert.equal(peers.length, 1);
  assert.equal(peers[0].answers.length, 1);
  assert.equal(call.connection.signaling.state, "open");
});

test("an offer made before there is a socket goes by request, too", async () => {
  const { media, posts, offers } = await join(scene({ tracks: SOURCES() }));
  await media.rebuild();
  assert.equal(offers.length, 2);
  assert.deepEqual(posts.at(-1).map(({ type }) => type), ["join", "offer"]);
  assert.equal(posts.at(-1)[0].id, posts[0][0].id);
});

test("more lines than were offered early need one offer more, fewer none", async () => {
  const { offers, peers } = await join(scene({ tracks: SOURCES(), state: { lines: { audio: 2, video: 1 } } }));
  await settle();
  assert.equal(offers.length, 2);
  assert.equal(peers[0].transceivers.length, 5);
  const few = await join(scene({ tracks: SOURCES(), state: { lines: { audio: 0, video: 0 } } }));
  await settle();
  assert.equal(few.offers.length, 1);
});

test("an early offer that the grant or the server refuses is made anew without what isn't allowed", async () => {
  const parts = scene({ tracks: SOURCES(), state: { grant: { publish: ["microphone"], subscribe: [], expires_at: "" } } });
  const answer = parts.server.onRequest;
  parts.server.onRequest = (type, data) =>
    data.tracks?.some(({ source }) => source === "camera") ? { error: { code: "forbidden", message: "" } } : answer(type, data);
  const errors = [];
  parts.call.on("error", (error) => errors.push(error));
  await join(parts);
  await settle();
  assert.deepEqual(parts.offers.map(({ tracks }) => tracks.map(({ source }) => source)), [["microphone"]]);
  assert.deepEqual([...parts.media.sending.keys()], ["microphone"]);
  assert.deepEqual(errors, []);
  assert.equal(parts.peers.length, 2);
});

test("what was muted in the participation that is taken over stays muted", async () => {
  const own = { track_id: "own-microphone", participant_id: "rm-1", kind: "audio", source: "microphone", muted: true };
  const parts = await join(scene({ tracks: SOURCES(), state: { tracks: [own] } }));
  assert.equal(parts.media.sending.get("microphone").track.enabled, false);
  assert.equal(parts.call.isMuted("microphone"), true);
  parts.server.socket.accept();
  await parts.clock.advance(100);
  assert.deepEqual(parts.server.sentOfType("mute").map(({ data }) => data), [{ track_id: "own-microphone", muted: true }]);
});

test("a refusal by request ends the attempt, what may pass is left to the socket", async () => {
  const refused = scene({ tracks: SOURCES() });
  refused.server.refuse = () => ({ code: "unauthorized", message: "" });
  const closed = [];
  refused.signal.on("closed", (error) => closed.push(error.code));
  await join(refused);
  assert.deepEqual(closed, ["unauthorized"]);
  const full = scene({ tracks: SOURCES() });
  full.server.refuse = () => ({ code: "server_full", message: "" });
  await join(full);
  await full.clock.advance(3000);
  assert.equal(full.posts.length, 1);
  full.server.refuse = () => null;
  full.server.socket.accept();
  await settle();
  assert.deepEqual(full.joins, ["joined"]);
});

test("a call without a socket says so after a while, and leaves by request", async () => {
  const parts = await join(scene({ tracks: SOURCES() }));
  await parts.clock.advance(14_000);
  assert.equal(parts.signal.status.state, "open");
  parts.call.leave();
  assert.deepEqual(parts.posts.at(-1).map(({ type }) => type), ["join", "leave"]);
  const alone = await join(scene({ tracks: SOURCES() }));
  await alone.clock.advance(16_000);
  assert.equal(alone.signal.status.state, "retrying");
});

test("time before the hello is answered is nothing to recover from", async () => {
  const parts = await join(scene({ tracks: SOURCES(), answers: false }));
  await parts.clock.advance(20_000);
  parts.answers = true;
  await parts.clock.advance(Courier.PATIENCE_MS + 1000);
  assert.deepEqual(parts.joins, ["joined"]);
  assert.equal(parts.offers.length, 1);
  assert.equal(parts.peers[0].iceRestarts, 0);
});

test("a worker that was loaded before doesn't hold the offer up, one that wasn't does for two seconds", async () => {
  const make = () => ({ postMessage: () => {}, terminate: () => {}, onmessage: null, onerror: null });
  const ready = make();
  const loaded = loadRedWorker(() => ready);
  assert.equal(loaded.isReady, false);
  ready.onmessage({ data: { ready: true } });
  const first = await join(scene({ tracks: SOURCES(), worker: loaded }));
  assert.deepEqual(first.posts[0].map(({ type }) => type), ["join", "offer"]);
  const late = scene({ tracks: SOURCES(), worker: loadRedWorker(make) });
  await join(late);
  assert.deepEqual(late.posts[0].map(({ type }) => type), ["join"]);
  await late.clock.advance(RedSenders.PATIENCE_MS);
  assert.equal(late.offers.length, 1);
  const broken = make();
  const failed = loadRedWorker(() => broken);
  broken.onerror({});
  assert.equal(failed.worker, null);
});
