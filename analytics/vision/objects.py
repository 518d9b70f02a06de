"""Which things are in the picture (NanoDet, 80 classes of COCO)."""

from dataclasses import dataclass, replace
from functools import cache
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from analytics.detector import VideoFrame
from analytics.errors import ModelError
from analytics.models import ModelFile
from analytics.vision.geometry import Fitted, Region, Turned, fit, suppress, turn
from analytics.vision.network import Array, Image, Network, open_network, remembered

__all__ = [
    "MODEL",
    "PERSON",
    "PHONE",
    "REMOTE",
    "ObjectModel",
    "Thing",
    "boxes_of_cells",
    "decode",
    "prepared",
]

MODEL: Final = "nanodet"
PERSON: Final = 0
REMOTE: Final = 65
PHONE: Final = 67
_SIDE: Final = 416
_PART_SIDE: Final = 256
"""Of a part of a picture, in which what is looked for is large: a third of the work."""
_STRIDES: Final = (8, 16, 32)
_CLASSES: Final = 80
_BINS: Final = 11
_SHAPES: Final = [
    ((_SIDE // stride) ** 2, size) for size in (_CLASSES, 4 * _BINS) for stride in _STRIDES
]
"""Of the outputs: scores of the cells of each stride, then their distances."""
_PADDING: Final = 114
_SAME: Final = 0.5
_MAX_CELLS: Final = 400
# The network wants BGR.
_MEAN: Final = np.array([103.53, 116.28, 123.675], np.float32)
_SPREAD: Final = np.array([57.375, 57.12, 58.395], np.float32)
FLOOR: Final = 0.1
"""Things of a lower score are not told."""


@dataclass(frozen=True, slots=True)
class Thing:
    """A thing: its class, where, and how sure (0..1)."""

    label: int
    region: Region
    score: float


def boxes_of_cells(
    distribution: Array, stride: int, cells: NDArray[np.intp] | None = None, side: int = _SIDE
) -> Array:
    """Boxes ``(n, 4)`` from a distribution ``(n, 44)`` over distances to the four sides.

    Each side has 11 bins; its distance is their expectation, in strides.

    Args:
        distribution: of every cell of a stride, row by row.
        stride: pixels from one cell to the next.
        cells: which are wanted (default: all).
        side: of the picture, in pixels.
    """
    grid = side // stride
    cells = np.arange(grid * grid) if cells is None else cells
    bins = distribution[cells].reshape(-1, 4, _BINS)
    weights = np.exp(bins - bins.max(axis=-1, keepdims=True))
    weights /= weights.sum(axis=-1, keepdims=True)
    sides = (weights * np.arange(_BINS, dtype=np.float32)).sum(axis=-1) * stride
    middle = np.stack([cells % grid + 0.5, cells // grid + 0.5], axis=1).astype(np.float32) * stride
    return np.concatenate([middle - sides[:, :2], middle + sides[:, 2:]], axis=1)


def decode(scores: Array, boxes: Array, floor: float = FLOOR) -> list[tuple[int, Array, float]]:
    """Class, box and score of what was found, best first; suppression within each class.

    Args:
        scores: ``(n, 80)``, 0..1.
        boxes: ``(n, 4)``.
        floor: least score.
    """
    best = scores.argmax(axis=1)
    value = scores[np.arange(len(scores)), best]
    likely = np.flatnonzero(value >= floor)
    likely = likely[np.argsort(-value[likely], kind="stable")][:_MAX_CELLS]
    found: list[tuple[int, Array, float]] = []
    for label in np.unique(best[likely]):
        cells = likely[best[likely] == label]
        found.extend(
            (int(label), boxes[cells[i]], float(value[cells[i]]))
            for i in suppress(boxes[cells], value[cells], _SAME)
        )
    return sorted(found, key=lambda item: -item[2])


def prepared(image: Image) -> Array:
    """A square picture as the network wants it, ``(3, side, side)``."""
    import cv2

    planes = zip(cv2.split(image)[::-1], _scales(), strict=True)
    return np.stack([np.asarray(cv2.LUT(plane, scale), np.float32) for plane, scale in planes])


@cache
def _scales() -> tuple[Array, ...]:
    """What each of the 256 values becomes, for blue, green and red."""
    values = np.arange(256, dtype=np.float32)
    return tuple((values - mean) / spread for mean, spread in zip(_MEAN, _SPREAD, strict=True))


@dataclass(frozen=True, slots=True)
class _Sized:
    """The network for pictures of one side."""

    network: Network
    side: int


class ObjectModel:
    """Finds things in a picture, some 30 ms each on one core, or a part of it, some 10 ms."""

    def __init__(self, whole: Network, part: Network | None = None) -> None:
        self._whole = _Sized(whole, _SIDE)
        self._part = self._whole if part is None else _Sized(part, _PART_SIDE)
        by_shape = {shape[1:]: name for name, shape in whole.outputs.items()}
        # Their order differs from one conversion to the next; their shapes don't.
        self._names = [by_shape[shape] for shape in _SHAPES]

    @classmethod
    def load(cls, file: ModelFile) -> Self:
        """Opens the network.

        Raises:
            ModelError: it is another one.
        """
        whole = open_network(file, (3, _SIDE, _SIDE), {})
        shapes = {shape[1:] for shape in whole.outputs.values()}
        for cells, size in _SHAPES:
            if (cells, size) not in shapes:
                raise ModelError(
                    "model {name} has no output of {cells} by {size}",
                    name=file.name,
                    cells=cells,
                    size=size,
                )
        try:
            return cls(whole, open_network(file, (3, _PART_SIDE, _PART_SIDE), {}, side=_PART_SIDE))
        except ModelError:
            # A conversion of one's own that has its sizes built in.
            return cls(whole)

    def things(
        self, frame: VideoFrame, part: Region | None = None, turned_deg: float = 0.0
    ) -> tuple[Thing, ...]:
        """Things in the frame, or in a part of it, best first; in pixels of the frame.

        Args:
            frame: the picture.
            part: what of it is looked at.
            turned_deg: how far the part is turned before, counterclockwise: the network knows most
                things as they stand. Regions are as large as in the turned picture, and upright.
        """
        key = (MODEL, part, turned_deg)
        return remembered(frame, key, lambda: self.in_image(frame.image, part, turned_deg))

    def in_image(
        self, image: Image, part: Region | None = None, turned_deg: float = 0.0
    ) -> tuple[Thing, ...]:
        """Things in a still picture, or in a part of it."""
        if part is None:
            return self._found(self._whole, fit(image, self._whole.side, _PADDING))
        if turned_deg:
            turned = turn(image, part, self._part.side, turned_deg, _PADDING)
            return self._found(self._part, turned)
        inside = part.inside(image)
        left, top = int(inside.left), int(inside.top)
        cut = image[top : int(np.ceil(inside.bottom)), left : int(np.ceil(inside.right))]
        found = self._found(self._part, fit(cut, self._part.side, _PADDING))
        return tuple(replace(thing, region=thing.region.moved(left, top)) for thing in found)

    def _found(self, sized: _Sized, fitted: Fitted | Turned) -> tuple[Thing, ...]:
        outputs = sized.network(prepared(fitted.image)[None], self._names)
        rows, boxes = [], []
        for output, distribution, stride in zip(outputs[:3], outputs[3:], _STRIDES, strict=True):
            # Nearly all cells show nothing: theirs are boxes that nobody asks for.
            cells = np.flatnonzero(output[0].max(axis=1) >= FLOOR)
            rows.append(output[0][cells])
            boxes.append(boxes_of_cells(distribution[0], stride, cells, sized.side))
        return tuple(
            Thing(label, fitted.region(box), score)
            for label, box, score in decode(np.concatenate(rows), np.concatenate(boxes))
        )
