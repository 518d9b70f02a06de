"""Straight lines through noisy clocks.

A clock read over a network has a slope (drift), noise that is one-sided where it is delay, and now
and then a step. :func:`follow` fits lines in windows and joins them, so that drift that changes is
followed and a burst of noise has little weight.
"""

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Fit", "Floats", "Piece", "follow", "lower_line", "median_line", "split_at_steps"]

Floats = NDArray[np.float64]
Fit = Callable[[Floats, Floats], tuple[float, float]]
"""``(x, y)`` to slope, and value at the middle of ``x``."""

_MAX_SLOPE = 1e-3
_MAX_POINTS = 64
_WINDOW_US = 120e6
_MIN_SPAN_US = 20e6
_MIN_POINTS = 6


def lower_line(x: Floats, y: Floats) -> tuple[float, float]:
    """The line below all points that is nearest to them: noise only ever adds.

    That is the edge of the lower convex hull over the mean of ``x``.
    """
    hull: list[int] = []
    for index in np.lexsort((y, x)):
        if hull and x[hull[-1]] == x[index]:
            continue
        while len(hull) > 1 and _turns_up(x, y, hull[-2], hull[-1], index):
            hull.pop()
        hull.append(int(index))
    mean = float(x.mean())
    slope, value = 0.0, float(y.min())
    for left, right in itertools.pairwise(hull):
        if x[left] <= mean <= x[right]:
            slope = float((y[right] - y[left]) / (x[right] - x[left]))
            value = float(y[left] + slope * (mean - x[left]))
            break
    return _checked(x, slope, value, float(y.min()))


def _turns_up(x: Floats, y: Floats, a: int, b: int, c: int) -> bool:
    return bool((y[b] - y[a]) * (x[c] - x[a]) >= (y[c] - y[a]) * (x[b] - x[a]))


def median_line(x: Floats, y: Floats) -> tuple[float, float]:
    """The line of median slope between pairs (Theil and Sen): a third may be outliers."""
    if len(x) > _MAX_POINTS:
        chosen = np.linspace(0, len(x) - 1, _MAX_POINTS).astype(np.int64)
        x, y = x[chosen], y[chosen]
    first, second = np.triu_indices(len(x), 1)
    across = x[second] - x[first]
    apart = np.abs(across) > 1e6
    if not apart.any():
        return 0.0, float(np.median(y))
    slope = float(np.median((y[second] - y[first])[apart] / across[apart]))
    value = float(np.median(y - slope * (x - x.mean())))
    return _checked(x, slope, value, float(np.median(y)))


def _checked(x: Floats, slope: float, value: float, flat: float) -> tuple[float, float]:
    """No clock is off by more than 1,000 ppm: such a slope is noise over a short time."""
    if abs(slope) > _MAX_SLOPE:
        return 0.0, flat
    middle = float((x.min() + x.max()) / 2)
    return slope, value + slope * (middle - float(x.mean()))


@dataclass(frozen=True, slots=True)
class Piece:
    """A continuous line of straight parts through knots; it goes on straight at both ends."""

    x: Floats
    y: Floats
    first_slope: float
    last_slope: float

    def at(self, x: float) -> float:
        """The value at ``x``."""
        if x <= self.x[0]:
            return float(self.y[0] + self.first_slope * (x - self.x[0]))
        if x >= self.x[-1]:
            return float(self.y[-1] + self.last_slope * (x - self.x[-1]))
        return float(np.interp(x, self.x, self.y))


def follow(x: Floats, y: Floats, fit: Fit) -> Piece:
    """Fits lines in windows of two minutes and joins their middles.

    Args:
        x: ``(points,)``, µs, at least one, in any order.
        y: ``(points,)``, µs.
        fit: :func:`lower_line` or :func:`median_line`.
    """
    start, end = float(x.min()), float(x.max())
    if end - start < _MIN_SPAN_US or len(x) < _MIN_POINTS:
        flat = float(y.min()) if fit is lower_line else float(np.median(y))
        return Piece(np.array([start]), np.array([flat]), 0.0, 0.0)
    count = max(1, round((end - start) / _WINDOW_US * 2) - 1)
    half = (end - start) / (count + 1)
    knots: list[tuple[float, float, float]] = []
    for index in range(count):
        low = start + index * half
        inside = (x >= low) & (x <= low + 2 * half)
        if inside.sum() < _MIN_POINTS:
            continue
        slope, value = fit(x[inside], y[inside])
        chosen = x[inside]
        knots.append((float((chosen.min() + chosen.max()) / 2), value, slope))
    if not knots:
        slope, value = fit(x, y)
        knots = [((start + end) / 2, value, slope)]
    places, values, slopes = zip(*knots, strict=True)
    return Piece(np.array(places), np.array(values), slopes[0], slopes[-1])


def split_at_steps(y: Floats, *, least: float, around: int = 4) -> list[slice]:
    """Where ``y`` changes its level by ``least`` or more for good, it is cut.

    A value that returns within ``around`` points is no step.
    """
    cuts = [0]
    for index in range(1, len(y)):
        if abs(y[index] - y[index - 1]) < least:
            continue
        before = y[max(cuts[-1], index - around) : index]
        after = y[index : index + around]
        if abs(np.median(after) - np.median(before)) >= least and (
            abs(y[index] - np.median(after)) < least
        ):
            cuts.append(index)
    return [slice(a, b) for a, b in zip(cuts, [*cuts[1:], len(y)], strict=True)]
