"""``transcript.jsonl``: what was said, one line after the other, as detectors hear it.

It is appended to while the session is there and closed once: then its digests enter the event log
(``transcript.closed``) and it is sealed with the session. Subtitles of the film are made of it.
"""

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from recorder.canonical import canonical
from recorder.digests import digests_of
from recorder.durable import sync_directory
from recorder.errors import SessionStateError
from recorder.log import EventLog

__all__ = [
    "MAX_LINES",
    "TRANSCRIPT_FILE",
    "Spoken",
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


def append_lines(place: Path, lines: Sequence[Spoken]) -> int:
    """Appends to a session's transcript, synced; half a line that a crash left is cut off first.

    Returns:
        Bytes of the transcript.

    Raises:
        SessionStateError: the transcript would become too long.
        OSError: the disk refused; the transcript is as before.
    """
    data = b"".join(canonical(line.to_json()) + b"\n" for line in lines)
    path = place / TRANSCRIPT_FILE
    is_new = not path.exists()
    if is_closed(place):
        raise SessionStateError("the transcript is closed")
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "r+b") as file:
        size = _whole_lines(file.read())
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
        sync_directory(place)
    return size + len(data)


def is_closed(place: Path) -> bool:
    """Whether the digests of a transcript are in the log, which alone decides.

    Its file is read-only then: a crash between the two, or a copy, may have left it otherwise.

    Raises:
        OSError: the log can't be read.
    """
    if not _is_logged(place / "events.jsonl"):
        return False
    path = place / TRANSCRIPT_FILE
    if path.exists() and path.stat().st_mode & stat.S_IWUSR:
        path.chmod(0o400)
    return True


def close_transcript(place: Path, log: EventLog, actor: str = "system") -> None:
    """Enters the digests of a transcript into the log; nothing is appended after it.

    Raises:
        LogWriteError, OSError: the disk refused.
    """
    path = place / TRANSCRIPT_FILE
    data = path.read_bytes()
    payload = {
        "file": TRANSCRIPT_FILE,
        "lines": data.count(b"\n"),
        "bytes": len(data),
        **digests_of(data).to_json(),
    }
    log.append("transcript.closed", payload, actor=actor, durable=True)
    path.chmod(0o400)


def _is_logged(log: Path) -> bool:
    """Looks for the line without parsing the others: a log may be long, lines come often."""
    if not log.exists():
        return False
    with log.open("rb") as file:
        return any(line.endswith(_CLOSED) for line in file)


def _whole_lines(data: bytes) -> int:
    return data.rfind(b"\n") + 1
