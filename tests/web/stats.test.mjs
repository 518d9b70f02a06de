import assert from "node:assert/strict";
import { test } from "node:test";

import { StatsReader, receivedOf } from "../../web/sdk/stats.js";

const audio = (values) => ({ id: "a", type: "inbound-rtp", kind: "audio", mid: "0", ...values });
const byMid = ({ mid }) => ({ 0: "t-audio", 1: "t-video" })[mid];

test("counts are what happened since the last report", () => {
  const reader = new StatsReader();
  const totals = { packetsReceived: 100, packetsLost: 10, jitter: 0.0095, totalSamplesReceived: 48_000, concealedSamples: 4800, silentConcealedSamples: 0 };
  const [first] = reader.read([audio(totals)], byMid).tracks;
  assert.deepEqual(first, { track_id: "t-audio", packets_lost: 10, packets_received: 100, jitter_ms: 9.5, concealed_ratio: 0.1 });
  const later = { ...totals, packetsReceived: 150, packetsLost: 12, totalSamplesReceived: 96_000, concealedSamples: 9600, silentConcealedSamples: 2400 };
  const [second] = reader.read([audio(later)], byMid).tracks;
  assert.equal(second.packets_received, 50);
  assert.equal(second.packets_lost, 2);
  assert.equal(second.concealed_ratio, 0.05);
});

test("a count that fell, as loss does when late packets come, is reported as zero", () => {
  const reader = new StatsReader();
  reader.read([audio({ packetsLost: 10, packetsReceived: 5 })], byMid);
  const [track] = reader.read([audio({ packetsLost: 4, packetsReceived: 9 })], byMid).tracks;
  assert.equal(track.packets_lost, 0);
});

test("the delay in the jitter buffer is the mean since the last report", () => {
  const reader = new StatsReader();
  reader.read([audio({ jitterBufferDelay: 10, jitterBufferEmittedCount: 1000 })], byMid);
  const [track] = reader.read([audio({ jitterBufferDelay: 70, jitterBufferEmittedCount: 1500 })], byMid).tracks;
  assert.equal(track.jitter_buffer_ms, 120);
});

test("video has frames and freezes", () => {
  const entry = { id: "v", type: "inbound-rtp", kind: "video", mid: "1", framesPerSecond: 24.8, freezeCount: 2 };
  const [track] = new StatsReader().read([entry], byMid).tracks;
  assert.equal(track.frames_per_second, 24.8);
  assert.equal(track.freeze_count, 2);
});

test("round trip and bandwidth come from the pair in use", () => {
  const pairs = [
    { id: "p1", type: "candidate-pair", currentRoundTripTime: 9 },
    { id: "p2", type: "candidate-pair", currentRoundTripTime: 0.0485, availableOutgoingBitrate: 900_000.4, responsesReceived: 7, bytesReceived: 1000 },
  ];
  const chromium = [{ id: "t", type: "transport", selectedCandidatePairId: "p2" }, ...pairs];
  const firefox = [pairs[0], { ...pairs[1], selected: true }];
  for (const entries of [chromium, firefox]) {
    const report = new StatsReader().read(entries, byMid);
    assert.deepEqual(report, { tracks: [], rtt_ms: 48.5, available_outgoing_bps: 900_000 });
    assert.equal(receivedOf(entries), 1007);
  }
});

test("what a browser doesn't measure is left out", () => {
  const entries = [audio({}), { id: "x", type: "inbound-rtp", mid: "9" }];
  const report = new StatsReader().read(entries, byMid);
  assert.deepEqual(report, { tracks: [{ track_id: "t-audio", packets_lost: 0, packets_received: 0, jitter_ms: 0 }] });
  assert.equal(receivedOf(entries), null);
});

test("a report has at most 64 tracks and values within the protocol's limits", () => {
  const entries = Array.from({ length: 100 }, (_, index) => audio({ id: String(index), jitter: 1e9, packetsLost: NaN, packetsReceived: -5 }));
  const { tracks } = new StatsReader().read(entries, byMid);
  assert.equal(tracks.length, 64);
  assert.deepEqual([tracks[0].jitter_ms, tracks[0].packets_lost, tracks[0].packets_received], [600_000, 0, 0]);
});
