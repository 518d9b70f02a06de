"""A camera that looks at drawn people: movement, light and noise, seeded."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from analytics.eval.material import Sprite
from analytics.vision.network import Array, Image

__all__ = ["HEIGHT", "WIDTH", "Camera", "Placed", "Shot", "Wander"]

WIDTH, HEIGHT = 640, 360
_NOISES: Final = 6
_SHIFT: Final = 64


@dataclass(frozen=True, slots=True)
class Placed:
    """A person in the picture; lengths as shares of its width and height.

    Attributes:
        x, y: middle of the face.
        height: of the face.
    """

    sprite: Sprite
    x: float = 0.5
    y: float = 0.42
    height: float = 0.36


@dataclass(frozen=True, slots=True)
class Shot:
    """What the camera sees at one time.

    Attributes:
        light: 1 is the usual one, 0 is black.
        frozen: it gives the frame of before again.
    """

    people: Sequence[Placed]
    light: float = 1.0
    frozen: bool = False


class Wander:
    """Slow movement to and fro, never more than 1: sines of several periods, and jitter."""

    def __init__(self, rng: np.random.Generator, slowest_s: float = 17.0) -> None:
        self._periods = slowest_s / np.array([1.0, 2.3, 5.1, 11.7]) * rng.uniform(0.8, 1.2, 4)
        self._phases = rng.uniform(0, 2 * np.pi, 4)
        self._weights = np.array([0.5, 0.3, 0.13, 0.07])

    def __call__(self, at_s: float) -> float:
        """Where it is."""
        waves = np.sin(2 * np.pi * at_s / self._periods + self._phases)
        return float((waves * self._weights).sum())


class Camera:
    """Makes frames of shots.

    Args:
        seed: of background, movement and noise.
        liveliness: 1 is somebody who talks; 0 sits still, and only the noise is left.
    """

    def __init__(self, seed: int, liveliness: float = 1.0) -> None:
        rng = np.random.default_rng(seed)
        self._background = _background(rng)
        self._moves = [[Wander(rng) for _ in range(5)] for _ in range(3)]
        self._light = Wander(rng, 40.0)
        self._liveliness = liveliness
        sigma = rng.uniform(1.2, 3.5)
        shape = (_NOISES, HEIGHT + _SHIFT, WIDTH + _SHIFT, 3)
        noise = rng.standard_normal(shape, np.float32) * np.float32(sigma)
        self._noise = noise.round().astype(np.int16)
        self._rolls = np.random.default_rng(seed + 1)
        self._before: Image | None = None

    def frame(self, shot: Shot, at_s: float) -> Image:
        """``(360, 640, 3)``, RGB."""
        import cv2

        if shot.frozen and self._before is not None:
            return self._before
        image = self._background
        for index, placed in enumerate(shot.people):
            image = self._drawn(image, placed, self._moves[index % 3], at_s)
        light = shot.light * (1 + 0.07 * self._light(at_s))
        which, down, right = (int(n) for n in self._rolls.integers(0, [_NOISES, _SHIFT, _SHIFT]))
        noise = self._noise[which, down : down + HEIGHT, right : right + WIDTH]
        # Noise of the sensor stays when the light goes.
        lit = cv2.convertScaleAbs(image, alpha=light)
        self._before = np.asarray(cv2.add(lit, noise, dtype=cv2.CV_8U), np.uint8)
        return self._before

    def _drawn(self, image: Image, placed: Placed, moves: Sequence[Wander], at_s: float) -> Image:
        import cv2

        face = placed.sprite.face
        x, y, size, angle, squeeze = (self._liveliness * move(at_s) for move in moves)
        scale = placed.height * HEIGHT / face.height * (1 + 0.06 * size)
        turned = np.radians(5 * angle)
        across = scale * (1 - 0.06 * abs(squeeze))
        cos, sin = np.cos(turned), np.sin(turned)
        linear = np.array([[across * cos, -scale * sin], [across * sin, scale * cos]])
        middle = np.array([(placed.x + 0.05 * x) * WIDTH, (placed.y + 0.04 * y) * HEIGHT])
        matrix: Array = np.column_stack([linear, middle - linear @ np.array(face.centre)]).astype(
            np.float32
        )
        size_px = (WIDTH, HEIGHT)
        head = cv2.warpAffine(placed.sprite.image, matrix, size_px, flags=cv2.INTER_LINEAR)
        alpha = cv2.warpAffine(placed.sprite.alpha, matrix, size_px, flags=cv2.INTER_LINEAR)
        left, top, width, height = cv2.boundingRect(alpha)
        if not width:
            return image
        part = (slice(top, top + height), slice(left, left + width))
        weight = cv2.cvtColor(alpha[part], cv2.COLOR_GRAY2BGR)
        over = cv2.multiply(head[part], weight, scale=1 / 255)
        under = cv2.multiply(image[part], cv2.bitwise_not(weight), scale=1 / 255)
        made = image.copy()
        made[part] = cv2.add(over, under)
        return made


def _background(rng: np.random.Generator) -> Image:
    """A room out of focus: a gradient, some furniture, a window."""
    import cv2

    corners = rng.integers(60, 200, (2, 2, 3)).astype(np.float32)
    room = cv2.resize(corners, (WIDTH, HEIGHT), interpolation=cv2.INTER_LINEAR).astype(np.uint8)
    for _ in range(int(rng.integers(4, 9))):
        x, y = int(rng.integers(0, WIDTH)), int(rng.integers(0, HEIGHT))
        w, h = int(rng.integers(30, 200)), int(rng.integers(30, 200))
        colour = tuple(int(value) for value in rng.integers(30, 230, 3))
        cv2.rectangle(room, (x, y), (x + w, y + h), colour, -1)
    return np.asarray(cv2.GaussianBlur(room, (0, 0), 5), np.uint8)


def moved(placed: Placed, x: float, y: float = 0.0) -> Placed:
    """The same person elsewhere."""
    return replace(placed, x=placed.x + x, y=placed.y + y)
