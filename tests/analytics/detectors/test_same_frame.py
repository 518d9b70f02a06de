"""People on one camera, and one picture on two."""

import numpy as np
import pytest

from analytics.detector import Finding, Mark, Outcome, Subject
from analytics.detectors.same_frame import SameFrame, SameFrameConfig, SameFrameWatch
from tests.fakes.faces import a_face, blind, frame, run


def scene(seed: int) -> np.ndarray:
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 16, 3), np.uint8)
    return np.kron(coarse, np.ones((20, 20, 1), np.uint8))


def watch(**settings: object) -> SameFrameWatch:
    detector = SameFrame(SameFrameConfig.model_validate(settings), blind())
    return detector.watch(Subject("s1", roles={"p1": "branch", "p2": "customer"}))


def test_somebody_missing_from_the_picture_is_reported_and_all_there_passes() -> None:
    subject = watch(together={"branch": 2})
    said = run(
        subject,
        30,
        lambda t: frame(t, [a_face(0.3)] if 10 <= t < 20 else [a_face(0.3), a_face(0.7)]),
        rate_hz=1,
    )
    assert [(t, f.kind, f.outcome, f.is_open) for t, f in said] == [
        (2, "together", Outcome.PASS, True),
        (12, "together", Outcome.PASS, False),
        (15, "together_missing", Outcome.WARN, True),
        (21, "together_missing", Outcome.WARN, False),
        (22, "together", Outcome.PASS, True),
    ]


def test_roles_without_a_rule_are_left_alone_and_roles_are_learnt() -> None:
    subject = watch(together={"witness": 2})
    assert run(subject, 20, lambda t: frame(t, [a_face()]), 1) == []
    subject.process(Mark("participant.joined", 21_000_000, "p1", {"role": "witness"}))
    said: list[object] = []
    for second in range(22, 28):
        said += subject.process(frame(second, [a_face()]))
    assert [f.kind for f in said if isinstance(f, Finding)] == ["together_missing"]


def both(subject: SameFrameWatch, seconds: int, other: object, **kwargs: object) -> list[Finding]:
    said = []
    for second in range(seconds):
        said += subject.process(frame(second, [a_face(0.5)], image=scene(1)))
        said += subject.process(
            frame(second + 0.3, image=other, track_id="t2", participant_id="p2", **kwargs)  # type: ignore[arg-type]
        )
    return said


def test_one_picture_on_two_cameras_is_reported() -> None:
    again = (scene(1) * 0.8).astype(np.uint8)
    said = both(watch(), 8, again, faces=[a_face(0.5)])
    assert [(f.kind, f.is_open) for f in said] == [("same_picture", True)]


@pytest.mark.parametrize("other", [scene(2), np.full((180, 320, 3), 90, np.uint8)])
def test_other_or_flat_pictures_are_not_the_same(other: np.ndarray) -> None:
    assert both(watch(), 8, other) == []


def test_two_people_before_one_background_are_not_the_same_picture() -> None:
    assert both(watch(), 8, scene(1), faces=[a_face(0.2)]) == []


def test_two_cameras_of_one_participant_may_show_the_same() -> None:
    subject = watch()
    for second in range(8):
        assert subject.process(frame(second, image=scene(1))) == []
        assert subject.process(frame(second + 0.3, image=scene(1), track_id="t2")) == []
