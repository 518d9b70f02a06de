import assert from "node:assert/strict";
import { test } from "node:test";

import { Call } from "../../web/sdk/call.js";
import { Media } from "../../web/sdk/media.js";
import { ResumeStore } from "../../web/sdk/resume_store.js";
import { Signal } from "../../web/sdk/signal.js";
import { FakePeer, fakeTrack } from "./fake_peer.mjs";
import { FakeServer, FakeStorage } from "./fake_server.mjs";
import { VirtualClock, settle } from "./virtual_clock.mjs";

const CUSTOMER = { participant_id: "c-1", role: "customer", name: "王芳", connection: "connected" };
const VOICE = { track_id: "t-voice", participant_id: "c-1", kind: "audio", source: "microphone", muted: false };

async function joined({ state = {}, tracks = {}, resume = false } = {}) {
  const clock = new VirtualClock();
  const server = new FakeServer();
  server.state = state;
  const offers = [];
  const peers = [];
  server.onRequest = (type, data) => {
    if (type !== "offer") return type === "mute.request" ? { state: "asked", request_id: "q" } : {};
    offers.push(data);
    const published = data.tracks.map(({ mid, source }) => ({ mid, track_id: `own-${source}` }));
    return { reply: "answer", data: { sdp: "", published, subscribed: [] } };
  };
  const signal = new Signal({
    url: "wss://bank.example/v1/ws", clock, open: server.open, idPrefix: "p",
    store: new ResumeStore(new FakeStorage(), () => clock.now()),
    identity: { token: "token", language: "en", autoSubscribe: true },
  });
  const media = new Media({
    createPeer: () => (peers.push(new FakePeer()), peers.at(-1)),
    sendOffer: (offer) => signal.request("offer", offer),
  });
  const call = new Call({ signal, media, clock, initial: { tracks, muted: [] } });
  const events = [];
  for (const name of ["participants", "tracks", "mute_asked", "mute_result", "error", "closed", "draining", "message"]) {
    call.on(name, (detail) => events.push([name, detail]));
  }
  if (resume) signal.resume({ url: "", resumeToken: "r", participantId: "rm-1", roomId: "sale", windowS: 60, savedAt: 0 });
  else signal.join();
  await settle();
  await settle();
  return { clock, server, signal, media, call, events, offers, peers };
}

test("people and tracks of the room are known when the call is joined", async () => {
  const { call } = await joined({ state: { participants: [CUSTOMER], tracks: [VOICE] } });
  assert.deepEqual(call.participants.map(({ name }) => name), ["王芳"]);
  assert.equal(call.tracksOf("c-1")[0].source, "microphone");
});

test("the first offer after a reload carries what others already see, muted as it was", async () => {
  const own = { track_id: "own-microphone", participant_id: "rm-1", kind: "audio", source: "microphone", muted: true };
  const microphone = fakeTrack("audio");
  const { offers, call } = await joined({
    resume: true, state: { tracks: [own], lines: { audio: 1, video: 0 } }, tracks: { microphone, camera: fakeTrack("video") },
  });
  assert.equal(offers.length, 1);
  assert.deepEqual(offers[0].tracks.map(({ source, muted }) => [source, muted]), [["microphone", true], ["camera", false]]);
  assert.equal(microphone.enabled, false);
  assert.ok(call.isMuted("microphone"));
});

test("a reloaded page whose old connection had failed watches over its own", async () => {
  const own = { track_id: "own-microphone", participant_id: "rm-1", kind: "audio", source: "microphone", muted: false };
  const { clock, peers } = await joined({ resume: true, state: { tracks: [own], media: "failed" }, tracks: { microphone: fakeTrack("audio") } });
  assert.equal(peers.length, 1, "the server's word is of the connection that is gone");
  peers[0].change("connecting");
  await clock.advance(14_000);
  assert.equal(peers[0].iceRestarts, 0);
  await clock.advance(2000);
  await settle();
  assert.equal(peers[0].iceRestarts, 1, "it never connects");
});

