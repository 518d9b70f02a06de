"""Rooms of light participants behind a bad network, for load: no browser, no root.

Everybody's media goes through one :class:`~loadtest.netem.relay.ImpairedRelay`, signaling goes
straight. Light participants send packets of the sizes of a call and decode nothing: what arrives
is counted, what is heard and seen is not known.
"""

import asyncio
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any, Protocol

import aiohttp

from loadtest.errors import MeasureError
from loadtest.netem.emulator import Counted, Emulator, PathReport
from loadtest.netem.profile import Direction, Profile
from loadtest.netem.relay import ImpairedRelay
from loadtest.signal import SignalConfig
from loadtest.swarm import FORMATS, MediaSwarm, SwarmParticipant

__all__ = ["PARTIES", "Crowd", "CrowdPlan", "CrowdResult", "LightSwarm"]

PARTIES = ("rm", "customer")
"""Who is in each room."""

_AUDIO = (50.0, 120, 1)
_VIDEO = (75.0, 1_100, 3)
"""25 pictures a second at 660 kb/s."""
_CONNECT_S = 60.0
_POLL_S = 0.05
_TIMEOUT_S = 60.0
_EVERYBODY = 1_000_000


class LightSwarm(MediaSwarm, Protocol):
    """All that is used of ``sfu._media.Swarm``."""

    def load(
        self,
        *,
        participants: int,
        audio: tuple[float, int, int],
        video: tuple[float, int, int],
        busy: bool,
    ) -> None:
        """Sets what is sent."""

    def report(self, quantiles: Sequence[float] = ()) -> Any:
        """Totals since the start."""


@dataclass(frozen=True, slots=True)
class CrowdPlan:
    """What is measured. Times are in seconds."""

    profile: Profile
    direction: Direction = Direction.BOTH
    rooms: int = 5
    seconds: float = 30.0
    adapt_s: float = 3.0


@dataclass(frozen=True, slots=True)
class CrowdResult:
    """One run."""

    name: str
    plan: CrowdPlan
    ways: Mapping[str, Mapping[str, Any]]
    participants: int
    joined_s: Sequence[float]
    connected_s: float
    media: Mapping[str, Any]

    def as_json(self) -> dict[str, Any]:
        """For ``--json``; ``down`` and ``up`` are of all participants together."""
        return {
            "profile": self.name,
            "direction": self.plan.direction.value,
            "seed": self.plan.profile.seed,
            "seconds": self.plan.seconds,
            "rooms": self.plan.rooms,
            "participants": self.participants,
            "join_s": {
                "median": round(median(self.joined_s), 3),
                "worst": round(max(self.joined_s), 3),
                "all_connected": round(self.connected_s, 3),
            },
            **{way: dict(figures) for way, figures in self.ways.items()},
            "media": dict(self.media),
        }


class _Through:
    """A swarm whose participants send to the relay in place of the server."""

    def __init__(self, swarm: LightSwarm, relay: Callable[[str], str]) -> None:
        self._swarm = swarm
        self._relay = relay

    @property
    def fingerprint(self) -> str:
        return self._swarm.fingerprint

    def connect(self, *, remote: str, **parameters: Any) -> int:
        return self._swarm.connect(remote=self._relay(remote), **parameters)


