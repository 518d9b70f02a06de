"""``witness bench forward``: what forwarding costs the whole server."""

import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from sfu._media import FORWARD_DELAY_BOUNDS_S
from witness.bench import machine
from witness.bench.load import (
    AUDIO_BYTES,
    SILENCE,
    VIDEO_BYTES,
    Interval,
    Load,
    Probe,
    Spread,
    calls,
    packets,
)
from witness.bench.process import server_process
from witness.bench.progress import Progress
from witness.bench.rooms import PARTIES, Rooms, swarm_of
from witness.config import MediaConfig
from witness.i18n import t

__all__ = ["ForwardOptions", "ForwardResult", "GrowthPoint", "measure_forwarding"]

_BUSY = 0.8
"""Share of its core the server uses "at load": what is left keeps queues short."""
_RAW_PACKETS = 40_000
_PROTECTION_BYTES = 16
_GROWTH_ROUNDS = 3
_GROWTH_RATE = 250_000.0
"""Forwarded packets a second at every point of the growth curve, at most."""
_GROWTH_BUSY = 0.5
"""At most so much of what a core forwards: with many rooms it is slower."""
_KEPT_UP = 0.9
"""Share of the packets offered that a point has to forward to be one."""


@dataclass(frozen=True, slots=True)
class ForwardOptions:
    """Command line of ``witness bench forward``."""

    rooms: int = 100
    growth: tuple[int, ...] = (1, 3, 10, 30, 100, 300)
    rounds: int = 5
    seconds: float = 2.0
    """Of one measurement."""
    delay_seconds: float = 8.0

    @classmethod
    def quick(cls) -> "ForwardOptions":
        """All but the growth curve, in under 45 s."""
        return cls(rooms=60, growth=(), rounds=3, seconds=1.0, delay_seconds=2.5)


@dataclass(frozen=True, slots=True)
class GrowthPoint:
    """Cost with so many rooms.

    Attributes:
        us_constant: per packet, at the same number of packets a second for every point; ``None``
            where the core can't keep up, as in the others.
        us_engine: the media thread's part of it; the rest is signaling, statistics and events.
        us_calls: per packet, when every participant sends what it sends in a call.
        busy_calls: cores used then.
    """

    rooms: int
    us_constant: float | None
    us_engine: float | None
    us_calls: float | None
    busy_calls: float | None


@dataclass(slots=True)
class _Samples:
    """Measurements, one of each kind a round."""

    raw: dict[int, list[float]] = field(default_factory=dict)
    forwarded: dict[str, list[Interval]] = field(default_factory=dict)

    def us(self, name: str) -> Spread:
        return Spread.of([interval.us_per_packet for interval in self.forwarded[name]])

    def engine_us(self, name: str) -> float:
        return Spread.of([item.engine_us_per_packet for item in self.forwarded[name]]).median

    def raw_us(self, size: int) -> Spread:
        return Spread.of(self.raw[size])


@dataclass(frozen=True, slots=True)
class _Delays:
    seen: Interval
    inside_s: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class ForwardResult:
    """Everything measured; ``json`` names it as the manual does."""

    rooms: int
    preferred: bool
    server_cpu: int | None
    samples: _Samples
    scheduling: str | None
    """Of the media thread."""
    delay: Interval
    delay_inside_s: tuple[float | None, ...]
    """The engine's own 50th, 99th and 99.9th percentile: upper bounds of its buckets."""
    mib_per_participant: float
    growth: tuple[GrowthPoint, ...]
    growth_rate: float | None
    """Forwarded packets a second at its points."""

    @property
    def rooms_per_core(self) -> float:
        """Rooms in call that keep one core busy, engine and everything else."""
        costs = [
            self.rooms * _factor(item, self.rooms) / item.busy
            for item in self.samples.forwarded["calls"]
        ]
        return Spread.of(costs).median

    @property
    def growth_300_over_10(self) -> float | None:
        """Cost of a packet with 300 rooms, in terms of that with 10."""
        return _ratio({point.rooms: point.us_constant for point in self.growth})

    @property
    def engine_growth_300_over_10(self) -> float | None:
        """The same of the media thread alone."""
        return _ratio({point.rooms: point.us_engine for point in self.growth})

    def json(self) -> dict[str, Any]:
        """Documented in ``docs/performance.md``."""
        samples = self.samples
        large, small = samples.us("large"), samples.us("small")
        raw_large, raw_small = samples.raw_us(VIDEO_BYTES), samples.raw_us(AUDIO_BYTES)
        spaced = samples.us("spaced")
        at_load = samples.forwarded["large"][-1]
        delays = [_ms(delay) for delay in self.delay.delays_s]
        inside = [_ms(delay) for delay in self.delay_inside_s]
        return {
            "us_per_packet_1100": _round(large.median),
            "us_per_packet_120": _round(small.median),
            "us_per_packet_1100_spaced": _round(spaced.median),
            "engine_us_per_packet_1100": _round(samples.engine_us("large")),
            "engine_us_per_packet_120": _round(samples.engine_us("small")),
            "raw_limit_us_1100": _round(raw_large.median),
            "raw_limit_us_120": _round(raw_small.median),
            "ratio_to_limit": _round(large.median / raw_large.median),
            "ratio_to_limit_120": _round(small.median / raw_small.median),
            "ratio_to_limit_spaced": _round(spaced.median / raw_large.median),
            "pps_per_core": round(1e6 / large.median),
            "delay_p50_ms": delays[0],
            "delay_p99_ms": delays[1],
            "delay_p999_ms": delays[2],
            "delay_inside_p50_ms": inside[0],
            "delay_inside_p99_ms": inside[1],
            "delay_inside_p999_ms": inside[2],
            "delay_packets_per_s": round(self.delay.packets_per_s),
            "rooms_per_core": round(self.rooms_per_core, 1),
            "mib_per_participant": _round(self.mib_per_participant),
            "growth_300_over_10": _round(self.growth_300_over_10),
            "engine_growth_300_over_10": _round(self.engine_growth_300_over_10),
            "growth_packets_per_s": _round(self.growth_rate),
            "growth": [
                {
                    "rooms": point.rooms,
                    "us_constant_rate": _round(point.us_constant),
                    "engine_us_constant_rate": _round(point.us_engine),
                    "us_calls": _round(point.us_calls),
                    "cores_calls": _round(point.busy_calls),
                }
                for point in self.growth
            ],
            "spread": {
                "us_per_packet_1100": [_round(large.least), _round(large.most)],
                "us_per_packet_120": [_round(small.least), _round(small.most)],
                "us_per_packet_1100_spaced": [_round(spaced.least), _round(spaced.most)],
                "raw_limit_us_1100": [_round(raw_large.least), _round(raw_large.most)],
                "raw_limit_us_120": [_round(raw_small.least), _round(raw_small.most)],
            },
            "rooms": self.rooms,
            "load_packets_per_s": round(at_load.packets_per_s),
            "load_cores": _round(at_load.busy),
            "lost_packets": sum(
                item.lost for items in samples.forwarded.values() for item in items
            ),
            "server_cpu": self.server_cpu,
            "preferred": self.preferred,
            "scheduling": self.scheduling,
        }


