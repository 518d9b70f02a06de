"""Photos of identity documents, decoded, for as long as somebody needs them."""

import io
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from analytics.link import MAX_PHOTO_SIDE, MIN_PHOTO_SIDE

__all__ = ["MOST_BYTES", "PhotoError", "Photos", "decoded"]

_MOST: Final = 1_024
MOST_BYTES: Final = 256 << 20
"""Photos that are held; the oldest goes first."""

Image = NDArray[np.uint8]


class PhotoError(ValueError):
    """It is no photo that can be used."""


def decoded(data: bytes) -> Image:
    """``(height, width, 3)``, RGB, upright.

    Raises:
        PhotoError: it is no JPEG or PNG, too small or too large, or damaged.
    """
    from PIL import Image as Pictures
    from PIL import ImageOps

    try:
        with Pictures.open(io.BytesIO(data), formats=["JPEG", "PNG"]) as picture:
            # The sides are known before anything is decoded.
            fits = all(MIN_PHOTO_SIDE <= side <= MAX_PHOTO_SIDE for side in picture.size)
            upright: Any = ImageOps.exif_transpose(picture) if fits else None
            image = None if upright is None else np.asarray(upright.convert("RGB"), np.uint8)
    # Decoders of damaged files raise what they like.
    except Exception as error:
        raise PhotoError(type(error).__name__) from error
    if image is None:
        raise PhotoError("it is too small or too large")
    return image


class Photos:
    """The photo of each participant who has one that was not compared yet."""

    def __init__(self) -> None:
        self._photos: dict[tuple[str, str], Image] = {}
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._photos)

    def put(self, session_id: str, participant_id: str, photo: Image) -> None:
        """Takes a photo; another one of the same person goes."""
        self.drop(session_id, participant_id)
        while self._photos and (
            len(self._photos) >= _MOST or self._bytes + photo.nbytes > MOST_BYTES
        ):
            self.drop(*next(iter(self._photos)))
        self._photos[session_id, participant_id] = photo
        self._bytes += photo.nbytes

    def get(self, session_id: str, participant_id: str) -> Image | None:
        """Somebody's photo, if it is still needed."""
        return self._photos.get((session_id, participant_id))

    def drop(self, session_id: str, participant_id: str) -> bool:
        """Forgets somebody's photo; whether there was one."""
        photo = self._photos.pop((session_id, participant_id), None)
        self._bytes -= 0 if photo is None else photo.nbytes
        return photo is not None

    def end_session(self, session_id: str) -> None:
        """Forgets all photos of a session."""
        for place in [place for place in self._photos if place[0] == session_id]:
            self.drop(*place)
