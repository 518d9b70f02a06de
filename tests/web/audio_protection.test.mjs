import assert from "node:assert/strict";
import { test } from "node:test";

import { AudioProtection } from "../../web/sdk/audio_protection.js";
import { LossFollower, bitrateFor, delayFor } from "../../web/sdk/loss_policy.js";
import { PlayoutTargets } from "../../web/sdk/playout.js";
import { MAX_PAYLOAD } from "../../web/sdk/red.js";
import { RedSenders } from "../../web/sdk/red_sender.js";
import { withAudioNack } from "../../web/sdk/sdp.js";
import { VirtualClock, settle } from "./virtual_clock.mjs";

const CODECS = [
  { mimeType: "audio/opus", payloadType: 111 },
  { mimeType: "audio/red", payloadType: 63 },
];

function fakeWorker() {
  const worker = { messages: [], terminated: false, postMessage: (message) => worker.messages.push(message), terminate: () => (worker.terminated = true) };
  return worker;
}

function fakeLine({ codecs = CODECS } = {}) {
  const sender = {
    track: { readyState: "live", muted: false },
    encodings: [{}],
    refuse: false,
    getParameters: () => ({ codecs, encodings: sender.encodings.map((encoding) => ({ ...encoding })) }),
    async setParameters({ encodings }) {
      if (sender.refuse) throw new Error("changed meanwhile");
      sender.encodings = encodings;
    },
  };
  return { sender, preferred: null, setCodecPreferences(list) { this.preferred = list; } };
}

function senders({ worker = fakeWorker(), codecs = () => CODECS } = {}) {
  const clock = new VirtualClock();
  const red = new RedSenders({ clock, worker, codecs, makeTransform: (made, options) => ({ made, options }) });
  return { clock, worker, red };
}

// --- senders

test("a line made when the worker is there prefers RED and passes through it", async () => {
  const { worker, red } = senders();
  const known = red.known();
  worker.onmessage({ data: { ready: true } });
  await known;
  const line = fakeLine();
  red.adopt(line);
  assert.equal(line.sender.transform.made, worker);
  assert.deepEqual(line.preferred.map(({ mimeType }) => mimeType), ["audio/red", "audio/opus"]);
  red.write(line.sender, [1, 2]);
  assert.deepEqual(worker.messages, [{ line: "1", offsets: [1, 2], payloadType: 63 }]);
  worker.onmessage({ data: { line: "1", counts: { frames: 7 } } });
  assert.deepEqual(red.countsOf(line.sender), { frames: 7 });
  red.forget(line.sender);
  assert.deepEqual(worker.messages.at(-1), { line: "1", end: true });
  red.close();
  assert.ok(worker.terminated);
});

test("without a worker in time lines are made without it, for a worker that comes late too", async () => {
  for (const end of ["error", "silence", "none"]) {
    const { clock, worker, red } = senders(end === "none" ? { worker: null } : {});
    const known = red.known();
    if (end === "error") worker.onerror({});
    await clock.advance(RedSenders.PATIENCE_MS);
    await known;
    worker?.onmessage?.({ data: { ready: true } });
    const line = fakeLine();
    red.adopt(line);
    assert.equal(line.sender.transform, undefined, end);
    assert.equal(line.preferred, null);
    assert.equal(red.has(line.sender), false);
    red.write(line.sender, [1]);
    assert.deepEqual(worker?.messages ?? [], []);
    assert.equal(clock.pending, 0);
  }
});

test("a worker that fails while lines use it takes no others", () => {
  const { worker, red } = senders();
  worker.onmessage({ data: { ready: true } });
  const [first, second] = [fakeLine(), fakeLine()];
  red.adopt(first);
  red.giveUp();
  red.adopt(second);
  assert.ok(red.has(first.sender) && !red.has(second.sender));
});

test("a browser without RED among its codecs makes plain lines", () => {
  const { worker, red } = senders({ codecs: () => null });
  worker.onmessage({ data: { ready: true } });
  const line = fakeLine();
  red.adopt(line);
  assert.equal(line.sender.transform, undefined);
});

// --- levels

test("more loss means more copies, and a bit rate with which they fit", () => {
  let copies = 0;
  for (const loss of [0, 0.01, 0.05, 0.1, 0.3, 0.4, 0.55, 0.7, 1]) {
    const follower = new LossFollower();
    for (let second = 0; second < 20; second += 1) follower.sample(loss, second * 1000);
    const { offsets, bitrateBps } = follower.advice;
    assert.ok(offsets.length >= copies, `${loss}`);
    copies = offsets.length;
    const frame = (bitrateBps ?? 40_000) / 8 / 50;
    assert.ok((copies + 1) * frame + 4 * copies + 1 <= MAX_PAYLOAD, `${loss}: ${bitrateBps}`);
    assert.ok(follower.delayMs >= (offsets.at(-1) ?? 0) * 20);
  }
  assert.equal(copies, 15);
  assert.equal(bitrateFor(0), null);
  assert.equal(delayFor(0), 0);
});

