(() => {
  // When media was connected and when the first picture of every line was decoded, in ms.
  const times = globalThis.peerTimes = [];
  const Native = globalThis.RTCPeerConnection;
  globalThis.RTCPeerConnection = class extends Native {
    constructor(...values) {
      super(...values);
      const entry = { connected: null, pictures: {} };
      times.push(entry);
      this.addEventListener("connectionstatechange", () => {
        if (this.connectionState === "connected") entry.connected ??= performance.now();
      });
      const look = async () => {
        if (this.connectionState === "closed") return;
        const lines = this.getReceivers().filter(({ track }) => track.kind === "video").length;
        for (const item of (await this.getStats()).values()) {
          if (item.type === "inbound-rtp" && item.kind === "video" && item.framesDecoded > 0) {
            entry.pictures[item.mid] ??= performance.now();
          }
        }
        if (performance.now() < 15000 && Object.keys(entry.pictures).length < Math.max(lines, 1)) {
          setTimeout(look, 50);
        }
      };
      look();
    }
  };
})();
