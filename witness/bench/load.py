"""What is sent, and how what it costs is measured."""

import asyncio
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from sfu._media import Swarm
from witness.bench import machine
from witness.bench.process import ServerProcess

__all__ = [
    "AUDIO_BYTES",
    "EVERYBODY",
    "SILENCE",
    "VIDEO_BYTES",
    "Interval",
    "Load",
    "Probe",
    "Spread",
    "calls",
    "packets",
    "rounded",
]

EVERYBODY = 1_000_000
VIDEO_BYTES = 1_100
"""An RTP packet of a picture, before protection."""
AUDIO_BYTES = 120
"""An RTP packet of 20 ms of sound at 40 kb/s."""
AUDIO_RATE = 50.0
VIDEO_RATE = 170.0
"""Packets a second of 1,100 bytes: 1.5 Mb/s."""
PICTURE = 6
"""Packets of one picture at 28 pictures a second. Browsers send them at once: libwebrtc's pacer
lets what is due within 40 ms go in one burst."""

_SETTLE_S = 0.3
_RAMP_STEPS = 10
_RAMP_STEP_S = 0.15
_WARM_STEPS = 12
_WARM_STEP_S = 1.0
_STEADY_BYTES = 1 << 20
_STEADY_COPIES = 1.002
_SNAPSHOT_S = 1.15
"""Longer than the time between two snapshots of an engine."""


@dataclass(frozen=True, slots=True)
class Load:
    """What each participant sends: packets a second, bytes and packets at once, of each kind."""

    audio: tuple[float, int, int]
    video: tuple[float, int, int]

    def times(self, factor: float) -> "Load":
        """The same pattern, so much more often."""
        audio, video = self.audio, self.video
        return replace(
            self, audio=(audio[0] * factor, *audio[1:]), video=(video[0] * factor, *video[1:])
        )

    @property
    def packets_per_s(self) -> float:
        """Of one participant."""
        return self.audio[0] + self.video[0]


SILENCE = Load((0.0, AUDIO_BYTES, 1), (0.0, VIDEO_BYTES, 1))


def packets(size: int, *, at_once: int = PICTURE) -> Load:
    """Only packets of one size, as often as those of a 720p picture."""
    return Load((0.0, AUDIO_BYTES, 1), (VIDEO_RATE, size, at_once))


def calls() -> Load:
    """Sound and a picture of 1.5 Mb/s, as in a call."""
    return Load((AUDIO_RATE, AUDIO_BYTES, 1), (VIDEO_RATE, VIDEO_BYTES, PICTURE))


@dataclass(frozen=True, slots=True)
class Interval:
    """What happened in one interval.

    Attributes:
        cpu_s: of all threads of the server.
        engines_s: of its media threads.
        delays_s: 50th, 99th and 99.9th percentile of the added delay, as the receivers saw it.
        stolen_s: for which the machine's host had the server's CPU do something else; ``None``
            where that isn't known.
    """

    seconds: float
    sent: int
    forwarded: int
    lost: int
    cpu_s: float
    engines_s: float
    delays_s: tuple[float | None, ...]
    stolen_s: float | None

    @property
    def copies(self) -> float:
        """How often a packet was forwarded: for each who gets it once."""
        return self.forwarded / max(self.sent, 1)

    @property
    def us_per_packet(self) -> float:
        """CPU time of the server for each forwarded packet."""
        return 1e6 * self.cpu_s / max(self.forwarded, 1)

    @property
    def engine_us_per_packet(self) -> float:
        """The media threads' part of it."""
        return 1e6 * self.engines_s / max(self.forwarded, 1)

    @property
    def busy(self) -> float:
        """Cores the server used."""
        return self.cpu_s / self.seconds

    @property
    def packets_per_s(self) -> float:
        """Forwarded."""
        return self.forwarded / self.seconds


@dataclass(frozen=True, slots=True)
class Spread:
    """Several measurements of the same thing."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of at least one value."""
        return cls(statistics.median(values), min(values), max(values))


def rounded(value: float | None) -> float | None:
    """As figures are told in JSON."""
    return None if value is None else round(value, 3)


