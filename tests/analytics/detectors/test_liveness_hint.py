"""Challenges: what was seen, what was missed, what nobody knows."""

from typing import Any

import numpy as np
import pytest

from analytics.detector import Finding, Mark, Outcome, Subject, VideoFrame
from analytics.detectors.liveness_hint import LivenessHint, LivenessHintConfig, LivenessHintWatch
from analytics.vision import landmarks
from analytics.vision import mesh as mesh_of
from analytics.vision.landmarks import EyeModel, LandmarkModel
from analytics.vision.mesh import Mesh, MeshModel
from tests.analytics.detectors.test_face_quality import NoNetwork
from tests.fakes.faces import a_face, blind, frame

S = 1_000_000


def a_mesh(eyes: float = 0.3, turned: float = 0.0, mouth: float = 0.1) -> Mesh:
    points = np.zeros((468, 3), np.float32)
    points[33] = [0, 0, -10 * np.tan(np.radians(turned))]
    points[133] = [8, 0, 0]
    points[362] = [12, 0, 0]
    points[263] = [20, 0, 10 * np.tan(np.radians(turned))]
    for low, high in ((160, 144), (158, 153), (385, 380), (387, 373)):
        points[low, 1], points[high, 1] = -4 * eyes, 4 * eyes
    points[78], points[308] = [0, 20, 0], [10, 20, 0]
    points[13, 1], points[14, 1] = 20 - 5 * mouth, 20 + 5 * mouth
    return Mesh(points, 30.0)


def seen(at_s: float, mesh: Mesh, closed: float = 0.0) -> VideoFrame:
    face = a_face()
    item = frame(at_s, [face])
    item.shared[mesh_of.MODEL, face.region] = mesh
    item.shared[landmarks.MODEL, face.region] = np.zeros((68, 2), np.float32)
    item.shared[landmarks.EYE_MODEL,] = closed
    return item


def watch() -> LivenessHintWatch:
    nothing: Any = NoNetwork()
    models = MeshModel(nothing), LandmarkModel(nothing), EyeModel(nothing)
    return LivenessHint(LivenessHintConfig(), blind(), *models).watch(Subject("s1", "p1"))


def challenge(subject: LivenessHintWatch, ask: object, movement: Mesh | None) -> list[Finding]:
    said: list[Finding] = []
    for tick in range(100):
        at = tick / 5
        if tick == 50:
            said += subject.process(Mark("challenge", 10 * S, "p1", {"ask": ask, "within_s": 5}))
        moves = 12 <= at < 12.6
        if movement is None and at >= 10:
            said += subject.process(frame(at))
        else:
            said += subject.process(seen(at, movement if moves and movement else a_mesh()))
    return said


@pytest.mark.parametrize(
    ("ask", "movement"),
    [
        ("blink", a_mesh(eyes=0.1)),
        ("turn", a_mesh(turned=30)),
        ("turn", a_mesh(turned=-30)),
        ("turn_left", a_mesh(turned=30)),
        ("turn_right", a_mesh(turned=-30)),
        ("open_mouth", a_mesh(mouth=0.6)),
    ],
)
def test_movement_that_was_asked_for_is_seen_and_proves_nothing(ask: str, movement: Mesh) -> None:
    (said,) = challenge(watch(), ask, movement)
    assert (said.kind, said.outcome) == ("challenge_seen", Outcome.UNKNOWN)
    assert said.values == {"ask": ask, "after": 2.0}


@pytest.mark.parametrize(
    ("ask", "movement"),
    [
        ("blink", a_mesh()),
        ("blink", a_mesh(turned=30)),
        ("turn_left", a_mesh(turned=-30)),
        ("turn", a_mesh(turned=8)),
        ("open_mouth", a_mesh(eyes=0.1)),
    ],
)
def test_another_movement_is_not_what_was_asked_for(ask: str, movement: Mesh) -> None:
    (said,) = challenge(watch(), ask, movement)
    assert (said.kind, said.outcome) == ("challenge_missed", Outcome.WARN)
    assert said.end_us == 15 * S


def test_without_a_face_nobody_knows() -> None:
    (said,) = challenge(watch(), "blink", None)
    assert (said.kind, said.outcome) == ("challenge_missed", Outcome.UNKNOWN)


@pytest.mark.parametrize("ask", [None, 3, "dance", ["blink"], {}])
def test_challenges_that_arent_any_are_left_alone(ask: object) -> None:
    assert challenge(watch(), ask, a_mesh(eyes=0.1)) == []


@pytest.mark.parametrize("within", [0, -1, "5", True, None, 1e9])
def test_time_to_answer_is_bounded(within: object) -> None:
    subject = watch()
    subject.process(Mark("challenge", 0, "p1", {"ask": "blink", "within_s": within}))
    (said,) = subject.process(Mark("tick", 121 * S))
    assert said.end_us in {8 * S, 120 * S}


def test_challenges_of_others_and_too_many_are_left_alone() -> None:
    subject = watch()
    subject.process(Mark("challenge", 0, "p2", {"ask": "blink"}))
    assert subject.flush(S) == []
    for _ in range(20):
        subject.process(Mark("challenge", 0, "", {"ask": "blink"}))
    assert [f.outcome for f in subject.flush(S)] == [Outcome.UNKNOWN] * 4


@pytest.mark.parametrize(("usual", "then", "kind"), [
    (0.0, 0.95, "challenge_seen"),
    (0.0, 0.6, "challenge_missed"),
    (0.9, 0.95, "challenge_missed"),
])  # fmt: skip
def test_closed_eyes_are_a_blink_of_whoever_has_them_open(
    usual: float, then: float, kind: str
) -> None:
    subject = watch()
    said: list[Finding] = []
    for tick in range(100):
        at = tick / 5
        if tick == 50:
            said += subject.process(Mark("challenge", 10 * S, "p1", {"ask": "blink"}))
        said += subject.process(seen(at, a_mesh(), then if 12 <= at < 12.6 else usual))
    assert [finding.kind for finding in said] == [kind]