test("a source the grant doesn't have is neither sent at the start nor later", async () => {
  const grant = { publish: ["microphone"], subscribe: [], expires_at: "2030-01-01T00:00:00.000Z" };
  const { call, offers } = await joined({ state: { grant }, tracks: { microphone: fakeTrack("audio"), camera: fakeTrack("video") } });
  assert.deepEqual(offers[0].tracks.map(({ source }) => source), ["microphone"]);
  await assert.rejects(call.publish({ camera: fakeTrack("video") }), { code: "forbidden" });
});

test("notices that say what is known tell nobody", async () => {
  const { server, events } = await joined({ state: { participants: [CUSTOMER], tracks: [VOICE] } });
  events.length = 0;
  server.notify("participant.joined", { participant: CUSTOMER });
  server.notify("track.published", { track: VOICE });
  server.notify("track.muted", { track_id: "t-voice", muted: false, by: "c-1" });
  server.notify("track.unpublished", { track_id: "unknown" });
  server.notify("participant.left", { participant_id: "unknown", reason: "left" });
  await settle();
  assert.deepEqual(events, []);
});

test("who leaves takes the tracks along", async () => {
  const { server, events, call } = await joined({ state: { participants: [CUSTOMER], tracks: [VOICE] } });
  events.length = 0;
  server.notify("participant.left", { participant_id: "c-1", reason: "timeout" });
  await settle();
  assert.deepEqual(events.map(([name, { change }]) => [name, change]), [["tracks", "unpublished"], ["participants", "left"]]);
  assert.equal(call.track("t-voice"), undefined);
});

test("muting works at once; unmuting waits for the server", async () => {
  const microphone = fakeTrack("audio");
  const { call, server } = await joined({ tracks: { microphone } });
  server.socket.silent = true;
  void call.setMuted("microphone", true).catch(() => {});
  assert.equal(microphone.enabled, false);
  server.socket.silent = false;
  const unmuted = call.setMuted("microphone", false);
  assert.equal(microphone.enabled, false);
  await unmuted;
  assert.equal(microphone.enabled, true);
});

test("a track muted by another is silent at its source", async () => {
  const microphone = fakeTrack("audio");
  const { server, call, events } = await joined({ tracks: { microphone } });
  server.notify("track.muted", { track_id: "own-microphone", muted: true, by: "rm-2" });
  await settle();
  assert.equal(microphone.enabled, false);
  assert.ok(call.isMuted("microphone"));
  assert.equal(events.at(-1)[1].by, "rm-2");
});

test("an accepted question mutes before the server answers, a declined one doesn't", async () => {
  for (const accept of [true, false]) {
    const microphone = fakeTrack("audio");
    const { server, call, events } = await joined({ tracks: { microphone }, state: { participants: [CUSTOMER] } });
    server.notify("mute.asked", { request_id: "q-1", track_id: "own-microphone", by: "c-1", expires_in_s: 30 });
    await settle();
    const [name, question] = events.at(-1);
    assert.equal(name, "mute_asked");
    assert.equal(question.by.name, "王芳");
    const answered = call.answerMute(question, accept);
    assert.equal(microphone.enabled, !accept);
    await answered;
    assert.deepEqual(server.sentOfType("mute.answer")[0].data, { request_id: "q-1", accept });
  }
});

test("a text over the limit is refused before it is sent, counted in code points", async () => {
  const { call, server } = await joined();
  await call.sendMessage("😀".repeat(4000));
  await assert.rejects(call.sendMessage("😀".repeat(4001)), { code: "too_large" });
  assert.equal(server.sentOfType("message").length, 1);
});

test("a socket lost for a moment leaves media alone and says so", async () => {
  const { server, call, clock, peers } = await joined({ tracks: { microphone: fakeTrack("audio") } });
  peers[0].change("connected");
  server.autoOpen = false;
  server.socket.break();
  assert.equal(call.connection.state, "signaling_lost");
  peers[0].change("disconnected");
  assert.equal(call.connection.state, "lost");
  peers[0].change("connected");
  server.sockets.at(-1).accept();
  await clock.advance(100);
  assert.equal(call.connection.state, "connected");
  assert.equal(peers.length, 1);
});

