/** An `RTCPeerConnection` in memory: lines, descriptions and states, no media. */
export class FakePeer extends EventTarget {
  onconnectionstatechange = null;
  connectionState = "new";
  iceConnectionState = "new";
  signalingState = "stable";
  localDescription = null;
  transceivers = [];
  iceRestarts = 0;
  stats = new Map();
  offers = 0;
  answers = [];
  /** Throws in `setRemoteDescription` while true. */
  refuseAnswer = false;

  /** Throws on encodings with this member, as browsers do that can't. */
  refuseEncodings = null;

  addTransceiver(trackOrKind, { direction, sendEncodings = [{}] }) {
    if (sendEncodings.some((encoding) => this.refuseEncodings in encoding)) throw new Error("not supported");
    const kind = typeof trackOrKind === "string" ? trackOrKind : trackOrKind.kind;
    const sender = {
      track: typeof trackOrKind === "string" ? null : trackOrKind,
      encodings: sendEncodings.map((encoding) => ({ active: true, ...encoding })),
      sets: 0,
      async replaceTrack(track) {
        this.track = track;
      },
      getParameters() {
        return { encodings: this.encodings.map((encoding) => ({ ...encoding })) };
      },
      async setParameters({ encodings }) {
        this.sets += 1;
        this.encodings = encodings;
      },
    };
    const transceiver = { mid: null, direction, sender, receiver: { track: { kind, id: `r${this.transceivers.length}` } } };
    this.transceivers.push(transceiver);
    return transceiver;
  }

  getTransceivers() {
    return this.transceivers;
  }

  async createOffer({ iceRestart }) {
    this.offers += 1;
    if (iceRestart) this.iceRestarts += 1;
    return { type: "offer", sdp: `offer ${this.offers}` };
  }

  async setLocalDescription(description) {
    if (description.type === "rollback") {
      this.signalingState = "stable";
      return;
    }
    this.localDescription = description;
    this.signalingState = "have-local-offer";
    for (const [index, transceiver] of this.transceivers.entries()) transceiver.mid ??= String(index);
  }

  async setRemoteDescription({ sdp }) {
    this.answers.push(sdp);
    if (this.refuseAnswer) throw new Error("refused");
    this.signalingState = "stable";
  }

  async getStats() {
    return this.stats;
  }

  change(state) {
    this.connectionState = state;
    this.dispatchEvent(new Event("connectionstatechange"));
  }

  /** ICE has found a path; DTLS isn't done. */
  find() {
    this.iceConnectionState = "connected";
    this.dispatchEvent(new Event("iceconnectionstatechange"));
  }

  close() {
    this.connectionState = "closed";
    this.closed = true;
  }
}

/** A captured track. */
export function fakeTrack(kind, settings = {}) {
  const track = new EventTarget();
  return Object.assign(track, { kind, getSettings: () => settings, enabled: true, stopped: false, stop: () => (track.stopped = true) });
}
