"""468 points of a face, and how sure it is that there is one (MediaPipe's face mesh)."""

from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from analytics.detector import VideoFrame
from analytics.errors import ModelError
from analytics.models import ModelFile
from analytics.vision.face import Face
from analytics.vision.geometry import crop
from analytics.vision.network import Array, Image, Network, open_network, remembered

__all__ = ["MODEL", "Mesh", "MeshModel", "eye_opening", "mouth_opening", "turn"]

MODEL: Final = "face_landmark"
_SIDE: Final = 192
_MARGIN: Final = 1.5
_POINTS: Final = 468


@dataclass(frozen=True, slots=True)
class Mesh:
    """Points of a face.

    Attributes:
        points: ``(468, 3)``, x, y and depth in pixels of the frame.
        presence: logit; some 30 on a face, below 0 where there is none.
    """

    points: Array
    presence: float


class MeshModel:
    """Finds the mesh of a face."""

    def __init__(self, network: Network) -> None:
        self._network = network
        by_size = {int(np.prod(shape[1:])): name for name, shape in network.outputs.items()}
        self._names = [by_size[_POINTS * 3], by_size[1]]

    @classmethod
    def load(cls, file: ModelFile) -> Self:
        """Opens the network.

        Raises:
            ModelError: it is another one.
        """
        network = open_network(file, (_SIDE, _SIDE, 3), {})
        sizes = {int(np.prod(shape[1:])) for shape in network.outputs.values()}
        for size in (_POINTS * 3, 1):
            if size not in sizes:
                raise ModelError(
                    "model {name} has no output of {size} numbers", name=file.name, size=size
                )
        return cls(network)

    def mesh(self, frame: VideoFrame, face: Face) -> Mesh:
        """The mesh of a face."""
        return remembered(frame, (MODEL, face.region), lambda: self.in_image(frame.image, face))

    def in_image(self, image: Image, face: Face) -> Mesh:
        """The mesh of a face in a still picture."""
        square = face.region.square(_MARGIN * max(face.region.width, face.region.height))
        batch = (crop(image, square, (_SIDE, _SIDE)).astype(np.float32) / 255)[None]
        points, presence = self._network(batch, self._names)
        scaled = points.reshape(_POINTS, 3) * np.float32(square.width / _SIDE)
        scaled[:, :2] += np.array([square.left, square.top], np.float32)
        return Mesh(scaled, float(presence.ravel()[0]))


def eye_opening(mesh: Mesh) -> float:
    """Height over width of the eyes, mean of both: 0.2-0.35 open, differs between people."""
    first = _ratio(mesh, ((160, 144), (158, 153)), (33, 133))
    second = _ratio(mesh, ((385, 380), (387, 373)), (362, 263))
    return (first + second) / 2


def mouth_opening(mesh: Mesh) -> float:
    """Height over width of the mouth's inner border."""
    return _ratio(mesh, ((13, 14),), (78, 308))


def turn(mesh: Mesh) -> float:
    """How far the head is turned, in radians, about the vertical.

    0 is straight to the camera; positive is towards the right edge of the picture.
    """
    axis = mesh.points[263] - mesh.points[33]
    return float(np.arctan2(axis[2], max(float(axis[0]), 1e-6)))


def _ratio(mesh: Mesh, upright: tuple[tuple[int, int], ...], level: tuple[int, int]) -> float:
    xy = mesh.points[:, :2]
    heights = [float(np.linalg.norm(xy[a] - xy[b])) for a, b in upright]
    width = float(np.linalg.norm(xy[level[0]] - xy[level[1]]))
    return sum(heights) / len(heights) / max(width, 1e-6)
