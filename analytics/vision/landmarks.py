"""Points of a face: 68 of them, eyes open or closed, and the alignment that faces are compared in.

Points in the usual order: 0-16 jaw, 17-26 brows, 27-35 nose, 36-47 eyes, 48-67 mouth; the person's
right side is left in the picture and comes first.
"""

from typing import Any, Final, Self

import numpy as np

from analytics.detector import VideoFrame
from analytics.models import ModelFile
from analytics.vision.face import Face
from analytics.vision.geometry import Region, crop
from analytics.vision.network import Array, Image, Network, open_network, remembered

__all__ = [
    "EYE_MODEL",
    "MODEL",
    "EyeModel",
    "LandmarkModel",
    "align",
    "eye_regions",
    "five_points",
    "turn",
]

MODEL: Final = "fr_landmark"
EYE_MODEL: Final = "fr_eye"
_SIDE: Final = 64
_EYE_SIDE: Final = 24
_REFERENCE: Final = np.array(
    [
        [38.2946, 51.6963],
        [73.5318, 51.5014],
        [56.0252, 71.7366],
        [41.5493, 92.3655],
        [70.7299, 92.2041],
    ],
    np.float32,
)
_ALIGNED: Final = (112, 112)
_EYES: Final = (((37, 38, 40, 41), (36, 39)), ((43, 44, 46, 47), (42, 45)))


class LandmarkModel:
    """Finds the 68 points of a face."""

    def __init__(self, network: Network) -> None:
        self._network = network

    @classmethod
    def load(cls, file: ModelFile) -> Self:
        """Opens the network.

        Raises:
            ModelError: it is another one.
        """
        return cls(open_network(file, (1, _SIDE, _SIDE), {"output": (136,)}))

    def points(self, frame: VideoFrame, face: Face) -> Array:
        """``(68, 2)``, x and y."""
        return remembered(frame, (MODEL, face.region), lambda: self.in_image(frame.image, face))

    def in_image(self, image: Image, face: Face) -> Array:
        """``(68, 2)``, of a face in a still picture."""
        import cv2

        # The square has the side of the box's height, whatever its width.
        square = face.region.square(face.region.height)
        gray = cv2.cvtColor(crop(image, square, (_SIDE, _SIDE)), cv2.COLOR_RGB2GRAY)
        batch = (gray.astype(np.float32) / 256)[None, None]
        found = self._network(batch, ["output"])[0].reshape(68, 2)
        return np.asarray(
            found * np.float32(square.width) + np.array([square.left, square.top], np.float32),
            np.float32,
        )


class EyeModel:
    """Tells closed eyes from open ones."""

    def __init__(self, network: Network) -> None:
        self._network = network

    @classmethod
    def load(cls, file: ModelFile) -> Self:
        """Opens the network.

        Raises:
            ModelError: it is another one.
        """
        return cls(open_network(file, (1, _EYE_SIDE, _EYE_SIDE), {"output": (2,)}))

    def closed(self, frame: VideoFrame, points: Array) -> float:
        """How surely both eyes are closed, 0..1: the lesser of the two."""
        return remembered(frame, (EYE_MODEL,), lambda: self._closed(frame, points))

    def _closed(self, frame: VideoFrame, points: Array) -> float:
        import cv2

        eyes = [
            cv2.cvtColor(
                crop(frame.image, region, (_EYE_SIDE, _EYE_SIDE)), cv2.COLOR_RGB2GRAY
            ).astype(np.float32)
            / 255
            for region in eye_regions(points)
        ]
        logits = self._network(np.stack(eyes)[:, None], ["output"])[0]
        shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
        return float((shifted[:, 0] / shifted.sum(axis=1)).min())


def eye_regions(points: Array) -> tuple[Region, Region]:
    """A square around each eye, 1.6 eye widths wide."""
    found = []
    for lids, corners in _EYES:
        x, y = points[list(lids)].mean(axis=0)
        half = 0.8 * float(np.linalg.norm(points[corners[0]] - points[corners[1]]))
        half = max(half, 1.0)
        found.append(Region(float(x) - half, float(y) - half, float(x) + half, float(y) + half))
    return found[0], found[1]


def five_points(points: Array) -> Array:
    """Eyes, tip of the nose and corners of the mouth, ``(5, 2)``."""
    return np.stack(
        [points[36:42].mean(axis=0), points[42:48].mean(axis=0), *points[[30, 48, 54]]]
    ).astype(np.float32)


def turn(points: Array) -> float:
    """How far the head is turned, about -1..1: where the nose is between the eyes.

    0 is straight; positive is towards the right edge of the picture. A measure of change in one
    person, no angle.
    """
    right, left, nose = five_points(points)[:3]
    axis = left - right
    length = float(axis @ axis)
    if length < 1:
        return 0.0
    return float(2 * ((nose - right) @ axis) / length - 1)


def align(image: Image, points: Array) -> Image:
    """The face turned upright and scaled as embeddings want it, ``(112, 112, 3)``.

    Args:
        image: RGB.
        points: five, as :func:`five_points` has them.
    """
    import cv2

    # No solution (points that coincide) is None, which the library's types don't say.
    found: tuple[Any, Any] = cv2.estimateAffinePartial2D(points, _REFERENCE, method=cv2.LMEDS)
    matrix = found[0]
    if matrix is None:
        return np.zeros((*_ALIGNED, 3), np.uint8)
    return np.asarray(cv2.warpAffine(image, matrix, _ALIGNED), np.uint8)
