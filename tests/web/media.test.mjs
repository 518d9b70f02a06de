import assert from "node:assert/strict";
import { test } from "node:test";

import { canDeflate, deflated, inflated } from "../../web/sdk/deflate.js";
import { WitnessError } from "../../web/sdk/errors.js";
import { Media } from "../../web/sdk/media.js";
import { withVideoFloor } from "../../web/sdk/sdp.js";
import { FakePeer, fakeTrack } from "./fake_peer.mjs";
import { settle } from "./virtual_clock.mjs";

function setup() {
  const peers = [];
  const offers = [];
  const parts = {
    peers, offers,
    answer: ({ tracks }) => ({
      sdp: "answer",
      published: tracks.map(({ mid, source }) => ({ mid, track_id: `t-${source}` })),
      subscribed: [],
    }),
  };
  parts.media = new Media({
    createPeer: (config) => {
      const peer = new FakePeer();
      peer.config = config;
      peers.push(peer);
      return peer;
    },
    sendOffer: async (offer) => {
      offers.push(offer);
      return parts.answer(offer);
    },
  });
  return parts;
}

test("no peer connection is made while there is nothing to send or receive", async () => {
  const { media, peers } = setup();
  media.setLines({ audio: 0, video: 0 });
  await settle();
  assert.equal(peers.length, 0);
  assert.equal(media.state, "none");
});

test("microphone, camera and receiving lines share the first offer", async () => {
  const { media, offers, peers } = setup();
  media.setLines({ audio: 1, video: 2 });
  await Promise.all([media.publish("microphone", fakeTrack("audio"), false), media.publish("camera", fakeTrack("video"), true)]);
  assert.equal(offers.length, 1);
  assert.deepEqual(offers[0].tracks, [
    { mid: "0", source: "microphone", muted: false }, { mid: "1", source: "camera", muted: true },
  ]);
  assert.deepEqual(peers[0].transceivers.map(({ direction }) => direction), ["sendonly", "sendonly", "recvonly", "recvonly", "recvonly"]);
  assert.equal(media.sending.get("camera").trackId, "t-camera");
});

test("a server that can be is asked to be the DTLS client", async () => {
  const { media, offers } = setup();
  media.setLines({ audio: 1, video: 0 });
  await settle();
  assert.equal("dtls_server" in offers[0], false);
  media.dtlsServer = true;
  await media.rebuild();
  assert.equal(offers[1].dtls_server, true);
});

test("offers and answers are deflated where the server takes that", async () => {
  const parts = setup();
  const { media, offers, peers } = parts;
  parts.answer = async () => ({ sdp_deflate: await deflated(VIDEO), published: [], subscribed: [] });
  media.deflates = true;
  await media.publish("camera", fakeTrack("video"), false);
  assert.equal("sdp" in offers[0], false);
  assert.equal(await inflated(offers[0].sdp_deflate), peers[0].localDescription.sdp);
  assert.deepEqual(peers[0].answers, [VIDEO]);
});

test("what was deflated is the same when inflated, and what wasn't is refused", async () => {
  assert.equal(canDeflate(), true);
  for (const text of ["", "v=0\r\n", "金融双录".repeat(5000)]) assert.equal(await inflated(await deflated(text)), text);
  for (const packed of ["", "!", "AAAA", (await deflated(VIDEO)).slice(0, 40)]) await assert.rejects(inflated(packed));
});

test("a path that ICE found is told of while the handshake is under way", async () => {
  const { media, peers } = setup();
  let paths = 0;
  media.on("path", () => (paths += 1));
  media.setLines({ audio: 1, video: 0 });
  await settle();
  peers[0].find();
  assert.equal(paths, 1);
  peers[0].change("connected");
  peers[0].find();
  assert.equal(paths, 1, "the handshake is done");
  await media.rebuild();
  peers[0].find();
  assert.equal(paths, 1, "that connection is given up");
  peers[1].find();
  assert.equal(paths, 2);
});

test("wishes during an outstanding offer are served by one more offer", async () => {
  const { media, offers, peers } = setup();
  let release;
  const held = new Promise((resolve) => (release = resolve));
  const parts = setup();
  const slow = new Media({
    createPeer: () => (peers.push(new FakePeer()), peers.at(-1)),
    sendOffer: async (offer) => {
      offers.push(offer);
      await held;
      return parts.answer(offer);
    },
  });
  slow.setLines({ audio: 1, video: 0 });
  await settle();
  slow.setLines({ audio: 2, video: 1 });
  slow.setLines({ audio: 2, video: 2 });
  await settle();
  assert.equal(offers.length, 1);
  release();
  await settle();
  assert.equal(offers.length, 2);
  assert.equal(peers[0].transceivers.length, 4);
  assert.equal(media.state, "none");
});

test("receiving lines are never removed", async () => {
  const { media, peers } = setup();
  media.setLines({ audio: 3, video: 1 });
  await settle();
  media.setLines({ audio: 1, video: 0 });
  await settle();
  assert.equal(peers[0].transceivers.length, 4);
});

