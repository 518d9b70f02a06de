// Runs before the page's own scripts. Notes when media was connected, when the first picture of every
// line was decoded, and how long this page could not run, in ms; lets a test break WebSockets and
// hold new ones back, as a network would.
const watched = (globalThis.watched = { peers: [], sockets: new Set(), blocked: false, stalled: 0, opened: null });
let ticked = performance.now();
setInterval(() => {
  const now = performance.now();
  watched.stalled += Math.max(0, now - ticked - 200);
  ticked = now;
}, 100);
watched.breakSockets = () => {
  const { size } = watched.sockets;
  for (const socket of watched.sockets) socket.close();
  return size;
};

globalThis.WebSocket = class extends globalThis.WebSocket {
  constructor(url, protocols) {
    super(watched.blocked ? new URL("/blocked", url).href : url, protocols);
    watched.sockets.add(this);
    this.addEventListener("open", () => (watched.opened ??= performance.now()));
    this.addEventListener("close", () => watched.sockets.delete(this));
  }
};

globalThis.RTCPeerConnection = class extends globalThis.RTCPeerConnection {
  constructor(...values) {
    super(...values);
    const entry = { connected: null, pictures: {}, offers: 0 };
    watched.peers.push(entry);
    this.addEventListener("connectionstatechange", () => {
      if (this.connectionState === "connected") entry.connected ??= performance.now();
    });
    this.addEventListener("signalingstatechange", () => {
      if (this.signalingState === "have-local-offer") entry.offers += 1;
    });
    const look = async () => {
      if (this.connectionState === "closed") return;
      const lines = this.getReceivers().filter(({ track }) => track.kind === "video").length;
      for (const item of (await this.getStats()).values()) {
        if (item.type === "inbound-rtp" && item.kind === "video" && item.framesDecoded > 0) {
          entry.pictures[item.mid] ??= performance.now();
        }
      }
      if (performance.now() < 60000 && Object.keys(entry.pictures).length < Math.max(lines, 1)) {
        setTimeout(look, 50);
      }
    };
    look();
  }
};
