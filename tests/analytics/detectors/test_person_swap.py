"""Whether it is still the same person: scripted likeness, no network."""

from collections.abc import Callable

import numpy as np
import pytest
from pydantic import ValidationError

from analytics.detector import Finding, Outcome, Portrait, Subject, VideoFrame
from analytics.detectors.identity import FaceComparer, Sample, Verdict, Votes
from analytics.detectors.person_swap import PersonSwap, PersonSwapConfig, PersonSwapWatch
from analytics.detectors.same_person import SamePerson, SamePersonConfig
from analytics.vision.face import Face
from analytics.vision.network import Array
from tests.fakes.faces import a_face, frame, run


def template(like: float) -> Array:
    """A template of that likeness with the person who is enrolled."""
    return np.array([like, (1 - like * like) ** 0.5], np.float32)


class Scripted(FaceComparer):
    """Faces as the script has them: a likeness at each time, or None for no face."""

    def __init__(self, script: Callable[[VideoFrame], float | None], photo: float | None) -> None:
        self.script = script
        self.photo = photo
        self.samples = 0

    def candidate(
        self, frame: VideoFrame, last: Face | None = None, **limits: float
    ) -> Face | None:
        return None if self.script(frame) is None else a_face()

    def sample(self, frame: VideoFrame, face: Face) -> Sample:
        self.samples += 1
        like = self.script(frame)
        assert like is not None
        return Sample(face, template(like))

    def of_photo(self, image: object) -> Array | None:
        return None if self.photo is None else template(self.photo)


def watch(
    script: Callable[[float], float | None], photo: float | None = None, with_photo: bool = False
) -> tuple[PersonSwapWatch, Scripted]:
    comparer = Scripted(lambda item: script(item.pts_us / 1e6), photo)
    detector = PersonSwap(PersonSwapConfig(), comparer)
    image = np.zeros((8, 8, 3), np.uint8) if with_photo or photo is not None else None
    return detector.watch(Subject("s1", "p1", id_photo=image)), comparer


def said(
    script: Callable[[float], float | None], until_s: float = 60
) -> list[tuple[float, Finding]]:
    return run(watch(script)[0], until_s, frame)


def test_swap_is_found_within_six_seconds_whenever_it_happens() -> None:
    for offset in np.arange(0, 3, 0.25):
        at = 20 + float(offset)
        found = said(lambda t: 1.0 if t < at else 0.1)  # noqa: B023
        assert [(f.kind, f.is_open, f.outcome) for _, f in found] == [
            ("person_swapped", True, Outcome.WARN)
        ]
        assert found[0][0] - at <= 6
        assert found[0][1].start_us / 1e6 - at <= 4


def test_swap_while_nobody_was_there_is_found() -> None:
    found = said(lambda t: 1.0 if t < 20 else None if t < 23 else 0.1)
    assert found[0][0] - 23 <= 4


def test_return_of_the_person_ends_it() -> None:
    found = said(lambda t: 0.1 if 20 <= t < 40 else 1.0)
    assert [f.is_open for _, f in found] == [True, False]
    assert 40 <= found[1][1].end_us / 1e6 <= 46


@pytest.mark.parametrize("bad", [0.1, 0.36])
def test_single_bad_samples_are_no_swap(bad: float) -> None:
    rng = np.random.default_rng(1)
    doubt = {round(float(t), 1) for t in rng.choice(np.arange(10, 300, 0.5), 30, replace=False)}
    assert said(lambda t: bad if round(t, 1) in doubt and (t % 2) < 0.5 else 0.9, 300) == []


UNKNOWN = ("person_swapped", Outcome.UNKNOWN)


def test_likeness_between_the_limits_is_unknown_while_it_stays_there() -> None:
    found = said(lambda t: 0.37 if 20 <= t < 50 else 1.0, 80)
    assert [(f.kind, f.outcome, f.is_open) for _, f in found] == [
        (*UNKNOWN, True), (*UNKNOWN, False)
    ]  # fmt: skip
    assert 35 <= found[0][0] <= 39
    assert 50 <= found[1][1].end_us / 1e6 <= 51


def test_likeness_between_the_limits_from_the_start_on_is_unknown() -> None:
    found = said(lambda t: 1.0 if t < 3.6 else 0.37)
    assert [(f.kind, f.outcome, f.is_open) for _, f in found] == [(*UNKNOWN, True)]


def test_a_start_in_which_no_two_faces_are_alike_is_unknown() -> None:
    found = said(lambda t: 1.0 if int(t) % 2 else 0.1)
    assert [(f.kind, f.outcome, f.is_open) for _, f in found] == [(*UNKNOWN, True)]
    assert found[0][0] == 15


