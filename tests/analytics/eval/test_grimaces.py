"""Faces of photos that are moved: what moves, and where to."""

import numpy as np
import pytest
from numpy.typing import NDArray

from analytics.errors import EvalError
from analytics.eval.grimaces import blinking, mouth_open, turned
from analytics.eval.material import Sprite, with_points
from analytics.vision import landmarks, mesh
from analytics.vision.face import Face
from analytics.vision.geometry import Region
from analytics.vision.landmarks import EyeModel
from analytics.vision.mesh import Mesh, MeshModel
from tests.fakes.pictures import everybody, models_with

SIDE = 200


def a_sprite() -> Sprite:
    """A gray head whose nose is a light spot, nearest of all."""
    image = np.full((SIDE, SIDE, 3), 90, np.uint8)
    image[95:105, 95:105] = 250
    points = np.zeros((468, 3), np.float32)
    rng = np.random.default_rng(1)
    points[:, :2] = rng.uniform(60, 140, (468, 2))
    away = np.hypot(points[:, 0] - 100, points[:, 1] - 100)
    points[:, 2] = away - 40
    region = Region(60, 50, 140, 150)
    return Sprite(image, np.full((SIDE, SIDE), 255, np.uint8), region, points)


def middle_of_light(image: NDArray[np.uint8]) -> float:
    light = image[:, :, 0].astype(float) - 90
    return float((light.clip(20) - 20).sum(axis=0) @ np.arange(SIDE)) / float(
        (light.clip(20) - 20).sum()
    )


def test_what_is_near_moves_to_where_the_head_turns() -> None:
    sprite = a_sprite()
    straight = middle_of_light(sprite.image)
    assert middle_of_light(turned(sprite, 30).image) > straight + 8
    assert middle_of_light(turned(sprite, -30).image) < straight - 8
    assert np.array_equal(turned(sprite, 30).image[:, :10], sprite.image[:, :10]), "outside it"
    assert np.abs(turned(sprite, 0).image.astype(int) - sprite.image).max() <= 1


@pytest.mark.parametrize("move", [blinking, mouth_open, lambda sprite: turned(sprite, 20)])
def test_a_picture_without_points_cant_be_moved(move: object) -> None:
    sprite = a_sprite()
    bare = Sprite(sprite.image, sprite.alpha, sprite.face)
    with pytest.raises(EvalError, match="no points"):
        move(bare)  # type: ignore[operator]


def measured(model: MeshModel, sprite: Sprite) -> Mesh:
    return model.in_image(sprite.image, Face(sprite.face, 1.0))


def test_models_see_what_was_meant() -> None:
    models = models_with(mesh.MODEL, landmarks.MODEL, landmarks.EYE_MODEL)
    model = models.loaded(mesh.MODEL, MeshModel.load)
    person = with_points(everybody()[:1], model)[0]
    sprite = person.sprites[0]
    straight = measured(model, sprite)
    for degrees in (45, -45):
        found = mesh.turn(measured(model, turned(sprite, degrees))) - mesh.turn(straight)
        assert np.degrees(found) * np.sign(degrees) > 12, degrees
    opened = mesh.mouth_opening(measured(model, mouth_open(sprite, 0.7)))
    assert opened > mesh.mouth_opening(straight) + 0.1
    eyes = models.loaded(landmarks.EYE_MODEL, EyeModel.load)
    points = models.loaded(landmarks.MODEL, landmarks.LandmarkModel.load)
    face = Face(sprite.face, 1.0)
    for made, is_closed in ((sprite, False), (blinking(sprite), True)):
        from analytics.detector import VideoFrame

        frame = VideoFrame("t", "p", 0, made.image)
        assert (eyes.closed(frame, points.in_image(made.image, face)) > 0.8) == is_closed
