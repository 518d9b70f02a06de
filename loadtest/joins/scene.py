"""Tries to join: the same server and person in the call, and another fresh page each time.

A try begins with the click on *join*, in a page that is loaded: from then on the path is bad. It
has a connection of its own to begin with, an offer, ICE and DTLS; nothing is left of the last one.
"""

import asyncio
import contextlib
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from loadtest.browser.browser import Browser, until
from loadtest.browser.call_page import CallPage
from loadtest.netem.emulator import Emulator
from loadtest.netem.profile import Direction, Profile, Traffic
from loadtest.netem.ways import BrowserPath, Way, browser_path
from loadtest.weaknet.devices import Devices
from loadtest.weaknet.scene import Host, Place, Transport, open_browsers, open_far, page_url

__all__ = ["STAGES", "JoinPlan", "Try", "measure_joins"]

STAGES = ("socket", "joined", "connected", "heard", "seen")
"""In this order: the WebSocket is open; the server has let the person in; ICE and DTLS are done;
sound arrives at both ends; pictures are decoded at both ends."""

_POLL_S = 0.05
_LEAVE_S = 10.0
_PACKETS = 3
"""So many of sound are more than a stray one."""

_CLICK = """
globalThis.clicked = performance.now();
document.querySelector("button[type=submit]").click();
"""
_STAGES = """
const since = (at) => (at == null ? null : (at - globalThis.clicked) / 1000);
const { watched } = globalThis;
const joined = document.documentElement.dataset.view === "call";
watched.joined ??= joined ? performance.now() : null;
const connected = watched.peers.map((peer) => peer.connected).find((at) => at !== null);
return {
  socket: since(watched.opened), joined: since(watched.joined), connected: since(connected),
};
"""
_RECEIVED = """
const peer = globalThis.witness?.call?.peer;
const sums = { audio: {}, video: {}, carrier: null };
if (!peer) return sums;
const entries = [...(await peer.getStats()).values()];
for (const entry of entries) {
  if (entry.type !== "inbound-rtp") continue;
  const { kind, ssrc, framesDecoded, packetsReceived } = entry;
  sums[kind][ssrc] = (kind === "video" ? framesDecoded : packetsReceived) ?? 0;
}
const used = entries.map((entry) => entry.selectedCandidatePairId).find(Boolean);
const pair = entries.find(({ id }) => id === used);
sums.carrier = entries.find(({ id }) => id === pair?.localCandidateId)?.protocol ?? null;
return sums;
"""
_ALONE = "return globalThis.witness.call.participants.length === 0;"


@dataclass(frozen=True, slots=True)
class JoinPlan:
    """What is tried. Times are in seconds."""

    profile: Profile
    direction: Direction = Direction.BOTH
    traffic: Traffic = Traffic.UDP
    transport: Transport = Transport.UDP
    way: Way = Way.TUN
    tries: int = 20
    within_s: float = 40.0
    """A try that takes longer has failed."""


@dataclass(slots=True)
class Try:
    """How far one try came.

    Attributes:
        reached: seconds from the click to each of :data:`STAGES`; ``None``: not in time.
        carrier: ``udp`` or ``tcp``; ``None`` where media never flowed.
        stalled_s: how long one of the pages could not run, because the machine did something else.
    """

    reached: dict[str, float | None] = field(default_factory=lambda: dict.fromkeys(STAGES))
    carrier: str | None = None
    stalled_s: float = 0.0


async def measure_joins(
    plan: JoinPlan, host: Host, emulator: Emulator, say: Callable[[int, Try | None], None]
) -> list[Try]:
    """Lets a fresh page join so many times.

    Args:
        plan: what is tried.
        host: of the server.
        emulator: the native side.
        say: told of each try when it begins (``None``) and ends; before the first with number 0.

    Raises:
        LoadtestError: namespaces, server or browsers can't be had.
    """
    with contextlib.ExitStack() as stack:
        profile = plan.profile.only(plan.direction)
        path = stack.enter_context(browser_path(plan.way, emulator, profile, plan.traffic))
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="witness-joins-")))
        say(0, None)
        place = Place.at(path, folder, tcp=plan.transport is Transport.ANY)
        server = await asyncio.to_thread(host.start, place)
        stack.callback(server.close)
        devices = Devices(folder)
        await asyncio.to_thread(devices.write)
        url = page_url(server, path)
        near_browser, far_browser = await open_browsers(stack, path, url, devices)
        near = await CallPage.open(near_browser)
        await near.join(url, token=host.token("rm"))
        made = []
        for number in range(1, plan.tries + 1):
            say(number, None)
            one = await _Joining(plan, path, url, near).run(far_browser, host.token("customer"))
            say(number, one)
            made.append(one)
        return made


class _Joining:
    def __init__(self, plan: JoinPlan, path: BrowserPath, url: str, near: CallPage) -> None:
        self._plan = plan
        self._path = path
        self._url = url
        self._near = near

    async def run(self, browser: Browser, token: str) -> Try:
        """One try; the path is good before and after."""
        await self._near.until(_ALONE, "nobody else in the call")
        page = await open_far(browser, self._path)
        try:
            await page.visit(self._url, token=token)
            await page.wait_camera()
            before = await self._near.run(_RECEIVED)
            self._path.impair()
            made = await self._join(page, before)
            self._path.heal()
            await self._leave(page)
        finally:
            self._path.heal()
            await page.close()
        return made

    async def _join(self, page: CallPage, before: Mapping[str, Mapping[str, float]]) -> Try:
        made = Try()
        stalled = [await self._stalled_s(one) for one in (page, self._near)]
        await page.run(_CLICK)
        started = time.monotonic()
        while time.monotonic() - started < self._plan.within_s:
            stages, far, near = await asyncio.gather(
                page.run(_STAGES), page.run(_RECEIVED), self._near.run(_RECEIVED)
            )
            now_s = time.monotonic() - started
            for name in ("socket", "joined", "connected"):
                made.reached[name] = stages[name]
            heard = min(_more(page, "audio") for page in ((far, {}), (near, before))) >= _PACKETS
            seen = min(_more(page, "video") for page in ((far, {}), (near, before))) >= 1
            made.carrier = far["carrier"] or made.carrier
            for name, is_there in (("heard", heard), ("seen", seen)):
                if is_there and made.reached[name] is None:
                    made.reached[name] = now_s
            if heard and seen:
                break
            await asyncio.sleep(_POLL_S)
        after = [await self._stalled_s(one) for one in (page, self._near)]
        made.stalled_s = max(b - a for a, b in zip(stalled, after, strict=True))
        return made

    async def _stalled_s(self, page: CallPage) -> float:
        return float(await page.run("return globalThis.watched.stalled;")) / 1000

    async def _leave(self, page: CallPage) -> None:
        """Says goodbye, so that the next try is no return of this one."""
        await page.run("globalThis.witness?.call?.leave();")
        with contextlib.suppress(TimeoutError):
            await until(lambda: self._near.run(_ALONE), "end of the try", _LEAVE_S)


def _more(
    page: tuple[Mapping[str, Mapping[str, float]], Mapping[str, Mapping[str, float]]], kind: str
) -> float:
    """What came since ``before``; what a page counted of somebody who left is gone from ``now``."""
    now, before = (counts.get(kind, {}) for counts in page)
    return sum(count - before.get(source, 0) for source, count in now.items())
