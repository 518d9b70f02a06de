"""Plain copies of encrypted files, for people with the key."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from recorder.durable import sync_directory
from recorder.envelope import SUFFIX, EnvelopeError, Header, MasterKeys, place_of
from recorder.playback.sealed import open_sealed
from recorder.regular import open_regular

__all__ = ["CaptureFile", "Decrypted", "capture_files", "decrypt", "describe"]

_PIECE: Final = 1 << 20

Progress = Callable[[int], None]
"""Told how many bytes of encrypted files were read."""


@dataclass(frozen=True, slots=True)
class Decrypted:
    """One plain copy.

    Attributes:
        is_cut: the encrypted file has no last frame: a crash, or somebody, cut it short.
    """

    source: Path
    file: Path
    bytes: int
    is_cut: bool

    def to_json(self) -> dict[str, Any]:
        """As the command line says it."""
        return {
            "source": str(self.source),
            "file": str(self.file),
            "bytes": self.bytes,
            "cut": self.is_cut,
        }


@dataclass(frozen=True, slots=True)
class CaptureFile:
    """What a file says of itself, without its key.

    Attributes:
        key_id: which master key, hexadecimal; ``None``: not encrypted.
        place: where it says that it belongs; ``None``: it doesn't.
        is_elsewhere: it lies somewhere else in a session's directory.
    """

    file: Path
    bytes: int
    key_id: str | None
    place: str | None
    is_elsewhere: bool

    def to_json(self) -> dict[str, Any]:
        """As the command line says it."""
        return {
            "file": str(self.file),
            "bytes": self.bytes,
            "key_id": self.key_id,
            "place": self.place,
            "elsewhere": self.is_elsewhere,
        }


def capture_files(place: Path) -> list[Path]:
    """Files of media in a session's directory: captured ones, and uploaded frames."""
    names = ("*.pcapng", "*.pcapng.enc", "backfill/*.frames", "backfill/*.frames.enc")
    return sorted(path for name in names for path in place.glob(f"tracks/*/{name}"))


def describe(path: Path) -> CaptureFile:
    """What can be said of a file without its key.

    Raises:
        EnvelopeError: it is called an encrypted file and is none.
        OSError: it can't be read.
    """
    size = path.stat().st_size
    if path.suffix != SUFFIX:
        return CaptureFile(path, size, None, None, False)
    with open_regular(path) as file:
        header = Header.read(file)
    if header is None:
        raise EnvelopeError("{path} is no encrypted file", path=path)
    lies = place_of(path)
    is_elsewhere = None not in {lies, header.place} and lies != header.place
    return CaptureFile(path, size, header.key_id.hex(), header.place, is_elsewhere)


def decrypt(
    source: Path, target: Path, keys: MasterKeys, progress: Progress = lambda _: None
) -> Decrypted:
    """Writes the plain copy of one file, mode 0600. It has its name when all of it was checked.

    Args:
        source: the encrypted file.
        target: does not exist.
        keys: one of them is the file's master key.
        progress: told of bytes that were read.

    Raises:
        EnvelopeError: the target exists, or would lie in a session's directory.
        RecordingError: another key is needed, or the file is not what was written.
        OSError: a file can't be read or written.
    """
    if target.exists():
        raise _exists(target)
    for place in target.absolute().resolve().parents:
        if (place / "session.json").is_file():
            raise EnvelopeError(
                "{path} lies in the directory of a recorded session, where only the recorder"
                " writes: choose another place with --out",
                path=target,
            )
    part = target.with_name(target.name + ".part")
    size = 0
    with open_sealed(source, keys) as sealed:
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                for piece in _pieces(sealed.read):
                    file.write(piece)
                    size += len(piece)
                    progress(len(piece))
                file.flush()
                os.fsync(file.fileno())
            # A link refuses to replace what is there.
            target.hardlink_to(part)
        except FileExistsError:
            raise _exists(target) from None
        finally:
            part.unlink()
        sync_directory(target.absolute().parent)
        return Decrypted(source, target, size, sealed.is_cut)


def _pieces(read: Callable[[int], bytes | None]) -> Iterator[bytes]:
    while piece := read(_PIECE):
        yield piece


def _exists(path: Path) -> EnvelopeError:
    return EnvelopeError("{path} exists already; nothing is written over", path=path)
