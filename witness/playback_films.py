"""Films as they lie on the disk: in the clear, or encrypted like the recordings they show."""

import asyncio
import shutil
from pathlib import Path
from typing import Final

from recorder.envelope import SUFFIX, MasterKeys
from recorder.playback.sealed import SealedFile

__all__ = ["MAKING", "SealedFilm", "film_place", "sealed_film", "sweep"]

MAKING: Final = ".making"
"""Suffix of the folder in which a film is made; nothing stays in it."""


def sealed_film(film: Path) -> Path:
    """Where the encrypted form of a film lies."""
    return film.with_name(film.name + SUFFIX)


def film_place(film: Path) -> str:
    """What the header of an encrypted film says: ``<session>/film-zh.mp4``."""
    return f"{film.parent.name}/{film.name}"


def sweep(directory: Path, *, plain: bool) -> None:
    """Removes what crashes left of films that were being made.

    Args:
        directory: of films and views.
        plain: films in the clear too; they are made again when somebody wants one.
    """
    for place in directory.glob(f"*/film-*{MAKING}"):
        shutil.rmtree(place, ignore_errors=True)
    if plain:
        for film in directory.glob("*/film-*.mp4"):
            film.unlink(missing_ok=True)


class SealedFilm:
    """Parts of an encrypted film; implements :class:`signaling.recordings.SealedMedia`.

    Attributes:
        size: bytes of the film.

    Raises:
        RecordingError: another key is needed, or it was changed or put in another's place.
        OSError: it can't be read.
    """

    def __init__(self, film: Path, keys: MasterKeys) -> None:
        path = sealed_film(film)
        file = path.open("rb")
        try:
            self._file = SealedFile(file, keys, str(path), film_place(film))
            self.size = self._file.content_size()
        except BaseException:
            file.close()
            raise

    async def read(self, start: int, count: int) -> bytes:
        """Part of the film, decrypted in a thread."""
        return await asyncio.to_thread(self._file.read_at, start, count)

    async def close(self) -> None:
        """Lets go of the file."""
        await asyncio.to_thread(self._file.close)
