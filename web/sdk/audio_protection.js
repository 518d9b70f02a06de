/**
 * Carries out what keeps audio whole on a lossy path: copies in what is sent, time to wait for those in what is received.
 *
 * The server sees both paths and says what to do. While it can't be heard, the browser's own statistics decide, beginning
 * where the server left off.
 *
 * @typedef {import("./stats.js").StatsEntry} StatsEntry
 *
 * @typedef {object} SendingLine
 * @property {string} mid
 * @property {RTCRtpSender} sender
 *
 * @typedef {object} ReceivingLine
 * @property {string} mid
 * @property {string} participantId
 * @property {"audio" | "video"} kind
 * @property {import("./playout.js").ReceiverLike} receiver
 *
 * @typedef {object} Applied What holds for one sending line.
 * @property {readonly number[]} offsets
 * @property {number | null} bitrateBps
 */
import { LossFollower } from "./loss_policy.js";
import { PlayoutTargets } from "./playout.js";
import { usableOffsets } from "./red.js";

/** Lines one notice may speak of; more are not looked at. */
const MAX_LINES = 64;
/** A round trip that grew by this much says that a queue is full: more copies would make it worse. */
const QUEUE_S = 0.5;
/** Copies that are sent at most into a full queue. */
const COPIES_IN_QUEUE = 3;
/** More than any server has reason to ask for. */
const MAX_FLOOR_BPS = 5_000_000;
/** Samples without a packet after which a sender with a worker counts as stuck. */
const STUCK_SAMPLES = 5;

export class AudioProtection {
  /** Who decides at present. @type {"server" | "own"} */
  steering = "server";
  /** What the browser's estimate of its way up shall stay above, bit/s. @type {number | null} */
  floorBps = null;
  /** @type {number | null} */
  #floorWish = null;
  /** By mid. @type {Map<string, Applied>} */
  applied = new Map();
  /** @type {Map<string, Applied>} */
  #wishes = new Map();
  /** @type {Map<string, number>} */
  #delays = new Map();
  /** @type {Map<string, LossFollower>} */
  #followers = new Map();
  /** Cumulative counts at the last sample, by statistics id. @type {Map<string, StatsEntry>} */
  #previous = new Map();
  /** @type {Map<string, { sent: number, samples: number }>} */
  #sent = new Map();
  /** @type {WeakMap<RTCRtpSender, number | null>} */
  #bitrates = new WeakMap();
  #leastRttS = Infinity;
  #targets = new PlayoutTargets();
  #red;

  /** @param {import("./red_sender.js").RedSenders | null} red */
  constructor(red) {
    this.#red = red;
  }

