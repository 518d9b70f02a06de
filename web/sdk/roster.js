import { Emitter } from "./emitter.js";

/**
 * @typedef {import("./protocol.js").ParticipantInfo} ParticipantInfo
 * @typedef {import("./protocol.js").TrackInfo} TrackInfo
 * @typedef {import("./protocol.js").Incoming} Incoming
 *
 * @typedef {object} RosterEvents
 * @property {ParticipantInfo} joined
 * @property {{ participant: ParticipantInfo, reason: string }} left
 * @property {ParticipantInfo} presence
 * @property {TrackInfo} published
 * @property {TrackInfo} unpublished
 * @property {{ track: TrackInfo, by: string }} muted
 */

/**
 * Who is in the room and what they publish, as the server tells it.
 *
 * A notice that repeats what is known changes nothing and tells nobody, so messages sent again after a resume are
 * harmless.
 *
 * @extends {Emitter<RosterEvents>}
 */
export class Roster extends Emitter {
  selfId = "";
  /** Everybody else. @type {Map<string, ParticipantInfo>} */
  participants = new Map();
  /** Everybody's, own tracks too. @type {Map<string, TrackInfo>} */
  tracks = new Map();

  /**
   * Takes over the state of a `joined` or `resumed` reply, telling the differences.
   *
   * @param {import("./protocol.js").Joined} state
   */
  replace(state) {
    this.selfId = state.participant_id;
    const present = new Set(state.participants.map((person) => person.participant_id));
    const published = new Set(state.tracks.map((track) => track.track_id));
    for (const id of [...this.tracks.keys()]) if (!published.has(id)) this.#unpublish(id);
    for (const id of [...this.participants.keys()]) if (!present.has(id)) this.#leave(id, "timeout");
    for (const person of state.participants) this.#join(person);
    for (const track of state.tracks) this.#publish(track);
  }

  /**
   * @param {Incoming} notice
   * @returns {boolean} Whether it was about the roster.
   */
  apply({ type, data }) {
    switch (type) {
      case "participant.joined":
        this.#join(data.participant);
        return true;
      case "participant.left":
        this.#leave(data.participant_id, data.reason);
        return true;
      case "participant.connection":
        this.#presence(data.participant_id, data.connection);
        return true;
      case "track.published":
        this.#publish(data.track);
        return true;
      case "track.unpublished":
        this.#unpublish(data.track_id);
        return true;
      case "track.muted":
        this.#mute(data.track_id, data.muted, data.by);
        return true;
      default:
        return false;
    }
  }

  /** @param {string} participantId */
  tracksOf(participantId) {
    return [...this.tracks.values()].filter((track) => track.participant_id === participantId);
  }

  get ownTracks() {
    return this.tracksOf(this.selfId);
  }

  /**
   * Takes over what this participant did itself, of which the server sends no notice.
   *
   * @param {TrackInfo[]} tracks All that are published now.
   */
  setOwnTracks(tracks) {
    const kept = new Set(tracks.map((track) => track.track_id));
    for (const track of this.ownTracks) if (!kept.has(track.track_id)) this.#unpublish(track.track_id);
    for (const track of tracks) this.#publish(track);
  }

  /**
   * @param {string} trackId
   * @param {boolean} muted
   */
  setOwnMuted(trackId, muted) {
    this.#mute(trackId, muted, this.selfId);
  }

  /** @param {ParticipantInfo | undefined} person */
  #join(person) {
    if (!person?.participant_id || person.participant_id === this.selfId) return;
    const known = this.participants.get(person.participant_id);
    if (known) {
      this.#presence(person.participant_id, person.connection);
      return;
    }
    const added = { ...person };
    this.participants.set(added.participant_id, added);
    this.emit("joined", added);
  }

  /**
   * @param {string} id
   * @param {string} reason
   */
  #leave(id, reason) {
    const participant = this.participants.get(id);
    if (!participant) return;
    for (const track of this.tracksOf(id)) this.#unpublish(track.track_id);
    this.participants.delete(id);
    this.emit("left", { participant, reason });
  }

  /**
   * @param {string} id
   * @param {import("./protocol.js").Presence} connection
   */
  #presence(id, connection) {
    const person = this.participants.get(id);
    if (!person || person.connection === connection) return;
    person.connection = connection;
    this.emit("presence", person);
  }

  /** @param {TrackInfo | undefined} track */
  #publish(track) {
    if (!track?.track_id) return;
    if (this.tracks.has(track.track_id)) {
      this.#mute(track.track_id, track.muted, track.participant_id);
      return;
    }
    const added = { ...track };
    this.tracks.set(added.track_id, added);
    this.emit("published", added);
  }

  /** @param {string} id */
  #unpublish(id) {
    const track = this.tracks.get(id);
    if (!track) return;
    this.tracks.delete(id);
    this.emit("unpublished", track);
  }

  /**
   * @param {string} id
   * @param {boolean} muted
   * @param {string} by
   */
  #mute(id, muted, by) {
    const track = this.tracks.get(id);
    if (!track || track.muted === muted) return;
    track.muted = muted;
    this.emit("muted", { track, by });
  }
}