class Crowd:
    """One measurement.

    Args:
        plan: what is measured.
        emulator: the native side of the path.
        swarm: of the participants; the caller closes it.
        url: of the server, which has one engine.
        token: signs one for a room, a participant and a role.
    """

    def __init__(
        self,
        plan: CrowdPlan,
        emulator: Emulator,
        swarm: LightSwarm,
        url: str,
        token: Callable[[str, str, str], str],
    ) -> None:
        self._plan = plan
        self._emulator = emulator
        self._swarm = swarm
        self._url = url
        self._token = token
        self._relays: dict[str, ImpairedRelay] = {}
        self._people: list[SwarmParticipant] = []
        self._stack = contextlib.AsyncExitStack()

    async def measure(self, name: str, say: Callable[[str, int], None]) -> CrowdResult:
        """Fills the rooms, lets media flow and counts.

        Args:
            name: of the profile.
            say: told ``join`` with each room that is full, then ``adapt`` and ``measure``.

        Raises:
            LoadtestError: somebody can't join or connect.
        """
        async with self._stack:
            session = await self._stack.enter_async_context(
                aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
            )
            self._stack.push_async_callback(self._part)
            self._swarm.load(participants=_EVERYBODY, audio=_AUDIO, video=_VIDEO, busy=False)
            started, joined = time.monotonic(), []
            for room in range(self._plan.rooms):
                joined += [await self._join(session, room, role) for role in PARTIES]
                say("join", room + 1)
            await self._connected()
            connected_s = time.monotonic() - started
            say("adapt", 0)
            await asyncio.sleep(self._plan.adapt_s)
            (relay,) = self._relays.values()
            relay.begin()
            say("measure", 0)
            before, path_before = self._swarm.report(), relay.report()
            await asyncio.sleep(self._plan.seconds)
            after, path_after = self._swarm.report((0.5, 0.99)), relay.report()
            return CrowdResult(
                name=name,
                plan=self._plan,
                ways={
                    way: _figures(first, last, self._plan, way)
                    for way, first, last in zip(
                        ("down", "up"), path_before, path_after, strict=True
                    )
                },
                participants=len(self._people),
                joined_s=joined,
                connected_s=connected_s,
                media=_media(before, after),
            )

    async def _join(self, session: aiohttp.ClientSession, room: int, role: str) -> float:
        started = time.monotonic()
        token = self._token(f"crowd-{room}", f"{role}-{room}", role)
        config = SignalConfig(self._url, token, timeout_s=_TIMEOUT_S)
        media = _Through(self._swarm, self._through)
        first_ssrc = 1_000_000 + 10 * len(self._people)
        person = SwarmParticipant(config, session, media, first_ssrc)
        self._people.append(person)
        await person.start()
        return time.monotonic() - started

    def _through(self, remote: str) -> str:
        """Where to send in place of ``remote``: a relay, bad from the beginning."""
        if remote not in self._relays:
            host, _, port = remote.rpartition(":")
            profile = self._plan.profile.only(self._plan.direction)
            clients = len(PARTIES) * self._plan.rooms
            relay = ImpairedRelay(self._emulator, profile, (host, int(port)), clients=clients)
            self._relays[remote] = self._stack.enter_context(relay)
            relay.impair()
        host, number = self._relays[remote].address
        return f"{host}:{number}"

    async def _connected(self) -> None:
        deadline = time.monotonic() + _CONNECT_S
        while True:
            report = self._swarm.report()
            failure = report.failure or next((p.failure for p in self._people if p.failure), None)
            if failure:
                raise MeasureError(f"a participant can't join: {failure}")
            heard = all(p.subscribed == 2 * (len(PARTIES) - 1) for p in self._people)
            if heard and report.connected == len(self._people):
                return
            if time.monotonic() > deadline:
                raise MeasureError(
                    f"{report.connected} of {len(self._people)} participants are connected"
                    f" after {_CONNECT_S:.0f} s"
                )
            await asyncio.sleep(_POLL_S)

    async def _part(self) -> None:
        await asyncio.gather(*(person.close() for person in self._people))


def _figures(
    first: PathReport, last: PathReport, plan: CrowdPlan, way: str
) -> dict[str, float | bool | None]:
    """Of one direction, as on the link: IP headers included."""

    def octets(report: PathReport, kind: str) -> int:
        found: Sequence[Counted] = [c for number, c in report.rtp if number == FORMATS[kind]]
        rest = [c for number, c in report.rtp if number not in FORMATS.values()]
        # Retransmissions are of video.
        return sum(counted[1] for counted in [*found, *(rest if kind == "video" else [])])

    kbps = {
        f"{kind}_kbps": round(
            (octets(last, kind) - octets(first, kind)) * 8 / plan.seconds / 1000, 1
        )
        for kind in FORMATS
    }
    pushed = last.netem.pushed - first.netem.pushed
    lost = last.netem.lost + last.netem.queue_full - first.netem.lost - first.netem.queue_full
    return {
        "impaired": way in plan.direction.ways,
        "path_loss_ratio": round(lost / pushed, 4) if pushed else None,
        **kbps,
        "relay_refused": last.refused - first.refused,
    }


def _media(before: Any, after: Any) -> dict[str, float | int | None]:
    """From sender to receiver, of all participants together."""
    received = after.packets_received - before.packets_received
    lost = after.packets_lost - before.packets_lost
    delays = dict(zip(("delay_median_ms", "delay_p99_ms"), after.delays_s, strict=True))
    return {
        "packets_sent": after.packets_sent - before.packets_sent,
        "packets_received": received,
        "missing_ratio": round(lost / (lost + received), 4) if lost + received else None,
        "keyframe_requests": after.keyframe_requests - before.keyframe_requests,
        "nacks": after.nacks - before.nacks,
        **{name: None if at is None else round(at * 1000, 1) for name, at in delays.items()},
    }
