"""Faces that move: a photo's head turned, its eyes closed, its mouth opened, by the face's mesh."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from analytics.errors import EvalError
from analytics.eval.material import Sprite
from analytics.vision.network import Array, Image

__all__ = ["blinking", "mouth_open", "turned"]

_EYES: Final = (
    ((33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
     (33, 7, 163, 144, 145, 153, 154, 155, 133), 223),
    ((362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382),
     (362, 382, 381, 380, 374, 373, 390, 249, 263), 443),
)  # fmt: skip
"""Rim, lower lid and a point of the upper lid's skin, of both eyes."""
_COVERED: Final = np.array([1.12, 1.5], np.float32)
_LIPS: Final = (78, 81, 13, 311, 308)
_CHIN: Final = 152
_DARK: Final = (38, 16, 18)
_LASH: Final = (45, 32, 30)
_ROUNDS: Final = 4


def _points(sprite: Sprite) -> Array:
    """The mesh of its face.

    Raises:
        EvalError: it has none.
    """
    if sprite.points is None:
        raise EvalError("a picture has no points of a face: it can't be moved")
    return sprite.points


def _moved(sprite: Sprite, x: Array, y: Array) -> Sprite:
    """Each pixel from where these maps say."""
    import cv2

    image = cv2.remap(sprite.image, x, y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    alpha = cv2.remap(sprite.alpha, x, y, cv2.INTER_LINEAR)
    return replace(sprite, image=np.asarray(image, np.uint8), alpha=np.asarray(alpha, np.uint8))


def _grid(sprite: Sprite) -> tuple[Array, Array]:
    height, width = sprite.alpha.shape
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    return x, y


def turned(sprite: Sprite, degrees: float) -> Sprite:
    """The head turned about the vertical: what is nearer moves further; the shoulders stay.

    Args:
        sprite: with points.
        degrees: positive is towards the right edge of the picture.
    """
    points = _points(sprite)
    nearer, weight = _relief(sprite, points)
    x, y = _grid(sprite)
    middle = float(points[:, 0].mean())
    angle = np.radians(degrees)
    source = x.copy()
    for _ in range(_ROUNDS):
        # Where a pixel comes from depends on the depth there.
        at = np.clip(source, 0, x.shape[1] - 1).astype(np.int32)
        depth = np.take_along_axis(nearer, at, axis=1)
        turned_x = middle + (x - middle - depth * np.sin(angle)) / np.cos(angle)
        source = x + weight * (turned_x - x)
    return _moved(sprite, source.astype(np.float32), y)


def _relief(sprite: Sprite, points: Array) -> tuple[Array, Array]:
    """How much nearer than the ears each pixel is, and how far the head reaches (0..1)."""
    import cv2

    shape = sprite.alpha.shape
    total, count = np.zeros(shape, np.float32), np.zeros(shape, np.float32)
    near = np.percentile(points[:, 2], 95) - points[:, 2]
    for (px, py), depth in zip(points[:, :2].round().astype(int), near, strict=True):
        if 0 <= px < shape[1] and 0 <= py < shape[0]:
            total[py, px] += depth
            count[py, px] += 1
    spread = sprite.face.width * 0.07
    total = np.asarray(cv2.GaussianBlur(total, (0, 0), spread), np.float32)
    count = np.asarray(cv2.GaussianBlur(count, (0, 0), spread), np.float32)
    nearer = total / (count + 0.02 * count.max())
    head = np.zeros(shape, np.uint8)
    x, y = (int(part) for part in sprite.face.centre)
    axes = (int(sprite.face.width * 0.62), int(sprite.face.height * 0.62))
    cv2.ellipse(head, (x, y), axes, 0, 0, 360, 255, -1)
    weight = cv2.GaussianBlur(head, (0, 0), sprite.face.width * 0.08).astype(np.float32) / 255
    return np.asarray(nearer, np.float32), np.asarray(weight, np.float32)


def blinking(sprite: Sprite) -> Sprite:
    """Eyes closed: each is covered with skin, and the lashes lie where the lower lid was."""
    import cv2

    points = _points(sprite)
    image = sprite.image.astype(np.float32)
    for ring, lower, lid in _EYES:
        eye = points[list(ring), :2]
        middle = eye.mean(axis=0)
        cover = np.zeros(sprite.alpha.shape, np.uint8)
        outline = (middle + (eye - middle) * _COVERED).round().astype(np.int32)
        cv2.fillConvexPoly(cover, cv2.convexHull(outline), 255)
        weight = cv2.GaussianBlur(cover, (0, 0), sprite.face.width * 0.012)
        x, y = points[lid, :2].round().astype(int)
        reach = max(int(sprite.face.width * 0.02), 1)
        skin = sprite.image[max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1]
        colour = np.median(skin.reshape(-1, 3), axis=0)
        share = weight[:, :, None].astype(np.float32) / 255
        image = image * (1 - share) + colour.astype(np.float32) * share
        line = points[list(lower), :2].round().astype(np.int32)
        cv2.polylines(image, [line], False, _LASH, max(int(sprite.face.width * 0.014), 1))
    return replace(sprite, image=np.clip(image, 0, 255).astype(np.uint8))


def mouth_open(sprite: Sprite, share: float = 0.5) -> Sprite:
    """The lower lip and the chin drawn down, dark between the lips.

    Args:
        sprite: with points.
        share: of the mouth's width that it opens.
    """
    points = _points(sprite)
    x, y = _grid(sprite)
    left, right = float(points[78, 0]), float(points[308, 0])
    half = max((right - left) / 2, 1.0)
    across = np.clip(1 - ((x - (left + right) / 2) / half) ** 2, 0, 1)
    gap = 2 * half * share * np.sqrt(across)
    line = np.broadcast_to(_curve(points, _LIPS, x[0]), y.shape)
    end = float(points[_CHIN, 1]) + 3 * half
    # Below the gap everything is pushed down, less and less.
    below = np.clip((end - y) / np.maximum(end - line - gap, 1), 0, 1)
    source = np.where(y > line, y - gap * below, y)
    opened = (y > line) & (y < line + gap) & (gap > 1)
    made = _moved(sprite, x, np.where(opened, line, source).astype(np.float32))
    image: Image = made.image.copy()
    image[opened] = _DARK
    return replace(made, image=image)


def _curve(points: Array, indices: Sequence[int], columns: NDArray[Any]) -> Array:
    """Height of a line through points at each column."""
    line = points[list(indices), :2]
    line = line[np.argsort(line[:, 0])]
    return np.asarray(np.interp(columns, line[:, 0], line[:, 1]), np.float32)
