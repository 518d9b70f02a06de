"""The archive's journal: who did what to which recording, and why. Append-only and hash-chained.

One event a line in canonical JSON, each with the digests of the one before; so every edit,
insertion, deletion and exchange shows, and any truncation that is not at the end. Several
processes may write: each append takes the file's lock and reads the last line.
"""

import errno
import fcntl
import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from archive.errors import JournalError
from recorder.canonical import canonical
from recorder.digests import Digests, digests_of
from recorder.durable import sync_directory
from recorder.errors import CanonicalError
from recorder.session_file import rfc3339

__all__ = ["Entry", "Journal"]

_MAX_LINE: Final = 65_536
_FIRST: Final = digests_of(b"witness-archive-journal/1")


@dataclass(frozen=True, slots=True)
class Entry:
    """One line.

    Attributes:
        seq: from 1, without holes.
        at: RFC 3339 by this machine's clock.
        who: who did it: a person's name in the bank's directory, or ``system``.
        why: in their words.
        what: ``deposit.verified``, ``hold.placed``, …
        package: of which recording; empty where it concerns all.
        facts: what belongs to it.
    """

    seq: int
    at: str
    who: str
    why: str
    what: str
    package: str
    facts: dict[str, Any]
    prev: Digests

    def line(self) -> bytes:
        """As it stands in the journal, with the line's end."""
        body = self._body()
        return canonical({**body, "digest": digests_of(canonical(body)).to_json()}) + b"\n"

    def digest(self) -> Digests:
        """Digests of this line."""
        return digests_of(canonical(self._body()))

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return self._body()

    def _body(self) -> dict[str, Any]:
        return {
            "seq": self.seq,
            "at": self.at,
            "who": self.who,
            "why": self.why,
            "what": self.what,
            "package": self.package,
            "facts": self.facts,
            "prev": self.prev.to_json(),
        }


class Journal:
    """One file."""

    def __init__(self, path: Path, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._path = path
        self._wall_ns = wall_ns

    def append(self, what: str, package: str, who: str, why: str = "", **facts: Any) -> Entry:
        """Writes a line; it is on the disk when this returns.

        Raises:
            JournalError: the last line is damaged, the new one is too long, or the disk refused.
        """
        try:
            with self._locked() as file:
                last = self._last(file)
                entry = Entry(
                    1 if last is None else last.seq + 1,
                    rfc3339(self._wall_ns()),
                    who,
                    why,
                    what,
                    package,
                    facts,
                    _FIRST if last is None else last.digest(),
                )
                line = entry.line()
                if len(line) > _MAX_LINE:
                    raise JournalError("a line of {bytes} bytes is too long", bytes=len(line))
                _write(file, line)
        except OSError as error:
            raise JournalError(
                "the archive's journal can't be written: {reason}", reason=error.strerror
            ) from error
        except CanonicalError as error:
            raise JournalError(
                "the archive's journal can't be written: {reason}", reason=error
            ) from error
        return entry

    def read(self) -> Iterator[Entry]:
        """All lines, each checked against the one before.

        Raises:
            JournalError: a line is not the one that was written there.
        """
        prev, seq = _FIRST, 0
        try:
            with self._path.open("rb") as file:
                while line := file.readline(_MAX_LINE + 1):
                    seq += 1
                    if not line.endswith(b"\n") and len(line) <= _MAX_LINE:
                        return  # a crash cut it off; the next append moves it away
                    entry = _parsed(line, seq)
                    if entry.seq != seq or entry.prev != prev:
                        raise JournalError(
                            "line {seq} of the archive's journal does not follow the one before it",
                            seq=seq,
                        )
                    yield entry
                    prev = entry.digest()
        except FileNotFoundError:
            return

    @contextmanager
    def _locked(self) -> Iterator[BinaryIO]:
        is_new = not self._path.exists()
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(descriptor, "r+b", buffering=0) as file:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            if is_new:
                sync_directory(self._path.parent)
            yield file

    def _last(self, file: BinaryIO) -> Entry | None:
        """The last whole line; half a line that a crash left is moved to ``journal.torn``."""
        size = file.seek(0, os.SEEK_END)
        start = max(0, size - 2 * _MAX_LINE)
        file.seek(start)
        tail = file.read(size - start)
        end = tail.rfind(b"\n") + 1
        if start and not end:
            raise JournalError("the end of the archive's journal is damaged: no line ends there")
        if torn := tail[end:]:
            with self._path.with_suffix(".torn").open("ab") as kept:
                kept.write(torn + b"\n")
                kept.flush()
                os.fsync(kept.fileno())
            os.ftruncate(file.fileno(), start + end)
        if not end:
            return None
        line = tail[tail.rfind(b"\n", 0, end - 1) + 1 : end]
        return _parsed(line, None)


def _write(file: BinaryIO, line: bytes) -> None:
    """All of a line, on the disk, or nothing of it."""
    before = file.seek(0, os.SEEK_END)
    try:
        written = file.write(line)
        os.fsync(file.fileno())
    except OSError:
        os.ftruncate(file.fileno(), before)
        raise
    if written != len(line):
        os.ftruncate(file.fileno(), before)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def _parsed(line: bytes, number: int | None) -> Entry:
    try:
        value = json.loads(line)
        entry = Entry(
            int(value["seq"]),
            str(value["at"]),
            str(value["who"]),
            str(value["why"]),
            str(value["what"]),
            str(value["package"]),
            dict(value["facts"]),
            Digests.from_json(value["prev"]),
        )
        whole = entry.line() == line
    except (ValueError, KeyError, TypeError, RecursionError, CanonicalError):
        whole, entry = False, None
    if not whole or entry is None:
        raise JournalError(
            "line {seq} of the archive's journal is not what was written",
            seq="last" if number is None else number,
        )
    return entry
