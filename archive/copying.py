"""Copies an object out of the storage."""

import os
from pathlib import Path

from archive.errors import IntegrityError
from archive.package import digest_of
from archive.record import Stored
from archive.storage import Progress, Storage
from recorder.durable import sync_directory

__all__ = ["copy_out"]


def copy_out(storage: Storage, one: Stored, out: Path, progress: Progress | None = None) -> None:
    """Copies an object to a file, by way of ``<file>.part``; goes on where an earlier try ended.

    Raises:
        IntegrityError: it is not what was archived; nothing is left. Or what lies in the ``.part``
            file is no beginning of it, and may be somebody else's: that stays as it was.
        StorageError: the storage failed.
        OSError: the file can't be written.
    """
    part = out.with_name(f"{out.name}.part")
    flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW
    with os.fdopen(os.open(part, flags, 0o600), "ab") as file:
        found = done = file.seek(0, os.SEEK_END)
        if found > one.bytes:
            raise _foreign(part, one)
        os.fchmod(file.fileno(), 0o600)
        for block in storage.read(one.key, done) if done < one.bytes else ():
            file.write(block)
            done += len(block)
            if progress is not None:
                progress(done, one.bytes)
        file.flush()
        os.fsync(file.fileno())
    if digest_of(part) != one.sha256:
        if found:
            os.truncate(part, found)
            raise _foreign(part, one)
        part.unlink()
        raise IntegrityError("{key} is not what was archived", key=one.key)
    part.rename(out)
    sync_directory(out.parent)


def _foreign(part: Path, one: Stored) -> IntegrityError:
    return IntegrityError(
        "{path} is not the beginning of {key}: move it away, then fetch again",
        path=part,
        key=one.key,
    )