  /** @param {unknown} data Of the notice `protection`. */
  onProtection(data) {
    this.#wishes = new Map(
      linesOf(data).map(({ mid, offsets, bitrate_bps: bps }) => [
        mid, { offsets: usableOffsets(offsets), bitrateBps: Number.isFinite(bps) && bps > 0 ? Math.round(bps) : null },
      ]),
    );
    const { floor_bps: floor } = /** @type {Record<string, any>} */ (data ?? {});
    this.#floorWish = this.floorBps = Number.isFinite(floor) && floor > 0 && floor <= MAX_FLOOR_BPS ? floor : null;
  }

  /** @param {unknown} data Of the notice `playout`. */
  onPlayout(data) {
    this.#delays = new Map(linesOf(data).map(({ mid, delay_ms: ms }) => [mid, Number.isFinite(ms) && ms > 0 ? ms : 0]));
  }

  /** A new media connection: nothing that was said or measured holds for it. */
  startOver() {
    for (const map of [this.#wishes, this.#delays, this.#followers, this.#previous, this.#sent, this.applied]) map.clear();
    this.#leastRttS = Infinity;
    this.floorBps = this.#floorWish = null;
  }

  /**
   * Once a second.
   *
   * @param {object} state
   * @param {number} state.nowMs
   * @param {boolean} state.guided Whether the server can be heard, and speaks of this.
   * @param {readonly StatsEntry[]} state.entries Of `getStats()`.
   * @param {readonly SendingLine[]} state.sending
   * @param {readonly ReceivingLine[]} state.receiving
   */
  tick({ nowMs, guided, entries, sending, receiving }) {
    this.steering = guided ? "server" : "own";
    const present = new Map(entries.map((entry) => [entry.id, entry]));
    const queueing = this.#isQueueing(present);
    // A server that can't be heard can't take it back either.
    this.floorBps = guided || !queueing ? this.#floorWish : null;
    this.#measure(present, nowMs);
    for (const line of sending) this.#protect(line, guided, queueing, nowMs);
    this.#hold(receiving, guided, nowMs);
    this.#previous = present;
  }

  /**
   * Whether a sender whose frames pass through a worker has stopped sending, though its track is live.
   *
   * @param {readonly StatsEntry[]} entries
   * @param {readonly SendingLine[]} sending
   */
  isStuck(entries, sending) {
    const mids = new Set(sending.map(({ mid }) => mid));
    for (const mid of this.#sent.keys()) if (!mids.has(mid)) this.#sent.delete(mid);
    return sending.some(({ mid, sender }) => {
      const sent = entries.find((entry) => entry.type === "outbound-rtp" && entry.mid === mid)?.packetsSent;
      const before = this.#sent.get(mid);
      const idle = sender.track?.readyState !== "live" || sender.track.muted || !this.#red?.has(sender);
      const samples = !idle && before && sent !== undefined && before.sent === sent ? before.samples + 1 : 0;
      this.#sent.set(mid, { sent: sent ?? -1, samples });
      return samples >= STUCK_SAMPLES;
    });
  }

  /** @param {import("./playout.js").ReceiverLike} receiver @returns {number} How long it is held back, ms. */
  heldMs(receiver) {
    return this.#targets.of(receiver);
  }

  // --- what is measured

  /** @param {Map<string, StatsEntry>} entries */
  #isQueueing(entries) {
    const trips = [...entries.values()].flatMap(({ type, roundTripTime }) =>
      type === "remote-inbound-rtp" && roundTripTime > 0 ? [roundTripTime] : [],
    );
    if (trips.length === 0) return false;
    const least = Math.min(...trips);
    this.#leastRttS = Math.min(this.#leastRttS, least);
    return least - this.#leastRttS > QUEUE_S;
  }

  /**
   * @param {Map<string, StatsEntry>} entries
   * @param {number} nowMs
   */
  #measure(entries, nowMs) {
    for (const entry of entries.values()) {
      if (entry.kind !== "audio") continue;
      const before = this.#previous.get(entry.id);
      if (entry.type === "remote-inbound-rtp") {
        const mid = entries.get(entry.localId)?.mid;
        // The same report is shown until the next one comes.
        const isNews = before?.timestamp !== entry.timestamp;
        if (typeof mid === "string" && isNews) this.#follower(mid).sample(entry.fractionLost, nowMs);
      } else if (entry.type === "inbound-rtp" && typeof entry.mid === "string" && before) {
        const lost = Math.max(0, entry.packetsLost - before.packetsLost);
        const expected = lost + Math.max(0, entry.packetsReceived - before.packetsReceived);
        if (expected > 0) this.#follower(entry.mid).sample(lost / expected, nowMs);
      }
    }
  }

  /** @param {string} mid */
  #follower(mid) {
    let follower = this.#followers.get(mid);
    if (!follower) {
      follower = new LossFollower();
      this.#followers.set(mid, follower);
    }
    return follower;
  }

  // --- what is done

  /**
   * @param {SendingLine} line
   * @param {boolean} guided
   * @param {boolean} queueing
   * @param {number} nowMs
   */
  #protect({ mid, sender }, guided, queueing, nowMs) {
    const wish = this.#wishes.get(mid) ?? { offsets: [], bitrateBps: null };
    const follower = this.#follower(mid);
    if (guided) follower.standIn = false;
    else if (!follower.standIn) follower.takeOver({ copies: this.applied.get(mid)?.offsets.length ?? 0 }, nowMs);
    const advice = guided ? wish : follower.advice;
    const offsets = !guided && queueing ? advice.offsets.slice(0, COPIES_IN_QUEUE) : advice.offsets;
    this.applied.set(mid, { offsets, bitrateBps: advice.bitrateBps });
    this.#red?.write(sender, offsets);
    this.#limit(sender, advice.bitrateBps);
  }

  /**
   * @param {RTCRtpSender} sender
   * @param {number | null} bitrateBps
   */
  #limit(sender, bitrateBps) {
    if ((this.#bitrates.get(sender) ?? null) === bitrateBps) return;
    const parameters = sender.getParameters?.();
    const encoding = parameters?.encodings?.[0];
    if (!parameters || !encoding) return;
    if (bitrateBps === null) delete encoding.maxBitrate;
    else encoding.maxBitrate = bitrateBps;
    const before = this.#bitrates.get(sender) ?? null;
    this.#bitrates.set(sender, bitrateBps);
    // Refused while a negotiation changes them: tried again a second later.
    sender.setParameters(parameters).catch(() => this.#bitrates.set(sender, before));
  }

  /**
   * Voice and picture of one person wait equally long, so that lips fit.
   *
   * @param {readonly ReceivingLine[]} receiving
   * @param {boolean} guided
   * @param {number} nowMs
   */
  #hold(receiving, guided, nowMs) {
    /** @type {Map<string, number>} */
    const delays = new Map();
    for (const { mid, participantId, kind, receiver } of receiving) {
      if (kind !== "audio") continue;
      const follower = this.#follower(mid);
      if (guided) follower.standIn = false;
      else if (!follower.standIn) follower.takeOver({ delayMs: this.#targets.of(receiver) }, nowMs);
      const delayMs = guided ? (this.#delays.get(mid) ?? 0) : follower.delayMs;
      delays.set(participantId, Math.max(delayMs, delays.get(participantId) ?? 0));
    }
    for (const { participantId, receiver } of receiving) {
      this.#targets.apply(receiver, delays.get(participantId) ?? 0, nowMs);
    }
  }
}

/**
 * @param {unknown} data
 * @returns {{ mid: string, [member: string]: any }[]}
 */
function linesOf(data) {
  const { tracks } = /** @type {Record<string, any>} */ (data ?? {});
  if (!Array.isArray(tracks)) return [];
  return tracks.slice(0, MAX_LINES).filter((line) => typeof line?.mid === "string");
}