test("media the server has lost is recovered though the browser thinks it is fine", async () => {
  const { server, call, clock, peers } = await joined({ tracks: { microphone: fakeTrack("audio") } });
  peers[0].change("connected");
  server.notify("media.state", { state: "failed", reason: "consent_expired" });
  await clock.advance(10);
  assert.deepEqual([peers.length, peers[0].iceRestarts], [2, 0], "its end is gone: ICE alone can't help");
  assert.equal(call.connection.state, "media_lost");
  peers[1].change("connected");
  await settle();
  assert.equal(call.connection.state, "connected");
});

test("an outage after which the server's end is gone costs one new connection, made as soon as the server is back", async () => {
  for (const replay of [true, false]) {
    const { server, signal, clock, peers, offers, events } = await joined({ tracks: { microphone: fakeTrack("audio") } });
    peers[0].change("connected");
    server.autoOpen = false;
    server.socket.break();
    peers[0].change("disconnected");
    peers[0].change("failed");
    await clock.advance(30_000);
    assert.deepEqual([peers.length, peers[0].iceRestarts], [1, 0]);
    Object.assign(server, { autoOpen: true, replay });
    server.state.media = "failed";
    if (replay) server.notify("media.state", { state: "failed", reason: "consent_expired" });
    const back = clock.now();
    while (peers.length < 2 && clock.now() < back + 10_000) await clock.advance(50);
    assert.ok(clock.now() - back <= 2000, `${clock.now() - back} ms`);
    await clock.advance(20);
    assert.deepEqual([peers.length, peers[0].iceRestarts, offers.length], [2, 0, 2]);
    peers[1].change("connected");
    server.notify("media.state", { state: "connected", reason: "none" });
    await clock.advance(60_000);
    assert.equal(peers.length, 2);
    assert.equal(signal.status.state, "open");
    assert.deepEqual(events.filter(([name]) => name === "error" || name === "closed"), []);
  }
});

test("a shorter outage costs an ICE restart and no more", async () => {
  const { server, clock, peers } = await joined({ tracks: { microphone: fakeTrack("audio") } });
  peers[0].change("connected");
  server.autoOpen = false;
  server.socket.break();
  peers[0].change("failed");
  await clock.advance(20_000);
  server.autoOpen = true;
  server.state.media = "disconnected";
  await clock.advance(2000);
  assert.deepEqual([peers.length, peers[0].iceRestarts], [1, 1]);
  peers[0].change("connected");
  server.notify("media.state", { state: "connected", reason: "none" });
  await clock.advance(60_000);
  assert.deepEqual([peers.length, peers[0].iceRestarts], [1, 1]);
});

test("a call over TCP restarts ICE by itself to find UDP, only while all is well", async () => {
  const { clock, peers, server, call } = await joined({ tracks: { microphone: fakeTrack("audio") } });
  const path = (protocol) => new Map([
    ["L", { id: "L", type: "local-candidate", protocol, candidateType: "host" }],
    ["R", { id: "R", type: "remote-candidate", protocol }],
    ["P", { id: "P", type: "candidate-pair", localCandidateId: "L", remoteCandidateId: "R" }],
    ["T", { id: "T", type: "transport", selectedCandidatePairId: "P" }],
  ]);
  peers[0].stats = path("tcp");
  peers[0].change("connected");
  await clock.advance(14_000);
  assert.equal(peers[0].iceRestarts, 0);
  await clock.advance(4000);
  assert.equal(peers[0].iceRestarts, 1);
  server.notify("media.state", { state: "disconnected" });
  server.notify("media.state", { state: "connected" });
  call.networkChanged();
  await clock.advance(5000);
  assert.equal(peers[0].iceRestarts, 2, "a network that changed is tried soon");
  peers[0].stats = path("udp");
  await clock.advance(120_000);
  assert.equal(peers[0].iceRestarts, 2);
  assert.equal(peers.length, 1);
});

const ASKED = { permission: "face", held: false, consent_id: null, zh: { text: "同意", sha256: "aa" }, en: { text: "yes", sha256: "bb" } };
const FOUND = { finding_id: "f-1", kind: "face_absent", state: "open", title: { zh: "无人", en: "Nobody" }, text: { zh: "无人", en: "Nobody" }, acknowledged_by: null };

