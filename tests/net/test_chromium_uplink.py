"""A Chromium that publishes through a narrow link: its own estimate, on our feedback."""

import asyncio
import time
from collections.abc import Iterator

import pytest

from loadtest.browser.browser import Browser
from sfu.model import Role
from tests.e2e.stage import Stage
from tests.net.course import Course, show, skip_if_busy, table, watch
from tests.net.far import join_page, start_camera, start_near
from tests.net.namespaces import Path, Towards, browser_marks
from witness.server import WitnessServer

pytestmark = browser_marks()

NARROW_BPS = 500_000


@pytest.fixture(autouse=True)
def _needs_time() -> None:
    skip_if_busy()


@pytest.fixture(scope="module")
def chromium(path: Path) -> Iterator[Browser]:
    """At the client's end; its camera is large and needs its rate."""
    browser = start_camera(path.client)
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def near(path: Path) -> Iterator[Browser]:
    """Beside the server."""
    browser = start_near(path)
    yield browser
    browser.close()


async def test_a_publisher_sends_what_its_link_takes_and_more_when_it_takes_more(
    path: Path, scene: Stage, near: Browser
) -> None:
    publisher = await join_page(scene, Role.CUSTOMER)
    watcher = await join_page(scene, Role.SUPERVISOR, near)
    assert isinstance(scene.call.server, WitnessServer)
    async with watch(path, Towards.SERVER, scene.call.server.engines) as course:
        await asyncio.sleep(12)
        path.limit(Towards.SERVER, NARROW_BPS)
        course.rate_bps, falls = NARROW_BPS, time.time()
        await asyncio.sleep(20)
        path.limit(Towards.SERVER, None)
        rises = time.time()
        await asyncio.sleep(22)
        await course.collect(watcher)
    sent = Course()
    await sent.collect(publisher)
    fell_s = sent.settled_s(falls, lambda span: span.sent_kbps < NARROW_BPS / 1e3)
    narrow, uplink = course.span(falls + 8, rises), sent.span(falls + 8, rises)
    before, after = sent.span(falls - 5, falls), sent.span(rises + 10, rises + 22)
    rows = {
        "no limit": (course.span(falls - 5, falls), None),
        "falls to 500 kb/s, the first 8 s": (course.span(falls, falls + 8), fell_s),
        "then": (narrow, None),
        "no limit again": (course.span(rises + 10, rises + 22), None),
    }
    show(table("uplink", rows))
    rates = " → ".join(f"{span.sent_kbps:.0f}" for span in (before, uplink, after))
    show(f"sent: {rates} kb/s")
    skip_if_busy()
    assert fell_s < 8
    assert 150 < uplink.sent_kbps < NARROW_BPS / 1e3
    # How large it is then is Chromium's choice: it scales down the one encoding that is watched.
    assert narrow.frames_per_s > 5
    assert narrow.concealed < 0.02
    assert after.sent_kbps > 0.6 * before.sent_kbps
