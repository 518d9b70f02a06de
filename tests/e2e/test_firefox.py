"""Firefox ↔ Witness ↔ Chromium, through the real call page."""

import pytest

from tests.browser.browser import Browser, until
from tests.browser.call_page import FRAMES, CallPage
from tests.browser.report import Report
from tests.e2e.stage import stage

pytestmark = [
    pytest.mark.net,
    pytest.mark.browser,
    pytest.mark.firefox,
    pytest.mark.timeout(300),
]


@pytest.mark.parametrize("codec", ["vp8", "vp9"])
async def test_two_makes_of_browser_hear_and_see_each_other(
    chromium: Browser, firefox: Browser, codec: str
) -> None:
    async with stage(chromium) as scene:
        rm = await scene.join("rm", codec=codec)
        customer = await scene.join("customer", browser=firefox, codec=codec)
        for page in (rm, customer):
            await page.sees_and_hears()
            await page.goes_on()
            _carries(await page.measure(), codec)


def _carries(report: Report, codec: str) -> None:
    (video,), (audio,) = report.received("video"), report.received("audio")
    assert video.mime_type.lower() == f"video/{codec}"
    assert audio.mime_type.lower() == "audio/opus"
