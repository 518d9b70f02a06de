import numpy as np
import pytest

from analytics.speech.cutter import Cut, Cutter, Cutting
from analytics.speech.vad import WINDOW, WINDOW_US

CUTTING = Cutting(
    pre_roll_ms=96,
    hang_over_ms=192,
    least_ms=64,
    most_ms=1_024,
    look_back_ms=320,
    partial_ms=320,
)


def cuts_of(pattern: str, *, end: bool = False) -> list[Cut]:
    """``#`` is a voiced window, ``+`` one that is voiced only inside, ``.`` a silent one."""
    cutter = Cutter(CUTTING)
    found: list[Cut] = []
    for index, sign in enumerate(pattern):
        probability = {"#": 0.9, "+": 0.4, ".": 0.05}[sign]
        samples = np.full(WINDOW, index, np.float32)
        found += cutter.take(index * WINDOW_US, samples, probability)
    return found + cutter.end() if end else found


def windows(cut: Cut) -> tuple[int, int]:
    """First and last window that the samples hold."""
    return int(cut.samples[0]), int(cut.samples[-1])


def test_pause_of_the_hang_over_ends_an_utterance() -> None:
    (cut,) = cuts_of(".....####......")
    assert cut.is_final
    assert (cut.start_us, cut.end_us) == (5 * WINDOW_US, 9 * WINDOW_US)
    assert windows(cut) == (2, 14), "three windows of pre-roll, six of hang-over"
    assert cut.voiced == (False,) * 3 + (True,) * 4 + (False,) * 6


def test_shorter_pause_does_not_end_it() -> None:
    (cut,) = cuts_of("##.....##......")
    assert (cut.start_us, cut.end_us) == (0, 9 * WINDOW_US)


def test_weak_voice_goes_on_but_does_not_begin() -> None:
    assert cuts_of("++++++......") == []
    (cut,) = cuts_of("##+++......")
    assert cut.end_us == 5 * WINDOW_US


def test_click_is_no_utterance() -> None:
    assert cuts_of("...#...........") == []


def test_what_follows_a_click_has_its_pre_roll() -> None:
    (cut,) = cuts_of("...#......####......")
    assert windows(cut) == (7, 19)


def test_partial_cuts_grow_and_keep_their_start() -> None:
    cuts = cuts_of("#" * 25 + "......")
    assert [cut.is_final for cut in cuts] == [False, False, True]
    assert {cut.start_us for cut in cuts} == {0}
    assert [windows(cut)[1] for cut in cuts] == [10, 20, 30]


def test_no_partial_cut_while_a_pause_lasts() -> None:
    cuts = cuts_of("#########..##......")
    assert [cut.is_final for cut in cuts] == [True]


@pytest.mark.parametrize(
    ("pattern", "ends"),
    [
        ("#" * 27 + "+" + "#" * 6, 27),
        ("#" * 40, 31),
    ],
)
def test_too_long_is_cut_at_its_quietest_place(pattern: str, ends: int) -> None:
    first, second = [cut for cut in cuts_of(pattern, end=True) if cut.is_final]
    assert first.end_us == ends * WINDOW_US
    assert windows(first)[1] + 1 == windows(second)[0], "nothing is lost in between"
    assert first.end_us <= second.start_us
    assert second.end_us == len(pattern) * WINDOW_US


def test_end_gives_what_was_begun() -> None:
    (cut,) = cuts_of("..####", end=True)
    assert cut.is_final
    assert (cut.start_us, cut.end_us) == (2 * WINDOW_US, 6 * WINDOW_US)


def test_settled_is_where_the_open_utterance_begins() -> None:
    cutter = Cutter(CUTTING)
    assert cutter.settled_us is None
    silence, voice = np.zeros(WINDOW, np.float32), np.ones(WINDOW, np.float32)
    cutter.take(0, silence, 0.0)
    assert cutter.settled_us == WINDOW_US
    cutter.take(WINDOW_US, voice, 0.9)
    cutter.take(2 * WINDOW_US, voice, 0.9)
    assert cutter.is_speaking
    assert cutter.settled_us == WINDOW_US
