"""Each model on a picture for which its answers are known: within 2 pixels and 0.02."""

import numpy as np
import pytest

from analytics.detector import VideoFrame
from analytics.errors import ModelError
from analytics.models import ModelFile
from analytics.vision import embedding, face, landmarks, mesh, objects, pose
from analytics.vision.face import Face, FaceModel
from analytics.vision.geometry import Region
from analytics.vision.landmarks import LandmarkModel
from analytics.vision.network import Image
from tests.fakes.pictures import astronaut, models_with


def picture() -> VideoFrame:
    return VideoFrame("t", "p", 0, astronaut())


def the_face(frame: VideoFrame) -> Face:
    (found,) = models_with(face.MODEL).loaded(face.MODEL, FaceModel.load).faces(frame, 0.65)
    return found


def test_face_is_where_it_is() -> None:
    found = the_face(picture())
    region = found.region
    edges = [region.left, region.top, region.right, region.bottom]
    assert edges == pytest.approx([179, 63, 269, 173], abs=2)
    assert found.score == pytest.approx(1.0, abs=0.02)


def test_frames_looked_at_together_give_the_same_as_alone() -> None:
    model = models_with(face.MODEL).loaded(face.MODEL, FaceModel.load)
    alone, other = picture(), VideoFrame("t", "p", 1, np.zeros((90, 160, 3), np.uint8))
    again = picture()
    model.prepare([again, other])
    assert again.shared[face.MODEL,] == model.faces(alone)
    assert other.shared[face.MODEL,] == ()


def test_five_points_are_where_they_are() -> None:
    frame = picture()
    model = models_with(landmarks.MODEL).loaded(landmarks.MODEL, LandmarkModel.load)
    points = landmarks.five_points(model.points(frame, the_face(frame)))
    known = [(204.8, 101.2), (247.5, 103.9), (225.3, 127.6), (203.1, 139.6), (245.5, 142.0)]
    assert points == pytest.approx(np.array(known), abs=2)


def test_open_eyes_are_open() -> None:
    frame = picture()
    models = models_with(landmarks.MODEL, landmarks.EYE_MODEL)
    points = models.loaded(landmarks.MODEL, LandmarkModel.load).points(frame, the_face(frame))
    eyes = models.loaded(landmarks.EYE_MODEL, landmarks.EyeModel.load)
    assert eyes.closed(frame, points) < 0.02


def test_mesh_is_where_it_is() -> None:
    frame = picture()
    model = models_with(mesh.MODEL).loaded(mesh.MODEL, mesh.MeshModel.load)
    found = model.mesh(frame, the_face(frame))
    known = [(194.6, 100.4), (256.4, 103.7), (222.8, 131.6)]
    assert found.points[[33, 263, 1], :2] == pytest.approx(np.array(known), abs=2)
    assert found.presence > 25
    assert mesh.eye_opening(found) == pytest.approx(0.33, abs=0.02)
    assert abs(mesh.turn(found)) < 0.1


def test_gray_picture_has_no_mesh() -> None:
    model = models_with(mesh.MODEL).loaded(mesh.MODEL, mesh.MeshModel.load)
    gray = np.full((512, 512, 3), 128, np.uint8)
    assert model.in_image(gray, Face(Region(150, 150, 250, 250), 1.0)).presence < 0


def test_the_one_thing_in_the_picture_is_a_person() -> None:
    model = models_with(objects.MODEL).loaded(objects.MODEL, objects.ObjectModel.load)
    (found,) = [thing for thing in model.things(picture()) if thing.score >= 0.35]
    region = found.region
    assert found.label == objects.PERSON
    assert found.score == pytest.approx(0.73, abs=0.02)
    edges = [region.left, region.top, region.right, region.bottom]
    assert edges == pytest.approx([15, 14, 364, 508], abs=2)


def test_part_of_a_picture_is_told_in_pixels_of_the_whole() -> None:
    model = models_with(objects.MODEL).loaded(objects.MODEL, objects.ObjectModel.load)
    part = Region(60, 20, 400, 520)
    things = model.things(picture(), part)
    person = max(things, key=lambda thing: thing.score)
    assert person.label == objects.PERSON
    assert 55 <= person.region.left <= 120
    assert person.region.bottom > 450


def test_what_tilts_looks_as_it_does_upright_once_it_is_turned_back() -> None:
    import cv2

    model = models_with(objects.MODEL).loaded(objects.MODEL, objects.ObjectModel.load)
    image = picture().image
    middle = (image.shape[1] / 2, image.shape[0] / 2)
    matrix = cv2.getRotationMatrix2D(middle, -60, 1.0)
    tilted = np.asarray(cv2.warpAffine(image, matrix, image.shape[1::-1]), np.uint8)
    whole = Region(0, 0, image.shape[1], image.shape[0])

    def person(image: Image, degrees: float) -> objects.Thing:
        found = model.in_image(image, whole, degrees)
        return max((t for t in found if t.label == objects.PERSON), key=lambda t: t.score)

    assert person(tilted, 60).score > person(tilted, 0).score + 0.05
    assert person(tilted, 60).score == pytest.approx(person(image, 0).score, abs=0.1)


def test_nose_is_where_it_is() -> None:
    model = models_with(pose.MODEL).loaded(pose.MODEL, pose.PoseModel.load)
    x, y, score = model.joints(picture())[pose.NOSE]
    assert (x, y) == pytest.approx((221, 121), abs=2)
    assert score == pytest.approx(0.57, abs=0.02)


def test_a_face_is_like_itself_in_other_light_and_unlike_its_mirror_of_noise() -> None:
    models = models_with(embedding.MODEL, landmarks.MODEL)
    frame = picture()
    points = models.loaded(landmarks.MODEL, LandmarkModel.load).points(frame, the_face(frame))
    model = models.loaded(embedding.MODEL, embedding.EmbeddingModel.load)
    one = model.embed(frame.image, points)
    dim = model.embed((frame.image * 0.6).astype(np.uint8), points)
    noise = np.random.default_rng(0).integers(0, 256, frame.image.shape, np.uint8)
    assert np.linalg.norm(one) == pytest.approx(1, abs=1e-4)
    assert embedding.likeness(one, dim) > 0.85
    assert embedding.likeness(one, model.embed(noise, points)) < 0.3


def test_another_network_is_refused() -> None:
    file = models_with(landmarks.MODEL).find(landmarks.MODEL)
    for load in (
        FaceModel.load,
        mesh.MeshModel.load,
        objects.ObjectModel.load,
        pose.PoseModel.load,
        embedding.EmbeddingModel.load,
        landmarks.EyeModel.load,
    ):
        with pytest.raises(ModelError, match="fr_landmark"):
            load(ModelFile("fr_landmark", file.path, file.sha256))
