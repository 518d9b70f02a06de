"""Objects in a directory of this machine, or of a network file system that is mounted."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from archive.errors import MissingError, StorageError
from archive.keep import Keep
from archive.storage import BLOCK, Found, Progress
from recorder.durable import sync_directory
from recorder.regular import open_regular

__all__ = ["LocalBackend"]

_PART: Final = "~part"
"""Ends the names of files that are not whole; no key can end so."""


class LocalBackend:
    """A file for each object; it appears under its name when it is whole and on the disk.

    Args:
        directory: made (mode 0700) if it isn't there.
    """

    name = "local"

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def put(self, key: str, source: Path, progress: Progress) -> None:
        """See :class:`archive.storage.Backend`."""
        target = self._directory / key
        part = target.with_name(target.name + _PART)
        with _told(key), open_regular(source) as file:
            self._make(target.parent)
            total = os.fstat(file.fileno()).st_size
            descriptor = os.open(part, os.O_RDWR | os.O_CREAT, 0o600)
            with os.fdopen(descriptor, "r+b") as copy:
                done = _same(file, copy)
                file.seek(done)
                copy.seek(done)
                copy.truncate()
                while block := file.read(BLOCK):
                    copy.write(block)
                    done += len(block)
                    progress(done, total)
                copy.flush()
                os.fsync(copy.fileno())
            part.rename(target)
            sync_directory(target.parent)

    def put_small(self, key: str, data: bytes) -> None:
        """See :class:`archive.storage.Backend`."""
        target = self._directory / key
        part = target.with_name(target.name + _PART)
        with _told(key):
            self._make(target.parent)
            with os.fdopen(
                os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb"
            ) as new:
                new.write(data)
                new.flush()
                os.fsync(new.fileno())
            part.rename(target)
            sync_directory(target.parent)

    def read(self, key: str, start: int, length: int | None) -> Iterator[bytes]:
        """See :class:`archive.storage.Backend`."""
        with _told(key), (self._directory / key).open("rb") as file:
            file.seek(start)
            left = length
            while block := file.read(BLOCK if left is None else min(BLOCK, left)):
                yield block
                left = None if left is None else left - len(block)

    def head(self, key: str) -> Found | None:
        """See :class:`archive.storage.Backend`."""
        path = self._directory / key
        with _told(key):
            return Found(key, path.stat().st_size) if path.is_file() else None

    def find(self, prefix: str) -> Iterator[Found]:
        """See :class:`archive.storage.Backend`."""
        with _told(prefix):
            for folder, folders, names in os.walk(self._directory):
                folders.sort()
                at = Path(folder)
                for name in sorted(names):
                    key = (at / name).relative_to(self._directory).as_posix()
                    if key.startswith(prefix) and not name.endswith(_PART):
                        yield Found(key, (at / name).stat().st_size)

    def lock(self, key: str, keep: Keep) -> None:
        """A directory guards nothing by itself."""

    def remove(self, key: str) -> None:
        """See :class:`archive.storage.Backend`."""
        path = self._directory / key
        with _told(key):
            for name in (path, path.with_name(path.name + _PART)):
                name.unlink(missing_ok=True)
            if path.parent.is_dir():
                sync_directory(path.parent)

    def _make(self, folder: Path) -> None:
        """A folder and those above it, so that a power failure leaves them."""
        if folder.is_dir():
            return
        self._make(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        sync_directory(folder.parent)


def _same(one: BinaryIO, other: BinaryIO) -> int:
    """How many bytes at their beginning two files have in common, in whole blocks."""
    same = 0
    while True:
        left, right = one.read(BLOCK), other.read(BLOCK)
        if not right or left != right:
            return same
        same += len(right)


@contextmanager
def _told(key: str) -> Iterator[None]:
    try:
        yield
    except FileNotFoundError:
        raise MissingError("{key} is not in the storage", key=key) from None
    except OSError as error:
        raise StorageError(
            "the storage failed at {key}: {reason}", key=key, reason=error.strerror
        ) from error