def _ratio(by_rooms: dict[int, float | None]) -> float | None:
    few, many = by_rooms.get(10), by_rooms.get(300)
    return None if few is None or many is None else many / few


def _bps(rooms: int, rate: float) -> float:
    """What each participant receives of so many packets a second."""
    return 8 * (VIDEO_BYTES + _PROTECTION_BYTES) * rate / (rooms * len(PARTIES))


def _factor(interval: Interval, rooms: int) -> float:
    """How much more often than in a call packets were sent in an interval."""
    return interval.sent / interval.seconds / (calls().packets_per_s * len(PARTIES) * rooms)


async def measure_forwarding(options: ForwardOptions, progress: Progress) -> ForwardResult:
    """Runs the whole measurement.

    Raises:
        BenchError: the server or the load generator did not do its part.
    """
    preferred = machine.prefer()
    # Each stage binds this process to the CPU of its swarm.
    cpus = machine.cpus()
    async with _stage(progress, cpus) as (probe, rooms, cpu):
        before = probe.server.memory_bytes()
        await rooms.grow(options.rooms)
        samples = await _samples(probe, options, progress)
        memory = (probe.server.memory_bytes() - before) / 2**20 / rooms.participants
        delays = await _delay(probe, rooms, samples, options, progress)
        scheduling = probe.server.scheduling[0]
    rate = min(_GROWTH_RATE, _GROWTH_BUSY * 1e6 / samples.us("large").median)
    growth = await _growth(options, rate, progress, cpus)
    return ForwardResult(
        rooms=options.rooms,
        preferred=preferred,
        server_cpu=cpu,
        samples=samples,
        scheduling=scheduling,
        delay=delays.seen,
        delay_inside_s=delays.inside_s,
        mib_per_participant=memory,
        growth=growth,
        growth_rate=rate if growth else None,
    )


async def _growth(
    options: ForwardOptions, rate: float, progress: Progress, cpus: Sequence[int]
) -> tuple[GrowthPoint, ...]:
    """The growth curve, on servers of its own: with few rooms each participant gets far more than
    in a call, and a participant is remembered by as many packets as it got.
    """
    points: list[GrowthPoint] = []
    for wide in (True, False):
        counts = [count for count in options.growth if wide == _is_wide(count, rate)]
        if not counts:
            continue
        async with _stage(progress, cpus, wide_links=wide) as (probe, rooms, _):
            points += [
                await _growth_point(probe, rooms, count, rate, options, progress)
                for count in counts
            ]
    return tuple(points)


def _is_wide(rooms: int, rate: float) -> bool:
    """Whether a point of the curve needs more than links are believed to take by default."""
    return _bps(rooms, rate) > MediaConfig().max_bitrate_bps


