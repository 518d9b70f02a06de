"""What the ratio of 300 rooms to ten is taken from."""

from dataclasses import replace

import pytest

from witness.bench.growth import Growth, GrowthPair, growth_json
from witness.bench.load import Interval

RATE = 100_000.0


def interval(us: float, *, lost: int = 0, share: float = 1.0) -> Interval:
    """A second in which packets cost so much, a tenth of it beside the media thread."""
    count = int(share * RATE)
    return Interval(
        seconds=1.0,
        sent=count // 2,
        forwarded=count,
        lost=lost,
        cpu_s=us * count / 1e6,
        engines_s=0.9 * us * count / 1e6,
        delays_s=(),
        stolen_s=None,
    )


def pair(few: float, many: float) -> GrowthPair:
    return GrowthPair(interval(few), interval(many))


def test_ratios_are_taken_pair_by_pair() -> None:
    # All became twice as dear half-way: medians of either side would say 2.4 / 1.0.
    pairs = (pair(1.0, 1.2), pair(1.0, 1.1), pair(2.0, 2.4), pair(2.0, 2.6), pair(1.0, 1.2))
    data = growth_json(Growth(RATE, (), pairs, 0))
    assert data["growth_300_over_10"] == pytest.approx(1.2)
    assert data["engine_growth_300_over_10"] == pytest.approx(1.2)
    assert data["growth_quartiles"] == [1.2, 1.2]
    assert (data["growth_pairs"], data["growth_packets_per_s"]) == (5, RATE)


@pytest.mark.parametrize(
    ("many", "keeps_up"),
    [
        (interval(1.2), True),
        (interval(1.2, lost=1), False),
        (interval(1.2, share=0.89), False),
    ],
)
def test_a_pair_counts_if_both_kept_up(many: Interval, *, keeps_up: bool) -> None:
    assert GrowthPair(interval(1.0), many).keeps_up(RATE) is keeps_up
    assert GrowthPair(many, interval(1.0)).keeps_up(RATE) is keeps_up


def test_where_most_pairs_are_left_out_there_is_no_ratio() -> None:
    growth = Growth(RATE, (), (pair(1.0, 1.1), pair(1.0, 1.2)), 1)
    assert growth.ratio is not None
    for left_out in (2, 13):
        data = growth_json(replace(growth, pairs_left_out=left_out))
        assert data["growth_300_over_10"] is None
        assert data["growth_quartiles"] is None
        assert data["growth_pairs_left_out"] == left_out


def test_a_quick_measurement_has_the_keys_too() -> None:
    data = growth_json(None)
    assert data.keys() == growth_json(Growth(RATE, (), (pair(1.0, 1.1),), 0)).keys()
    assert data["growth"] == []
