"""Whether two faces are one person's: a face as 512 numbers of length one.

An embedding is a face template: personal data that never leaves the watch that made it.
"""

from typing import Final, Self

import numpy as np

from analytics.models import ModelFile
from analytics.vision.landmarks import align, five_points
from analytics.vision.network import Array, Image, Network, open_network

__all__ = ["MODEL", "EmbeddingModel", "likeness", "mean"]

MODEL: Final = "fr_feature"
_SIZE: Final = 512


class EmbeddingModel:
    """Makes embeddings; some 70 ms each on one core, so not of every frame."""

    def __init__(self, network: Network) -> None:
        self._network = network

    @classmethod
    def load(cls, file: ModelFile) -> Self:
        """Opens the network.

        Raises:
            ModelError: it is another one.
        """
        return cls(open_network(file, (3, 112, 112), {"output": (_SIZE,)}))

    def embed(self, image: Image, points: Array) -> Array:
        """``(512,)``, of length one.

        Args:
            image: RGB.
            points: the 68 points of the face.
        """
        face = align(image, five_points(points)).astype(np.float32)
        batch = np.ascontiguousarray(((face - 127) / 128).transpose(2, 0, 1)[None])
        return _unit(self._network(batch, ["output"])[0][0])


def likeness(a: Array, b: Array) -> float:
    """Cosine of two embeddings, -1..1."""
    return float(a @ b)


def mean(embeddings: list[Array]) -> Array:
    """The middle of several, of length one."""
    return _unit(np.mean(embeddings, axis=0))


def _unit(vector: Array) -> Array:
    return np.asarray(vector / max(float(np.linalg.norm(vector)), 1e-9), np.float32)
