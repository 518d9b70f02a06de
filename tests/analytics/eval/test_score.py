"""What was said against what is true: tables of both."""

import pytest

from analytics.detector import Finding, Outcome
from analytics.eval.labels import Clip, ClipEvent, ClipTrack
from analytics.eval.run import Run, Said
from analytics.eval.score import Score, Target, judge, score, upper_rate, wilson

S = 1_000_000


def a_run(events: list[ClipEvent], said: list[tuple[Finding, float]], length_s: int = 100) -> Run:
    clip = Clip(
        name="c",
        duration_us=length_s * S,
        tracks=(ClipTrack(track_id="t1", participant_id="p1", file="a.mkv"),),
        scored=frozenset({"a", "b"}),
        events=tuple(events),
        tags={"codec": "vp8"},
    )
    return Run(clip, [Said("d", finding, round(at * S)) for finding, at in said])


def event(start: float = 10, end: float = 20, **more: object) -> ClipEvent:
    fields = {"kind": "a", "start_us": round(start * S), "end_us": round(end * S)} | more
    return ClipEvent.model_validate(fields)


def finding(start: float, end: float, kind: str = "a", **more: object) -> Finding:
    return Finding(kind, round(start * S), round(end * S), **more)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "found", "late", "false"),
    [
        ([(finding(11, 20), 13)], 1, 0, 0),
        ([(finding(11, 20), 14.5)], 0, 1, 0),
        ([], 0, 0, 0),
        # Said again counts once, and is no false alarm.
        ([(finding(11, 13), 12), (finding(15, 20), 16)], 1, 0, 0),
        ([(finding(40, 50), 45)], 0, 0, 1),
        ([(finding(11, 20), 13), (finding(40, 50), 45)], 1, 0, 1),
        # It may run on for a moment after the event, and begin a moment before.
        ([(finding(9, 23), 11)], 1, 0, 0),
        ([(finding(25, 30), 26)], 0, 0, 1),
        # Not knowing is neither found nor false.
        ([(finding(11, 20, outcome=Outcome.UNKNOWN), 12)], 0, 0, 0),
        ([(finding(50, 60, outcome=Outcome.PASS), 52)], 0, 0, 0),
        ([(finding(11, 20, kind="b"), 12)], 0, 0, 1),
        ([(finding(11, 20, kind="not_scored"), 12)], 0, 0, 0),
        ([(finding(11, 20, track_id="other"), 12)], 0, 0, 1),
    ],
)
def test_alarms_are_told_apart(
    said: list[tuple[Finding, float]], found: int, late: int, false: int
) -> None:
    judged = judge(a_run([event(within_s=4, track_id="t1")], said))
    figures = score([judged])
    assert figures["a"].events == 1
    assert (figures["a"].found, figures["a"].late) == (found, late)
    assert sum(one.false_alarms for one in figures.values()) == false


def test_optional_event_is_no_miss_and_no_false_alarm() -> None:
    quiet = score([judge(a_run([event(optional=True)], []))])["a"]
    assert (quiet.events, quiet.false_alarms) == (0, 0)
    loud = score([judge(a_run([event(optional=True)], [(finding(11, 12), 12)]))])["a"]
    assert (loud.events, loud.false_alarms) == (0, 0)


@pytest.mark.parametrize(
    ("outcomes", "right"),
    [
        ([Outcome.PASS], 1),
        ([Outcome.FAIL], 0),
        ([Outcome.UNKNOWN], 0),
        # The last word counts.
        ([Outcome.FAIL, Outcome.PASS], 1),
        ([Outcome.PASS, Outcome.FAIL], 0),
        ([], 0),
    ],
)
def test_verdicts_have_to_be_the_right_ones(outcomes: list[Outcome], right: int) -> None:
    said = [
        (finding(11, 12 + i, outcome=one, values={"code": "x"}), 13)
        for i, one in enumerate(outcomes)
    ]
    other = (finding(11, 30, outcome=Outcome.PASS, values={"code": "y"}), 13)
    judged = judge(a_run([event(outcome="pass", match={"code": "x"})], [*said, other]))
    assert score([judged])["a"].found == right


def test_time_without_events_is_what_false_alarms_are_counted_in() -> None:
    events = [event(10, 20), event(15, 30), event(50, 60)]
    figures = score([judge(a_run(events, [(finding(80, 81), 81)]))])
    assert figures["a"].free_s == 70
    assert figures["b"].free_s == 100
    assert figures["a"].alarms_per_hour == pytest.approx(3600 / 70)
    assert figures["b"].alarms_per_hour == 0


def test_figures_are_given_for_each_way_of_making() -> None:
    runs = [
        judge(a_run([event(tags={"how": "cut"})], [(finding(11, 20), 12)])),
        judge(a_run([event(tags={"how": "away"})], [])),
    ]
    assert score(runs)["a"].by_tag == {"codec=vp8": (1, 2), "how=cut": (1, 1), "how=away": (0, 1)}


def test_figures_that_arent_there_are_none() -> None:
    empty = Score("a")
    assert (empty.recall, empty.precision, empty.alarms_per_hour) == (None, None, None)
    assert empty.meets(Target(recall=0.9)) is None
    assert Score("a", events=10, found=9).meets(Target(recall=0.9)) is True
    assert Score("a", events=10, found=8).meets(Target(recall=0.9)) is False
    alarms = Score("a", false_alarms=3, free_s=3600)
    assert alarms.meets(Target(alarms_per_hour=1)) is False


def test_intervals_are_the_known_ones() -> None:
    assert wilson(40, 40) == (pytest.approx(0.912, abs=0.001), 1)
    assert wilson(8, 10) == pytest.approx((0.490, 0.943), abs=0.001)
    assert wilson(0, 0) == (0, 1)
    assert upper_rate(0, 3.0) == pytest.approx(1.0, abs=0.01)
    assert upper_rate(5, 1.0) == pytest.approx(10.51, abs=0.02)
    assert upper_rate(0, 0) is None