test("received tracks are found by the line the answer names", async () => {
  const parts = setup();
  parts.answer = () => ({
    sdp: "", published: [], subscribed: [{ mid: "1", track_id: "t-9", participant_id: "c" }, { mid: "7", track_id: "gone", participant_id: "c" }],
  });
  parts.media.setLines({ audio: 1, video: 1 });
  await settle();
  const received = parts.media.receiving;
  assert.deepEqual([...received.keys()], ["t-9"]);
  assert.equal(received.get("t-9").track, parts.peers[0].transceivers[1].receiver.track);
});

test("an unpublished line is used again for the next source of its kind", async () => {
  const { media, peers, offers } = setup();
  await media.publish("camera", fakeTrack("video"), false);
  await media.unpublish("camera");
  assert.equal(peers[0].transceivers[0].direction, "inactive");
  assert.deepEqual(offers.at(-1).tracks, []);
  const screen = fakeTrack("video");
  await media.publish("screen", screen, false);
  assert.equal(peers[0].transceivers.length, 1);
  assert.equal(peers[0].transceivers[0].sender.track, screen);
  assert.equal(peers[0].transceivers[0].direction, "sendonly");
});

test("another device replaces the track without an offer and keeps it muted", async () => {
  const { media, peers, offers } = setup();
  await media.publish("microphone", fakeTrack("audio"), true);
  const other = fakeTrack("audio");
  await media.replace("microphone", other);
  assert.equal(offers.length, 1);
  assert.equal(peers[0].transceivers[0].sender.track, other);
  assert.equal(other.enabled, false);
});

test("an ICE restart is one offer with new credentials", async () => {
  const { media, peers } = setup();
  await media.publish("microphone", fakeTrack("audio"), false);
  await media.restartIce();
  assert.equal(peers[0].iceRestarts, 1);
  media.setLines({ audio: 1, video: 0 });
  await settle();
  assert.equal(peers[0].iceRestarts, 1);
});

test("an ICE restart whose offer failed is still wanted by the next offer", async () => {
  const parts = setup();
  await parts.media.publish("microphone", fakeTrack("audio"), false);
  const answer = parts.answer;
  parts.answer = () => {
    throw new WitnessError("timeout");
  };
  await assert.rejects(parts.media.restartIce(), { code: "timeout" });
  assert.equal(parts.peers[0].signalingState, "stable");
  parts.answer = answer;
  parts.media.setLines({ audio: 1, video: 0 });
  await settle();
  assert.equal(parts.peers[0].iceRestarts, 2);
});

test("a rebuilt peer connection offers the same sources and lines", async () => {
  const { media, peers, offers } = setup();
  media.setLines({ audio: 1, video: 1 });
  await media.publish("microphone", fakeTrack("audio"), true);
  await media.rebuild();
  assert.equal(peers.length, 2);
  assert.ok(peers[0].closed);
  assert.deepEqual(offers.at(-1).tracks, [{ mid: "0", source: "microphone", muted: true }]);
  assert.equal(peers[1].transceivers.length, 3);
});

test("what a replaced peer connection reports is ignored", async () => {
  const { media, peers } = setup();
  await media.publish("microphone", fakeTrack("audio"), false);
  await media.rebuild();
  peers[1].change("connected");
  peers[0].change("failed");
  assert.equal(media.state, "connected");
});

test("a refused offer gets one new peer connection, then is reported", async () => {
  const parts = setup();
  parts.answer = () => {
    throw new WitnessError("bad_sdp");
  };
  await assert.rejects(parts.media.publish("microphone", fakeTrack("audio"), false), { code: "bad_sdp" });
  assert.equal(parts.peers.length, 2);
});

test("an answer the browser refuses counts as a refused offer", async () => {
  const { media, peers } = setup();
  await media.publish("microphone", fakeTrack("audio"), false);
  peers[0].refuseAnswer = true;
  media.setLines({ audio: 1, video: 0 });
  await settle();
  assert.equal(peers.length, 2);
  assert.equal(peers[1].transceivers.length, 2);
});

test("a path on which nothing arrives any more is disconnected before the browser says so", async () => {
  const { media, peers } = setup();
  await media.publish("microphone", fakeTrack("audio"), false);
  peers[0].change("connected");
  for (const received of [10, 20, 30, 30, 30, 30, 30, 30, 30, 30]) media.pulse(received);
  assert.equal(media.state, "connected");
  media.pulse(30);
  assert.equal(media.state, "disconnected");
  media.pulse(31);
  assert.equal(media.state, "connected");
});

test("checks that go unanswered while packets arrive are no disconnection", async () => {
  const { media, peers } = setup();
  await media.publish("microphone", fakeTrack("audio"), false);
  peers[0].change("connected");
  for (const received of [10, 20, 30]) media.pulse(received);
  peers[0].change("disconnected");
  assert.equal(media.state, "connected");
  for (const received of [31, 31, 31, 40, 40, 40]) media.pulse(received);
  assert.equal(media.state, "connected");
  media.pulse(40);
  assert.equal(media.state, "disconnected", "nothing for three seconds");
  media.pulse(41);
  assert.equal(media.state, "connected");
  peers[0].change("failed");
  assert.equal(media.state, "failed");
  media.pulse(50);
  assert.equal(media.state, "failed");
});

