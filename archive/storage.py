"""The storage of an archive: objects that are put once, read often, and deleted when they may be.

A :class:`Backend` moves bytes: a directory or an S3-compatible service. Everything that must hold
wherever the bytes lie stands once, in :class:`Storage`: nothing is replaced, what was put is read
again and compared, and nothing is deleted before its day or while a case needs it.
"""

import hashlib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Final, Protocol

from archive.errors import IntegrityError, MissingError, RetainedError, StorageError
from archive.keep import Keep

__all__ = ["BLOCK", "Backend", "Found", "Progress", "Storage", "is_key"]

BLOCK: Final = 1 << 20
"""Bytes that are read at once."""

_KEEP: Final = ".keep.json"
_PART: Final = r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}"
_KEY: Final = re.compile(rf"{_PART}(?:/{_PART}){{0,5}}")
_MAX_SMALL: Final = 1 << 20

Progress = Callable[[int, int], None]
"""Called with bytes done and bytes in all."""


@dataclass(frozen=True, slots=True)
class Found:
    """An object that is there."""

    key: str
    bytes: int


class Backend(Protocol):
    """Moves bytes. Only :class:`Storage` calls it. All methods raise :class:`StorageError`."""

    name: str
    """``local`` or ``s3``."""

    def put(self, key: str, source: Path, progress: Progress) -> None:
        """Copies a file to a key that is free; goes on where an earlier try was cut off."""
        ...

    def put_small(self, key: str, data: bytes) -> None:
        """Writes a small object at once, in place of an earlier one."""
        ...

    def read(self, key: str, start: int, length: int | None) -> Iterator[bytes]:
        """A range of an object, in blocks; to its end without a length."""
        ...

    def head(self, key: str) -> Found | None:
        """Whether an object is there, whole."""
        ...

    def find(self, prefix: str) -> Iterator[Found]:
        """All whole objects whose key begins so, by key."""
        ...

    def lock(self, key: str, keep: Keep) -> None:
        """Has the service itself guard an object, where it can; only ever later days."""
        ...

    def remove(self, key: str) -> None:
        """Deletes an object, and every version of it."""
        ...


def is_key(text: str) -> bool:
    """Whether a text may name an object: 1 to 6 parts that are safe in paths and addresses."""
    return _KEY.fullmatch(text) is not None and ".." not in text.split("/")


