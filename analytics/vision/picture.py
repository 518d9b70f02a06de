"""What can be said of a picture without a network: light, movement, likeness."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from analytics.detector import VideoFrame
from analytics.vision.network import Array, Image, remembered

__all__ = ["brightness", "changes", "fingerprint", "gray", "likeness", "thumbnail"]

_GRID: Final = 16
_THUMBNAIL: Final = (160, 96)
_HASH: Final = (17, 16)


def gray(image: Image) -> Image:
    """``(height, width)``, luma of a picture."""
    import cv2

    return np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)


def thumbnail(frame: VideoFrame) -> Image:
    """The frame in gray at 160 x 96, averaged; what movement is measured on."""
    import cv2

    def make() -> Image:
        small = cv2.resize(gray(frame.image), _THUMBNAIL, interpolation=cv2.INTER_AREA)
        return np.asarray(small, np.uint8)

    return remembered(frame, ("thumbnail",), make)


def brightness(image: Image) -> tuple[float, float]:
    """Mean and spread of the luma, 0..255; of the middle 98 %, so that a caption doesn't count."""
    counts = np.bincount(image.ravel(), minlength=256)
    cut = image.size // 100
    # What is left of each value when the darkest and the lightest are taken away.
    below = np.clip(np.cumsum(counts), cut, image.size - cut)
    shares = np.diff(below, prepend=cut).astype(np.float64) / (image.size - 2 * cut)
    values = np.arange(256.0)
    middle = float(shares @ values)
    return middle, float(shares @ (values - middle) ** 2) ** 0.5


def changes(before: Image, after: Image) -> Array:
    """Mean absolute change of luma in each of 16 x 16 blocks, ``(16, 16)``, 0..255."""
    height, width = before.shape[0] // _GRID * _GRID, before.shape[1] // _GRID * _GRID
    difference = np.abs(
        before[:height, :width].astype(np.float32) - after[:height, :width].astype(np.float32)
    )
    blocks = difference.reshape(_GRID, height // _GRID, _GRID, width // _GRID)
    return np.asarray(blocks.mean(axis=(1, 3)), np.float32)


def fingerprint(frame: VideoFrame) -> NDArray[np.bool_]:
    """256 bits, alike under scaling, coding and light: which of two neighbours is lighter."""
    import cv2

    def make() -> NDArray[np.bool_]:
        small = cv2.resize(thumbnail(frame), _HASH, interpolation=cv2.INTER_AREA).astype(np.int16)
        return np.asarray(small[:, 1:] > small[:, :-1]).ravel()

    return remembered(frame, ("fingerprint",), make)


def likeness(a: NDArray[np.bool_], b: NDArray[np.bool_]) -> float:
    """Share of bits that agree: 1 is the same picture, two different ones have about 0.5."""
    return float((a == b).mean())