test("loss is answered within a second, and given back a level at a time", () => {
  const follower = new LossFollower();
  follower.sample(0.7, 0);
  assert.ok(follower.advice.offsets.length >= 8);
  follower.sample(0.7, 1000);
  follower.sample(0.7, 2000);
  follower.sample(0.7, 3000);
  assert.equal(follower.advice.offsets.length, 15);
  const seen = [];
  for (let second = 4; second < 120; second += 1) {
    follower.sample(0, second * 1000);
    if (seen.at(-1) !== follower.level) seen.push(follower.level);
  }
  assert.deepEqual(seen, [7, 6, 5, 4, 3, 2, 1, 0]);
});

test("the noise of short reports doesn't change the level all the time", () => {
  let state = 7;
  const random = () => (state = (state * 48_271) % 2_147_483_647) / 2_147_483_647;
  const follower = new LossFollower();
  let changes = 0;
  for (let second = 0; second < 300; second += 1) {
    const before = follower.level;
    const lost = Array.from({ length: 50 }).filter(() => random() < 0.3).length;
    follower.sample(lost / 50, second * 1000);
    if (second > 20 && follower.level !== before) changes += 1;
  }
  assert.ok(changes <= 10, `${changes} changes in 280 s`);
  assert.ok(follower.advice.offsets.length >= 5);
});

test("what is no loss is left out", () => {
  const follower = new LossFollower();
  for (const value of [NaN, undefined, -0.1, 1.1, Infinity, "0.5x"]) follower.sample(value, 0);
  assert.equal(follower.level, 0);
});

// --- playout

test("more delay holds at once, less is given back in steps", () => {
  const targets = new PlayoutTargets();
  const receiver = { jitterBufferTarget: null };
  targets.apply(receiver, 320, 0);
  assert.equal(receiver.jitterBufferTarget, 320);
  const seen = [];
  for (let now = 0; now <= 10_000; now += 250) {
    targets.apply(receiver, 200, now);
    if (seen.at(-1) !== receiver.jitterBufferTarget) seen.push(receiver.jitterBufferTarget);
  }
  assert.deepEqual(seen, [320, 280, 240, 200]);
  targets.apply(receiver, 260, 10_250);
  assert.equal(receiver.jitterBufferTarget, 260);
  for (let now = 11_000; now <= 30_000; now += 1000) targets.apply(receiver, 0, now);
  assert.equal(receiver.jitterBufferTarget, null, "as the browser likes");
});

test("targets stay within what browsers take, and older ones have another name", () => {
  const targets = new PlayoutTargets();
  const table = [[1e9, 4000], [-5, 0], [NaN, 0], [undefined, 0], [150.4, 150]];
  for (const [wanted, expected] of table) assert.equal(targets.apply({ jitterBufferTarget: null }, wanted, 0), expected);
  const old = { playoutDelayHint: null };
  targets.apply(old, 300, 0);
  assert.equal(old.playoutDelayHint, 0.3);
  const strict = { get jitterBufferTarget() { return null; }, set jitterBufferTarget(_) { throw new RangeError(); } };
  targets.apply(strict, 300, 0);
  targets.apply({}, 300, 0);
});

// --- both

function protection() {
  const { worker, red } = senders();
  worker.onmessage({ data: { ready: true } });
  const line = fakeLine();
  red.adopt(line);
  const audio = { jitterBufferTarget: null };
  const video = { jitterBufferTarget: null };
  const other = { jitterBufferTarget: null };
  const receiving = [
    { mid: "1", participantId: "c-1", kind: "audio", receiver: audio },
    { mid: "2", participantId: "c-1", kind: "video", receiver: video },
    { mid: "3", participantId: "e-1", kind: "audio", receiver: other },
  ];
  const subject = new AudioProtection(red);
  let second = 0;
  let [lost, received] = [0, 0];
  const tick = async ({ guided = true, up = null, down = 0, rtt = 0.05 } = {}) => {
    second += 1;
    lost += down * 50;
    received += (1 - down) * 50;
    const entries = [
      { id: "out", type: "outbound-rtp", kind: "audio", mid: "0", packetsSent: second * 50 },
      { id: "in", type: "inbound-rtp", kind: "audio", mid: "1", packetsLost: lost, packetsReceived: received },
    ];
    if (up !== null) {
      entries.push({ id: "far", type: "remote-inbound-rtp", kind: "audio", localId: "out", fractionLost: up, timestamp: second, roundTripTime: rtt });
    }
    subject.tick({ nowMs: second * 1000, guided, entries, sending: [{ mid: "0", sender: line.sender }], receiving });
    await settle();
  };
  const copies = () => worker.messages.at(-1).offsets;
  return { worker, line, audio, video, other, subject, tick, copies };
}