class Probe:
    """Puts load on the server and measures.

    Args:
        server: under test.
        swarm: sends and receives.
        cpu: that the server runs on; the raw limit is measured there too.
        senders: how many participants send, in the order in which they came.
    """

    QUANTILES = (0.5, 0.99, 0.999)

    def __init__(
        self, server: ServerProcess, swarm: Swarm, cpu: int | None, senders: int = EVERYBODY
    ) -> None:
        self.server = server
        self.swarm = swarm
        self._cpu = cpu
        self._senders = senders

    def set_load(self, load: Load, *, busy: bool = True) -> None:
        """What is sent from now on.

        With ``busy`` the generator's thread never sleeps: waking it up is on nobody's bill.
        """
        self.swarm.load(participants=self._senders, audio=load.audio, video=load.video, busy=busy)

    async def measure(self, load: Load, seconds: float) -> Interval:
        """Sends ``load`` and measures for ``seconds``, after a moment to settle."""
        self.set_load(load)
        await asyncio.sleep(_SETTLE_S)
        return await self.watch(seconds)

    async def ramp(self, load: Load) -> None:
        """Sends ``load`` until nothing is lost, at most for a while.

        Estimates of links grow with what is sent; until they have, packets are dropped for the
        sake of links.
        """
        self.set_load(load)
        for _ in range(_RAMP_STEPS):
            await asyncio.sleep(_RAMP_STEP_S)
            if (await self.watch(_RAMP_STEP_S)).lost == 0:
                return

    async def warm(self, load: Load) -> None:
        """Sends ``load`` until the server takes no more memory for it and forwards no larger part.

        What participants are remembered by fills with their first packets, and what links carry is
        found out once. Neither is part of what a packet costs. At most for a while.
        """
        await self.ramp(load)
        copies = 0.0
        for _ in range(_WARM_STEPS):
            before = self.server.memory_bytes()
            seen = await self.watch(_WARM_STEP_S)
            is_full = self.server.memory_bytes() - before < _STEADY_BYTES
            if is_full and seen.copies < _STEADY_COPIES * copies:
                return
            copies = seen.copies

    async def watch(self, seconds: float) -> Interval:
        """Measures what is under way."""
        stolen_before_s = machine.stolen_s(self._cpu)
        before, used, started_s = self.swarm.report(), self.server.usage(), time.monotonic()
        await asyncio.sleep(seconds)
        after, ended_s = self.swarm.report(self.QUANTILES), time.monotonic()
        cpu = self.server.usage().since(used)
        stolen_s = machine.stolen_s(self._cpu)
        return Interval(
            seconds=ended_s - started_s,
            sent=after.packets_sent - before.packets_sent,
            forwarded=after.packets_received - before.packets_received,
            lost=after.packets_lost - before.packets_lost,
            cpu_s=cpu.total_s,
            engines_s=cpu.engines_s,
            delays_s=tuple(after.delays_s),
            stolen_s=None
            if stolen_s is None or stolen_before_s is None
            else stolen_s - stolen_before_s,
        )

    async def raw_limit_us(self, size: int, count: int) -> float:
        """AES-GCM and one ``sendto`` of the same packet, while nothing else is sent.

        On the server's CPU, to the same receivers.
        """
        self.set_load(SILENCE)
        await asyncio.sleep(_SETTLE_S / 3)
        _, total_s = await asyncio.to_thread(
            self.swarm.raw_limit, packet_bytes=size, packets=count, cpu=self._cpu
        )
        return 1e6 * total_s

    async def find_rate(self, load: Load, busy: float, seconds: float, start: float = 1.0) -> float:
        """The factor at which ``load`` makes the server as busy as asked, about."""
        factor = start
        await self.ramp(load.times(factor))
        for _ in range(5):
            interval = await self.measure(load.times(factor), seconds)
            # What is lost costs nothing, so a server that can't keep up is busier than it looks.
            reached = interval.busy if interval.lost == 0 else max(interval.busy, 1.2 * busy)
            if abs(reached / busy - 1) < 0.15:
                break
            # Fewer wake-ups for each packet: the cost grows slower than the rate.
            factor *= min(max(busy / max(reached, 0.02), 0.3), 4.0)
        return factor

    async def packets_by_engine(self) -> tuple[int, ...]:
        """Forwarded by each engine so far; up to date after :meth:`rest`."""
        engines = (await self.server.ask("counters"))["engines"]
        return tuple(item["packets_out"] for item in engines)

    async def rest(self) -> None:
        """Silence, until the engines' counters are up to date."""
        self.set_load(SILENCE, busy=False)
        await asyncio.sleep(_SNAPSHOT_S)
