"""How well a face can be seen."""

from collections.abc import Callable
from typing import ClassVar

import numpy as np
import pytest

from analytics.detector import Finding, Outcome, Subject, VideoFrame
from analytics.detectors.face_quality import FaceQuality, FaceQualityConfig, FaceQualityWatch
from analytics.vision import mesh as mesh_of
from analytics.vision.face import Face
from analytics.vision.mesh import Mesh, MeshModel
from tests.fakes.faces import a_face, blind, frame, run


class NoNetwork:
    """A mesh that may not be asked: all frames have been looked at."""

    outputs: ClassVar = {"points": (1, 1404), "presence": (1, 1)}


def watch() -> FaceQualityWatch:
    meshes = MeshModel(NoNetwork())  # type: ignore[arg-type]
    return FaceQuality(FaceQualityConfig(), blind(), meshes).watch(Subject("s1", "p1", "t1"))


def seen(at_s: float, face: Face, presence: float = 30.0, light: int = 120) -> VideoFrame:
    item = frame(at_s, [face], light=light)
    item.shared[mesh_of.MODEL, face.region] = Mesh(np.zeros((468, 3), np.float32), presence)
    return item


def kinds(frame_at: Callable[[float], VideoFrame]) -> list[tuple[str, Outcome]]:
    said: list[tuple[float, Finding]] = run(watch(), 30, frame_at, 1)
    return [(f.kind, f.outcome) for _, f in said]


def test_good_face_is_not_talked_about() -> None:
    assert kinds(lambda t: seen(t, a_face(), 30 - 8 * (t % 2))) == []


@pytest.mark.parametrize(
    ("face", "light", "said"),
    [
        (a_face(height=0.1), 120, [("face_too_small", Outcome.WARN)]),
        (a_face(x=0.0), 120, [("face_cut_off", Outcome.WARN)]),
        # Without light nobody knows what covers the face.
        (
            a_face(),
            20,
            [("face_too_dark", Outcome.WARN), ("face_occluded", Outcome.UNKNOWN)],
        ),
    ],
)
def test_bad_face_is_reported(face: Face, light: int, said: list[tuple[str, Outcome]]) -> None:
    assert kinds(lambda t: seen(t, face, light=light)) == said


def test_covering_is_judged_against_the_same_person() -> None:
    covered = kinds(lambda t: seen(t, a_face(), 10 if t >= 15 else 28))
    assert covered == [("face_occluded", Outcome.WARN)]
    # Somebody whose mesh is never certain is not covered for that.
    assert kinds(lambda t: seen(t, a_face(), 11)) == []
    assert kinds(lambda t: seen(t, a_face(), 10 if 15 <= t < 17 else 28)) == []


def test_no_face_ends_it_without_a_word_of_its_own() -> None:
    said = kinds(lambda t: seen(t, a_face(height=0.1)) if t < 10 else frame(t))
    assert said == [("face_too_small", Outcome.WARN)] * 2


def test_covered_face_that_is_found_now_and_then_is_covered() -> None:
    def shown(t: float) -> VideoFrame:
        is_found = t < 15 or int(t) % 3 == 0
        return seen(t, a_face(), 10 if t >= 15 else 28) if is_found else frame(t)

    assert kinds(shown) == [("face_occluded", Outcome.WARN)]


def test_covered_face_that_is_gone_is_over() -> None:
    said = kinds(lambda t: frame(t) if t >= 20 else seen(t, a_face(), 10 if t >= 15 else 28))
    assert said == [("face_occluded", Outcome.WARN)] * 2
