"""Sets of time as sorted lists of half-open ranges ``(from_us, to_us)`` that don't touch."""

from collections.abc import Iterable

__all__ = ["Range", "intersect", "joined", "length", "normalised", "subtract", "union"]

Range = tuple[int, int]


def normalised(ranges: Iterable[Range]) -> list[Range]:
    """Sorted, without empty ranges, those that touch or overlap made one."""
    return joined(ranges, 0)


def joined(ranges: Iterable[Range], apart: int) -> list[Range]:
    """Like :func:`normalised`; those that are at most so far apart are made one, too."""
    merged: list[Range] = []
    for start, end in sorted(item for item in ranges if item[0] < item[1]):
        if merged and start <= merged[-1][1] + apart:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged


def union(*sets: Iterable[Range]) -> list[Range]:
    """What is in any of the sets."""
    return normalised(item for ranges in sets for item in ranges)


def subtract(ranges: Iterable[Range], taken: Iterable[Range]) -> list[Range]:
    """What is in the first set and not in the second."""
    left: list[Range] = []
    holes = normalised(taken)
    first = 0
    for start, end in normalised(ranges):
        at = start
        while first < len(holes) and holes[first][1] <= at:
            first += 1
        index = first
        while index < len(holes) and holes[index][0] < end:
            if holes[index][0] > at:
                left.append((at, holes[index][0]))
            at = max(at, holes[index][1])
            index += 1
        if at < end:
            left.append((at, end))
    return left


def intersect(ranges: Iterable[Range], other: Iterable[Range]) -> list[Range]:
    """What is in both sets."""
    whole = normalised(ranges)
    return subtract(whole, subtract(whole, other))


def length(ranges: Iterable[Range]) -> int:
    """µs in all of a set."""
    return sum(end - start for start, end in normalised(ranges))