def test_who_comes_late_is_enrolled_without_a_word() -> None:
    assert said(lambda t: None if t < 10 else 1.0) == []


def test_comparing_is_rare_while_nothing_is_doubtful() -> None:
    subject, comparer = watch(lambda t: 1.0)
    run(subject, 120, frame)
    assert comparer.samples <= 120 / 4 + 8


def test_doubt_that_stays_doesnt_cost_every_frame() -> None:
    subject, comparer = watch(lambda t: 1.0 if t < 20 else 0.37)
    run(subject, 140, frame)
    assert comparer.samples <= 140


def test_face_that_cant_be_compared_for_long_is_unknown() -> None:
    found = said(lambda t: 1.0 if t < 20 else None)
    assert [(f.kind, f.outcome, f.is_open) for _, f in found] == [(*UNKNOWN, True)]
    assert found[0][0] == 35


@pytest.mark.parametrize(
    ("photo", "kind", "outcome"),
    [
        (0.6, "id_match", Outcome.PASS),
        (0.37, "id_mismatch", Outcome.UNKNOWN),
        (0.1, "id_mismatch", Outcome.FAIL),
        (None, "id_mismatch", Outcome.UNKNOWN),
    ],
)
def test_photo_of_the_document_is_compared_once(
    photo: float | None, kind: str, outcome: Outcome
) -> None:
    found = run(watch(lambda t: 1.0, photo, with_photo=True)[0], 60, frame)
    assert [(f.kind, f.outcome) for _, f in found] == [(kind, outcome)]


@pytest.mark.parametrize("at_s", [0, 2, 30])
def test_photo_that_comes_during_the_call_is_compared_once(at_s: float) -> None:
    subject, _ = watch(lambda t: 1.0)
    subject._detector.comparer.photo = 0.6  # type: ignore[attr-defined]
    portrait = Portrait("p1", np.zeros((8, 8, 3), np.uint8))
    found = [one for t in np.arange(0, at_s, 0.5) for one in subject.process(frame(float(t)))]
    found += subject.process(portrait)
    assert found == []
    for t in np.arange(at_s, at_s + 20, 0.5):
        found += subject.process(frame(float(t)))
    assert [(f.kind, f.outcome) for f in found] == [("id_match", Outcome.PASS)]


def test_photo_itself_is_not_kept() -> None:
    image = np.zeros((8, 8, 3), np.uint8)
    comparer = Scripted(lambda _: 1.0, 0.6)
    subject = PersonSwap(PersonSwapConfig(), comparer).watch(Subject("s1", "p1", id_photo=image))
    assert subject._subject.id_photo is None


def test_templates_are_in_nothing_that_is_said() -> None:
    for _, finding in said(lambda t: 1.0 if t < 20 else 0.1):
        assert set(finding.values) == {"likeness", "limit"}
        assert all(isinstance(value, float) for value in finding.values.values())


def test_watch_goes_on_after_a_flush_with_whom_it_knows() -> None:
    subject, _ = watch(lambda t: 1.0 if t < 20 else 0.1)
    run(subject, 15, frame)
    assert subject.flush(16_000_000) == []
    found = [f for t in range(100, 106) for f in subject.process(frame(t))]
    assert [f.kind for f in found] == ["person_swapped"]
    assert [f.is_open for f in subject.flush(200_000_000)] == [False]


def test_limits_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ValidationError, match="other_below"):
        PersonSwapConfig(same_above=0.3, other_below=0.4)


def test_votes_need_several_that_agree() -> None:
    votes = Votes(0.4, 0.3, 3)
    assert [votes.take(like, at) for at, like in enumerate([0.9, 0.1, 0.9, 0.9])] == [
        Verdict.OPEN,
        Verdict.OPEN,
        Verdict.OPEN,
        Verdict.SAME,
    ]
    assert [votes.take(0.1, at) for at in (10, 11, 12)][-1] is Verdict.OTHER
    assert votes.since_us == 10


def test_one_person_on_two_cameras_is_reported() -> None:
    def feed(other: float) -> list[Finding]:
        comparer = Scripted(lambda f: 1.0 if f.participant_id == "p1" else other, None)
        subject = SamePerson(SamePersonConfig(), comparer).watch(Subject("s1"))
        found: list[Finding] = []
        for second in range(0, 80, 2):
            found += subject.process(frame(second))
            found += subject.process(frame(second + 1, track_id="t2", participant_id="p2"))
        return found + subject.flush(80_000_000)

    assert feed(0.2) == []
    assert [(f.kind, f.is_open) for f in feed(0.8)] == [
        ("same_person", True),
        ("same_person", False),
    ]
