import assert from "node:assert/strict";
import { test } from "node:test";

import { Media } from "../../web/sdk/media.js";
import { addSendingLine, applyDemand, encodingsFor } from "../../web/sdk/simulcast.js";
import { FakePeer, fakeTrack } from "./fake_peer.mjs";

const camera = (width, height) => fakeTrack("video", { width, height });
const shape = (encodings) => encodings.map(({ rid, scaleResolutionDownBy }) => [rid, scaleResolutionDownBy]);

test("a camera is sent in as many sizes as its picture is worth", () => {
  const table = [
    [1920, 1080, [["q", 4], ["h", 2], ["f", 1]]],
    [960, 540, [["q", 4], ["h", 2], ["f", 1]]],
    [720, 1280, [["q", 4], ["h", 2], ["f", 1]]],
    [959, 540, [["q", 2], ["h", 1]]],
    [480, 270, [["q", 2], ["h", 1]]],
    [479, 270, [[undefined, undefined]]],
    [undefined, undefined, [[undefined, undefined]]],
  ];
  for (const [width, height, expected] of table) {
    const encodings = encodingsFor(camera(width, height), { source: "camera", codec: null });
    assert.deepEqual(shape(encodings), expected, `${width}`);
    assert.ok(encodings.every(({ scalabilityMode }) => scalabilityMode === "L1T2"));
  }
});

test("each size has a rate of its own", () => {
  const table = [
    [1280, 720, [163_000, 495_000, 1_500_000]],
    [1920, 1080, [312_000, 947_000, 2_870_000]],
    [640, 480, [205_000, 623_000]],
    [352, 288, [257_000]],
    [160, 120, [120_000]],
  ];
  for (const [width, height, expected] of table) {
    const encodings = encodingsFor(camera(width, height), { source: "camera", codec: null });
    assert.deepEqual(encodings.map(({ maxBitrate }) => maxBitrate), expected, `${width}`);
  }
  assert.ok(!("maxBitrate" in encodingsFor(camera(1920, 1080), { source: "screen", codec: null })[0]));
});

test("screens and codecs that can't are sent in one size", () => {
  const large = camera(1920, 1080);
  assert.equal(encodingsFor(large, { source: "screen", codec: null }).length, 1);
  assert.equal(encodingsFor(large, { source: "camera", codec: "av1" }).length, 1);
  assert.equal(encodingsFor(fakeTrack("audio"), { source: "microphone", codec: null }).length, 0);
  const h264 = encodingsFor(large, { source: "camera", codec: "h264" });
  assert.equal(h264.length, 3);
  assert.ok(h264.every((encoding) => !("scalabilityMode" in encoding)));
});

test("a browser without temporal layers or simulcast gets what it can", () => {
  const encodings = encodingsFor(camera(1280, 720), { source: "camera", codec: null });
  for (const [refused, count] of [[null, 3], ["scalabilityMode", 3], ["rid", 1]]) {
    const peer = new FakePeer();
    peer.refuseEncodings = refused;
    const line = addSendingLine(peer, camera(1280, 720), encodings);
    assert.equal(line.sender.encodings.length, count, `${refused}`);
    assert.equal("scalabilityMode" in line.sender.encodings[0], refused === null);
  }
});

test("demand switches encodings and leaves alone what is as it shall be", async () => {
  const peer = new FakePeer();
  const { sender } = addSendingLine(peer, camera(1280, 720), encodingsFor(camera(1280, 720), { source: "camera", codec: null }));
  const say = (wanted) => ["q", "h", "f"].map((rid) => ({ rid, wanted: wanted.includes(rid) }));
  const active = () => sender.encodings.filter((encoding) => encoding.active).map(({ rid }) => rid).join("");
  assert.equal(await applyDemand(sender, say("qhf")), false);
  assert.equal(sender.sets, 0);
  assert.equal(await applyDemand(sender, say("q")), true);
  assert.deepEqual([active(), sender.sets], ["q", 1]);
  await applyDemand(sender, [{ rid: "unheard", wanted: false }]);
  assert.deepEqual([active(), sender.sets], ["q", 1]);
  await applyDemand(sender, say(""));
  await applyDemand(sender, say("hf"));
  assert.deepEqual([active(), sender.sets], ["hf", 3]);
  const single = addSendingLine(peer, camera(320, 240), [{}]).sender;
  await applyDemand(single, [{ rid: null, wanted: false }]);
  assert.equal(single.encodings[0].active, false);
  assert.equal(await applyDemand({ track: null }, say("q")), false, "a browser without parameters");
});

async function published({ layered = true } = {}) {
  const offers = [];
  const peers = [];
  const media = new Media({
    createPeer: () => (peers.push(new FakePeer()), peers.at(-1)),
    sendOffer: async (offer) => {
      offers.push(offer);
      const published = offer.tracks.map(({ mid, source }) => ({ mid, track_id: `t-${source}` }));
      return { sdp: "answer", published, subscribed: [] };
    },
  });
  media.layered = layered;
  await media.publish("camera", camera(1280, 720), false);
  return { media, offers, peers };
}

test("the offer says how large the encodings are, to a server that takes it", async () => {
  const { offers } = await published();
  assert.deepEqual(offers[0].tracks[0].encodings, [
    { rid: "q", width: 320, height: 180 }, { rid: "h", width: 640, height: 360 }, { rid: "f", width: 1280, height: 720 },
  ]);
  const old = await published({ layered: false });
  assert.equal("encodings" in old.offers[0].tracks[0], false);
  assert.equal(old.peers[0].transceivers[0].sender.encodings.length, 1);
});

test("demand reaches the sender of its track; that of others and of a closed one does nothing", async () => {
  const { media, peers } = await published();
  const { sender } = peers[0].transceivers[0];
  await media.setDemand("t-camera", [{ rid: "f", wanted: false }]);
  await media.setDemand("t-nobody", [{ rid: "q", wanted: false }]);
  assert.deepEqual(sender.encodings.map(({ active }) => active), [true, true, false]);
  await media.rebuild();
  assert.deepEqual(peers[1].transceivers[0].sender.encodings.map(({ active }) => active), [true, true, true]);
});

test("parameters that changed meanwhile are read again", async () => {
  const { media, peers } = await published();
  const { sender } = peers[0].transceivers[0];
  const set = sender.setParameters;
  sender.setParameters = async () => {
    sender.setParameters = set;
    throw new Error("InvalidModificationError");
  };
  await media.setDemand("t-camera", [{ rid: "q", wanted: false }]);
  assert.equal(sender.encodings[0].active, false);
});

test("a screen does not take the line of a camera", async () => {
  const { media, peers } = await published();
  await media.unpublish("camera");
  await media.publish("screen", camera(1920, 1080), false);
  assert.equal(peers[0].transceivers.length, 2);
  await media.publish("camera", camera(1280, 720), false);
  assert.equal(peers[0].transceivers.length, 2);
  assert.equal(peers[0].transceivers[0].sender.encodings.length, 3);
});
