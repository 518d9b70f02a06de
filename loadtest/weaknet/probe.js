// Body of a function that runs in a call page: samples the call's figures and listens to what is sent and heard
// until `weaknet.end()`. Arguments: milliseconds between samples, rate in Hz sound is kept at.
const [every, rate] = arguments;
const { call } = globalThis.witness;
const wall = () => performance.timeOrigin + performance.now();
const samples = [];
const sounds = {};
const AUDIO = ["concealedSamples", "silentConcealedSamples", "totalSamplesReceived", "concealmentEvents", "jitterBufferDelay",
  "jitterBufferEmittedCount", "packetsReceived", "packetsLost", "fecPacketsReceived", "bytesReceived"];
const VIDEO = ["framesDecoded", "freezeCount", "totalFreezesDuration", "packetsReceived", "packetsLost", "bytesReceived",
  "keyFramesDecoded", "frameHeight"];
const SENT = ["framesEncoded", "bytesSent", "retransmittedBytesSent", "keyFramesEncoded"];
const stalledBefore = globalThis.watched?.stalled ?? 0;
let over = false;

/** The largest entry counts: lines of tracks that ended keep theirs. */
function pick(entries, type, kind, members, by) {
  const found = entries.filter((entry) => entry.type === type && entry.kind === kind);
  const best = found.sort((a, b) => (b[by] ?? 0) - (a[by] ?? 0))[0];
  return best ? members.map((member) => best[member] ?? 0) : null;
}

function total(entries, type, kind, members) {
  const found = entries.filter((entry) => entry.type === type && entry.kind === kind);
  return found.length ? members.map((member) => found.reduce((sum, entry) => sum + (entry[member] ?? 0), 0)) : null;
}

/** The pair media goes over. */
function selected(entries) {
  const used = entries.find(({ type, selectedCandidatePairId }) => type === "transport" && selectedCandidatePairId);
  return entries.find(({ id }) => id === used?.selectedCandidatePairId);
}

/** `udp`, `tcp`, or `relay` for what goes over a third party. */
function protocol(entries, { localCandidateId }) {
  const own = entries.find(({ id }) => id === localCandidateId);
  return own?.candidateType === "relay" ? "relay" : (own?.protocol ?? null);
}

async function sample() {
  while (!over) {
    const at = wall();
    if (call.peer) {
      const entries = [...(await call.peer.getStats()).values()];
      const pair = selected(entries);
      samples.push([at, pick(entries, "inbound-rtp", "audio", AUDIO, "packetsReceived"),
        pick(entries, "inbound-rtp", "video", VIDEO, "packetsReceived"),
        pick(entries, "outbound-rtp", "video", SENT, "framesEncoded"), total(entries, "outbound-rtp", "audio", ["bytesSent", "targetBitrate"]),
        pair ? [pair.currentRoundTripTime ?? null, pair.availableOutgoingBitrate ?? null, protocol(entries, pair)] : null]);
    }
    await new Promise((resolve) => setTimeout(resolve, Math.max(0, every - (wall() - at))));
  }
}

async function listen(name, track) {
  const sound = (sounds[name] = { chunks: [], parts: [], problem: null });
  try {
    const reader = new MediaStreamTrackProcessor({ track }).readable.getReader();
    let buffer = new Float32Array(0);
    while (!over) {
      const { value, done } = await reader.read();
      if (done) break;
      const step = Math.max(1, Math.round(value.sampleRate / rate));
      if (buffer.length < value.numberOfFrames) buffer = new Float32Array(value.numberOfFrames);
      value.copyTo(buffer, { planeIndex: 0, format: "f32-planar" });
      const kept = Math.floor(value.numberOfFrames / step);
      const part = new Int16Array(kept);
      for (let i = 0; i < kept; i++) {
        let sum = 0;
        for (let j = 0; j < step; j++) sum += buffer[i * step + j];
        part[i] = Math.max(-32768, Math.min(32767, Math.round((sum / step) * 32768)));
      }
      sound.chunks.push([value.timestamp, wall(), kept]);
      sound.parts.push(part);
      value.close();
    }
    await reader.cancel();
  } catch (error) {
    sound.problem = String(error);
  }
}

/** Payload types of the audio lines, of what is sent and received. */
function audioTypes() {
  const lines = [call.peer?.localDescription, call.peer?.remoteDescription]
    .flatMap((one) => [...(one?.sdp ?? "").matchAll(/^m=audio \S+ \S+ (.*)$/gm)]);
  return [...new Set(lines.flatMap(([, numbers]) => numbers.trim().split(" ").map(Number)))];
}

function encoded({ chunks, parts, problem }) {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.byteLength, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(new Uint8Array(part.buffer), at);
    at += part.byteLength;
  }
  let text = "";
  for (let i = 0; i < bytes.length; i += 32768) text += String.fromCharCode(...bytes.subarray(i, i + 32768));
  return { chunks, pcm: btoa(text), problem };
}

const others = call.participants.filter(({ participant_id }) => participant_id !== call.selfId);
const heard = others.flatMap(({ participant_id }) => call.tracksOf(participant_id))
  .filter(({ kind }) => kind === "audio").map(({ track_id }) => call.mediaTrack(track_id)).find(Boolean);
const said = call.peer.getSenders().map(({ track }) => track).find((track) => track?.kind === "audio");
if (said) listen("said", said);
if (heard) listen("heard", heard);
sample();
globalThis.weaknet = {
  end() {
    over = true;
    const stalled = (globalThis.watched?.stalled ?? 0) - stalledBefore;
    return {
      samples, audioTypes: audioTypes(), stalled,
      sounds: Object.fromEntries(Object.entries(sounds).map(([k, v]) => [k, encoded(v)])),
    };
  },
};
return { said: Boolean(said), heard: Boolean(heard), now: wall() };