class Storage:
    """Objects and how long they stay.

    Args:
        backend: where they lie.
    """

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    @property
    def name(self) -> str:
        """``local`` or ``s3``."""
        return self._backend.name

    def put(
        self, key: str, source: Path, sha256: str, keep: Keep, progress: Progress | None = None
    ) -> None:
        """Copies a file and checks the copy; on return it is there, whole, and guarded.

        An object that is there already with these bytes is left as it is.

        Args:
            key: of the object.
            source: the file.
            sha256: of its content.
            keep: how long it stays at least.
            progress: told of bytes copied and read again.

        Raises:
            IntegrityError: the copy is not the file (and was removed), or another object has
                this key.
            StorageError: the storage failed; trying again goes on where this ended.
        """
        _checked(key)
        size = source.stat().st_size
        told = progress or _nothing
        found = self._backend.head(key)
        before = self.keep_of(key)
        if before is not None:
            keep = before.merged(keep)
        if found is None:
            # First, so that there is no moment in which the object has no day.
            self._guard(key, keep)
            self._backend.put(key, source, lambda done, _: told(done, 2 * size))
        if self.digest(key, lambda done, _: told(size + done, 2 * size)) != sha256:
            if found is not None:
                raise IntegrityError(
                    "{key} is there already, with another content; objects are never replaced",
                    key=key,
                )
            # Not an archived object yet: nobody was told that it is there.
            self._backend.remove(key)
            raise IntegrityError("the copy of {path} came out different", path=source)
        self.protect(key, keep)

    def put_small(self, key: str, data: bytes) -> None:
        """Writes a small object that may change, like a record.

        Raises:
            StorageError: the storage failed.
        """
        if key.endswith(_KEEP):
            raise StorageError("{key} is no key of an object", key=repr(key))
        self._backend.put_small(_checked(key), data)

    def read(self, key: str, start: int = 0, length: int | None = None) -> Iterator[bytes]:
        """A range of an object, in blocks.

        Raises:
            MissingError: there is none.
            StorageError: the storage failed.
        """
        return self._backend.read(_checked(key), start, length)

    def read_small(self, key: str) -> bytes:
        """All of a small object.

        Raises:
            MissingError: there is none.
            StorageError: the storage failed, or it is too large.
        """
        data = b"".join(self.read(key, 0, _MAX_SMALL + 1))
        if len(data) > _MAX_SMALL:
            raise StorageError("{key} is too large", key=key)
        return data

    def digest(self, key: str, progress: Progress | None = None) -> str:
        """SHA-256 of an object as it lies there, read from beginning to end.

        Raises:
            MissingError: there is none.
            StorageError: the storage failed.
        """
        found = self.head(key)
        if found is None:
            raise MissingError("{key} is not in the storage", key=key)
        digest, done = hashlib.sha256(), 0
        for block in self.read(key):
            digest.update(block)
            done += len(block)
            if progress is not None:
                progress(done, found.bytes)
        return digest.hexdigest()

    def head(self, key: str) -> Found | None:
        """Size of an object, ``None`` if there is none.

        Raises:
            StorageError: the storage failed.
        """
        return self._backend.head(_checked(key))

    def find(self, prefix: str = "") -> Iterator[Found]:
        """All objects whose key begins so, by key; what lies beside them is left out.

        Raises:
            StorageError: the storage failed.
        """
        return (item for item in self._backend.find(prefix) if not item.key.endswith(_KEEP))

    def keep_of(self, key: str) -> Keep | None:
        """How long an object stays; ``None`` if nobody said, and then it stays.

        Raises:
            IntegrityError: what lies beside it can't be read; it stays.
            StorageError: the storage failed.
        """
        try:
            return Keep.from_bytes(self.read_small(_checked(key) + _KEEP))
        except MissingError:
            return None

    def protect(self, key: str, keep: Keep) -> None:
        """Says how long an object stays, and which cases need it.

        Days only become later. When this fails half-way, the object is guarded by what is
        stricter.

        Raises:
            RetainedError: a day would become earlier; nothing has changed.
            MissingError: there is no such object.
            StorageError: the storage failed.
        """
        if self.head(key) is None:
            raise MissingError("{key} is not in the storage", key=key)
        guarded = self._guard(key, keep)
        self._backend.lock(key, guarded)

    def _guard(self, key: str, keep: Keep) -> Keep:
        """Writes what lies beside an object."""
        before = self.keep_of(key)
        if before is not None and not before.allows(keep):
            raise RetainedError(
                "{key} is kept until {day}; that can't become earlier",
                key=key,
                day=before.retain_until or before.lock_until,
            )
        if before != keep:
            self._backend.put_small(key + _KEEP, keep.to_bytes())
        return keep

    def delete(self, key: str, today: date) -> None:
        """Deletes an object whose time is over.

        Raises:
            RetainedError: its day has not passed or isn't known, or a case needs it.
            StorageError: the storage failed, or guards it itself.
        """
        if self.head(key) is None:
            # An earlier try was cut off after the object and before what lies beside it.
            self._backend.remove(key + _KEEP)
            return
        keep = self.keep_of(key)
        if keep is None or keep.retain_until is None:
            raise RetainedError("how long {key} is kept isn't known: it stays", key=key)
        if keep.holds:
            raise RetainedError("{key} is held for {cases}", key=key, cases=", ".join(keep.holds))
        if not keep.may_go(today):
            day = max(keep.retain_until, keep.lock_until)
            raise RetainedError("{key} is kept until {day}", key=key, day=day)
        self._backend.remove(key)
        self._backend.remove(key + _KEEP)


def _checked(key: str) -> str:
    if not is_key(key):
        raise StorageError("{key} is no key of an object", key=repr(key))
    return key


def _nothing(_done: int, _total: int) -> None:
    pass