test("the server's advice is carried out: copies, bit rate, delay of voice and picture", async () => {
  const { line, audio, video, other, subject, tick, copies } = protection();
  subject.onProtection({ tracks: [{ mid: "0", offsets: [2, 1, 4], bitrate_bps: 24_000 }] });
  subject.onPlayout({ tracks: [{ mid: "1", delay_ms: 320 }] });
  await tick({ up: 0.9, down: 0.9 });
  assert.deepEqual(copies(), [1, 2, 4]);
  assert.equal(line.sender.encodings[0].maxBitrate, 24_000);
  assert.deepEqual([audio.jitterBufferTarget, video.jitterBufferTarget, other.jitterBufferTarget], [320, 320, null]);
  subject.onProtection({ tracks: [] });
  subject.onPlayout({ tracks: [] });
  for (let count = 0; count < 10; count += 1) await tick();
  assert.deepEqual(copies(), []);
  assert.ok(!("maxBitrate" in line.sender.encodings[0]));
  assert.deepEqual([audio.jitterBufferTarget, video.jitterBufferTarget], [null, null]);
});

test("a bit rate that is refused is set again", async () => {
  const { line, subject, tick } = protection();
  subject.onProtection({ tracks: [{ mid: "0", offsets: [1], bitrate_bps: 24_000 }] });
  line.sender.refuse = true;
  await tick();
  line.sender.refuse = false;
  await tick();
  assert.equal(line.sender.encodings[0].maxBitrate, 24_000);
});

test("when the server falls silent protection goes on from where it was, and follows the link", async () => {
  const { audio, subject, tick, copies } = protection();
  subject.onProtection({ tracks: [{ mid: "0", offsets: [1, 2, 3, 4], bitrate_bps: null }] });
  subject.onPlayout({ tracks: [{ mid: "1", delay_ms: 200 }] });
  await tick({ up: 0.1, down: 0.1 });
  await tick({ guided: false, up: 0.1, down: 0.1 });
  assert.equal(subject.steering, "own");
  assert.ok(copies().length >= 4);
  assert.ok(audio.jitterBufferTarget >= 200);
  for (let count = 0; count < 5; count += 1) await tick({ guided: false, up: 0.7, down: 0.7 });
  assert.equal(copies().length, 15);
  assert.ok(audio.jitterBufferTarget >= 300);
  for (let count = 0; count < 120; count += 1) await tick({ guided: false, up: 0, down: 0 });
  assert.deepEqual(copies(), []);
  assert.equal(audio.jitterBufferTarget, null);
  await tick({ up: 0.7, down: 0.7 });
  assert.deepEqual(copies(), [1, 2, 3, 4], "the server's last word counts again");
});

test("a report that is only shown again is no news", async () => {
  const { subject, copies, tick, line } = protection();
  const far = { id: "far", type: "remote-inbound-rtp", kind: "audio", localId: "out", fractionLost: 0.5, timestamp: 5, roundTripTime: 0.05 };
  const entries = [{ id: "out", type: "outbound-rtp", kind: "audio", mid: "0", packetsSent: 1 }, far];
  await tick({ guided: false });
  for (let second = 2; second < 60; second += 1) {
    subject.tick({ nowMs: second * 1000, guided: false, entries, sending: [{ mid: "0", sender: line.sender }], receiving: [] });
  }
  // One sample of 50 % is believed to three fifths.
  assert.deepEqual(copies(), [1, 2, 3, 5, 8]);
});

test("a queue that fills is not filled further", async () => {
  const { tick, copies } = protection();
  await tick({ guided: false, up: 0.7, rtt: 0.04 });
  for (let count = 0; count < 5; count += 1) await tick({ guided: false, up: 0.7, rtt: 0.9 });
  assert.equal(copies().length, 3);
  for (let count = 0; count < 2; count += 1) await tick({ guided: false, up: 0.7, rtt: 0.06 });
  assert.equal(copies().length, 15);
});