test("a disconnection without anything that arrives is believed at once", async () => {
  const { media, peers } = setup();
  await media.publish("microphone", fakeTrack("audio"), false);
  peers[0].change("connected");
  for (const received of [10, 20, 20, 20, 20]) media.pulse(received);
  peers[0].change("disconnected");
  assert.equal(media.state, "disconnected");
});

test("a browser that doesn't count what arrives is believed", async () => {
  const { media, peers } = setup();
  await media.publish("microphone", fakeTrack("audio"), false);
  peers[0].change("connected");
  for (let sample = 0; sample < 10; sample += 1) media.pulse(null);
  assert.equal(media.state, "connected");
});

test("sent audio passes through the worker where the server takes copies, and only there", async () => {
  for (const copied of [true, false]) {
    const adopted = [];
    const peers = [];
    let release;
    const red = {
      state: "loading", adopt: (line) => adopted.push(line), forget: () => {},
      known: () => new Promise((resolve) => (release = () => ((red.state = "ready"), resolve()))),
    };
    const media = new Media({
      createPeer: () => (peers.push(new FakePeer()), peers.at(-1)), red,
      sendOffer: async () => ({ sdp: "", published: [], subscribed: [] }),
    });
    media.copied = copied;
    media.prepare("microphone", fakeTrack("audio"), false);
    media.prepare("camera", fakeTrack("video"), false);
    media.setLines({ audio: 1, video: 1 });
    await settle();
    assert.equal(peers.length, copied ? 0 : 1, "the worker is waited for");
    release?.();
    await settle();
    assert.deepEqual(adopted, copied ? [peers[0].transceivers[0]] : []);
  }
});

const VIDEO = "v=0\r\nm=audio 9 UDP 111\r\na=rtpmap:111 opus/48000/2\r\na=recvonly\r\n" +
  "m=video 9 UDP 96 97 98\r\na=recvonly\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\na=fmtp:97 apt=96\r\n" +
  "a=rtpmap:98 H264/90000\r\na=fmtp:98 packetization-mode=1\r\n" +
  "m=video 9 UDP 96\r\na=sendonly\r\na=rtpmap:96 VP8/90000\r\n";

test("a floor is written for every codec of sent video, and nowhere else", () => {
  assert.equal(withVideoFloor(VIDEO, null), VIDEO);
  const added = withVideoFloor(VIDEO, 900_000).split("\r\n").filter((line) => !VIDEO.split("\r\n").includes(line));
  assert.deepEqual(added, ["a=fmtp:96 x-google-min-bitrate=900", "a=fmtp:98 packetization-mode=1;x-google-min-bitrate=900"]);
  assert.equal(withVideoFloor("", 1), "");
});

test("a floor is applied with the answer in force, without the server, and with each later answer", async () => {
  const parts = setup();
  const { media, offers, peers } = parts;
  parts.answer = () => ({ sdp: VIDEO, published: [], subscribed: [] });
  media.setFloor(500_000);
  await media.publish("camera", fakeTrack("video"), false);
  media.setFloor(900_000);
  await settle();
  assert.equal(offers.length, 1);
  const floors = () => peers.at(-1).answers.map((sdp) => /x-google-min-bitrate=(\d+)/.exec(sdp)?.[1] ?? null);
  assert.deepEqual(floors(), ["500", "900"]);
  await media.publish("screen", fakeTrack("video"), false);
  media.setFloor(null);
  media.setFloor(null);
  await settle();
  assert.deepEqual(floors(), ["500", "900", "900", null]);
  assert.equal(peers[0].signalingState, "stable");
  media.setFloor(700_000);
  await media.rebuild();
  assert.deepEqual(floors(), [null], "a new connection begins without");
});

test("a floor the browser refuses leaves the connection as it was", async () => {
  const parts = setup();
  const { media, offers, peers } = parts;
  await media.publish("camera", fakeTrack("video"), false);
  peers[0].refuseAnswer = true;
  media.setFloor(900_000);
  await settle();
  assert.equal(peers[0].signalingState, "stable");
  peers[0].refuseAnswer = false;
  await media.publish("screen", fakeTrack("video"), false);
  assert.equal(offers.length, 2);
});

test("a floor the browser refused is applied when it is said again", async () => {
  const parts = setup();
  const { media, offers, peers } = parts;
  parts.answer = () => ({ sdp: VIDEO, published: [], subscribed: [] });
  await media.publish("camera", fakeTrack("video"), false);
  peers[0].refuseAnswer = true;
  media.setFloor(900_000);
  await settle();
  peers[0].refuseAnswer = false;
  media.setFloor(900_000);
  media.setFloor(900_000);
  await settle();
  assert.deepEqual(peers[0].answers.slice(1).map((sdp) => /x-google-min-bitrate=(\d+)/.exec(sdp)?.[1] ?? null), ["900", "900"], "refused, then taken, and not again");
  assert.equal(offers.length, 1);
});
