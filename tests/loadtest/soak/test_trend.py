import random

import pytest

from loadtest.soak.trend import robust_trend


def noisy(per_hour: float, *, count: int = 200, noise: float = 1.0) -> list[tuple[float, float]]:
    rng = random.Random(3)
    return [
        (5.0 * index, 100 + per_hour * 5.0 * index / 3_600 + rng.gauss(0, noise))
        for index in range(count)
    ]


@pytest.mark.parametrize("per_hour", [-40.0, 0.0, 30.0])
def test_slope_is_found_within_its_bounds(per_hour: float) -> None:
    trend = robust_trend(noisy(per_hour))
    assert trend is not None
    assert trend.low <= trend.per_hour <= trend.high
    assert trend.low <= per_hour <= trend.high


def test_outliers_hardly_move_it() -> None:
    points = [
        (at, value + (500 if index % 10 == 0 else 0))
        for index, (at, value) in enumerate(noisy(20.0))
    ]
    trend = robust_trend(points)
    assert trend is not None
    assert trend.per_hour == pytest.approx(20.0, abs=8)


def test_more_points_make_it_surer() -> None:
    few, many = robust_trend(noisy(0.0, count=20)), robust_trend(noisy(0.0, count=300))
    assert few is not None
    assert many is not None
    assert many.high - many.low < 0.2 * (few.high - few.low)


def test_constant_values_have_no_slope() -> None:
    trend = robust_trend([(float(at), 7.0) for at in range(20)])
    assert trend is not None
    assert (trend.per_hour, trend.low, trend.high) == (0, 0, 0)


@pytest.mark.parametrize("points", [[], [(0.0, 1.0)] * 7, [(3.0, 1.0)] * 20])
def test_too_little_says_nothing(points: list[tuple[float, float]]) -> None:
    assert robust_trend(points) is None
