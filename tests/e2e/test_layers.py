"""Simulcast between two real browsers: what is shown decides what is sent."""

from collections.abc import AsyncIterator, Iterator, Mapping
from functools import partial
from typing import Any

import pytest

from loadtest.browser.browser import PATIENCE_S, Browser, until
from loadtest.browser.call_page import CallPage
from loadtest.browser.programs import chromium_missing, launch_chromium
from loadtest.browser.report import Report
from tests.e2e.stage import Stage, stage

_REASON = chromium_missing()
pytestmark = [
    pytest.mark.net,
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.skipif(_REASON is not None, reason=_REASON or ""),
]

WITHIN_S = 3.0
"""So fast a picture becomes larger when its tile does."""

FROZEN_S = 1.0
"""Pictures may stand still for so long in all: other programs use the processor too. On a busy
machine they do so without any switch; each of ten switches that froze would add half a second."""


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    browser = Browser(partial(launch_chromium, large=True))
    yield browser
    browser.close()


@pytest.fixture
async def call(chromium: Browser) -> AsyncIterator[tuple[Stage, CallPage, CallPage]]:
    """A customer with a large camera, and a supervisor who only watches."""
    async with stage(chromium) as scene:
        customer = await scene.join("customer")
        watcher = await scene.join("supervisor")
        await watcher.sees_and_hears(frames=5)
        yield scene, customer, watcher


async def show(person: CallPage, width: int, height: int) -> None:
    """Gives the one tile of a person a size, in CSS pixels; zero hides it."""
    await person.run(
        "const tile = document.querySelector('.tile-person');"
        "tile.style.cssText = arguments[0] === 0 ? 'display: none' :"
        " `position: fixed; left: 0; top: 0; width: ${arguments[0]}px; height: ${arguments[1]}px`;",
        width,
        height,
    )


def seen(report: Report) -> Mapping[str, Any]:
    (video,) = report.received("video")
    return video.stats


def active(report: Report) -> dict[str, bool]:
    """Which encodings of the camera are sent, by name."""
    return {
        str(entry["rid"]): bool(entry["active"])
        for entry in report.entries.values()
        if entry["type"] == "outbound-rtp" and entry["kind"] == "video"
    }


def is_smooth(before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """The decoder missed nothing, asked for nothing and had nearly always something to show."""
    assert after["framesDecoded"] > before["framesDecoded"]
    for count in ("packetsLost", "nackCount", "pliCount"):
        assert after[count] == before[count], count
    frozen_s = after.get("totalFreezesDuration", 0) - before.get("totalFreezesDuration", 0)
    assert frozen_s < FROZEN_S


async def until_width(person: CallPage, width: int, within_s: float = PATIENCE_S) -> float:
    async def has_width() -> bool:
        return bool(seen(await person.measure()).get("frameWidth") == width)

    return await until(has_width, f"width of {width}", within_s)


async def until_active(person: CallPage, rids: str) -> None:
    expected = {rid: rid in rids for rid in "qhf"}

    async def is_active() -> bool:
        return active(await person.measure()) == expected

    await until(is_active, f"{rids!r} being sent and nothing else")


async def test_small_tiles_get_small_pictures_and_large_ones_soon_large_ones(
    call: tuple[Stage, CallPage, CallPage],
) -> None:
    _, customer, watcher = call
    await show(watcher, 300, 169)
    await until_width(watcher, 320)
    await until_active(customer, "q")
    before = seen(await watcher.measure())
    await show(watcher, 1280, 720)
    took_s = await until_width(watcher, 1280)
    after = seen(await watcher.measure())
    assert after["framesDecoded"] > before["framesDecoded"]
    assert after["packetsLost"] == 0
    assert took_s < WITHIN_S
    await until_active(customer, "f")
    await show(watcher, 600, 337)
    await until_width(watcher, 640)
    await until_active(customer, "h")
    is_smooth(before, seen(await watcher.measure()))


async def test_what_nobody_sees_is_not_sent(call: tuple[Stage, CallPage, CallPage]) -> None:
    _, customer, watcher = call
    await show(watcher, 0, 0)
    await until_active(customer, "")
    sent = seen(await watcher.measure())["packetsReceived"]
    await watcher.hears_more()
    assert seen(await watcher.measure())["packetsReceived"] == sent
    await show(watcher, 300, 169)
    await until_active(customer, "q")
    shown = int(seen(await watcher.measure())["framesDecoded"])

    async def goes_on() -> bool:
        return int(seen(await watcher.measure())["framesDecoded"]) >= shown + 15

    await until(goes_on, "pictures after the tile is shown again")


async def test_repeated_switches_freeze_nothing(call: tuple[Stage, CallPage, CallPage]) -> None:
    _, customer, watcher = call
    await show(watcher, 300, 169)
    await until_width(watcher, 320)
    start = seen(await watcher.measure())
    for width, height in [(1280, 720), (300, 169), (600, 337)] * 3:
        await show(watcher, width, height)
        await until_width(watcher, {1280: 1280, 300: 320, 600: 640}[width])
        mark = int(seen(await watcher.measure())["framesDecoded"])

        async def more(mark: int = mark) -> bool:
            return int(seen(await watcher.measure())["framesDecoded"]) >= mark + 8

        await until(more, "pictures after a switch")
    is_smooth(start, seen(await watcher.measure()))
    assert (await customer.measure()).state == "connected"
