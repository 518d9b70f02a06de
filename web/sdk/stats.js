/**
 * @typedef {import("./protocol.js").QualityReport} QualityReport
 * @typedef {import("./protocol.js").TrackReport} TrackReport
 *
 * @typedef {Record<string, any> & { id: string, type: string }} StatsEntry One entry of `getStats()`.
 */

/**
 * Counts everything the network brought, answers to connectivity checks included.
 *
 * @param {Iterable<StatsEntry>} entries
 * @returns {number | null} Null where the browser doesn't tell.
 */
export function receivedOf(entries) {
  const pair = selectedPair(new Map([...entries].map((entry) => [entry.id, entry])));
  return isNumber(pair?.responsesReceived) ? pair.responsesReceived + (pair.bytesReceived ?? 0) : null;
}

/**
 * What media runs over: UDP, TCP straight to the server, or a relay.
 *
 * @param {Iterable<StatsEntry>} entries
 * @returns {"udp" | "tcp" | "relay" | null} Null where the browser doesn't tell, or before a path is chosen.
 */
export function pathOf(entries) {
  const present = new Map([...entries].map((entry) => [entry.id, entry]));
  const pair = selectedPair(present);
  const local = present.get(pair?.localCandidateId);
  if (local?.candidateType === "relay") return "relay";
  const protocol = present.get(pair?.remoteCandidateId)?.protocol ?? local?.protocol;
  return protocol === "udp" || protocol === "tcp" ? protocol : null;
}

/**
 * How much was sent, and how much the browser believes could be.
 *
 * @param {Iterable<StatsEntry>} entries
 * @returns {{ sentBytes: number, availableBps: number | undefined }}
 */
export function linkOf(entries) {
  const pair = selectedPair(new Map([...entries].map((entry) => [entry.id, entry])));
  const availableBps = isNumber(pair?.availableOutgoingBitrate) ? pair.availableOutgoingBitrate : undefined;
  return { sentBytes: isNumber(pair?.bytesSent) ? pair.bytesSent : 0, availableBps };
}

/**
 * Turns cumulative WebRTC statistics into what happened since the last call.
 *
 * Spec: https://www.w3.org/TR/webrtc-stats/ (members a browser lacks are left out of the report).
 */
export class StatsReader {
  /** As many tracks as a report may carry. */
  static MAX_TRACKS = 64;

  /** @type {Map<string, StatsEntry>} */
  #previous = new Map();

  /**
   * @param {Iterable<StatsEntry>} entries
   * @param {(entry: StatsEntry) => string | undefined} trackIdOf Track id of an `inbound-rtp` entry, if it is known.
   * @returns {QualityReport}
   */
  read(entries, trackIdOf) {
    const present = new Map([...entries].map((entry) => [entry.id, entry]));
    /** @type {TrackReport[]} */
    const tracks = [];
    for (const entry of present.values()) {
      if (entry.type !== "inbound-rtp" || tracks.length >= StatsReader.MAX_TRACKS) continue;
      const trackId = trackIdOf(entry);
      if (trackId) tracks.push(this.#track(trackId, entry));
    }
    const pair = selectedPair(present);
    /** @type {QualityReport} */
    const report = { tracks };
    if (isNumber(pair?.currentRoundTripTime)) report.rtt_ms = clampMs(pair.currentRoundTripTime * 1000);
    if (isNumber(pair?.availableOutgoingBitrate)) {
      report.available_outgoing_bps = Math.max(0, Math.round(pair.availableOutgoingBitrate));
    }
    this.#previous = present;
    return report;
  }

  /**
   * @param {string} trackId
   * @param {StatsEntry} entry
   * @returns {TrackReport}
   */
  #track(trackId, entry) {
    const before = this.#previous.get(entry.id);
    const since = (/** @type {string} */ member) => {
      if (!isNumber(entry[member])) return undefined;
      return Math.max(0, entry[member] - (isNumber(before?.[member]) ? before[member] : 0));
    };
    /** @type {TrackReport} */
    const report = {
      track_id: trackId,
      packets_lost: Math.round(since("packetsLost") ?? 0),
      packets_received: Math.round(since("packetsReceived") ?? 0),
      jitter_ms: clampMs((entry.jitter ?? 0) * 1000),
    };
    const samples = since("totalSamplesReceived");
    const concealed = since("concealedSamples");
    if (samples && concealed !== undefined) {
      report.concealed_ratio = Math.min(1, Math.max(0, concealed - (since("silentConcealedSamples") ?? 0)) / samples);
    }
    if (entry.kind === "video") {
      report.frames_per_second = entry.framesPerSecond ?? 0;
      const freezes = since("freezeCount");
      if (freezes !== undefined) report.freeze_count = Math.round(freezes);
    }
    const emitted = since("jitterBufferEmittedCount");
    const delayS = since("jitterBufferDelay");
    if (emitted && delayS !== undefined) report.jitter_buffer_ms = clampMs((delayS / emitted) * 1000);
    return report;
  }
}

/** @param {Map<string, StatsEntry>} entries */
function selectedPair(entries) {
  const all = [...entries.values()];
  const transport = all.find((entry) => entry.type === "transport" && entry.selectedCandidatePairId);
  if (transport) return entries.get(transport.selectedCandidatePairId);
  // Firefox marks the pair itself.
  const pairs = all.filter((entry) => entry.type === "candidate-pair");
  return pairs.find((pair) => pair.selected) ?? pairs.find((pair) => pair.nominated && pair.state === "succeeded");
}

/** @param {unknown} value @returns {value is number} */
function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** @param {number} ms */
function clampMs(ms) {
  return Math.min(600_000, Math.max(0, ms));
}
