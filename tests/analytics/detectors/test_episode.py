"""Hysteresis over time."""

import pytest

from analytics.detectors.episode import Episode, Rule

S = 1_000_000


def states(rule: Rule, pattern: str, step_s: float = 1.0) -> list[tuple[float, bool, float, float]]:
    """When something was said, whether it is open, from when to when; x holds, ? can't be told."""
    episode = Episode(rule)
    said = []
    for index, mark in enumerate(pattern):
        holds = None if mark == "?" else mark == "x"
        at = round(index * step_s * S)
        said += [
            (index * step_s, f.is_open, f.start_us / S, f.end_us / S)
            for f in episode.update(at, holds)
        ]
    return said


RULE = Rule("k", after_s=3, clear_s=2, gap_s=100)


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("..xxx...", []),
        ("..xxxx", [(5, True, 2, 5)]),
        ("..xxxx....", [(5, True, 2, 5), (8, False, 2, 6)]),
        # A gap shorter than clear_s neither ends it nor makes it begin anew.
        ("xx.xx...", [(3, True, 0, 3), (7, False, 0, 5)]),
        ("x..x..x..", []),
        ("xxxx.x.x...", [(3, True, 0, 3), (10, False, 0, 8)]),
        # What can't be told moves nothing.
        ("xx??xx", [(4, True, 0, 4)]),
        ("xxxx.??.", [(3, True, 0, 3), (7, False, 0, 4)]),
        ("????", []),
    ],
)
def test_said_once_it_has_held_and_over_once_it_has_not(
    pattern: str, said: list[tuple[float, bool, float, float]]
) -> None:
    assert states(RULE, pattern) == said


def test_silence_of_the_source_ends_it_where_it_was_last_seen() -> None:
    episode = Episode(Rule("k", 1, 1, gap_s=5))
    episode.update(0, True)
    assert episode.update(2 * S, True)[0].is_open
    ended = episode.update(30 * S, True)
    assert [(f.is_open, f.end_us) for f in ended] == [(False, 2 * S)]
    assert episode.update(31 * S, True)[0].start_us == 30 * S


def test_flush_ends_what_was_said_and_nothing_else() -> None:
    episode = Episode(RULE)
    episode.update(0, True)
    assert episode.flush(S) == []
    for second in range(2, 7):
        episode.update(second * S, True)
    ended = episode.flush(10 * S)
    assert [(f.is_open, f.start_us, f.end_us) for f in ended] == [(False, 2 * S, 6 * S)]
    assert episode.flush(11 * S) == []


def test_values_are_those_of_the_highest_score() -> None:
    episode = Episode(Rule("k", 0, 1))
    episode.update(0, True, score=0.5, values={"n": 1})
    episode.update(S, True, score=0.9, values={"n": 2})
    episode.update(2 * S, True, score=0.6, values={"n": 3})
    ended = episode.flush(3 * S)[0]
    assert (ended.score, ended.values) == (0.9, {"n": 2})
