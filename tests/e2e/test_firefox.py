"""Firefox ↔ Witness ↔ Chromium, through the real call page.

Firefox uses no loopback address for media, so these calls go by an address of this machine's
network, as the server finds it by itself.
"""

import pytest

from loadtest.browser.browser import Browser
from loadtest.browser.call_page import CallPage
from loadtest.browser.report import Report
from sfu.addresses import host_addresses
from sfu.config import SfuConfig
from tests.e2e.scene import settings
from tests.e2e.stage import Stage, stage
from witness.config import MediaConfig, Settings

_LOOPBACK_ONLY = all(address.startswith(("127.", "::1")) for address in host_addresses())
pytestmark = [
    pytest.mark.net,
    pytest.mark.browser,
    pytest.mark.firefox,
    pytest.mark.timeout(600),
    pytest.mark.skipif(_LOOPBACK_ONLY, reason="Firefox needs a network address besides loopback"),
]

MICROPHONE, CAMERA = ".control:nth-child(1)", ".control:nth-child(2)"


@pytest.mark.parametrize("codec", ["vp8", "vp9"])
async def test_two_makes_of_browser_hear_and_see_each_other(
    chromium: Browser, firefox: Browser, codec: str
) -> None:
    async with stage(chromium, _settings()) as scene:
        for page in await _call(scene, firefox, codec=codec):
            await page.goes_on()
            report = await page.measure()
            _carries(report, codec)
            assert report.transport["dtlsState"] == "connected"
            assert report.transport["srtpCipher"].endswith("AEAD_AES_128_GCM")


async def test_what_firefox_mutes_is_neither_heard_nor_seen(
    chromium: Browser, firefox: Browser
) -> None:
    async with stage(chromium, _settings()) as scene:
        rm, customer = await _call(scene, firefox)
        await customer.click(MICROPHONE)
        await rm.shows(".tile-person .tile-muted")
        await rm.hears_nothing()
        await customer.click(MICROPHONE)
        await rm.hides(".tile-person .tile-muted")
        await rm.hears_more()
        await customer.click(CAMERA)
        await rm.shows(".tile-person .avatar")
        await customer.click(CAMERA)
        await rm.shows(".tile-person video")
        await rm.sees_more()


async def test_what_chromium_mutes_is_not_heard_in_firefox(
    chromium: Browser, firefox: Browser
) -> None:
    async with stage(chromium, _settings()) as scene:
        rm, customer = await _call(scene, firefox)
        await rm.click(MICROPHONE)
        await customer.shows(".tile-person .tile-muted")
        await customer.hears_nothing()
        await rm.click(MICROPHONE)
        await customer.hears_more()


async def test_firefox_comes_back_after_a_reload_as_the_same_participant(
    chromium: Browser, firefox: Browser
) -> None:
    async with stage(chromium, _settings()) as scene:
        rm, customer = await _call(scene, firefox)
        before, own = await rm.measure(), (await customer.measure()).self_id
        told = {name: len(await rm.events(name)) for name in ("participants", "tracks")}
        await customer.come_back()
        assert (await customer.sees_and_hears()).self_id == own
        await rm.goes_on()
        assert _tracks(await rm.measure()) == _tracks(before)
        assert {name: len(await rm.events(name)) for name in told} == told


async def test_who_leaves_in_firefox_is_gone_for_the_others(
    chromium: Browser, firefox: Browser
) -> None:
    async with stage(chromium, _settings()) as scene:
        rm, customer = await _call(scene, firefox)
        await customer.click(".control-leave")
        await customer.click("dialog .danger")
        await customer.wait_view("ended")
        await rm.hides(".tile-person")
        assert not (await rm.measure()).tracks


def _settings() -> Settings:
    return settings(media=MediaConfig(engines=1), sfu=SfuConfig())


async def _call(
    scene: Stage, firefox: Browser, codec: str | None = None
) -> tuple[CallPage, CallPage]:
    """An RM in Chromium and a customer in Firefox who see and hear each other."""
    rm = await scene.join("rm", codec=codec)
    customer = await scene.join("customer", browser=firefox, codec=codec)
    await rm.sees_and_hears()
    await customer.sees_and_hears()
    return rm, customer


def _carries(report: Report, codec: str) -> None:
    (video,), (audio,) = report.received("video"), report.received("audio")
    assert video.mime_type.lower() == f"video/{codec}"
    assert audio.mime_type.lower() == "audio/opus"


def _tracks(report: Report) -> set[str]:
    return {item.track["track_id"] for item in report.received()}