@contextlib.asynccontextmanager
async def _stage(
    progress: Progress, cpus: Sequence[int], *, wide_links: bool = False
) -> AsyncIterator[tuple[Probe, Rooms, int | None]]:
    """A server on one CPU and a swarm on another, if there are two."""
    server_cpu, swarm_cpu = (cpus[0], cpus[1]) if len(cpus) > 1 else (None, None)
    async with contextlib.AsyncExitStack() as stack:
        pinned = [] if server_cpu is None else [server_cpu]
        server = await stack.enter_async_context(
            server_process(cpus=pinned, engines=1, settings={"wide_links": wide_links})
        )
        swarm = await stack.enter_async_context(swarm_of(cpu=swarm_cpu))
        # Signaling of the participants too keeps away from the server's CPU.
        machine.bind(swarm_cpu)
        rooms = await stack.enter_async_context(Rooms(server, swarm, progress.rooms))
        yield Probe(server, swarm, server_cpu), rooms, server_cpu


async def _samples(probe: Probe, options: ForwardOptions, progress: Progress) -> _Samples:
    """Rounds of all measurements at load, the raw limit before each of its kind."""
    progress.say(
        t("looking for the load that keeps the server at {share} % of a core").format(
            share=round(100 * _BUSY)
        )
    )
    wanted: dict[str, tuple[Load, int | None]] = {
        "large": (packets(VIDEO_BYTES), VIDEO_BYTES),
        "small": (packets(AUDIO_BYTES), AUDIO_BYTES),
        "spaced": (packets(VIDEO_BYTES, at_once=1), None),
        "calls": (calls(), None),
    }
    seconds = options.seconds
    rates: dict[str, float] = {}
    for name, (load, _) in wanted.items():
        start = next(iter(rates.values()), 1.0)
        rates[name] = await probe.find_rate(load, _BUSY, min(seconds, 0.5), start)
    samples = _Samples()
    for number in range(options.rounds):
        progress.say(t("round {number} of {count}").format(number=number + 1, count=options.rounds))
        for name, (load, size) in wanted.items():
            if size is not None:
                raw = await probe.raw_limit_us(size, _RAW_PACKETS)
                samples.raw.setdefault(size, []).append(raw)
            interval = await probe.measure(load.times(rates[name]), seconds)
            samples.forwarded.setdefault(name, []).append(interval)
    return samples


async def _delay(
    probe: Probe,
    rooms: Rooms,
    samples: _Samples,
    options: ForwardOptions,
    progress: Progress,
) -> _Delays:
    """Delays at half of what one core can forward, by the cost just measured."""
    progress.say(t("delay at half load"))
    half = 0.5 * 1e6 / samples.us("calls").median
    offered = calls().packets_per_s * rooms.participants * (len(PARTIES) - 1)
    load = calls().times(half / offered)
    await probe.rest()
    before = await _delay_buckets(probe)
    seen = await probe.measure(load, options.delay_seconds)
    await probe.rest()
    after = await _delay_buckets(probe)
    counts = [new - old for new, old in zip(after, before, strict=True)]
    inside = tuple(_bucket_quantile(counts, share) for share in Probe.QUANTILES)
    return _Delays(seen, inside)


async def _delay_buckets(probe: Probe) -> list[int]:
    engines = (await probe.server.ask("counters"))["engines"]
    return [
        sum(column) for column in zip(*(item["delay_buckets"] for item in engines), strict=True)
    ]


def _bucket_quantile(counts: Sequence[int], share: float) -> float | None:
    """Upper bound of the bucket that holds a share; ``None`` beyond the last bound."""
    wanted, seen = share * sum(counts), 0
    for count, bound in zip(counts, FORWARD_DELAY_BOUNDS_S, strict=False):
        seen += count
        if seen >= wanted:
            return bound
    return None


async def _growth_point(
    probe: Probe,
    rooms: Rooms,
    count: int,
    rate: float,
    options: ForwardOptions,
    progress: Progress,
) -> GrowthPoint:
    # Who joins under load belongs to `witness bench isolation`.
    probe.set_load(SILENCE, busy=False)
    await rooms.grow(count)
    progress.say(t("cost with {count} rooms").format(count=count))
    load = packets(VIDEO_BYTES)
    load = load.times(rate / (load.packets_per_s * rooms.participants * (len(PARTIES) - 1)))
    half_s = options.seconds / 2
    await probe.warm(load)
    constant = [await probe.measure(load, half_s) for _ in range(_GROWTH_ROUNDS)]
    is_carried = all(interval.packets_per_s > _KEPT_UP * rate for interval in constant)
    # Last: a core that can't keep up is busy with what it lost for a while.
    in_calls = []
    for _ in range(_GROWTH_ROUNDS):
        in_calls.append(await probe.measure(calls(), half_s))
        if in_calls[-1].lost > 0:
            break
    is_kept_up = all(interval.lost == 0 for interval in in_calls)
    return GrowthPoint(
        rooms=count,
        us_constant=_median(item.us_per_packet for item in constant) if is_carried else None,
        us_engine=_median(item.engine_us_per_packet for item in constant) if is_carried else None,
        us_calls=_median(item.us_per_packet for item in in_calls) if is_kept_up else None,
        busy_calls=_median(item.busy for item in in_calls) if is_kept_up else None,
    )


def _median(values: Iterable[float]) -> float:
    return Spread.of(list(values)).median


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 3)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1_000 * seconds, 3)
