"""Simulcast between two real browsers, by each codec: what is shown decides what is sent."""

from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from operator import itemgetter
from pathlib import Path
from typing import Self

import pytest

from loadtest.browser.browser import Browser, until
from loadtest.browser.call_page import CallPage
from loadtest.browser.fake_devices import LARGE_PICTURE_SIZE
from loadtest.browser.programs import chromium_missing, launch_chromium
from loadtest.browser.report import Received, Report
from tests.e2e.stage import Stage, stage
from tests.net.course import is_busy

_REASON = chromium_missing()
pytestmark = [
    pytest.mark.net,
    pytest.mark.browser,
    pytest.mark.timeout(600),
    pytest.mark.skipif(_REASON is not None, reason=_REASON or ""),
]

LARGE = LARGE_PICTURE_SIZE
MIDDLE = LARGE[0] // 2, LARGE[1] // 2
SMALL = LARGE[0] // 4, LARGE[1] // 4

SOON = 45
"""So many pictures of the camera, three seconds of them, later a larger tile has a larger one."""

FROZEN_S = 0.5
"""Pictures may stand still for so long in all besides what the machine is to blame for: a picture
that waits for a keyframe does so for longer."""

FAITHFUL = 8.0
"""Mean error of a row, in steps of luma. The small encoding has 2.5, a block of another picture
of the clip makes it 10 and more."""

_WATCH = (Path(__file__).parent / "moving_bar.js").read_text("utf-8")


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    browser = Browser(partial(launch_chromium, large=True))
    yield browser
    browser.close()


@pytest.fixture(params=["vp8", "vp9", "h264"])
async def call(
    request: pytest.FixtureRequest, chromium: Browser
) -> AsyncIterator[tuple[Stage, CallPage, CallPage]]:
    """A customer with a large camera, and a supervisor who only watches and prefers no codec."""
    async with stage(chromium) as scene:
        customer = await scene.join("customer", codec=request.param)
        watcher = await scene.join("supervisor")
        await watcher.sees_and_hears(frames=5)
        yield scene, customer, watcher
        assert seen(await watcher.measure()).mime_type.lower() == f"video/{request.param}"


async def show(person: CallPage, size: tuple[int, int] | None) -> None:
    """Gives the one tile of a person a size, in CSS pixels, or hides it."""
    await person.run(
        "const tile = document.querySelector('.tile-person');"
        "tile.style.cssText = arguments[0] === null ? 'display: none' : 'position: fixed; "
        "left: 0; top: 0; width: ' + arguments[0][0] + 'px; height: ' + arguments[0][1] + 'px';",
        size,
    )


def seen(report: Report) -> Received:
    (video,) = report.received("video")
    return video


def decoded(report: Report) -> int:
    return seen(report).amount


def active(report: Report) -> dict[str, bool]:
    """Which encodings of the camera are sent, by name."""
    return {
        str(entry["rid"]): bool(entry["active"])
        for entry in report.entries.values()
        if entry["type"] == "outbound-rtp" and entry["kind"] == "video"
    }


async def until_width(person: CallPage, width: int) -> None:
    async def has_width() -> bool:
        return bool(seen(await person.measure()).stats.get("frameWidth") == width)

    await until(has_width, f"width of {width}")


async def until_active(person: CallPage, rids: str) -> None:
    expected = {rid: rid in rids for rid in "qhf"}

    async def is_active() -> bool:
        return active(await person.measure()) == expected

    await until(is_active, f"{rids!r} being sent and nothing else")


async def until_more(person: CallPage, pictures: int) -> None:
    start = decoded(await person.measure())

    async def more() -> bool:
        return decoded(await person.measure()) >= start + pictures

    await until(more, f"{pictures} more pictures")


@dataclass
class Smoothness:
    """What both sides measured before something that a viewer must not notice."""

    customer: CallPage
    watcher: CallPage
    stood_still_s: float
    counts: Mapping[str, int]

    @classmethod
    async def begin(cls, customer: CallPage, watcher: CallPage) -> Self:
        """From now on every picture counts."""
        await watcher.run(f"({_WATCH})('.tile-person video');")
        stood_still_s = await _stood_still_s(customer, watcher)
        return cls(customer, watcher, stood_still_s, seen(await watcher.measure()).stats)

    async def check(self) -> None:
        """The decoder missed nothing and asked for nothing, and showed what the camera saw."""
        counts = seen(await self.watcher.measure()).stats
        assert counts["framesDecoded"] > self.counts["framesDecoded"]
        for name in ("packetsLost", "nackCount", "pliCount"):
            assert counts[name] == self.counts[name], name
        pictures = await self.watcher.run("return globalThis.pictures;")
        assert pictures, "nothing was shown"
        worst = max(pictures, key=itemgetter(1))
        assert worst[1] < FAITHFUL, f"of {len(pictures)} pictures (width, error): {worst}"
        if not is_busy():
            assert await _stood_still_s(self.customer, self.watcher) - self.stood_still_s < FROZEN_S


async def _stood_still_s(customer: CallPage, watcher: CallPage) -> float:
    """How long pictures stood still so far while both browsers were running."""
    return (await watcher.measure()).frozen_s() - (await customer.measure()).stalled_s


async def test_small_tiles_get_small_pictures_and_large_ones_soon_large_ones(
    call: tuple[Stage, CallPage, CallPage],
) -> None:
    _, customer, watcher = call
    await show(watcher, SMALL)
    await until_width(watcher, SMALL[0])
    await until_active(customer, "q")
    smoothness = await Smoothness.begin(customer, watcher)
    start = decoded(await watcher.measure())
    await show(watcher, LARGE)
    await until_width(watcher, LARGE[0])
    assert decoded(await watcher.measure()) - start <= SOON
    await until_active(customer, "f")
    await show(watcher, MIDDLE)
    await until_width(watcher, MIDDLE[0])
    await until_active(customer, "h")
    await smoothness.check()


async def test_what_nobody_sees_is_not_sent(call: tuple[Stage, CallPage, CallPage]) -> None:
    _, customer, watcher = call
    await show(watcher, None)
    await until_active(customer, "")
    packets = seen(await watcher.measure()).stats["packetsReceived"]
    await watcher.hears_more()
    assert seen(await watcher.measure()).stats["packetsReceived"] == packets
    await show(watcher, SMALL)
    await until_active(customer, "q")
    await until_more(watcher, 15)


async def test_repeated_switches_freeze_nothing(call: tuple[Stage, CallPage, CallPage]) -> None:
    _, customer, watcher = call
    await show(watcher, SMALL)
    await until_width(watcher, SMALL[0])
    smoothness = await Smoothness.begin(customer, watcher)
    for size in [LARGE, SMALL, MIDDLE] * 3:
        await show(watcher, size)
        await until_width(watcher, size[0])
        await until_more(watcher, 8)
    await smoothness.check()
    assert (await customer.measure()).state == "connected"


async def test_the_publisher_chooses_the_codec(chromium: Browser) -> None:
    """A preference of who only receives is none: one stream goes to everybody."""
    async with stage(chromium) as scene:
        await scene.join("customer")
        watcher = await scene.join("supervisor", codec="vp9")
        report = await watcher.sees_and_hears(frames=5)
        assert seen(report).mime_type == "video/VP8"
