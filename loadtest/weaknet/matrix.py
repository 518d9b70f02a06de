"""The whole matrix of bad networks, and how a measurement compares with an earlier one."""

import fnmatch
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from loadtest.netem.profile import Direction
from loadtest.weaknet.result import KEYS

__all__ = ["TOLERANCES", "Cell", "Tolerance", "cells", "chosen", "markdown", "regressions"]

Ways = Mapping[str, Mapping[str, Any]]
"""One cell's figures by direction, as ``Result.as_json()`` has them."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One field of the matrix."""

    profile: str
    direction: Direction
    least_seconds: float = 0.0
    """What happens in the profile takes so long."""

    @property
    def name(self) -> str:
        """``random70/down``."""
        return f"{self.profile}/{self.direction.value}"


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How much worse a figure may be than before: the larger of an amount and a share."""

    amount: float
    share: float
    less_is_worse: bool = False

    def allows(self, before: float, now: float) -> bool:
        """Whether ``now`` is no regression."""
        worse = before - now if self.less_is_worse else now - before
        return worse <= max(self.amount, self.share * abs(before))


TOLERANCES = {
    "concealed_ratio": Tolerance(0.02, 0.3),
    "interruptions_per_min": Tolerance(4.0, 0.5),
    "video_fps": Tolerance(3.0, 0.3, less_is_worse=True),
    "freeze_ratio": Tolerance(0.15, 0.3),
    "audio_kbps": Tolerance(40.0, 0.3),
    "mouth_to_ear_ms": Tolerance(80.0, 0.25),
    "join_s": Tolerance(3.0, 1.0),
}
"""What two measurements of one version differ by on a machine that does nothing else. The rate of
video is no figure of quality and not compared."""


def cells() -> Iterator[Cell]:
    """All fields, those that tell most first."""
    for percent in (70, 50, 30, 10):
        for kind in ("random", "burst"):
            for direction in (Direction.DOWN, Direction.UP, Direction.BOTH):
                yield Cell(f"{kind}{percent}", direction)
    for name, seconds in (("none", 0.0), ("slow300", 0.0), ("jitter", 0.0), ("outage30", 60.0)):
        yield Cell(name, Direction.BOTH, seconds)


def chosen(patterns: Sequence[str]) -> list[Cell]:
    """Fields whose name or profile matches a pattern (``random*``, ``*/both``); all without one."""
    everything = list(cells())
    if not patterns:
        return everything
    return [
        cell
        for cell in everything
        if any(
            fnmatch.fnmatchcase(name, pattern)
            for pattern in patterns
            for name in (cell.name, cell.profile)
        )
    ]


def regressions(cell: str, before: Ways, now: Ways) -> list[tuple[str, str, str, Any, Any]]:
    """Figures that are worse than before by more than is tolerated.

    What was unknown before may be anything; what is unknown now and was known is a regression.

    Returns:
        Cell, direction, key, value before, value now.
    """
    found = []
    for way in ("down", "up"):
        if not before.get(way, {}).get("impaired"):
            continue
        for key, tolerance in TOLERANCES.items():
            old, new = before[way].get(key), now[way].get(key)
            if old is None:
                continue
            if new is None or not tolerance.allows(old, new):
                found.append((cell, way, key, old, new))
    return found


def markdown(measured: Mapping[str, Ways]) -> str:
    """A table of the impaired directions, in the order of the matrix."""
    head = (
        "profile",
        "bad",
        "measured",
        "runs",
        "audio concealed",
        "interruptions / min",
        "pictures / s",
        "frozen",
        "audio kb/s",
        "video kb/s",
        "mouth to ear",
        "join",
    )
    rows = [head, tuple("---" if i < 3 else "---:" for i in range(len(head)))]
    for cell in cells():
        ways = measured.get(cell.name, {})
        rows += [
            (
                cell.profile,
                cell.direction.value,
                way,
                str(ways[way].get("runs", 1)),
                *_row(ways[way]),
            )
            for way in ("down", "up")
            if ways.get(way, {}).get("impaired")
        ]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def _row(figures: Mapping[str, Any]) -> Iterable[str]:
    for key in KEYS:
        value = figures.get(key)
        if value is None:
            yield "unknown"
        elif key.endswith("_ratio"):
            yield f"{value * 100:.1f} %"
        elif key == "mouth_to_ear_ms":
            yield f"{value:.0f} ms"
        elif key == "join_s":
            yield f"{value:.1f} s"
        else:
            yield f"{value:.0f}" if key.endswith("kbps") else f"{value:.1f}"
