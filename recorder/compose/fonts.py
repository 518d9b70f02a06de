"""Text as masks, in a font that has every character asked for."""

import os
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from recorder.playback.errors import PlaybackError

__all__ = ["CANDIDATES", "Lettering", "find_font"]

Mask = NDArray[np.uint8]

CANDIDATES: Final = (
    "/usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/google-noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/google-noto-sans-cjk-fonts/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/google-noto-sans-cjk-vf-fonts/NotoSansCJK-VF.ttc",
    "/usr/share/fonts/noto-cjk/NotoSansCJK-Regular.ttc",
    "/usr/share/fonts/truetype/wqy/wqy-microhei.ttc",
    "/usr/share/fonts/wqy-microhei/wqy-microhei.ttc",
    "/usr/share/fonts/truetype/droid/DroidSansFallbackFull.ttf",
    "/System/Library/Fonts/PingFang.ttc",
    "/Library/Fonts/Arial Unicode.ttf",
    "C:/Windows/Fonts/msyh.ttc",
    "/usr/share/fonts/truetype/dejavu/DejaVuSans.ttf",
)
"""Where freely licensed fonts with Chinese lie in common systems; the last one has none."""

_UNASSIGNED = "\U000e0fff"


def find_font(texts: Iterable[str], chosen: Path | None = None) -> Path:
    """The first font that has every character of the texts.

    Args:
        texts: all that will be written.
        chosen: use this one and no other.

    Raises:
        PlaybackError: there is none; a name in empty boxes would be no evidence of a name.
    """
    wanted = {character for text in texts for character in text if not character.isspace()}
    missing = sorted(wanted)
    for path in [chosen] if chosen is not None else [Path(name) for name in CANDIDATES]:
        if not path.is_file() or not os.access(path, os.R_OK):
            if chosen is not None:
                raise PlaybackError("there is no font file {path}", path=path)
            continue
        missing = sorted(character for character in wanted if not _has(path, character))
        if not missing:
            return path
    if chosen is not None:
        raise PlaybackError(
            "the font {path} lacks {characters}; name another one",
            path=chosen,
            characters="".join(missing[:20]),
        )
    raise PlaybackError(
        "no font on this machine has {characters}; install a font with Chinese (Debian:"
        " fonts-noto-cjk) or name a file with --font",
        characters="".join(missing[:20]),
    )


@lru_cache(maxsize=64)
def _load(path: Path, size: int) -> ImageFont.FreeTypeFont:
    try:
        return ImageFont.truetype(str(path), size)
    except OSError:
        raise PlaybackError("{path} is no font that can be used", path=path) from None


@lru_cache(maxsize=20_000)
def _has(path: Path, character: str) -> bool:
    font = _load(path, 24)
    return bytes(font.getmask(character)) != bytes(font.getmask(_UNASSIGNED))


class Lettering:
    """Draws text; what was drawn lately is kept."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.line = lru_cache(maxsize=256)(self._line)
        self.lines = lru_cache(maxsize=64)(self._lines)

    def _line(self, text: str, size: int, max_width: int = 10_000) -> Mask:
        """One line as opacity ``(height, width)``, both even; cut short with … if need be."""
        font = _load(self._path, size)
        shown = text
        while font.getlength(shown) > max_width and len(shown) > 1:
            shown = shown[:-2].rstrip() + "…"
        ascent, descent = font.getmetrics()
        width = max(2, -(-int(font.getlength(shown) + 2) // 2) * 2)
        height = -(-(ascent + descent) // 2) * 2
        image = Image.new("L", (width, height), 0)
        ImageDraw.Draw(image).text((1, 0), shown, fill=255, font=font)
        return np.asarray(image, dtype=np.uint8)

    def _lines(self, texts: tuple[str, ...], size: int, max_width: int) -> Mask:
        """Centred lines below each other."""
        masks = [self.line(text, size, max_width) for text in texts]
        width = max(mask.shape[1] for mask in masks)
        out = np.zeros((sum(mask.shape[0] for mask in masks), width), np.uint8)
        top = 0
        for mask in masks:
            left = (width - mask.shape[1]) // 4 * 2
            out[top : top + mask.shape[0], left : left + mask.shape[1]] = mask
            top += mask.shape[0]
        return out
