"""``transcript.jsonl``: what was said, one line after the other, as detectors hear it.

It is appended to while the session is there and closed once: then its digests enter the event log
(``transcript.closed``) and it is sealed with the session. Subtitles of the film are made of it.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from recorder.canonical import canonical
from recorder.digests import digests_of
from recorder.durable import sync_directory
from recorder.errors import SessionStateError
from recorder.log import EventLog
from recorder.regular import open_regular, read_regular

__all__ = [
    "MAX_LINES",
    "TRANSCRIPT_FILE",
    "Spoken",
    "Transcript",
    "append_lines",
    "close_transcript",
    "is_closed",
]

TRANSCRIPT_FILE: Final = "transcript.jsonl"
MAX_LINES: Final = 256
"""Lines of one request at most."""

_CLOSED: Final = b',"type":"transcript.closed"}\n'
"""How a line of a canonical log ends that closes a transcript: quotes in values are escaped."""

_MAX_BYTES: Final = 64 * 2**20
_PIECE: Final = 16_384
_MAX_US: Final = 7 * 86_400 * 1_000_000
_CONTROLS: Final = frozenset(map(chr, [*range(32), 127, 0x2028, 0x2029]))


class Spoken(BaseModel):
    """Something that was said.

    Attributes:
        from_us, to_us: µs on the session clock.
        speaker: participant id, empty where nobody knows.
        source: name and version of what heard it.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    from_us: Annotated[int, Field(ge=0, le=_MAX_US)]
    to_us: Annotated[int, Field(ge=0, le=_MAX_US)]
    text: Annotated[str, Field(min_length=1, max_length=2_000)]
    speaker: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{0,64}$")] = ""
    source: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.@/-]{0,64}$")] = ""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.to_us <= self.from_us:
            raise ValueError("to_us must be after from_us")
        if _CONTROLS.intersection(self.text) or any("\ud800" <= c <= "\udfff" for c in self.text):
            raise ValueError("text must hold no control characters")
        return self

    def to_json(self) -> dict[str, Any]:
        """As the file has it."""
        return self.model_dump(exclude_defaults=True)


class Transcript:
    """A session's transcript that is appended to: neither it nor the log is read over and over.

    Used by one thread at a time. Others may append to the file in between, and close it.
    """

    def __init__(self, place: Path) -> None:
        self._place = place
        self._path = place / TRANSCRIPT_FILE
        self._closed = False
        self._looked_at = 0
        """Bytes of the log in which the transcript wasn't closed."""

    def append(self, lines: Sequence[Spoken]) -> int:
        """Appends, synced; half a line that a crash left is cut off first.

        Returns:
            Bytes of the transcript.

        Raises:
            SessionStateError: it is closed, or would become too long.
            OSError: the disk refused; the transcript is as before.
        """
        data = b"".join(canonical(line.to_json()) + b"\n" for line in lines)
        is_new = not self._path.exists()
        if self._is_closed():
            raise SessionStateError("the transcript is closed")
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            size = _whole_lines(file)
            if size + len(data) > _MAX_BYTES:
                raise SessionStateError("a transcript has at most {bytes} bytes", bytes=_MAX_BYTES)
            file.truncate(size)
            file.seek(size)
            try:
                file.write(data)
                file.flush()
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        if is_new:
            sync_directory(self._place)
        return size + len(data)

    def _is_closed(self) -> bool:
        """Whether the log says so; what was looked at is not looked at again."""
        log = self._place / "events.jsonl"
        if self._closed or not log.exists():
            return self._closed
        with open_regular(log) as file:
            if os.fstat(file.fileno()).st_size < self._looked_at:
                # A log that was cut is another one.
                self._looked_at = 0
            file.seek(self._looked_at)
            for line in file:
                if not line.endswith(b"\n"):
                    break
                self._looked_at += len(line)
                self._closed = self._closed or line.endswith(_CLOSED)
        if self._closed:
            _make_read_only(self._path)
        return self._closed


def append_lines(place: Path, lines: Sequence[Spoken]) -> int:
    """Appends once to a session's transcript (:meth:`Transcript.append`)."""
    return Transcript(place).append(lines)


def is_closed(place: Path) -> bool:
    """Whether the digests of a transcript are in the log, which alone decides.

    Its file is read-only then: a crash between the two, or a copy, may have left it otherwise.

    Raises:
        OSError: the log can't be read.
    """
    if not _is_logged(place / "events.jsonl"):
        return False
    _make_read_only(place / TRANSCRIPT_FILE)
    return True


def close_transcript(place: Path, log: EventLog, actor: str = "system") -> None:
    """Enters the digests of a transcript into the log; nothing is appended after it.

    Raises:
        LogWriteError, OSError: the disk refused.
    """
    path = place / TRANSCRIPT_FILE
    data = read_regular(path)
    payload = {
        "file": TRANSCRIPT_FILE,
        "lines": data.count(b"\n"),
        "bytes": len(data),
        **digests_of(data).to_json(),
    }
    log.append("transcript.closed", payload, actor=actor, durable=True)
    path.chmod(0o400)


def _make_read_only(path: Path) -> None:
    if path.exists() and path.stat().st_mode & stat.S_IWUSR:
        path.chmod(0o400)


def _is_logged(log: Path) -> bool:
    """Looks for the line without parsing the others: a log may be long, lines come often."""
    if not log.exists():
        return False
    with open_regular(log) as file:
        return any(line.endswith(_CLOSED) for line in file)


def _whole_lines(file: BinaryIO) -> int:
    """Bytes of a transcript up to the end of its last whole line, found from the end."""
    at = file.seek(0, os.SEEK_END)
    while at > 0:
        piece = min(at, _PIECE)
        at = file.seek(at - piece)
        end = file.read(piece).rfind(b"\n")
        if end >= 0:
            return at + end + 1
    return 0
