"""Sets of time as sorted ranges ``(from_us, to_us)`` that don't touch."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate

__all__ = ["Range", "common", "joined", "lengths", "without"]

Range = tuple[int, int]


def joined(ranges: Iterable[Range], apart: int = 0) -> list[Range]:
    """In order, without empty ones; those that overlap or are so near to each other made one."""
    merged: list[Range] = []
    for start, end in sorted(one for one in ranges if one[0] < one[1]):
        if merged and start <= merged[-1][1] + apart:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def without(ranges: Iterable[Range], taken: Iterable[Range]) -> list[Range]:
    """What is in the first set and not in the second."""
    left, holes, first = [], joined(taken), 0
    for start, end in joined(ranges):
        while first < len(holes) and holes[first][1] <= start:
            first += 1
        at, index = start, first
        while index < len(holes) and holes[index][0] < end:
            if holes[index][0] > at:
                left.append((at, holes[index][0]))
            at, index = max(at, holes[index][1]), index + 1
        if at < end:
            left.append((at, end))
    return left


def common(ranges: Iterable[Range], other: Iterable[Range]) -> list[Range]:
    """What is in both."""
    whole = joined(ranges)
    return without(whole, without(whole, other))


def lengths(parts: Sequence[Range], of: Sequence[Range]) -> list[int]:
    """How much of each part lies in a set, which is in order."""
    starts, sums = [start for start, _ in of], [0, *accumulate(end - start for start, end in of)]

    def before(at: int) -> int:
        index = bisect_right(starts, at)
        return sums[index] - (max(0, of[index - 1][1] - at) if index else 0)

    return [before(end) - before(start) for start, end in parts]
