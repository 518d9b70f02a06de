"""One measurement: a path, a server, two browsers in a call, and what they noted."""

import asyncio
import contextlib
import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from numpy.typing import NDArray

from loadtest.browser.browser import Browser
from loadtest.browser.call_page import CallPage
from loadtest.browser.programs import launch_chromium
from loadtest.browser.server import Server
from loadtest.errors import MeasureError
from loadtest.netem.emulator import Emulator, PathReport
from loadtest.netem.profile import Direction, Profile, Traffic
from loadtest.netem.ways import BrowserPath, Way, browser_path
from loadtest.weaknet.devices import Devices
from loadtest.weaknet.figures import Figures, Window, figures
from loadtest.weaknet.priority import prefer_descendants
from loadtest.weaknet.recording import PageRecord, PathSample

__all__ = [
    "SPEECH_RATE_HZ",
    "Host",
    "Measured",
    "Place",
    "Plan",
    "Sounds",
    "Transport",
    "measure_once",
    "open_browsers",
    "open_far",
    "page_url",
]

_PROBE = Path(__file__).with_name("probe.js").read_text("utf-8")
_EVERY_MS = 50
_KEPT_RATE_HZ = 8_000
SPEECH_RATE_HZ = 16_000
"""Rate of what is kept to be recognised."""
_PATH_EVERY_S = 0.25
_POLL_S = 0.05
_PREFER_EVERY_S = 1.0

_MEDIA = """
const peer = globalThis.witness?.call?.peer;
if (!peer) return false;
const entries = [...(await peer.getStats()).values()].filter(({ type }) => type === "inbound-rtp");
return entries.some((entry) => entry.kind === "video" && entry.framesDecoded > 0) &&
  entries.some((entry) => entry.kind === "audio" && entry.jitterBufferEmittedCount > 0);
"""


class Transport(StrEnum):
    """What media may go over."""

    UDP = "udp"
    """The server offers nothing else: what is impaired can't be got around."""
    ANY = "any"
    """As in life: a call whose UDP is bad may go on over TCP."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a server is to run, and how it can be reached.

    Attributes:
        folder: for its files.
        command: what its command line begins with.
        address: for media; signaling listens on all addresses.
        port: of signaling; 0 lets the kernel choose.
        media_port: for media, of one engine; 0 lets the kernel choose, for any number of them.
        tcp: whether media may go over TCP.
    """

    folder: Path
    command: Sequence[str]
    address: str
    port: int
    tcp: bool
    media_port: int = 0

    @classmethod
    def at(cls, path: BrowserPath, folder: Path, *, tcp: bool) -> "Place":
        """The near end of a path."""
        command = path.server_command
        return cls(folder, command, path.address, path.port, tcp, path.media_port)


