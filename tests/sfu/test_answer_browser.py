"""Answers as Chromium reads them."""

import http.server
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from sfu import Grant, Offer, Participant, Role, Sfu, SfuConfig
from tests.fakes.engine import FakeEngine
from tests.sfu.conftest import FINGERPRINT, FOREVER, RecordingListener

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]

FLAGS = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)

SCRIPT = """
const [code, answer] = [arguments[0], arguments[1]], done = arguments[arguments.length - 1];
(async () => {
  if (answer !== null) {
    await window.pc.setRemoteDescription({type: 'answer', sdp: answer});
  }
  await (new Function('return (async () => {' + code + '})()'))();
  const offer = await window.pc.createOffer();
  const directions = window.pc.getTransceivers().map((t) => t.currentDirection);
  const codecs = window.pc.getTransceivers().map(
      (t) => t.receiver.getParameters().codecs.map((c) => c.mimeType));
  await window.pc.setLocalDescription(offer);
  return {sdp: offer.sdp, directions, codecs};
})().then(done, (error) => done({error: String(error)}));
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
def browser() -> Iterator[webdriver.Chrome]:
    options = Options()
    options.binary_location = "/usr/bin/chromium"
    for flag in FLAGS:
        options.add_argument(flag)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), BlankPage)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    driver = webdriver.Chrome(options=options, service=Service("/usr/bin/chromedriver"))
    driver.set_script_timeout(30)
    driver.get(f"http://127.0.0.1:{server.server_port}/")
    yield driver
    driver.quit()
    server.shutdown()
    server.server_close()
    thread.join()


def two_participants() -> tuple[Participant, Participant]:
    engine = FakeEngine(addresses=["127.0.0.1:9", "[::1]:9"])
    sfu = Sfu(SfuConfig(), [engine], FINGERPRINT, RecordingListener())
    room = sfu.open_room("room")
    grant = Grant.default_for(Role.CUSTOMER, FOREVER)
    return room.admit("browser", grant), room.admit("other", grant)


def run(driver: webdriver.Chrome, code: str, answer: str | None = None) -> dict[str, Any]:
    result: dict[str, Any] = driver.execute_async_script(SCRIPT, code, answer)
    assert "error" not in result, result
    return result


def test_publishing_then_receiving_then_stopping(browser: webdriver.Chrome) -> None:
    me, other = two_participants()
    offer = run(browser, START + MEDIA + SENDING)["sdp"]
    other.negotiate(Offer(offer))
    answer = me.negotiate(Offer(offer))
    assert len(answer.published) == 2
    step = run(browser, RECEIVING, answer.sdp)
    assert step["directions"] == ["sendonly", "sendonly", None, None]
    answer = me.negotiate(Offer(step["sdp"]))
    assert len(answer.subscribed) == 2
    step = run(browser, "", answer.sdp)
    assert step["directions"] == ["sendonly", "sendonly", "recvonly", "recvonly"]
    other.leave("left")
    step = run(browser, "pc.getTransceivers()[1].stop();", me.negotiate(Offer(step["sdp"])).sdp)
    assert step["directions"][:1] + step["directions"][2:] == ["sendonly", "inactive", "inactive"]
    answer = me.negotiate(Offer(step["sdp"]))
    assert len(answer.published) == 1
    run(browser, "pc.restartIce();", answer.sdp)
    restarted = run(browser, "", None)
    final = me.negotiate(Offer(restarted["sdp"]))
    assert final.published == answer.published
    run(browser, "", final.sdp)


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
def test_answers_are_accepted(browser: webdriver.Chrome, code: str) -> None:
    me, _ = two_participants()
    offer = run(browser, START + code)["sdp"]
    run(browser, "", me.negotiate(Offer(offer)).sdp)
