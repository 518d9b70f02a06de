"""``witness bench forward``: what forwarding costs the whole server."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from sfu._media import FORWARD_DELAY_BOUNDS_S
from witness.bench import machine
from witness.bench.growth import Growth, growth_json, measure_growth
from witness.bench.load import (
    AUDIO_BYTES,
    VIDEO_BYTES,
    Interval,
    Load,
    Probe,
    Spread,
    calls,
    packets,
    rounded,
)
from witness.bench.progress import Progress
from witness.bench.rooms import PARTIES, Rooms
from witness.bench.stage import stage
from witness.i18n import t

__all__ = ["ForwardOptions", "ForwardResult", "measure_forwarding"]

_BUSY = 0.8
"""Share of its core the server uses "at load": what is left keeps queues short."""
_RAW_PACKETS = 40_000
_PROTECTION_BYTES = 16


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
    growth: Growth | None

    @property
    def rooms_per_core(self) -> float:
        """Rooms in call that keep one core busy, engine and everything else."""
        costs = [
            self.rooms * _factor(item, self.rooms) / item.busy
            for item in self.samples.forwarded["calls"]
        ]
        return Spread.of(costs).median

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
            "us_per_packet_1100": rounded(large.median),
            "us_per_packet_120": rounded(small.median),
            "us_per_packet_1100_spaced": rounded(spaced.median),
            "engine_us_per_packet_1100": rounded(samples.engine_us("large")),
            "engine_us_per_packet_120": rounded(samples.engine_us("small")),
            "raw_limit_us_1100": rounded(raw_large.median),
            "raw_limit_us_120": rounded(raw_small.median),
            "ratio_to_limit": rounded(large.median / raw_large.median),
            "ratio_to_limit_120": rounded(small.median / raw_small.median),
            "ratio_to_limit_spaced": rounded(spaced.median / raw_large.median),
            "pps_per_core": round(1e6 / large.median),
            "delay_p50_ms": delays[0],
            "delay_p99_ms": delays[1],
            "delay_p999_ms": delays[2],
            "delay_inside_p50_ms": inside[0],
            "delay_inside_p99_ms": inside[1],
            "delay_inside_p999_ms": inside[2],
            "delay_packets_per_s": round(self.delay.packets_per_s),
            "delay_stolen_ms": _ms(self.delay.stolen_s),
            "rooms_per_core": round(self.rooms_per_core, 1),
            "mib_per_participant": rounded(self.mib_per_participant),
            **growth_json(self.growth),
            "spread": {
                "us_per_packet_1100": [rounded(large.least), rounded(large.most)],
                "us_per_packet_120": [rounded(small.least), rounded(small.most)],
                "us_per_packet_1100_spaced": [rounded(spaced.least), rounded(spaced.most)],
                "raw_limit_us_1100": [rounded(raw_large.least), rounded(raw_large.most)],
                "raw_limit_us_120": [rounded(raw_small.least), rounded(raw_small.most)],
            },
            "rooms": self.rooms,
            "load_packets_per_s": round(at_load.packets_per_s),
            "load_cores": rounded(at_load.busy),
            "lost_packets": sum(
                item.lost for items in samples.forwarded.values() for item in items
            ),
            "server_cpu": self.server_cpu,
            "preferred": self.preferred,
            "scheduling": self.scheduling,
        }


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
    async with stage(progress, cpus) as (probe, rooms, cpu):
        before = probe.server.memory_bytes()
        await rooms.grow(options.rooms)
        samples = await _samples(probe, options, progress)
        memory = (probe.server.memory_bytes() - before) / 2**20 / rooms.participants
        delays = await _delay(probe, rooms, samples, options, progress)
        scheduling = probe.server.scheduling[0]
    growth = None
    if options.growth:
        a_core = 1e6 / samples.us("large").median
        growth = await measure_growth(options.growth, a_core, options.seconds / 2, progress, cpus)
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
    )


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


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1_000 * seconds, 3)
