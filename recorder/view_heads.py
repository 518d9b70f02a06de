"""Heads of all logs of views, in one file: cutting or removing a log of views shows against it.

``heads.jsonl`` lies beside the folders of sessions. Each line is canonical JSON and holds the
SHA-256 of the line before it; ``seq`` and ``sha256`` are those of the last line of a session's log.
"""

import errno
import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from recorder.canonical import canonical
from recorder.durable import sync_directory
from recorder.errors import CanonicalError, LogDamagedError

__all__ = [
    "HEADS_FILE",
    "SEARCHES_FILE",
    "append_chained",
    "note_head",
    "read_heads",
    "read_searches",
]

HEADS_FILE: Final = "heads.jsonl"
SEARCHES_FILE: Final = "searches.jsonl"
"""Who looked for recordings, and by what; chained in the same way."""

_FIRST: Final = "0" * 64
_TAIL: Final = 4_096
"""More than two lines."""


def note_head(directory: Path, session: str, seq: int, sha256: str) -> str:
    """Appends the head of a session's log of views; on the disk when this returns.

    Returns:
        SHA-256 of the line, to be kept elsewhere.

    Raises:
        OSError: the disk refused.
    """
    head = {"seq": seq, "session": session, "sha256": sha256}
    return append_chained(directory / HEADS_FILE, head)


def append_chained(path: Path, about: Mapping[str, Any]) -> str:
    """Appends a line that holds the SHA-256 of the one before; on the disk when this returns.

    Several processes may do so. Half a line, of a crash or a full disk, is cut off: nobody was told
    of it.

    Returns:
        SHA-256 of the line, to be kept elsewhere.

    Raises:
        OSError: the disk refused.
    """
    is_new = not path.exists()
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - _TAIL)
        file.seek(start)
        tail = file.read(size - start)
        whole = tail[: tail.rfind(b"\n") + 1]
        end = start + len(whole)
        last = whole[whole.rfind(b"\n", 0, -1) + 1 :]
        prev = hashlib.sha256(last).hexdigest() if last else _FIRST
        line = canonical({**about, "prev": prev}) + b"\n"
        os.ftruncate(descriptor, end)
        file.seek(end)
        if file.write(line) != len(line):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        os.fdatasync(descriptor)
    if is_new:
        sync_directory(path.parent)
    return hashlib.sha256(line).hexdigest()


def read_heads(directory: Path, session: str) -> dict[int, str]:
    """SHA-256 of lines that a session's log of views had, by their number.

    Raises:
        LogDamagedError: the heads were changed, or the session's log was begun anew.
        OSError: they can't be read.
    """
    path = directory / HEADS_FILE
    found: dict[int, str] = {}
    if not path.exists():
        return found
    prev = _FIRST
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                break
            head = _parsed(line)
            if head is None or head[0] != prev:
                raise LogDamagedError(
                    "line {seq} of the heads of logs of views is not what was written", seq=number
                )
            prev = hashlib.sha256(line).hexdigest()
            _, name, seq, digest = head
            if name == session and found.setdefault(seq, digest) != digest:
                raise LogDamagedError(
                    "the log of views of {session} was begun anew or changed", session=session
                )
    return found


def read_searches(directory: Path) -> Iterator[tuple[dict[str, Any], str]]:
    """Who looked for recordings, the oldest first, and the SHA-256 of each line.

    Raises:
        LogDamagedError: a line is not the one that was written there.
        OSError: the file can't be read.
    """
    path = directory / SEARCHES_FILE
    if not path.exists():
        return
    prev = _FIRST
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if not line.endswith(b"\n"):
                # A crash left it; nobody was told of it.
                return
            told = _understood(line)
            if told is None or told.pop("prev", None) != prev:
                raise LogDamagedError(
                    "line {seq} of the log of searches is not what was written", seq=number
                )
            prev = hashlib.sha256(line).hexdigest()
            yield told, prev


def _understood(line: bytes) -> dict[str, Any] | None:
    try:
        told = json.loads(line)
        return told if isinstance(told, dict) and canonical(told) + b"\n" == line else None
    except (ValueError, RecursionError, CanonicalError):
        return None


def _parsed(line: bytes) -> tuple[str, str, int, str] | None:
    try:
        head = json.loads(line)
        return str(head["prev"]), str(head["session"]), int(head["seq"]), str(head["sha256"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
