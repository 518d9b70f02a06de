"""Light, movement and likeness of pictures."""

import numpy as np
import pytest

from analytics.detector import VideoFrame
from analytics.vision.picture import brightness, changes, fingerprint, likeness, thumbnail


def picture(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (9, 16, 3), np.uint8)
    return np.kron(coarse, np.ones((20, 20, 1), np.uint8))


def frame(image: np.ndarray) -> VideoFrame:
    return VideoFrame("t", "p", 0, image)


def test_caption_on_a_black_picture_doesnt_count_as_light() -> None:
    image = np.zeros((100, 100), np.uint8)
    image[:1, :90] = 255
    assert brightness(image) == (0, 0)
    assert brightness(np.zeros((1, 1), np.uint8)) == (0, 0)


def test_change_shows_in_the_block_where_it_is() -> None:
    before = np.zeros((96, 160), np.uint8)
    after = before.copy()
    after[0:6, 0:10] = 32
    found = changes(before, after)
    assert found.shape == (16, 16)
    assert found[0, 0] == 32
    assert found.sum() == 32


def test_fingerprint_knows_a_picture_again_in_other_light_and_size() -> None:
    image = picture(1)
    small = frame(image[::2, ::2])
    dim = frame((image * 0.7 + 10).astype(np.uint8))
    assert likeness(fingerprint(frame(image)), fingerprint(small)) > 0.95
    assert likeness(fingerprint(frame(image)), fingerprint(dim)) > 0.95
    others = [
        likeness(fingerprint(frame(image)), fingerprint(frame(picture(s)))) for s in range(2, 22)
    ]
    assert max(others) < 0.75


@pytest.mark.parametrize("shape", [(1, 1), (2, 500), (360, 640)])
def test_any_picture_has_a_thumbnail(shape: tuple[int, int]) -> None:
    assert thumbnail(frame(np.zeros((*shape, 3), np.uint8))).shape == (96, 160)


def test_light_is_that_of_the_middle_of_all_values() -> None:
    image = np.random.default_rng(3).integers(0, 256, (37, 53)).astype(np.uint8)
    values = np.sort(image.ravel())
    cut = len(values) // 100
    middle = values[cut : len(values) - cut]
    assert brightness(image) == pytest.approx((middle.mean(), middle.std()))
