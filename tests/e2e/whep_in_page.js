// A WHEP viewer as a web page would write one, with an ICE restart. Runs inside an async function;
// arguments[0] is the address, arguments[1] the token, arguments[2] what to do.

const [address, token, action] = arguments;
const authorization = { Authorization: `Bearer ${token}` };

if (action === "open") {
  const peer = new RTCPeerConnection({ bundlePolicy: "max-bundle" });
  // Sound that nothing plays is not decoded.
  const player = Object.assign(new Audio(), { autoplay: true, srcObject: new MediaStream() });
  peer.ontrack = ({ track }) => player.srcObject.addTrack(track);
  peer.addTransceiver("audio", { direction: "recvonly" });
  peer.addTransceiver("video", { direction: "recvonly" });
  await peer.setLocalDescription();
  const reply = await fetch(address, {
    method: "POST",
    headers: { ...authorization, "Content-Type": "application/sdp" },
    body: peer.localDescription.sdp,
  });
  if (reply.status !== 201) return { status: reply.status, text: await reply.text() };
  const answer = await reply.text();
  await peer.setRemoteDescription({ type: "answer", sdp: answer });
  globalThis.whep = { peer, player, answer, at: new URL(reply.headers.get("Location"), location.href).href };
  return { status: reply.status };
}

const { peer, at } = globalThis.whep;

if (action === "restart") {
  peer.restartIce();
  await peer.setLocalDescription();
  const offered = peer.localDescription.sdp.split("\r\n");
  const first = (name) => offered.find((line) => line.startsWith(`a=${name}:`));
  const body = ["m=audio 9 UDP/TLS/RTP/SAVPF 0", first("mid"), first("ice-ufrag"), first("ice-pwd"), ""];
  const reply = await fetch(at, {
    method: "PATCH",
    headers: { ...authorization, "Content-Type": "application/trickle-ice-sdpfrag", "If-Match": "*" },
    body: body.join("\r\n"),
  });
  const fragment = await reply.text();
  if (reply.status !== 200) return { status: reply.status, text: fragment };
  const given = (name) => fragment.match(new RegExp(`a=${name}:(\\S+)`))[1];
  const answer = globalThis.whep.answer
    .replaceAll(/a=ice-ufrag:\S+/g, `a=ice-ufrag:${given("ice-ufrag")}`)
    .replaceAll(/a=ice-pwd:\S+/g, `a=ice-pwd:${given("ice-pwd")}`);
  await peer.setRemoteDescription({ type: "answer", sdp: answer });
  return { status: reply.status, etag: reply.headers.get("ETag") };
}

if (action === "end") {
  return { status: (await fetch(at, { method: "DELETE", headers: authorization })).status };
}

const found = { state: peer.connectionState, frames: 0, energy: 0 };
for (const entry of (await peer.getStats()).values()) {
  if (entry.type === "inbound-rtp" && entry.kind === "video") found.frames += entry.framesDecoded;
  if (entry.type === "inbound-rtp" && entry.kind === "audio") found.energy += entry.totalAudioEnergy ?? 0;
  if (entry.type === "transport") found.ufrag = entry.iceLocalUsernameFragment;
}
return found;
