// Notes what a call page receives and sends, five times a second, with the time of the machine's
// clock in seconds. Counters are totals since the start.
const notes = (globalThis.notes = []);
const note = async () => {
  const peer = globalThis.witness?.call?.peer;
  if (!peer || peer.connectionState === "closed") return;
  const entries = [...(await peer.getStats()).values()];
  const sum = (list, member) => list.reduce((total, entry) => total + (entry[member] ?? 0), 0);
  const of = (type, kind) => entries.filter((entry) => entry.type === type && entry.kind === kind);
  const inbound = (kind) => {
    const list = of("inbound-rtp", kind);
    return {
      bytes: sum(list, "bytesReceived") + sum(list, "headerBytesReceived"),
      packets: sum(list, "packetsReceived"),
      lost: sum(list, "packetsLost"),
      buffer_s: sum(list, "jitterBufferDelay"),
      buffered: sum(list, "jitterBufferEmittedCount"),
      frames: sum(list, "framesDecoded"),
      width: Math.max(0, ...list.map((entry) => entry.frameWidth ?? 0)),
      freezes: sum(list, "freezeCount"),
      frozen_s: sum(list, "totalFreezesDuration"),
      keyframe_requests: sum(list, "pliCount"),
      concealed: sum(list, "concealedSamples") - sum(list, "silentConcealedSamples"),
      samples: sum(list, "totalSamplesReceived"),
    };
  };
  const pair = entries.find((entry) => entry.type === "candidate-pair" && entry.nominated);
  notes.push({
    at_s: (performance.timeOrigin + performance.now()) / 1000,
    connected: peer.connectionState === "connected",
    audio: inbound("audio"),
    video: inbound("video"),
    received: sum(entries.filter(({ type }) => type === "transport"), "bytesReceived"),
    sent: sum(entries.filter(({ type }) => type === "transport"), "bytesSent"),
    round_trip_s: pair?.currentRoundTripTime ?? null,
    sending: of("outbound-rtp", "video").map((entry) => ({
      rid: entry.rid ?? "", active: entry.active, width: entry.frameWidth ?? 0, frames: entry.framesEncoded ?? 0,
      bytes: (entry.bytesSent ?? 0) + (entry.headerBytesSent ?? 0), limited_by: entry.qualityLimitationReason,
    })),
    stalled_s: globalThis.watched.stalled / 1000,
  });
};
setInterval(note, 200);
