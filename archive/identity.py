"""Which archive this is: a random id, in its directory and in its storage.

A file system that isn't mounted looks like an empty one, and a second server like the first. So
an archive is begun once, on purpose, and each time it is opened both have to name the same.
"""

import json
import os
import re
import secrets
from pathlib import Path
from typing import Final

from archive.errors import MissingError, StorageError
from archive.storage import Storage
from recorder.canonical import canonical
from recorder.durable import sync_directory

__all__ = ["begin", "begun", "check"]

_NAME: Final = "archive.json"
_FORMAT: Final = "witness-archive-id/1"
_ID: Final = re.compile("[0-9a-f]{32}")


def begin(directory: Path, storage: Storage, *, adopt: bool = False) -> str:
    """Begins an archive; on one that is there already nothing changes.

    Args:
        directory: of catalogue, journal and locks; made if it isn't there.
        storage: where objects lie.
        adopt: take over a storage whose directory was lost.

    Returns:
        Its id.

    Raises:
        StorageError: the storage is another archive's, or failed.
        OSError: the directory can't be written.
    """
    here, there = _here(directory), _there(storage)
    if there is not None and here != there and not (adopt and here is None):
        raise StorageError(
            "the storage is that of archive {name}: its directory belongs here; if that is lost:"
            " `witness archive init --adopt`",
            name=there,
        )
    name = here or there or secrets.token_hex(16)
    data = canonical({"format": _FORMAT, "archive": name})
    if there is None:
        storage.put_small(_NAME, data)
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if here is None:
        part = directory / f"{_NAME}.part"
        with part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.rename(directory / _NAME)
        sync_directory(directory)
    return name


def begun(directory: Path) -> str:
    """The id of the archive in a directory.

    Raises:
        StorageError: there is none.
        OSError: it can't be read.
    """
    here = _here(directory)
    if here is None:
        raise StorageError(
            "there is no archive in {path}: if it is on a file system of its own, mount it; a new"
            " one begins with `witness archive init`",
            path=directory,
        )
    return here


def check(directory: Path, storage: Storage) -> None:
    """Looks whether directory and storage are there and belong together.

    Raises:
        StorageError: they do not, or the storage failed.
        OSError: the directory can't be read.
    """
    here = begun(directory)
    if (there := _there(storage)) != here:
        raise StorageError(
            "the storage is not that of the archive in {path} ({name} instead of {expected}): is"
            " it mounted?",
            path=directory,
            name=there or "none",
            expected=here,
        )


def _here(directory: Path) -> str | None:
    try:
        return _read((directory / _NAME).read_bytes())
    except FileNotFoundError:
        return None


def _there(storage: Storage) -> str | None:
    try:
        return _read(storage.read_small(_NAME))
    except MissingError:
        return None


def _read(data: bytes) -> str:
    try:
        value = json.loads(data)
        name = value["archive"]
        if value["format"] == _FORMAT and _ID.fullmatch(name):
            return str(name)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise StorageError("archive.json is not what was written there")
