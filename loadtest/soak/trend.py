"""A slope that a few outliers don't move, and how sure it is."""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Trend", "robust_trend"]

_LEAST = 8
"""Points below which nothing is said."""
_MOST = 400
_NORMAL_95 = 1.96


@dataclass(frozen=True, slots=True)
class Trend:
    """Change per hour: the estimate, and the bounds between which it is with 95 %."""

    per_hour: float
    low: float
    high: float


def robust_trend(points: Sequence[tuple[float, float]]) -> Trend | None:
    """Theil and Sen's slope, with Sen's interval.

    The median of the slopes between all pairs; the interval is between those whose ranks are as
    far from the middle as chance would bring them if there were no trend (P. K. Sen 1968, with
    the variance of Kendall's score). Samples of one process follow each other closely, so the real
    interval is wider; that speaks against calling a drift proven, not for calling it absent.

    Args:
        points: ``(seconds, value)``; more than 400 are thinned out evenly.

    Returns:
        ``None`` for fewer than eight points.
    """
    if len(points) > _MOST:
        step = len(points) / _MOST
        points = [points[int(index * step)] for index in range(_MOST)]
    count = len(points)
    if count < _LEAST:
        return None
    slopes = sorted(
        (later[1] - earlier[1]) / (later[0] - earlier[0])
        for index, earlier in enumerate(points)
        for later in points[index + 1 :]
        if later[0] > earlier[0]
    )
    if not slopes:
        return None
    spread = _NORMAL_95 * math.sqrt(count * (count - 1) * (2 * count + 5) / 18)
    low = slopes[max(0, round((len(slopes) - spread) / 2))]
    high = slopes[min(len(slopes) - 1, round((len(slopes) + spread) / 2))]
    return Trend(3_600 * statistics.median(slopes), 3_600 * low, 3_600 * high)