test("consents are given for the text that was shown, and withdrawn", async () => {
  const { call, server } = await joined();
  const said = [];
  server.onRequest = (type, data) => (said.push([type, data]), {});
  await assert.rejects(call.giveConsent("face", "zh"), { code: "unknown_request" });
  const told = [];
  call.on("consents", (consents) => told.push(consents.length));
  server.notify("consents", { consents: [ASKED] });
  await settle();
  await call.giveConsent("face", "en");
  await call.withdrawConsent("face");
  assert.deepEqual(said, [["consent.give", { permission: "face", text_sha256: "bb" }], ["consent.withdraw", { permission: "face" }]]);
  assert.deepEqual(told, [1]);
  server.notify("consents", { consents: [{ ...ASKED, held: true, consent_id: "c-1" }] });
  await settle();
  assert.equal(call.consents[0].held, true);
});

test("findings that go on are known until they are over, and acknowledged", async () => {
  const { call, server } = await joined();
  const said = [];
  server.onRequest = (type, data) => (said.push([type, data]), {});
  const told = [];
  call.on("finding", ({ state }) => told.push(state));
  server.notify("finding", FOUND);
  await settle();
  assert.equal(call.findings[0].finding_id, "f-1");
  await call.acknowledgeFinding("f-1");
  server.notify("finding", { ...FOUND, acknowledged_by: "rm-1" });
  await settle();
  assert.deepEqual(call.findings.map(({ acknowledged_by: by }) => by), ["rm-1"]);
  server.notify("finding", { ...FOUND, state: "over" });
  await settle();
  assert.deepEqual(call.findings, []);
  assert.deepEqual(told, ["open", "open", "over"]);
  assert.deepEqual(said, [["finding.acknowledge", { finding_id: "f-1" }]]);
  for (let number = 0; number < 100; number += 1) server.notify("finding", { ...FOUND, finding_id: `f-${number}` });
  await settle();
  assert.equal(call.findings.length, 64);
});

test("a call joined anew gets a new peer connection with the same sources", async () => {
  const { server, clock, peers, offers } = await joined({ tracks: { microphone: fakeTrack("audio") } });
  server.refuse = (type) => (type === "resume" ? { code: "resume_unknown" } : null);
  server.socket.break();
  await clock.advance(1000);
  assert.equal(peers.length, 2);
  assert.deepEqual(offers.at(-1).tracks.map(({ source }) => source), ["microphone"]);
});

test("after a replay nobody is announced twice", async () => {
  const { server, events, clock } = await joined({ state: { participants: [CUSTOMER] } });
  events.length = 0;
  server.socket.silent = true;
  server.notify("track.published", { track: VOICE });
  server.socket.silent = false;
  server.socket.break();
  await clock.advance(1000);
  assert.deepEqual(events.map(([name, { change }]) => [name, change]), [["tracks", "published"]]);
});

test("a closed call stops devices, timers and the peer connection", async () => {
  const microphone = fakeTrack("audio");
  const { call, clock, peers, events } = await joined({ tracks: { microphone } });
  call.leave();
  await settle();
  assert.ok(microphone.stopped);
  assert.ok(peers[0].closed);
  assert.equal(clock.pending, 0);
  assert.deepEqual(events.map(([name]) => name).filter((name) => name === "error"), []);
  assert.equal(events.at(-1)[1].code, "left");
});

test("a screen whose sharing the browser ended is unpublished", async () => {
  const grant = { publish: ["screen"], subscribe: [], expires_at: "2030-01-01T00:00:00.000Z" };
  const { call, offers } = await joined({ state: { grant } });
  const screen = fakeTrack("video");
  await call.publish({ screen });
  screen.dispatchEvent(new Event("ended"));
  await settle();
  assert.equal(call.localTrack("screen"), null);
  assert.deepEqual(offers.at(-1).tracks, []);
});

test("whoever is asked to do something is told, and for how long", async () => {
  const { call, server } = await joined();
  const asked = [];
  call.on("challenge", (challenge) => asked.push(challenge));
  server.notify("challenge", { ask: "turn", within_s: 8 });
  await settle();
  assert.deepEqual(asked, [{ ask: "turn", withinS: 8 }]);
});