test("nothing said of one media connection holds for the next", async () => {
  const { subject, tick, copies, audio } = protection();
  subject.onProtection({ tracks: [{ mid: "0", offsets: [1], bitrate_bps: null }] });
  subject.onPlayout({ tracks: [{ mid: "1", delay_ms: 200 }] });
  subject.startOver();
  await tick();
  assert.deepEqual(copies(), []);
  assert.equal(audio.jitterBufferTarget, null);
});

test("the floor holds while the server can be heard, or no queue fills", async () => {
  const { subject, tick } = protection();
  subject.onProtection({ tracks: [], floor_bps: 900_000 });
  assert.equal(subject.floorBps, 900_000);
  await tick({ up: 0.7, rtt: 0.04 });
  await tick({ up: 0.7, rtt: 0.9 });
  assert.equal(subject.floorBps, 900_000, "the server sees a queue itself");
  await tick({ guided: false, up: 0.7, rtt: 0.9 });
  assert.equal(subject.floorBps, null);
  await tick({ guided: false, up: 0.7, rtt: 0.05 });
  assert.equal(subject.floorBps, 900_000);
  for (const floor of [null, 0, -1, "900000", 1e12, NaN, {}]) {
    subject.onProtection({ tracks: [], floor_bps: 900_000 });
    subject.onProtection({ tracks: [], floor_bps: floor });
    assert.equal(subject.floorBps, null, String(floor));
  }
  subject.onProtection({ floor_bps: 500_000 });
  subject.startOver();
  assert.equal(subject.floorBps, null);
});

test("malformed advice is no advice", async () => {
  const malformed = [
    undefined, null, 5, "x", [], {}, { tracks: null }, { tracks: "0" }, { tracks: { length: 3 } },
    { tracks: [null, 5, "x", [], {}, { mid: 0 }, { mid: null, offsets: [1], delay_ms: 5 }] },
    { tracks: [{ mid: "0", offsets: "12", bitrate_bps: "fast" }, { mid: "1", delay_ms: "long" }] },
    { tracks: [{ mid: "0", offsets: [0, 18, -1, 1.5, NaN, null, {}], bitrate_bps: -5 }, { mid: "1", delay_ms: -5 }] },
    { tracks: [{ mid: "0", bitrate_bps: NaN }, { mid: "1", delay_ms: NaN }] },
  ];
  for (const data of malformed) {
    const { line, audio, subject, tick, copies } = protection();
    subject.onProtection(data);
    subject.onPlayout(data);
    await tick();
    assert.deepEqual(copies(), [], JSON.stringify(data));
    assert.deepEqual(line.sender.encodings, [{}]);
    assert.equal(audio.jitterBufferTarget, null);
  }
});

test("a sender whose packets stop though its track is live is noticed, others are not", () => {
  const { line, subject } = protection();
  const entries = [{ id: "out", type: "outbound-rtp", kind: "audio", mid: "0", packetsSent: 100 }];
  const sending = [{ mid: "0", sender: line.sender }];
  const plain = [{ mid: "0", sender: fakeLine().sender }];
  const after = (lines) => Array.from({ length: 8 }, () => subject.isStuck(entries, lines)).indexOf(true);
  assert.equal(after(plain), -1, "without a worker");
  line.sender.track.muted = true;
  assert.equal(after(sending), -1, "the system took the microphone");
  line.sender.track.muted = false;
  assert.equal(after(sending), 4);
});

// --- descriptions

test("Opus lines of an offer ask for missing packets, once", () => {
  const offer = [
    "v=0", "m=audio 9 UDP/TLS/RTP/SAVPF 63 111", "a=rtpmap:63 red/48000/2", "a=fmtp:63 111/111", "a=rtpmap:111 opus/48000/2",
    "a=rtcp-fb:111 transport-cc", "m=video 9 UDP/TLS/RTP/SAVPF 96", "a=rtpmap:96 VP8/90000", "a=rtcp-fb:96 nack",
    "m=audio 9 UDP/TLS/RTP/SAVPF 111", "a=rtpmap:111 opus/48000/2", "",
  ].join("\r\n");
  const changed = withAudioNack(offer);
  assert.equal(changed.match(/a=rtcp-fb:111 nack\r\n/g).length, 2);
  assert.equal(changed.replaceAll("a=rtcp-fb:111 nack\r\n", ""), offer);
  assert.equal(withAudioNack(changed), changed);
  for (const unchanged of ["", "offer 1", "v=0\r\nm=audio 9 X 0\r\na=rtpmap:0 PCMU/8000\r\n"]) assert.equal(withAudioNack(unchanged), unchanged);
});
