"""Answers as browsers read them."""

import http.server
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest

from loadtest.browser.browser import Browser, Window
from sfu import Grant, Offer, Participant, Role, Sfu, SfuConfig
from tests.fakes.engine import FakeEngine
from tests.sfu.conftest import FINGERPRINT, FOREVER, RecordingListener

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

SCRIPT = """
const [code, answer] = arguments;
if (answer !== null) await window.pc.setRemoteDescription({ type: "answer", sdp: answer });
await (new Function("return (async () => {" + code + "})()"))();
const offer = await window.pc.createOffer();
const directions = window.pc.getTransceivers().map((t) => t.currentDirection);
await window.pc.setLocalDescription(offer);
return { sdp: offer.sdp, directions };
"""

START = "window.pc = new RTCPeerConnection();"
MEDIA = "const s = await navigator.mediaDevices.getUserMedia({audio: true, video: true});"
SENDING = "for (const t of s.getTracks()) pc.addTransceiver(t, {direction: 'sendonly'});"
RECEIVING = "for (const k of ['audio', 'video']) pc.addTransceiver(k, {direction: 'recvonly'});"


class BlankPage(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html>")

    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), BlankPage)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(params=["chromium", pytest.param("firefox", marks=pytest.mark.firefox)])
async def window(request: pytest.FixtureRequest, address: str) -> AsyncIterator[Window]:
    browser: Browser = request.getfixturevalue(request.param)
    made = Window(browser, await browser.open())
    await made.go(address)
    yield made
    await made.close()


def two_participants() -> tuple[Participant, Participant]:
    engine = FakeEngine(addresses=["127.0.0.1:9", "[::1]:9"])
    sfu = Sfu(SfuConfig(), [engine], FINGERPRINT, RecordingListener())
    room = sfu.open_room("room")
    grant = Grant.default_for(Role.CUSTOMER, FOREVER)
    return room.admit("browser", grant), room.admit("other", grant)


async def run(window: Window, code: str, answer: str | None = None) -> dict[str, Any]:
    result: dict[str, Any] = await window.run(SCRIPT, code, answer)
    return result


async def test_publishing_then_receiving_then_stopping(window: Window) -> None:
    me, other = two_participants()
    offer = (await run(window, START + MEDIA + SENDING))["sdp"]
    other.negotiate(Offer(offer))
    answer = me.negotiate(Offer(offer))
    assert len(answer.published) == 2
    step = await run(window, RECEIVING, answer.sdp)
    assert step["directions"] == ["sendonly", "sendonly", None, None]
    answer = me.negotiate(Offer(step["sdp"]))
    assert len(answer.subscribed) == 2
    step = await run(window, "", answer.sdp)
    assert step["directions"] == ["sendonly", "sendonly", "recvonly", "recvonly"]
    other.leave("left")
    step = await run(
        window, "pc.getTransceivers()[1].stop();", me.negotiate(Offer(step["sdp"])).sdp
    )
    assert step["directions"][:1] + step["directions"][2:] == ["sendonly", "inactive", "inactive"]
    answer = me.negotiate(Offer(step["sdp"]))
    assert len(answer.published) == 1
    await run(window, "pc.restartIce();", answer.sdp)
    restarted = await run(window, "", None)
    final = me.negotiate(Offer(restarted["sdp"]))
    assert final.published == answer.published
    await run(window, "", final.sdp)


@pytest.mark.parametrize(
    "code",
    [
        MEDIA + "for (const t of s.getTracks()) pc.addTrack(t, s); pc.createDataChannel('x');",
        "pc.createDataChannel('x');" + RECEIVING,
        "",
        "pc.createDataChannel('x');",
        MEDIA + "pc.addTransceiver(s.getVideoTracks()[0], {direction: 'sendonly', "
        "sendEncodings: [{rid: 'q'}, {rid: 'h'}, {rid: 'f'}]});",
        RECEIVING * 12,
    ],
    ids=["sendrecv", "channel_first", "empty", "channel_only", "simulcast", "many_lines"],
)
async def test_answers_are_accepted(window: Window, code: str) -> None:
    me, _ = two_participants()
    offer = (await run(window, START + code))["sdp"]
    await run(window, "", me.negotiate(Offer(offer)).sdp)
