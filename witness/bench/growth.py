"""How the cost of a packet grows with the number of rooms."""

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from witness.bench.load import (
    SILENCE,
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
from witness.config import MediaConfig
from witness.i18n import t

__all__ = ["Growth", "GrowthPair", "GrowthPoint", "growth_json", "measure_growth"]

_ROUNDS = 3
_RATE = 250_000.0
"""Forwarded packets a second at every point of the curve, at most."""
_BUSY = 0.5
"""At most so much of what a core forwards: with many rooms it is slower."""
_KEPT_UP = 0.9
"""Share of the packets offered that a point has to forward to be one."""
_PROTECTION_BYTES = 16
_FEW, _MANY = 10, 300
_PAIRS = 15
_PAIR_S = 0.8
"""Of each measurement of a pair."""
_REST_S = 0.15


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


@dataclass(frozen=True, slots=True)
class GrowthPair:
    """Cost with 10 and with 300 rooms, measured one right after the other.

    Attributes:
        few: with 10 rooms.
        many: with 300.
    """

    few: Interval
    many: Interval

    @property
    def ratio(self) -> float:
        """Of the whole server."""
        return self.many.us_per_packet / self.few.us_per_packet

    @property
    def engine_ratio(self) -> float:
        """Of the media thread alone."""
        return self.many.engine_us_per_packet / self.few.engine_us_per_packet

    def keeps_up(self, rate: float) -> bool:
        """Whether both servers forwarded what was offered."""
        return all(
            one.lost == 0 and one.packets_per_s > _KEPT_UP * rate for one in (self.few, self.many)
        )


@dataclass(frozen=True, slots=True)
class Growth:
    """The curve, and what 300 rooms cost over ten.

    Attributes:
        rate: forwarded packets a second at all points.
        points: one for each number of rooms.
        pairs: those in which both servers kept up.
        pairs_left_out: the others; where they are the most, there is no ratio.
    """

    rate: float
    points: tuple[GrowthPoint, ...]
    pairs: tuple[GrowthPair, ...]
    pairs_left_out: int

    @property
    def ratio(self) -> Spread | None:
        """Cost of a packet with 300 rooms in terms of that with 10: median and quartiles."""
        return self._spread([pair.ratio for pair in self.pairs])

    @property
    def engine_ratio(self) -> Spread | None:
        """The same of the media thread alone."""
        return self._spread([pair.engine_ratio for pair in self.pairs])

    def _spread(self, ratios: Sequence[float]) -> Spread | None:
        if len(ratios) <= self.pairs_left_out:
            return None
        ordered = sorted(ratios)
        quarter = len(ordered) // 4
        return Spread.of(ordered[quarter : len(ordered) - quarter])


def growth_json(growth: Growth | None) -> dict[str, Any]:
    """Documented in ``docs/performance.md``."""
    whole = growth.ratio if growth else None
    engine = growth.engine_ratio if growth else None
    return {
        "growth_300_over_10": rounded(whole.median if whole else None),
        "growth_quartiles": [rounded(whole.least), rounded(whole.most)] if whole else None,
        "engine_growth_300_over_10": rounded(engine.median if engine else None),
        "growth_pairs": len(growth.pairs) if growth else 0,
        "growth_pairs_left_out": growth.pairs_left_out if growth else 0,
        "growth_packets_per_s": rounded(growth.rate if growth else None),
        "growth": [
            {
                "rooms": point.rooms,
                "us_constant_rate": rounded(point.us_constant),
                "engine_us_constant_rate": rounded(point.us_engine),
                "us_calls": rounded(point.us_calls),
                "cores_calls": rounded(point.busy_calls),
            }
            for point in (growth.points if growth else ())
        ],
    }


async def measure_growth(
    counts: Sequence[int],
    a_core: float,
    seconds: float,
    progress: Progress,
    cpus: Sequence[int],
) -> Growth:
    """The growth curve, on servers of its own: with few rooms each participant gets far more than
    in a call, and a participant is remembered by as many packets as it got.

    Args:
        counts: numbers of rooms.
        a_core: packets a second one core forwards.
        seconds: of one measurement of the curve.
        progress: is told what is done.
        cpus: those of the machine.

    Raises:
        BenchError: a server or the load generator did not do its part.
    """
    rate = min(_RATE, _BUSY * a_core)
    points: list[GrowthPoint] = []
    for wide in (True, False):
        row = [count for count in counts if wide == _is_wide(count, rate)]
        if not row:
            continue
        async with stage(progress, cpus, wide_links=wide) as (probe, rooms, _):
            points += [await _point(probe, rooms, count, rate, seconds, progress) for count in row]
    pairs = await _pairs(rate, progress, cpus) if {_FEW, _MANY} <= set(counts) else []
    kept = tuple(pair for pair in pairs if pair.keeps_up(rate))
    return Growth(rate, tuple(points), kept, len(pairs) - len(kept))


async def _point(
    probe: Probe, rooms: Rooms, count: int, rate: float, seconds: float, progress: Progress
) -> GrowthPoint:
    # Who joins under load belongs to `witness bench isolation`.
    probe.set_load(SILENCE, busy=False)
    await rooms.grow(count)
    progress.say(t("cost with {count} rooms").format(count=count))
    load = _load(rooms, rate)
    await probe.warm(load)
    constant = [await probe.measure(load, seconds) for _ in range(_ROUNDS)]
    is_carried = all(interval.packets_per_s > _KEPT_UP * rate for interval in constant)
    # Last: a core that can't keep up is busy with what it lost for a while.
    in_calls = []
    for _ in range(_ROUNDS):
        in_calls.append(await probe.measure(calls(), seconds))
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


async def _pairs(rate: float, progress: Progress, cpus: Sequence[int]) -> list[GrowthPair]:
    """Ten and 300 rooms in turn, each on a server that stands by while the other works.

    The points of the curve lie a minute apart, in which the machine's other tenants change what a
    packet costs by more than the rooms do.
    """
    async with (
        stage(progress, cpus, wide_links=_is_wide(_FEW, rate)) as (few, few_rooms, _),
        stage(progress, cpus, wide_links=_is_wide(_MANY, rate)) as (many, many_rooms, _),
    ):
        sides: list[tuple[Probe, Load]] = []
        for probe, rooms, count in ((few, few_rooms, _FEW), (many, many_rooms, _MANY)):
            await rooms.grow(count)
            sides.append((probe, _load(rooms, rate)))
            await probe.warm(sides[-1][1])
            await _fall_silent(probe)
        progress.say(t("cost with 10 and with 300 rooms in turn"))
        pairs = []
        for _ in range(_PAIRS):
            seen = []
            for probe, load in sides:
                seen.append(await probe.measure(load, _PAIR_S))
                await _fall_silent(probe)
            pairs.append(GrowthPair(*seen))
        return pairs


async def _fall_silent(probe: Probe) -> None:
    probe.set_load(SILENCE, busy=False)
    await asyncio.sleep(_REST_S)


def _load(rooms: Rooms, rate: float) -> Load:
    """What makes so many forwarded packets a second."""
    load = packets(VIDEO_BYTES)
    return load.times(rate / (load.packets_per_s * rooms.participants * (len(PARTIES) - 1)))


def _is_wide(rooms: int, rate: float) -> bool:
    """Whether a point of the curve needs more than links are believed to take by default."""
    bps = 8 * (VIDEO_BYTES + _PROTECTION_BYTES) * rate / (rooms * len(PARTIES))
    return bps > MediaConfig().max_bitrate_bps


def _median(values: Iterable[float]) -> float:
    return Spread.of(list(values)).median
