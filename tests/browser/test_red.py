"""Copies in sent audio, by the encoded transform of a real browser."""

from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from loadtest.browser.browser import Browser
from loadtest.browser.call_page import CallPage
from loadtest.browser.server import Server

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

# Two ends in one page; only what sends passes through the SDK.
_LOOP = """
const { RedSenders, openRedWorker } = await import("/sdk/red_sender.js");
const { browserClock } = await import("/sdk/clock.js");
const { withAudioNack } = await import("/sdk/sdp.js");
const red = new RedSenders({ clock: browserClock, worker: openRedWorker() });
await red.known();
const [sending, receiving] = [new RTCPeerConnection(), new RTCPeerConnection()];
for (const [one, other] of [[sending, receiving], [receiving, sending]]) {
  one.onicecandidate = ({ candidate }) => candidate && other.addIceCandidate(candidate);
}
const stream = await navigator.mediaDevices.getUserMedia({ audio: true });
const line = sending.addTransceiver(stream.getAudioTracks()[0], { direction: "sendonly" });
red.adopt(line);
const { sdp } = await sending.createOffer();
await sending.setLocalDescription({ type: "offer", sdp: withAudioNack(sdp) });
await receiving.setRemoteDescription(sending.localDescription);
const answer = await receiving.createAnswer();
await receiving.setLocalDescription({ type: "answer", sdp: withAudioNack(answer.sdp) });
await sending.setRemoteDescription(receiving.localDescription);
const player = new Audio();
player.srcObject = new MediaStream([receiving.getReceivers()[0].track]);
await player.play();
globalThis.looped = { red, sending, receiving, sender: line.sender, player };
return { state: red.state, local: sending.localDescription.sdp };
"""

_MEASURE = """
const { red, sending, receiving, sender } = globalThis.looped;
red.write(sender, arguments[0]);
await new Promise((resolve) => setTimeout(resolve, 300));
const found = { ...red.countsOf(sender) };
const wanted = {
  "outbound-rtp": ["packetsSent", "bytesSent"],
  "inbound-rtp": ["packetsReceived", "totalSamplesReceived", "concealedSamples"],
};
for (const peer of [sending, receiving]) {
  for (const entry of (await peer.getStats()).values()) {
    for (const name of wanted[entry.type] ?? []) found[name] = entry[name];
  }
}
return found;
"""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with Server.start() as started:
        yield started


@pytest.fixture
async def page(chromium: Browser, server: Server) -> AsyncIterator[CallPage]:
    page = await CallPage.open(chromium)
    await page.visit(server.url, room="loop", role="rm", name="a")
    yield page
    await chromium.close_windows()


async def _grown(page: CallPage, offsets: list[int], *, frames: int) -> dict[str, Any]:
    """What was counted while so many frames were written with these copies."""
    before = await page.run(_MEASURE, offsets)

    async def measured() -> dict[str, Any]:
        now = await page.run(_MEASURE, offsets)
        return {name: now[name] - (before.get(name) or 0) for name in now}

    for _ in range(100):
        grown = await measured()
        if grown["frames"] >= frames:
            return grown
    raise AssertionError(f"the worker wrote too little: {grown}")


async def test_chromium_sends_the_copies_that_are_wished_for_and_hears_them_whole(
    page: CallPage,
) -> None:
    made = await page.run(_LOOP)
    assert made["state"] == "ready"
    assert "a=rtcp-fb:111 nack\r\n" in made["local"]
    sizes = []
    for offsets in ([], [1, 2, 4], list(range(1, 10)), list(range(1, 18)), []):
        grown = await _grown(page, offsets, frames=100)
        assert grown["unreadable"] == 0
        # Statistics and counts are not read in the same instant.
        wanted = len(offsets) * grown["frames"]
        assert grown["copies"] + grown["skipped"] >= 0.8 * wanted
        assert grown["copies"] <= 1.1 * wanted + 20
        assert grown["packetsSent"] >= 0.8 * grown["frames"], "the sender goes on"
        assert grown["packetsReceived"] >= 0.8 * grown["packetsSent"]
        sizes.append(grown["bytesSent"] / grown["packetsSent"])
        assert sizes[-1] <= 1000
        if not offsets:
            continue
        heard = grown["totalSamplesReceived"]
        assert heard > 0
        assert grown["concealedSamples"] <= 0.05 * heard, grown
    assert sizes[1] > 2.5 * sizes[0]
    assert sizes[2] > 1.5 * sizes[1]
    assert sizes[4] < 1.5 * sizes[0], "without loss nothing is left of it"
