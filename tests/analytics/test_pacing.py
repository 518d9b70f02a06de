"""Which frames a watch is due: at its rate, of each track, and more of them for a while."""

import pytest

from analytics.detector import Burst, Mark, VideoNeed
from analytics.pacing import Pace, most_hz

BURST = VideoNeed(rate_hz=0.5, burst=Burst("challenge", 5.0, 4.0))


def due(pace: Pace, track_id: str, times_ms: range) -> list[int]:
    return [at for at in times_ms if pace.takes(track_id, at * 1_000)]


@pytest.mark.parametrize(("rate_hz", "count"), [(2.0, 20), (1.0, 10), (0.5, 5), (15.0, 100)])
def test_frames_come_at_the_rate_that_is_needed(rate_hz: float, count: int) -> None:
    assert len(due(Pace(VideoNeed(rate_hz)), "a", range(0, 10_000, 100))) == count


def test_each_track_has_its_own_turn() -> None:
    pace = Pace(VideoNeed(1.0))
    taken = {"a": 0, "b": 0}
    for at in range(0, 10_000, 100):
        taken["a"] += pace.takes("a", at * 1_000)
        taken["b"] += pace.takes("b", (at + 50) * 1_000)
    assert taken == {"a": 10, "b": 10}


def test_more_frames_come_at_once_and_only_for_a_while() -> None:
    pace = Pace(BURST)
    assert due(pace, "a", range(0, 4_000, 100)) == [0, 2_000]
    assert pace.note(Mark("challenge", 4_100_000))
    assert due(pace, "a", range(4_100, 8_100, 100)) == [*range(4_100, 8_100, 200)]
    assert len(due(pace, "a", range(8_200, 16_000, 100))) == 4


def test_the_mark_says_how_long_and_not_for_ever() -> None:
    for told, lasts_s in ((2, 2.0), (2.5, 2.5), (True, 4.0), (-1, 4.0), ("9", 4.0), (1e9, 120.0)):
        pace = Pace(BURST)
        assert pace.note(Mark("challenge", 0, data={"within_s": told}))
        assert pace.rate_hz(round(lasts_s * 1e6)) == 5.0
        assert pace.rate_hz(round(lasts_s * 1e6) + 1) == 0.5


def test_other_marks_change_nothing() -> None:
    pace = Pace(BURST)
    assert not pace.note(Mark("node.started", 0))
    assert not Pace(VideoNeed(2.0)).note(Mark("challenge", 0))
    assert pace.rate_hz(0) == 0.5


def test_most_is_what_a_burst_asks_for() -> None:
    assert most_hz(BURST) == 5.0
    assert most_hz(VideoNeed(8.0)) == 8.0
    assert most_hz(VideoNeed(8.0, burst=Burst("x", 2.0, 1.0))) == 8.0


def test_track_that_is_gone_is_forgotten() -> None:
    pace = Pace(VideoNeed(0.1))
    assert pace.takes("a", 0)
    assert not pace.takes("a", 1_000_000)
    pace.forget("a")
    assert pace.takes("a", 1_000_000)
