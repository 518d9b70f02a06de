"""A page that the server doesn't serve: an application of its own origin with the SDK beside it."""

from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from loadtest.browser.browser import Browser, Window, until
from recorder.config import RecordedRooms, RecordingConfig
from tests.e2e.scene import scene, settings

pytestmark = [pytest.mark.net, pytest.mark.browser, pytest.mark.timeout(120)]

SDK = Path(__file__).parents[2] / "web" / "sdk"

_PAGE = "<!doctype html><title>an application</title><script type=module>{}</script>"
_SCRIPT = """
import { Witness } from "/sdk/witness.js";
globalThis.join = async (url, token) => {
  const { mediaDevices } = navigator;
  const stream = await mediaDevices.getUserMedia({ audio: true, video: true });
  const [microphone] = stream.getAudioTracks();
  const [camera] = stream.getVideoTracks();
  globalThis.call = await Witness.join({ url, token, tracks: { microphone, camera } });
};
"""
_SOCKETS_LATER = """
const Socket = WebSocket;
globalThis.WebSocket = function (...parameters) {
  if (!globalThis.requestAnswered) throw new Error("no socket yet");
  return new Socket(...parameters);
};
const request = fetch;
globalThis.fetch = async (...parameters) => {
  const answer = await request(...parameters);
  globalThis.requestAnswered = answer.status === 200;
  return answer;
};
"""
_ASK = """
const answer = await fetch(arguments[0], { headers: { Authorization: "Bearer nobody's" } });
return [answer.status, (await answer.json()).code];
"""


async def _application() -> TestServer:
    app = web.Application()
    app.router.add_static("/sdk", SDK)

    async def page(_: web.Request) -> web.Response:
        return web.Response(text=_PAGE.format(_SCRIPT), content_type="text/html")

    app.router.add_get("/", page)
    server = TestServer(app, host="127.0.0.1")
    await server.start_server()
    return server


async def test_it_joins_by_request_and_may_upload(chromium: Browser, tmp_path: Path) -> None:
    recording = RecordingConfig(directory=tmp_path, rooms=RecordedRooms.ALL)
    async with scene(settings(recording=recording)) as made:
        rm = await made.join("rm")
        application = await _application()
        page = Window(chromium, await chromium.open())
        try:
            # Nothing but a request can bring it in.
            await page.before_load(_SOCKETS_LATER)
            await page.go(str(application.make_url("/")))
            await until(lambda: page.run("return globalThis.join !== undefined"), "the SDK")
            token = await made.token("customer")
            await page.run("await globalThis.join(...arguments)", made.server.url, token)
            await made.hears_and_sees(rm)
            wants = f"{made.server.url}/v1/sessions/none/wants"
            assert await page.run(_ASK, wants) == [401, "unauthorized"]
        finally:
            await page.close()
            await application.close()
