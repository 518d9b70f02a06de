"""A picture in YUV 4:2:0 that parts are put into without a way round by RGB."""

from dataclasses import dataclass
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

__all__ = ["BLACK", "GREY", "WHITE", "YELLOW", "Canvas", "Colour", "Rect", "fit"]

Plane = NDArray[np.uint8]
Colour = tuple[int, int, int]

BLACK: Final[Colour] = (16, 128, 128)
GREY: Final[Colour] = (58, 128, 128)
WHITE: Final[Colour] = (235, 128, 128)
YELLOW: Final[Colour] = (210, 30, 140)


@dataclass(frozen=True, slots=True)
class Rect:
    """A place on the canvas; all four are even."""

    left: int
    top: int
    width: int
    height: int


def fit(width: int, height: int, into: Rect) -> Rect:
    """The largest place in the middle of ``into`` with these proportions."""
    scale = min(into.width / width, into.height / height)
    wide = min(into.width, max(2, round(width * scale / 2) * 2))
    high = min(into.height, max(2, round(height * scale / 2) * 2))
    left = into.left + (into.width - wide) // 4 * 2
    top = into.top + (into.height - high) // 4 * 2
    return Rect(left, top, wide, high)


class Canvas:
    """Planes of one picture, limited range.

    Attributes:
        data: ``(height * 3 / 2, width)``: Y, then U and V, as libav lays them out.
    """

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.data = np.zeros((height * 3 // 2, width), np.uint8)
        chroma = self.data[height:].reshape(2, height // 2, width // 2)
        self._planes = (self.data[:height], chroma[0], chroma[1])
        self.fill(Rect(0, 0, width, height), BLACK)

    def fill(self, place: Rect, colour: Colour) -> None:
        """Paints a place in one colour."""
        for plane, value, step in zip(self._planes, colour, (1, 2, 2), strict=True):
            _part(plane, place, step)[:] = value

    def put(self, picture: av.VideoFrame, place: Rect) -> None:
        """Copies a picture of the same size, YUV 4:2:0."""
        for plane, source, step in zip(self._planes, picture.planes, (1, 2, 2), strict=True):
            # A plane is a buffer; its annotations don't say so.
            buffer: Any = source
            lines = np.frombuffer(buffer, np.uint8).reshape(-1, source.line_size)
            part = _part(plane, place, step)
            part[:] = lines[: part.shape[0], : part.shape[1]]

    def shade(self, place: Rect, opacity: int) -> None:
        """Darkens the luma of a place so that light text on it can be read; opacity of 256."""
        part = _part(self._planes[0], place, 1)
        part[:] = (part.astype(np.uint16) * (256 - opacity) >> 8) + (16 * opacity >> 8)

    def blend(self, mask: Plane, left: int, top: int, colour: Colour, opacity: int = 256) -> None:
        """Lays a colour over a place, as strongly as the mask says.

        Args:
            mask: ``(height, width)``, 0 to 255; what lies outside the canvas is left out.
            left: even.
            top: even.
            colour: Y, U, V.
            opacity: of the whole mask, of 256.
        """
        height = min(mask.shape[0], self.height - top) // 2 * 2
        width = min(mask.shape[1], self.width - left) // 2 * 2
        if height <= 0 or width <= 0:
            return
        weight = mask[:height, :width].astype(np.int32) * opacity >> 8
        place = Rect(left, top, width, height)
        for plane, value, step in zip(self._planes, colour, (1, 2, 2), strict=True):
            part = _part(plane, place, step)
            strength = weight[::step, ::step]
            part[:] = part + ((value - part.astype(np.int32)) * strength >> 8)

    def frame(self) -> av.VideoFrame:
        """A copy for the encoder."""
        return av.VideoFrame.from_ndarray(self.data, format="yuv420p")


def _part(plane: Plane, place: Rect, step: int) -> Plane:
    top, left = place.top // step, place.left // step
    return plane[top : top + place.height // step, left : left + place.width // step]
