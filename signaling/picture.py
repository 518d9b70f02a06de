"""What pictures say of themselves: format and size, from their headers; nothing is decoded."""

from dataclasses import dataclass
from typing import Final, Literal

__all__ = ["NoPictureError", "PictureHead", "picture_head"]

_PNG: Final = b"\x89PNG\r\n\x1a\n"
_FRAMES: Final = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
"""Markers that begin a frame, whatever its coding."""
_ALONE: Final = frozenset({0x01, *range(0xD0, 0xD8)})
"""Markers that are followed by no length."""


class NoPictureError(ValueError):
    """It is no picture of a format that is taken; the text says why, without any of its bytes."""


@dataclass(frozen=True, slots=True)
class PictureHead:
    """Format and size in pixels."""

    kind: Literal["image/jpeg", "image/png"]
    width: int
    height: int


def picture_head(data: bytes) -> PictureHead:
    """Reads the header of a JPEG or PNG.

    Raises:
        NoPictureError: it is neither, or ends before its size.

    Spec: ITU-T T.81, annex B; PNG (third edition), 11.2.1.
    """
    if data[:8] == _PNG:
        return _png(data)
    if data[:2] == b"\xff\xd8":
        return _jpeg(data)
    raise NoPictureError("it is neither JPEG nor PNG")


def _png(data: bytes) -> PictureHead:
    if data[12:16] != b"IHDR" or len(data) < 24:
        raise NoPictureError("the PNG has no header")
    width, height = (int.from_bytes(data[at : at + 4], "big") for at in (16, 20))
    return PictureHead("image/png", width, height)


def _jpeg(data: bytes) -> PictureHead:
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            raise NoPictureError("the JPEG has no marker where one should be")
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1  # padding
            continue
        if marker in _ALONE:
            at += 2
            continue
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if length < 2 or marker in {0xD9, 0xDA}:
            break
        if marker in _FRAMES and at + 9 <= len(data) and length >= 8:
            height, width = (int.from_bytes(data[i : i + 2], "big") for i in (at + 5, at + 7))
            return PictureHead("image/jpeg", width, height)
        at += 2 + length
    raise NoPictureError("the JPEG has no size")