@dataclass(frozen=True, slots=True)
class Host:
    """How to start a server that lets people in.

    Attributes:
        start: runs a server.
        token: signs a token for a role.
    """

    start: Callable[[Place], Server]
    token: Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Sounds:
    """What was said at one end and heard at the other: ``(samples,)``, 16 kHz, of the same time."""

    said: NDArray[np.int16]
    heard: NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured. Times are in seconds."""

    profile: Profile
    direction: Direction = Direction.DOWN
    traffic: Traffic = Traffic.UDP
    transport: Transport = Transport.UDP
    way: Way = Way.TUN
    seconds: float = 60.0
    adapt_s: float = 5.0
    join_within_s: float = 45.0
    prefer: bool = False
    """Raise the priority of server and browsers above everything else on the machine."""
    speech: Path | None = None
    """Said at both ends, over and over, in place of speech with chirps; what is heard is kept."""


@dataclass(slots=True)
class Measured:
    """One run: both directions, and how far it can be trusted."""

    down: Figures
    up: Figures
    stalled_s: float
    """How long one of the pages could not run, because the machine did something else."""
    problems: list[str]
    carriers: Mapping[str, float] = field(default_factory=dict)
    """Share of the time that media at the bad end went over ``udp``, ``tcp`` or a ``relay``."""
    sounds: Mapping[str, Sounds] = field(default_factory=dict)
    """What was said and heard ``down`` and ``up``, where the plan has its own speech."""


async def measure_once(
    plan: Plan, host: Host, emulator: Emulator, say: Callable[[str], None]
) -> Measured:
    """Joins two people over a path and measures what they get.

    Raises:
        LoadtestError: namespaces, server or browsers can't be had.
    """
    preferring = [asyncio.create_task(_prefer())] if plan.prefer else []
    try:
        return await _measure(plan, host, emulator, say)
    finally:
        for task in preferring:
            task.cancel()
        await asyncio.gather(*preferring, return_exceptions=True)


async def _prefer() -> None:
    """New processes come up all the time: a browser starts one for every page."""
    while True:
        await asyncio.to_thread(prefer_descendants, os.getpid())
        await asyncio.sleep(_PREFER_EVERY_S)


async def _measure(
    plan: Plan, host: Host, emulator: Emulator, say: Callable[[str], None]
) -> Measured:
    with contextlib.ExitStack() as stack:
        profile = plan.profile.only(plan.direction)
        path = stack.enter_context(browser_path(plan.way, emulator, profile, plan.traffic))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="witness-weaknet-")))
        say("start")
        place = Place.at(path, folder, tcp=plan.transport is Transport.ANY)
        server = await asyncio.to_thread(host.start, place)
        stack.callback(server.close)
        devices = Devices(folder, plan.speech)
        await asyncio.to_thread(devices.write)
        url = page_url(server, path)
        near, far = await open_browsers(stack, path, url, devices)
        return await _Call(plan, path, url, say).run(host, near, far)


def page_url(server: Server, path: BrowserPath) -> str:
    """Where browsers find the call page: at the address media goes to."""
    return f"http://{path.address}:{urlsplit(server.url).port}"


async def open_browsers(
    stack: contextlib.ExitStack, path: BrowserPath, url: str, devices: Devices
) -> tuple[Browser, Browser]:
    """A browser at each end, started and later closed at the same time."""
    flags = [f"--unsafely-treat-insecure-origin-as-secure={url}", *devices.flags]
    launch = partial(launch_chromium, flags=flags, files=False)
    opened: list[Browser] = []

    def close() -> None:
        with ThreadPoolExecutor() as pool:
            list(pool.map(Browser.close, opened))

    stack.callback(close)

    def start(prepare: Callable[[], None]) -> Browser:
        browser = Browser(launch, prepare=prepare)
        opened.append(browser)
        return browser

    near, far = await asyncio.gather(
        asyncio.to_thread(start, path.enter_near), asyncio.to_thread(start, path.enter_far)
    )
    return near, far


async def open_far(browser: Browser, path: BrowserPath) -> CallPage:
    """A page at the bad end."""
    page = await CallPage.open(browser)
    if path.far_script:
        await page.before_load(path.far_script)
    return page


class _Call:
    """Two pages in a room: the far one is at the bad end."""

    def __init__(self, plan: Plan, path: BrowserPath, url: str, say: Callable[[str], None]) -> None:
        self._plan = plan
        self._path = path
        self._url = url
        self._say = say
        self._reports: list[tuple[float, tuple[PathReport, PathReport]]] = []

    async def run(self, host: Host, near_browser: Browser, far_browser: Browser) -> Measured:
        near = await CallPage.open(near_browser)
        far = await open_far(far_browser, self._path)
        await near.join(self._url, token=host.token("rm"))
        await far.visit(self._url, token=host.token("customer"))
        await far.wait_camera()
        self._path.impair()
        self._say("join")
        joins = await self._join(near, far)
        pages = (near, far)
        await asyncio.gather(
            *(page.until("return !!globalThis.witness?.call?.peer", "call") for page in pages)
        )
        for page in pages:
            await page.run(_PROBE, _EVERY_MS, self._rate_hz)
        self._say("adapt")
        watching = asyncio.create_task(self._watch())
        await asyncio.sleep(self._plan.adapt_s)
        self._path.begin()
        window = Window(time.time(), time.time() + self._plan.seconds)
        self._say("measure")
        await asyncio.sleep(self._plan.seconds)
        watching.cancel()
        await asyncio.gather(watching, return_exceptions=True)
        self._note()
        found = [await page.run("return globalThis.weaknet.end();") for page in pages]
        return self._evaluate(found, window, joins)

    async def _join(self, near: CallPage, far: CallPage) -> tuple[float | None, float | None]:
        """Seconds from the click until media came: to the far page, to the near one."""
        await far.click("button[type=submit]")
        started = time.monotonic()
        down, up = await asyncio.gather(self._media(far, started), self._media(near, started))
        return down, up

    async def _media(self, page: CallPage, started: float) -> float | None:
        while (waited := time.monotonic() - started) < self._plan.join_within_s:
            if await page.run(_MEDIA):
                return waited
            await asyncio.sleep(_POLL_S)
        return None

    async def _watch(self) -> None:
        while True:
            self._note()
            await asyncio.sleep(_PATH_EVERY_S)

    def _note(self) -> None:
        self._reports.append((time.time(), self._path.report()))

    def _evaluate(
        self,
        found: Sequence[Any],
        window: Window,
        joins: tuple[float | None, float | None],
    ) -> Measured:
        near, far = (PageRecord(data, self._rate_hz) for data in found)
        types = sorted({*near.audio_types, *far.audio_types})
        if not types:
            raise MeasureError("neither page has an audio line")
        samples = [PathSample.of(at, reports, types) for at, reports in self._reports]
        down = figures(near, far, [(s.at_s, s.down) for s in samples], window)
        up = figures(far, near, [(s.at_s, s.up) for s in samples], window)
        down.join_s, up.join_s = joins
        ways = self._plan.direction.ways
        down.impaired, up.impaired = "down" in ways, "up" in ways
        return Measured(
            down,
            up,
            max(near.stalled_s, far.stalled_s),
            near.problems() + far.problems(),
            far.carriers(window.start_s, window.end_s),
            {}
            if self._plan.speech is None
            else {"down": _sounds(near, far), "up": _sounds(far, near)},
        )

    @property
    def _rate_hz(self) -> int:
        return _KEPT_RATE_HZ if self._plan.speech is None else SPEECH_RATE_HZ


def _sounds(speaker: PageRecord, listener: PageRecord) -> Sounds:
    return Sounds(speaker.sound("said"), listener.sound("heard"))
