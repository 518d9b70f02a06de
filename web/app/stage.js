import { h, icon } from "./dom.js";
import { Tile } from "./tiles.js";

/**
 * @typedef {import("/sdk/witness.js").Call} Call
 * @typedef {import("/sdk/protocol.js").TrackInfo} TrackInfo
 * @typedef {import("/sdk/protocol.js").PersonQuality} PersonQuality
 */

/** Everybody's pictures, arranged; follows the call's state. */
export class Stage {
  element = h("section", { class: "stage", label: "call.others" });
  #grid = h("div", { class: "grid" });
  #empty = h("div", { class: "empty" }, icon("camera"), h("p", { t: "call.waiting" }), h("p", { class: "hint", t: "call.waiting_text" }));
  /** Tiles of people, by participant id; the own one too. @type {Map<string, Tile>} */
  #people = new Map();
  /** Tiles of screens, by track id. @type {Map<string, Tile>} */
  #screens = new Map();
  #call;
  #askMute;
  #check;
  /** @type {Map<string, import("/sdk/protocol.js").Score>} */
  #scores = new Map();
  /** @type {Set<string>} */
  #unavailable = new Set();
  #watch = (/** @type {string} */ trackId, /** @type {Element} */ element) => this.#call.watchSize(trackId, element);

  /**
   * @param {Call} call
   * @param {(track: TrackInfo) => void} askMute
   * @param {(participantId: string, button: HTMLElement) => void} check Opens the checks of somebody.
   */
  constructor(call, askMute, check) {
    this.#call = call;
    this.#askMute = askMute;
    this.#check = check;
    this.element.append(this.#grid, this.#empty);
    this.update();
  }

  /** Makes the tiles agree with the call. Cheap, so it runs after every change. */
  update() {
    const call = this.#call;
    this.#removeGone();
    for (const person of call.participants) {
      if (person.role !== "supervisor") this.#showPerson(person.participant_id, person.name, person.role, person.connection);
    }
    if (call.info.grant.publish.length > 0) this.#showPerson(call.selfId, "", call.info.role, "connected");
    for (const { track, name } of this.#sharedScreens()) this.#showScreen(track, name);
    this.#arrange();
  }

  /** @param {string | null} activeTrackId */
  setSpeaker(activeTrackId) {
    const speaker = activeTrackId ? this.#call.track(activeTrackId)?.participant_id : undefined;
    for (const [id, tile] of this.#people) tile.setSpeaking(id === speaker);
  }

  /** @param {PersonQuality[]} qualities */
  setQuality(qualities) {
    for (const { participant_id: id, score } of qualities) {
      this.#scores.set(id, score);
      this.#people.get(id)?.setScore(score);
    }
  }

  /** Who speaks, and how good the connections are, is not known any more. */
  forget() {
    this.#scores.clear();
    for (const tile of this.#people.values()) {
      tile.setScore("unknown");
      tile.setSpeaking(false);
    }
  }

  /** @param {string} trackId */
  setUnavailable(trackId) {
    this.#unavailable.add(trackId);
    this.update();
  }

  close() {
    for (const tile of [...this.#people.values(), ...this.#screens.values()]) tile.close();
  }

  #removeGone() {
    const call = this.#call;
    for (const [id, tile] of this.#people) {
      if (id === call.selfId || call.participant(id)) continue;
      tile.close();
      this.#people.delete(id);
      this.#scores.delete(id);
    }
    for (const [trackId, tile] of this.#screens) {
      if (call.track(trackId)) continue;
      tile.close();
      this.#screens.delete(trackId);
    }
    for (const trackId of this.#unavailable) if (!call.track(trackId)) this.#unavailable.delete(trackId);
  }

  /**
   * @param {string} id
   * @param {string} name
   * @param {import("/sdk/protocol.js").Role} role
   * @param {import("/sdk/protocol.js").Presence} connection
   */
  #showPerson(id, name, role, connection) {
    const call = this.#call;
    const own = id === call.selfId;
    const tile = this.#people.get(id) ?? this.#addPerson(id, name, role, own);
    const tracks = call.tracksOf(id);
    const camera = tracks.find((track) => track.source === "camera");
    const microphone = tracks.find((track) => track.source === "microphone");
    const pictureOff = own ? call.isMuted("camera") : !camera || camera.muted;
    const picture = own ? call.localTrack("camera") : camera ? call.mediaTrack(camera.track_id) : null;
    const unavailable = camera && this.#unavailable.has(camera.track_id);
    tile.setPicture(pictureOff || unavailable ? null : picture);
    if (!own) tile.followSize(unavailable ? null : (camera?.track_id ?? null), this.#watch);
    tile.setAudio({ published: microphone !== undefined, muted: own ? call.isMuted("microphone") : (microphone?.muted ?? true) });
    // Calls that aren't watched ask for no consents.
    tile.setCheckable(call.info.role === "rm" && role === "customer" && call.consents.length > 0);
    tile.setNote(connection === "reconnecting" ? "call.person_reconnecting" : unavailable ? "call.unavailable" : null);
    tile.setScore(connection === "reconnecting" ? "lost" : (this.#scores.get(id) ?? "unknown"));
  }

  /**
   * @param {string} id
   * @param {string} name
   * @param {import("/sdk/protocol.js").Role} role
   * @param {boolean} own
   */
  #addPerson(id, name, role, own) {
    const mayAsk = this.#call.info.role === "rm" && !own;
    const askMute = () => {
      const track = this.#call.tracksOf(id).find(({ source }) => source === "microphone");
      if (track) this.#askMute(track);
    };
    const check = (/** @type {HTMLElement} */ button) => this.#check(id, button);
    const tile = new Tile({ name: name || id, role, kind: own ? "self" : "person", askMute: mayAsk ? askMute : null, check });
    this.#people.set(id, tile);
    return tile;
  }

  #sharedScreens() {
    const call = this.#call;
    return call.participants.flatMap(({ participant_id: id, name }) =>
      call.tracksOf(id).flatMap((track) => (track.source === "screen" && !track.muted ? [{ track, name: name || id }] : [])),
    );
  }

  /**
   * @param {TrackInfo} track
   * @param {string} name
   */
  #showScreen(track, name) {
    let tile = this.#screens.get(track.track_id);
    if (!tile) {
      tile = new Tile({ name, role: "rm", kind: "screen" });
      this.#screens.set(track.track_id, tile);
    }
    tile.setPicture(this.#call.mediaTrack(track.track_id));
    tile.followSize(track.track_id, this.#watch);
    tile.setNote(this.#unavailable.has(track.track_id) ? "call.unavailable" : null);
  }

  #arrange() {
    const own = this.#people.get(this.#call.selfId);
    const others = [...this.#people].filter(([id]) => id !== this.#call.selfId).map(([, tile]) => tile);
    const order = [...this.#screens.values(), ...others];
    // Between two people the own picture is small, in a corner; with more it would cover somebody.
    const floats = order.length < 2;
    if (own && !floats) order.push(own);
    for (const [index, tile] of order.entries()) {
      if (this.#grid.children[index] !== tile.element) this.#grid.insertBefore(tile.element, this.#grid.children[index] ?? null);
    }
    if (own && floats && own.element.parentElement !== this.element) this.element.append(own.element);
    this.#empty.hidden = order.length > 0;
    this.#grid.hidden = order.length === 0;
    this.#grid.dataset.count = String(Math.min(order.length, 10));
    this.element.classList.toggle("has-screen", this.#screens.size > 0);
  }
}
