"""WHIP and WHEP with Chromium at the other end."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from loadtest.browser.browser import Browser, until
from loadtest.browser.call_page import ENERGY, FRAMES, CallPage
from loadtest.browser.programs import chromium_missing, launch_chromium
from tests.e2e.http_peer import ffmpeg_publishes
from tests.e2e.stage import stage

_REASON = chromium_missing()
pytestmark = [
    pytest.mark.net,
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.skipif(_REASON is not None, reason=_REASON or ""),
]

_WHEP = Path(__file__).with_name("whep_in_page.js").read_text("utf-8")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    browser = Browser(launch_chromium)
    yield browser
    browser.close()


async def test_ffmpeg_publishes_into_a_room_that_chromium_watches(
    chromium: Browser, tmp_path: Path
) -> None:
    async with stage(chromium) as scene:
        rm = await scene.join("rm")
        token = await scene.call.token("customer", participant_id="camera-1")
        async with ffmpeg_publishes(f"{scene.call.server.url}/whip/call", token, tmp_path):
            report = await rm.sees_and_hears()
            assert {item.track["participant_id"] for item in report.received()} == {"camera-1"}
            (video,) = report.received("video")
            assert video.mime_type.lower() == "video/h264"
            await rm.goes_on()

        async def alone() -> bool:
            return not (await rm.measure()).tracks

        await until(alone, "farewell of FFmpeg")


async def test_chromium_watches_by_whep_through_an_ice_restart(chromium: Browser) -> None:
    async with stage(chromium) as scene:
        await scene.call.join("rm")
        token = await scene.call.token("supervisor", participant_id="wall-1")
        page = await CallPage.open(chromium)
        await page.go(f"{scene.call.server.url}/?lang=en")
        address = f"{scene.call.server.url}/whep/call"

        async def do(action: str) -> Any:
            return await page.run(_WHEP, address, token, action)

        async def flows(more_than: int) -> Any:
            async def seen() -> bool:
                found = await do("measure")
                return bool(found["frames"] >= more_than + FRAMES and found["energy"] > ENERGY)

            await until(seen, "sound and pictures by WHEP")
            return await do("measure")

        assert await do("open") == {"status": 201}
        before = await flows(0)
        restarted = await do("restart")
        assert restarted["status"] == 200, restarted

        async def on_the_new_credentials() -> bool:
            found = await do("measure")
            return bool(found["ufrag"] != before["ufrag"] and found["state"] == "connected")

        await until(on_the_new_credentials, "connection after the restart")
        after = await do("measure")
        await flows(after["frames"])
        assert await do("end") == {"status": 200}
        await page.close()
