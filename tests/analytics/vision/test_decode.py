"""What networks answer is read as it is meant, without the networks."""

from pathlib import Path

import numpy as np
import pytest

from analytics.detector import VideoFrame
from analytics.errors import ModelError
from analytics.models import ModelFile
from analytics.vision import face, landmarks, mesh, objects
from analytics.vision.geometry import Region
from analytics.vision.network import Network, open_network, remembered


class _Shape:
    def __init__(self, name: str, shape: list[object]) -> None:
        self.name = name
        self.shape = shape


class FakeSession:
    """Adds one to its input; notes how many items it was given each time."""

    def __init__(self, first: object) -> None:
        self.first = first
        self.given: list[int] = []

    def get_inputs(self) -> list[_Shape]:
        return [_Shape("x", [self.first, 2])]

    def get_outputs(self) -> list[_Shape]:
        return [_Shape("y", [self.first, 2])]

    def run(self, names: list[str], values: dict[str, np.ndarray]) -> list[np.ndarray]:
        self.given.append(len(values["x"]))
        return [values["x"] + 1 for _ in names]


@pytest.mark.parametrize(("first", "calls"), [(1, [1, 1, 1]), ("N", [3]), (None, [3])])
def test_batch_is_split_only_where_the_network_cant_take_it(
    first: object, calls: list[int]
) -> None:
    session = FakeSession(first)
    batch = np.arange(6, dtype=np.float32).reshape(3, 2)
    assert (Network(session)(batch, ["y"])[0] == batch + 1).all()
    assert session.given == calls


def test_what_is_no_network_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "bad.onnx"
    path.write_bytes(b"\x08\x01 no network")
    with pytest.raises(ModelError, match="fr_detect"):
        open_network(ModelFile("fr_detect", path, ""), (3, 240, 320), {})


def test_a_frame_is_looked_at_once() -> None:
    frame = VideoFrame("t", "p", 0, np.zeros((4, 4, 3), np.uint8))
    calls: list[int] = []
    for _ in range(3):
        remembered(frame, ("a",), lambda: calls.append(1))
    assert calls == [1]


def test_faces_are_scaled_to_the_picture_and_the_doubtful_left_out() -> None:
    scores = np.zeros((4420, 2), np.float32)
    boxes = np.zeros((4420, 4), np.float32)
    scores[[3, 4, 5], 1] = [0.7, 0.9, 0.4]
    boxes[3] = [0.25, 0.5, 0.5, 1.0]
    boxes[4] = [0.26, 0.5, 0.5, 1.0]
    found = face.decode(scores, boxes, (320, 180))
    assert len(found) == 1
    assert found[0].score == pytest.approx(0.9)
    assert found[0].region.left == pytest.approx(83.2)
    assert found[0].region.bottom == pytest.approx(180)


def test_box_of_a_cell_is_the_expectation_of_its_bins() -> None:
    distribution = np.full((169, 4, 11), -50, np.float32)
    distribution[:, 0, 2] = distribution[:, 1, 3] = distribution[:, 2, 4] = 0
    distribution[:, 3, 4] = distribution[:, 3, 5] = 0
    boxes = objects.boxes_of_cells(distribution.reshape(169, 44), 32)
    # The first cell has its middle at 16, 16.
    assert boxes[0] == pytest.approx([16 - 64, 16 - 96, 16 + 128, 16 + 144], abs=1e-2)
    assert boxes[14] - boxes[0] == pytest.approx([32, 32, 32, 32], abs=1e-2)


def test_suppression_is_within_a_class() -> None:
    scores = np.zeros((3, 80), np.float32)
    scores[0, objects.PHONE] = 0.6
    scores[1, objects.PHONE] = 0.5
    scores[2, objects.PERSON] = 0.9
    boxes = np.tile(np.array([0, 0, 10, 10], np.float32), (3, 1))
    found = objects.decode(scores, boxes)
    assert [(label, round(score, 1)) for label, _, score in found] == [
        (objects.PERSON, 0.9),
        (objects.PHONE, 0.6),
    ]


def test_turn_of_a_head_is_where_the_nose_is_between_the_eyes() -> None:
    points = np.zeros((68, 2), np.float32)
    points[36:42] = [10, 10]
    points[42:48] = [30, 10]
    points[30] = [20, 20]
    assert landmarks.turn(points) == pytest.approx(0)
    points[30] = [25, 20]
    assert landmarks.turn(points) == pytest.approx(0.5)
    assert landmarks.turn(np.zeros((68, 2), np.float32)) == 0


def test_eyes_of_no_size_have_a_region_all_the_same() -> None:
    for region in landmarks.eye_regions(np.zeros((68, 2), np.float32)):
        assert region.width >= 2


def test_points_that_coincide_align_to_a_picture() -> None:
    points = np.zeros((5, 2), np.float32)
    assert landmarks.align(np.zeros((20, 20, 3), np.uint8), points).shape == (112, 112, 3)


def test_openings_are_height_over_width() -> None:
    points = np.zeros((468, 3), np.float32)
    points[[33, 362]] = [0, 0, 0]
    points[[133, 263]] = [10, 0, 0]
    for low, high in ((160, 144), (158, 153), (385, 380), (387, 373)):
        points[low, 1], points[high, 1] = -1.5, 1.5
    found = mesh.Mesh(points, 30.0)
    assert mesh.eye_opening(found) == pytest.approx(0.3)
    assert mesh.mouth_opening(found) == 0


def test_largest_face_is_whoever_sits_there() -> None:
    near, far = face.Face(Region(0, 0, 9, 9), 0.6), face.Face(Region(0, 0, 3, 3), 0.9)
    assert face.largest([far, near]) is near
    assert face.largest([]) is None
