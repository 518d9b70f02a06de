"""Boxes, crops and the fitting of pictures into squares."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analytics.detector import Box
from analytics.vision.network import Array, Image

__all__ = ["Fitted", "Region", "Turned", "crop", "fit", "overlap", "overlaps", "suppress", "turn"]


@dataclass(frozen=True, slots=True)
class Region:
    """A rectangle in pixels; it may reach beyond the picture."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        """Width in pixels."""
        return self.right - self.left

    @property
    def height(self) -> float:
        """Height in pixels."""
        return self.bottom - self.top

    @property
    def centre(self) -> tuple[float, float]:
        """Middle, x and y."""
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def square(self, side: float) -> "Region":
        """A square of that side around the same middle."""
        x, y = self.centre
        return Region(x - side / 2, y - side / 2, x + side / 2, y + side / 2)

    def grown(self, sides: float, above: float, below: float) -> "Region":
        """Enlarged by fractions of its width and height."""
        return Region(
            self.left - sides * self.width,
            self.top - above * self.height,
            self.right + sides * self.width,
            self.bottom + below * self.height,
        )

    def moved(self, right: float, down: float) -> "Region":
        """Elsewhere, by so many pixels."""
        return Region(self.left + right, self.top + down, self.right + right, self.bottom + down)

    def inside(self, image: Image) -> "Region":
        """What of it lies in the picture; at least a pixel."""
        height, width = image.shape[:2]
        left = min(max(self.left, 0.0), width - 1.0)
        top = min(max(self.top, 0.0), height - 1.0)
        return Region(
            left,
            top,
            max(min(self.right, float(width)), left + 1.0),
            max(min(self.bottom, float(height)), top + 1.0),
        )

    def box(self, image: Image) -> Box:
        """In fractions of the picture, for a finding."""
        height, width = image.shape[:2]
        x = np.clip([self.left / width, self.right / width], 0, 1).round(4)
        y = np.clip([self.top / height, self.bottom / height], 0, 1).round(4)
        return Box(float(x[0]), float(y[0]), float(x[1]), float(y[1]))


def overlap(a: Region, b: Region) -> float:
    """Intersection over union, 0..1."""
    width = min(a.right, b.right) - max(a.left, b.left)
    height = min(a.bottom, b.bottom) - max(a.top, b.top)
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (a.width * a.height + b.width * b.height - shared)


def overlaps(box: Array, boxes: Array) -> Array:
    """Intersection over union of one box ``(4,)`` with several ``(n, 4)``."""
    low = np.maximum(box[:2], boxes[:, :2])
    high = np.minimum(box[2:], boxes[:, 2:])
    shared = np.prod(np.clip(high - low, 0, None), axis=1)
    area = np.prod(box[2:] - box[:2])
    areas = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    union = np.maximum(area + areas - shared, 1e-9)
    return np.asarray(shared / union, np.float32)


def suppress(boxes: Array, scores: Array, limit: float) -> NDArray[np.intp]:
    """Non-maximum suppression: best first, without those that overlap a better one.

    Args:
        boxes: ``(n, 4)``, left, top, right, bottom.
        scores: ``(n,)``.
        limit: boxes with a greater intersection over union are one thing.

    Returns:
        indices of what is kept.
    """
    order = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while len(order):
        best = int(order[0])
        kept.append(best)
        rest = order[1:]
        order = rest[overlaps(boxes[best], boxes[rest]) <= limit]
    return np.asarray(kept, np.intp)


@dataclass(frozen=True, slots=True)
class Fitted:
    """A picture scaled into a square with its proportions kept; the rest is padding."""

    image: Image
    scale: float
    left: int
    top: int

    def back(self, points: Array) -> Array:
        """Points ``(..., 2)`` of the square in pixels of the picture."""
        return np.asarray(
            (points - np.array([self.left, self.top], np.float32)) / self.scale, np.float32
        )

    def region(self, box: Array) -> Region:
        """A box ``(4,)`` of the square, in the picture."""
        return Region(*(float(edge) for edge in self.back(box.reshape(2, 2)).ravel()))


@dataclass(frozen=True, slots=True)
class Turned:
    """A part of a picture turned about its middle, scaled into a square.

    Attributes:
        to_picture: ``(2, 3)``, from points of the square to those of the picture.
        scale: pixels of the square for each of the picture.
    """

    image: Image
    to_picture: Array
    scale: float

    def region(self, box: Array) -> Region:
        """A box ``(4,)`` of the square: where its middle is in the picture, upright, as large."""
        left, top, right, bottom = (float(edge) for edge in box)
        x, y = self.to_picture @ np.array([(left + right) / 2, (top + bottom) / 2, 1.0])
        width, height = (right - left) / self.scale, (bottom - top) / self.scale
        return Region(
            float(x) - width / 2,
            float(y) - height / 2,
            float(x) + width / 2,
            float(y) + height / 2,
        )


def fit(image: Image, side: int, padding: int) -> Fitted:
    """Scales a picture into the middle of a square, ``(side, side, 3)``."""
    import cv2

    height, width = image.shape[:2]
    scale = side / max(height, width)
    new = (max(round(width * scale), 1), max(round(height * scale), 1))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    square = np.full((side, side, 3), padding, np.uint8)
    left, top = (side - new[0]) // 2, (side - new[1]) // 2
    square[top : top + new[1], left : left + new[0]] = cv2.resize(image, new, interpolation=how)
    return Fitted(square, scale, left, top)


def turn(image: Image, part: Region, side: int, degrees: float, padding: int) -> Turned:
    """Turns a part of a picture counterclockwise, into the middle of a square of that side."""
    import cv2

    scale = side / max(part.width, part.height, 1.0)
    x, y = part.centre
    matrix = cv2.getRotationMatrix2D((x, y), degrees, scale)
    matrix[:, 2] += np.array([side / 2 - x, side / 2 - y])
    square = cv2.warpAffine(
        image, matrix, (side, side), flags=cv2.INTER_LINEAR, borderValue=(padding,) * 3
    )
    back = np.asarray(cv2.invertAffineTransform(matrix), np.float32)
    return Turned(np.asarray(square, np.uint8), back, scale)


def crop(image: Image, region: Region, size: tuple[int, int]) -> Image:
    """A region as a picture of ``size`` (width, height); beyond the border it is repeated."""
    import cv2

    left, top = round(region.left), round(region.top)
    right = max(round(region.right), left + 1)
    bottom = max(round(region.bottom), top + 1)
    height, width = image.shape[:2]
    part: NDArray[Any] = (
        image[
            np.clip(np.arange(top, bottom), 0, height - 1)[:, None],
            np.clip(np.arange(left, right), 0, width - 1)[None, :],
        ]
        if left < 0 or top < 0 or right > width or bottom > height
        else image[top:bottom, left:right]
    )
    shrinks = part.shape[1] > size[0] or part.shape[0] > size[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, size, interpolation=how), np.uint8)
