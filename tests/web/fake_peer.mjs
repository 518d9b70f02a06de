/** An `RTCPeerConnection` in memory: lines, descriptions and states, no media. */
export class FakePeer extends EventTarget {
  onconnectionstatechange = null;
  connectionState = "new";
  signalingState = "stable";
  localDescription = null;
  transceivers = [];
  iceRestarts = 0;
  offers = 0;
  /** Throws in `setRemoteDescription` while true. */
  refuseAnswer = false;

  addTransceiver(trackOrKind, { direction }) {
    const kind = typeof trackOrKind === "string" ? trackOrKind : trackOrKind.kind;
    const sender = {
      track: typeof trackOrKind === "string" ? null : trackOrKind,
      async replaceTrack(track) {
        this.track = track;
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

  async setRemoteDescription() {
    if (this.refuseAnswer) throw new Error("refused");
    this.signalingState = "stable";
  }

  change(state) {
    this.connectionState = state;
    this.dispatchEvent(new Event("connectionstatechange"));
  }

  close() {
    this.connectionState = "closed";
    this.closed = true;
  }
}

/** A captured track. */
export function fakeTrack(kind) {
  const track = new EventTarget();
  return Object.assign(track, { kind, enabled: true, stopped: false, stop: () => (track.stopped = true) });
}
