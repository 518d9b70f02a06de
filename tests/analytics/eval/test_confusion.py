"""What is at the ear against what was said: one row for each truth."""

from pathlib import Path

import pytest

from analytics.detector import Finding, Outcome
from analytics.eval.confusion import confusion
from analytics.eval.labels import Clip, ClipEvent, ClipTrack
from analytics.eval.report import as_json, as_page
from analytics.eval.run import Run, Said
from analytics.eval.score import Judged, judge, score

S = 1_000_000


def a_clip(truth: str | None, *said: str, story: str = "", **more: object) -> Judged:
    """Something from 10 to 20 s of 30 s; what is said, is said of 12 to 18 s."""
    events = [] if truth is None else [ClipEvent(kind=truth, start_us=10 * S, end_us=20 * S)]
    fields = {
        "name": "c",
        "duration_us": 30 * S,
        "tracks": (ClipTrack(track_id="t1", participant_id="p1", file="a.mkv"),),
        "scored": frozenset({"phone_at_ear", "hand_at_ear"}),
        "events": tuple(events),
        "tags": {"story": story} if story else {},
    } | more
    found = [Said("d", Finding(kind, 12 * S, 18 * S), 13 * S) for kind in said]
    return judge(Run(Clip.model_validate(fields), found))


@pytest.mark.parametrize(
    ("truth", "said", "expected"),
    [
        ("phone_at_ear", ["phone_at_ear"], "phone_at_ear"),
        ("phone_at_ear", ["hand_at_ear", "phone_at_ear"], "phone_at_ear"),
        ("phone_at_ear", ["hand_at_ear"], "hand_at_ear"),
        ("phone_at_ear", [], "nothing"),
        ("hand_at_ear", ["phone_at_ear", "hand_at_ear"], "phone_at_ear"),
        ("hand_at_ear", ["hand_at_ear"], "hand_at_ear"),
        ("hand_at_ear", ["face_absent"], "nothing"),
        (None, ["phone_at_ear"], "phone_at_ear"),
        (None, [], "nothing"),
    ],
)
def test_a_phone_that_was_said_counts_before_a_hand(
    truth: str | None, said: list[str], expected: str
) -> None:
    (row,) = confusion([a_clip(truth, *said)])
    assert row.truth == (truth or "neither")
    assert [kind for kind, count in row.said.items() if count] == [expected]


def test_what_is_said_at_another_time_or_not_known_is_nothing() -> None:
    early = a_clip("hand_at_ear")
    early.run.said.append(Said("d", Finding("phone_at_ear", 1 * S, 4 * S), 2 * S))
    unknown = a_clip("hand_at_ear")
    finding = Finding("phone_at_ear", 12 * S, 18 * S, Outcome.UNKNOWN)
    unknown.run.said.append(Said("d", finding, 13 * S))
    (row,) = confusion([early, unknown])
    assert row.said == {"phone_at_ear": 0, "hand_at_ear": 0, "nothing": 2}


def test_clips_of_neither_are_told_by_story_and_unlabelled_ones_left_out() -> None:
    rows = confusion(
        [
            a_clip(None, "hand_at_ear", story="cheek"),
            a_clip(None, story="cup"),
            a_clip("phone_at_ear", story="phone"),
            a_clip(None, scored=frozenset({"phone_at_ear"})),
        ]
    )
    assert [(row.truth, row.story, row.clips) for row in rows] == [
        ("phone_at_ear", "", 1),
        ("neither", "", 2),
        ("neither", "cheek", 1),
        ("neither", "cup", 1),
    ]


def test_report_has_the_table_with_intervals() -> None:
    clips = [a_clip("hand_at_ear", "hand_at_ear") for _ in range(10)]
    (row,) = as_json(clips, score(clips))["at_ear"]
    assert (row["truth"], row["clips"]) == ("hand_at_ear", 10)
    assert row["said"]["hand_at_ear"] == {"clips": 10, "interval": [0.722, 1.0]}
    assert row["said"]["phone_at_ear"] == {"clips": 0, "interval": [0.0, 0.278]}
    page = as_page([(Path(), one) for one in clips], score(clips))
    assert "<td>10</td><td>0 (0–28 %)</td><td>10 (72–100 %)</td>" in page
