"""Who is there."""

from collections.abc import Sequence

import numpy as np
import pytest

from analytics.detector import Outcome, Subject, VideoFrame
from analytics.detectors.face_presence import FacePresence, FacePresenceConfig, FacePresenceWatch
from analytics.vision import mesh
from analytics.vision.face import Face
from analytics.vision.mesh import Mesh, MeshModel
from tests.analytics.detectors.test_face_quality import NoNetwork
from tests.fakes.faces import a_face, blind, frame, run


def watch(role: str = "customer", **settings: object) -> FacePresenceWatch:
    meshes = MeshModel(NoNetwork())  # type: ignore[arg-type]
    detector = FacePresence(FacePresenceConfig.model_validate(settings), blind(), meshes)
    return detector.watch(Subject("s1", "p1", "t1", role))


def several(at_s: float, faces: Sequence[Face], presence: float = 30.0) -> VideoFrame:
    """Faces of which the mesh is so certain."""
    item = frame(at_s, faces)
    for face in faces:
        item.shared[mesh.MODEL, face.region] = Mesh(np.zeros((468, 3), np.float32), presence)
    return item


def test_absence_of_three_seconds_is_said_within_four() -> None:
    for offset in (0.0, 0.1, 0.26, 0.49):
        gone, back = 5.0 + offset, 10.0 + offset
        said = run(watch(), 20, lambda t: frame(t, [] if gone <= t < back else [a_face()]))  # noqa: B023
        (at, first), (_, last) = said
        assert (first.kind, first.is_open, first.outcome) == ("face_absent", True, Outcome.WARN)
        assert at - gone <= 4
        assert not last.is_open
        assert last.start_us == first.start_us
        assert abs(last.end_us / 1e6 - back) <= 0.5


def test_short_absence_is_not_worth_a_word() -> None:
    assert run(watch(), 20, lambda t: frame(t, [] if 5 <= t < 7.5 else [a_face()])) == []


def test_a_blink_of_the_detector_doesnt_end_an_absence() -> None:
    said = run(watch(), 12, lambda t: frame(t, [a_face()] if t in {0, 6.0} else []))
    assert [f.is_open for _, f in said] == [True]


def test_dark_picture_is_unknown_and_no_absence() -> None:
    said = run(watch(), 8, lambda t: frame(t, [], light=3))
    assert [f.outcome for _, f in said] == [Outcome.UNKNOWN]


@pytest.mark.parametrize(
    ("score", "height", "counts"), [(0.95, 0.4, True), (0.6, 0.4, False), (0.95, 0.03, False)]
)
def test_doubtful_or_tiny_faces_dont_count(score: float, height: float, counts: bool) -> None:
    second = a_face(0.8, height, score)
    said = run(watch(), 8, lambda t: several(t, [a_face(0.3), second]))
    assert [f.kind for _, f in said] == (["extra_person"] if counts else [])


def test_what_only_looks_like_a_further_face_is_none() -> None:
    faces = [a_face(0.3), a_face(0.7, 0.1)]
    assert run(watch(), 8, lambda t: several(t, faces, presence=-6)) == []
    said = run(watch(), 8, lambda t: several(t, faces, presence=4))
    assert [f.kind for _, f in said] == ["extra_person"]


def test_role_decides_how_many_may_be_there() -> None:
    def two(t: float) -> object:
        return several(t, [a_face(0.3), a_face(0.7)])

    assert run(watch("branch", max_faces={"branch": 2}), 8, two) == []  # type: ignore[arg-type]
    at, finding = run(watch("customer", max_faces={"branch": 2}), 8, two)[0]  # type: ignore[arg-type]
    assert at == 2
    assert finding.values == {"count": 2, "allowed": 1}
    assert finding.frames[0].box is not None


def test_flush_ends_and_watch_goes_on_anew() -> None:
    subject = watch()
    assert len(run(subject, 5, frame)) == 1
    assert [f.is_open for f in subject.flush(6_000_000)] == [False]
    assert subject.process(frame(100, [])) == []
