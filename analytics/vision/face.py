"""Where faces are (UltraFace, RFB-320)."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, Self

import numpy as np

from analytics.detector import VideoFrame
from analytics.models import ModelFile
from analytics.vision.geometry import Region, suppress
from analytics.vision.network import Array, Image, Network, open_network, remembered

__all__ = ["MODEL", "Face", "FaceModel", "decode", "largest", "prepared"]

MODEL: Final = "fr_detect"
_WIDTH, _HEIGHT, _CELLS = 320, 240, 4420
_FLOOR: Final = 0.5
_SAME: Final = 0.4
_MAX_FACES: Final = 32


@dataclass(frozen=True, slots=True)
class Face:
    """A face: where, and how sure (0..1)."""

    region: Region
    score: float


def prepared(image: Image) -> Array:
    """The whole picture as the network wants it, ``(3, 240, 320)``; proportions are not kept."""
    import cv2

    small = cv2.resize(image, (_WIDTH, _HEIGHT), interpolation=cv2.INTER_LINEAR)
    scale = _scale()
    return np.stack([np.asarray(cv2.LUT(plane, scale), np.float32) for plane in cv2.split(small)])


@cache
def _scale() -> Array:
    """What each of the 256 values becomes."""
    return (np.arange(256, dtype=np.float32) - np.float32(127)) / np.float32(128)


def decode(scores: Array, boxes: Array, size: tuple[int, int]) -> tuple[Face, ...]:
    """Faces, best first.

    Args:
        scores: ``(4420, 2)``, no face and face, each 0..1.
        boxes: ``(4420, 4)``, left, top, right, bottom in fractions; may lie outside.
        size: width and height of the picture.
    """
    face = scores[:, 1]
    likely = np.flatnonzero(face >= _FLOOR)
    pixels = boxes[likely] * np.array([*size, *size], np.float32)
    kept = suppress(pixels, face[likely], _SAME)[:_MAX_FACES]
    return tuple(
        Face(Region(*(float(edge) for edge in pixels[i])), float(face[likely[i]])) for i in kept
    )


def largest(faces: Sequence[Face]) -> Face | None:
    """The face that fills most of the picture: whoever sits at this camera."""
    return max(faces, key=lambda face: face.region.width * face.region.height, default=None)


class FaceModel:
    """Finds faces."""

    def __init__(self, network: Network) -> None:
        self._network = network

    @classmethod
    def load(cls, file: ModelFile) -> Self:
        """Opens the network.

        Raises:
            ModelError: it is another one.
        """
        outputs = {"scores": (_CELLS, 2), "boxes": (_CELLS, 4)}
        return cls(open_network(file, (3, _HEIGHT, _WIDTH), outputs))

    def faces(self, frame: VideoFrame, min_score: float = _FLOOR) -> tuple[Face, ...]:
        """Faces of at least that score (0.5 at the least), best first."""
        found = remembered(frame, (MODEL,), lambda: self._look([frame.image])[0])
        return tuple(face for face in found if face.score >= min_score)

    def prepare(self, frames: Sequence[VideoFrame]) -> None:
        """Looks at several frames at once, those that were not looked at yet."""
        waiting = [frame for frame in frames if (MODEL,) not in frame.shared]
        if waiting:
            found = self._look([frame.image for frame in waiting])
            for frame, faces in zip(waiting, found, strict=True):
                frame.shared[MODEL,] = faces

    def in_image(self, image: Image, min_score: float = _FLOOR) -> tuple[Face, ...]:
        """Faces of a still picture, such as a photo on a document."""
        return tuple(face for face in self._look([image])[0] if face.score >= min_score)

    def _look(self, images: Sequence[Image]) -> list[tuple[Face, ...]]:
        batch = np.stack([prepared(image) for image in images])
        scores, boxes = self._network(batch, ["scores", "boxes"])
        return [
            decode(scores[i], boxes[i], (image.shape[1], image.shape[0]))
            for i, image in enumerate(images)
        ]
