import { WitnessError } from "/sdk/errors.js";

/** @typedef {"blink" | "turn"} Ask What RMs ask for; systems of the bank can ask for more. */

/** Checks that an RM has made of a participant, over HTTP. */
export class ChecksApi {
  #room;
  #token;

  /**
   * @param {string} room
   * @param {() => Promise<string | null>} token The RM's; null when the page has none any more.
   */
  constructor(room, token) {
    this.#room = room;
    this.#token = token;
  }

  /**
   * Has somebody asked, and detectors look whether he does it.
   *
   * @param {string} participantId
   * @param {Ask} ask
   * @param {number} withinS
   */
  async challenge(participantId, ask, withinS) {
    const body = JSON.stringify({ ask, within_s: withinS });
    await this.#send(participantId, "challenges", "POST", body, "application/json");
  }

  /**
   * Gives the photo of somebody's identity document, to be compared with his face.
   *
   * @param {string} participantId
   * @param {Blob} photo
   */
  async givePhoto(participantId, photo) {
    await this.#send(participantId, "id-photo", "PUT", photo, photo.type);
  }

  /**
   * @param {string} participantId
   * @returns {Promise<"waiting" | "compared" | "unreadable" | "none">} What has become of his photo.
   */
  async photoState(participantId) {
    const { state } = await this.#send(participantId, "id-photo", "GET", null, null);
    return state;
  }

  /**
   * @param {string} participantId
   * @param {string} what
   * @param {string} method
   * @param {BodyInit | null} body
   * @param {string | null} type
   */
  async #send(participantId, what, method, body, type) {
    const token = await this.#token();
    if (token === null) throw new WitnessError("unauthorized", "the page was reloaded and has no token any more");
    const where = `/v1/rooms/${encodeURIComponent(this.#room)}/participants/${encodeURIComponent(participantId)}/${what}`;
    const headers = { authorization: `Bearer ${token}`, ...(type ? { "content-type": type } : {}) };
    let response;
    try {
      response = await fetch(where, { method, body, headers });
    } catch (cause) {
      throw new WitnessError("connection_lost", "no answer", { cause });
    }
    const told = await response.json().catch(() => ({}));
    if (response.ok) return told;
    throw new WitnessError(typeof told.code === "string" ? told.code : "internal", `status ${response.status}`);
  }
}
