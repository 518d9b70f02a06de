"""Where a person's joints are (MoveNet Lightning, 17 points of COCO)."""

from typing import Final, Self

import numpy as np

from analytics.detector import VideoFrame
from analytics.models import ModelFile
from analytics.vision.geometry import fit
from analytics.vision.network import Array, Image, Network, open_network, remembered

__all__ = ["EARS", "ELBOWS", "MODEL", "NOSE", "WRISTS", "PoseModel"]

MODEL: Final = "movenet-lightning"
NOSE: Final = 0
EARS: Final = (3, 4)
ELBOWS: Final = (7, 8)
WRISTS: Final = (9, 10)
"""The person's left first, as with ears and elbows."""
_SIDE: Final = 192


class PoseModel:
    """Finds the joints of the most visible person; some 8 ms on one core."""

    def __init__(self, network: Network) -> None:
        self._network = network
        self._output = next(iter(network.outputs))

    @classmethod
    def load(cls, file: ModelFile) -> Self:
        """Opens the network.

        Raises:
            ModelError: it is another one.
        """
        return cls(open_network(file, (_SIDE, _SIDE, 3), {}))

    def joints(self, frame: VideoFrame) -> Array:
        """``(17, 3)``: x, y, score."""
        return remembered(frame, (MODEL,), lambda: self.in_image(frame.image))

    def in_image(self, image: Image) -> Array:
        """``(17, 3)``: x, y, score, of a still picture."""
        fitted = fit(image, _SIDE, 0)
        found = self._network(fitted.image[None].astype(np.int32), [self._output])[0]
        rows = found.reshape(17, 3)
        places = fitted.back(rows[:, 1::-1] * _SIDE)
        return np.concatenate([places, rows[:, 2:]], axis=1)
