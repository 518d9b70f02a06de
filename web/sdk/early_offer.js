import { WitnessError } from "./errors.js";

/**
 * @typedef {import("./protocol.js").Source} Source
 * @typedef {import("./protocol.js").Joined} Joined
 * @typedef {import("./protocol.js").TrackInfo} TrackInfo
 */

/** Lines to receive one other person, which most calls need at once. */
const LINES = Object.freeze({ audio: 1, video: 1 });

/**
 * The first offer, made before the server has let anybody in, so that it can go out with the hello.
 *
 * It supposes what is usual, a server that can all this SDK can, and is put right by what the server says: another offer
 * where it needs more lines or is refused, silence for what was muted before.
 */
export class EarlyOffer {
  made = false;
  /** Sources the server has to be told are muted, when it knows them. @type {Set<Source>} */
  #toMute = new Set();
  #media;
  #failed;

  /**
   * @param {object} parts
   * @param {import("./media.js").Media} parts.media
   * @param {(error: unknown) => void} parts.failed Told of what nobody waits for.
   */
  constructor({ media, failed }) {
    this.#media = media;
    this.#failed = failed;
  }

  /**
   * @param {import("./call.js").Initial} initial
   * @param {boolean} recorded What is sent passes through the worker.
   * @param {() => Joined | null} joined The server's reply, as soon as there is one.
   */
  make({ tracks, muted }, recorded, joined) {
    this.made = true;
    const media = this.#media;
    Object.assign(media, { layered: true, copied: true, recorded, dtlsServer: true });
    for (const [source, track] of /** @type {[Source, MediaStreamTrack | null][]} */ (Object.entries(tracks))) {
      if (track) media.prepare(source, track, muted.includes(source));
    }
    media.offerEarly(LINES).catch((error) => this.#anew(WitnessError.from(error), joined()));
  }

  /**
   * It was not for this server, or this grant.
   *
   * @param {WitnessError} error
   * @param {Joined | null} joined
   */
  #anew(error, joined) {
    if (!joined || error.code === "closed" || error.code === "connection_lost") return;
    for (const source of this.#media.sending.keys()) {
      if (!joined.grant.publish.includes(source)) this.#media.withdraw(source);
    }
    this.#media.setLines(joined.lines);
    this.#media.rebuild().catch(this.#failed);
  }

  /**
   * What it couldn't know. What was muted in a participation that is taken over stays muted; nothing was sent yet.
   *
   * @param {Joined} data
   * @param {readonly TrackInfo[]} own
   */
  joined(data, own) {
    const { peer, sending } = this.#media;
    for (const { source, muted } of own) {
      if (!muted || !sending.has(source)) continue;
      this.#media.setMuted(source, true);
      this.#toMute.add(source);
    }
    if (!this.#media.has(data.lines)) this.#media.setLines(data.lines);
    if (!peer || (data.ice_servers ?? []).length === 0) return;
    peer.setConfiguration({ ...peer.getConfiguration(), iceServers: data.ice_servers });
    this.#media.restartIce().catch(this.#failed);
  }

  /** Sources that have to be muted at the server, of those it knows now. @param {readonly Source[]} known */
  takeToMute(known) {
    return known.filter((source) => this.#toMute.delete(source));
  }
}
