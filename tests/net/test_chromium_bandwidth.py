"""Bandwidth estimation for a real Chromium behind a narrow link; ``-s`` shows what was measured.

Bounds are those of a machine that is busy with other things: encoders stall there.
"""

import asyncio
import contextlib
import math
import socket
import threading
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import pytest

from loadtest.browser.browser import Browser
from loadtest.netem.inside import inside
from sfu.model import Role
from tests.e2e.stage import Stage
from tests.net.course import show, skip_if_busy, table, watch
from tests.net.far import enter_call, join_page, open_lobby, start_camera
from tests.net.namespaces import SERVER_ADDRESS, Path, Towards, browser_marks
from witness.server import WitnessServer

pytestmark = browser_marks()

WIDE_BPS, NARROW_BPS = 2_000_000, 300_000
DOWNLOAD_PORT = 9_000


@pytest.fixture(autouse=True)
def _needs_time() -> None:
    skip_if_busy()


@pytest.fixture(scope="module")
def camera(path: Path) -> Iterator[Browser]:
    """A browser beside the server whose camera is large and needs its rate."""
    browser = start_camera(path.server)
    yield browser
    browser.close()


@pytest.mark.parametrize("codec", ["vp8", "vp9", "h264"])
async def test_video_follows_the_link_down_and_up(
    path: Path, scene: Stage, camera: Browser, codec: str
) -> None:
    path.limit(Towards.CLIENT, WIDE_BPS)
    await join_page(scene, Role.RM, camera, codec)
    watcher = await join_page(scene, Role.SUPERVISOR)
    marks = []
    async with watch(path, Towards.CLIENT, _server(scene).engines) as course:
        for rate_bps, seconds in [(WIDE_BPS, 14), (NARROW_BPS, 18), (WIDE_BPS, 16)]:
            path.limit(Towards.CLIENT, rate_bps)
            course.rate_bps = rate_bps
            marks.append(time.time())
            await asyncio.sleep(seconds)
        await course.collect(watcher)
    begin, falls, rises = marks
    fell_s = course.settled_s(falls, lambda span: span.frames_per_s > 8 and span.queue_ms < 100)
    rose_s = course.first_s(rises, lambda note: note["video"]["width"] >= 640)
    narrow = course.span(falls + 6, rises)
    rows = {
        "2 Mb/s": (course.span(begin + 6, falls), None),
        "falls to 300 kb/s, the first 6 s": (course.span(falls, falls + 6), fell_s),
        "then": (narrow, None),
        "2 Mb/s again": (course.span(rises + 8, rises + 16), rose_s),
    }
    show(table("link", rows))
    skip_if_busy()
    assert fell_s < 6
    assert (narrow.width, narrow.concealed < 0.01) == (320, True)
    assert 120 < narrow.kbps < 310
    assert narrow.frames_per_s > 8
    assert narrow.frozen_s < 2
    assert narrow.queue_ms < 150
    assert rose_s < 12


@pytest.mark.parametrize("rate_bps", [None, 1_000_000, 500_000, 300_000])
async def test_a_newcomer_sees_soon_and_hears_at_once(
    path: Path, scene: Stage, camera: Browser, rate_bps: int | None
) -> None:
    await join_page(scene, Role.RM, camera)
    watcher = await open_lobby(scene, Role.SUPERVISOR)
    path.limit(Towards.CLIENT, rate_bps)
    async with watch(path, Towards.CLIENT, _server(scene).engines) as course:
        course.rate_bps = rate_bps or math.inf
        await enter_call(watcher)
        begun = time.time()
        await asyncio.sleep(13)
        await course.collect(watcher)
    connected = begun + course.first_s(begun, lambda note: bool(note["connected"]))
    (first_s,) = await watcher.first_pictures()
    sizes = [course.first_s(connected, partial(_is_wide, width)) for width in (640, 1280)]
    joined = course.span(connected, connected + 10)
    name = f"{rate_bps // 1000} kb/s" if rate_bps else "no limit"
    show(table("joins behind", {name: (joined, first_s)}))
    show(f"first picture {first_s:.2f} s, 640 wide {sizes[0]:.1f} s, 1280 wide {sizes[1]:.1f} s")
    skip_if_busy()
    assert first_s < 2
    assert joined.concealed < 0.05
    assert joined.queue_ms < 250
    assert joined.frames_per_s > 5
    if rate_bps is None:
        assert sizes[1] < 8


async def test_a_download_on_the_same_link_leaves_a_call(
    path: Path, scene: Stage, camera: Browser
) -> None:
    path.limit(Towards.CLIENT, WIDE_BPS)
    await join_page(scene, Role.RM, camera)
    watcher = await join_page(scene, Role.SUPERVISOR)
    async with watch(path, Towards.CLIENT, _server(scene).engines) as course:
        course.rate_bps = WIDE_BPS
        await asyncio.sleep(8)
        begun = time.time()
        with _download(path) as taken:
            await asyncio.sleep(20)
            shared = taken[0] * 8 / (time.time() - begun) / 1e3
        await course.collect(watcher)
    beside = course.span(begun + 5, begun + 20)
    show(table("2 Mb/s, queue of 300 ms", {"beside one TCP download": (beside, None)}))
    show(f"the download gets {shared:.0f} kb/s")
    skip_if_busy()
    assert beside.kbps > 200
    assert beside.frames_per_s > 8
    assert beside.concealed < 0.05
    assert shared > 200


async def test_random_loss_on_a_narrow_link_is_not_mistaken_for_congestion(
    path: Path, scene: Stage, camera: Browser
) -> None:
    path.limit(Towards.CLIENT, 1_000_000)
    await join_page(scene, Role.RM, camera)
    watcher = await join_page(scene, Role.SUPERVISOR)
    async with watch(path, Towards.CLIENT, _server(scene).engines) as course:
        course.rate_bps = 1_000_000
        await asyncio.sleep(6)
        path.set_loss_towards(Towards.CLIENT, 20)
        begun = time.time()
        await asyncio.sleep(25)
        await course.collect(watcher)
    lossy = course.span(begun + 8, begun + 25)
    show(table("1 Mb/s", {"with 20 % random loss": (lossy, None)}))
    skip_if_busy()
    assert lossy.estimate_kbps > 300
    assert lossy.frames_per_s > 6
    assert lossy.queue_ms < 250


def _is_wide(width: int, note: Mapping[str, Any]) -> bool:
    return bool(note["video"]["width"] >= width)


def _server(scene: Stage) -> WitnessServer:
    assert isinstance(scene.call.server, WitnessServer)
    return scene.call.server


@contextlib.contextmanager
def _download(path: Path) -> Iterator[list[int]]:
    """One TCP connection sends all it can to the client; the list holds the bytes that arrived."""
    taken, stop = [0], threading.Event()
    with inside(path.server):
        listener = socket.create_server((SERVER_ADDRESS, DOWNLOAD_PORT))

    def send() -> None:
        with inside(path.server), contextlib.suppress(OSError):
            connection, _ = listener.accept()
            with connection:
                while not stop.is_set():
                    connection.sendall(bytes(65_536))

    def take() -> None:
        with (
            inside(path.client),
            contextlib.suppress(OSError),
            socket.create_connection((SERVER_ADDRESS, DOWNLOAD_PORT)) as connection,
        ):
            connection.settimeout(0.5)
            while not stop.is_set() and (data := connection.recv(65_536)):
                taken[0] += len(data)

    threads = [threading.Thread(target=send), threading.Thread(target=take)]
    for thread in threads:
        thread.start()
    try:
        yield taken
    finally:
        stop.set()
        listener.close()
        for thread in threads:
            thread.join()
