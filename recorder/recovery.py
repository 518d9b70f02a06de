"""Finishes what a killed server left open: torn files are cut, closed, and entered into the log.

A file that was being written ends in ``.part``. Of it stays every whole block (of an encrypted
one every whole frame); the rest is at most what came in the last second. Nothing that was written
is ever removed but that torn end, and files without a single packet.

After ``recording.stopped`` a log may still tell how the media of before ends: ``segment.closed``,
``gap.declared`` and ``track.closed`` of tracks that were open then, ``recording.recovered``, and
what fills gaps. A track that was closed before stays as it is: what its ``.part`` holds was
declared missing, and nothing is added to it behind the back of who sealed the recording.
"""

import json
import os
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct
from typing import Any, BinaryIO, Final

from recorder.canonical import canonical
from recorder.digests import Digester, digests_of
from recorder.durable import sync_directory
from recorder.envelope import LAST, MAX_FRAME, TAG, Header
from recorder.errors import CanonicalError, LogBusyError, RecorderError
from recorder.log import Event, EventLog, read_events
from recorder.regular import open_regular, read_regular
from recorder.session import RecordingSession, State
from recorder.session_file import read_session
from recorder.track_file import who_sends

__all__ = ["Damaged", "Recovered", "recover_all", "recover_session"]

_PART: Final = ".part"
_CUT: Final = ".cut"
_SEALED: Final = ".pcapng.enc"
_PLAIN: Final = ".pcapng"
_FILE: Final = re.compile(r"\d{6}\.pcapng(\.enc)?", re.ASCII)
_FINISHED: Final = "recovered.mark"
"""Says which log was looked through and needs nothing; whatever is appended makes it void."""
_MAX_US: Final = 1 << 50
"""No session is 35 years long: a packet that says so has no time."""
_MAX_BLOCK: Final = 1 << 20
_SECTION: Final = 0x0A0D0D0A
_PACKET: Final = 6
_HEAD: Final = Struct("<II")
_TIME: Final = Struct("<II")
_AT_MOST_LOST_US: Final = 1_000_000
"""Packets are handed to the operating system within so long of their arrival."""
_COPIED: Final = 1 << 20


@dataclass(slots=True)
class Recovered:
    """What was found and done in one session.

    Attributes:
        closed: files that were finished, or finished before without word in the log.
        cut_bytes: torn ends that were cut off.
        removed: files without a packet.
        tracks: that were open.
        was_running: nobody had stopped the recording.
    """

    session: str
    closed: list[str] = field(default_factory=list)
    cut_bytes: int = 0
    removed: int = 0
    tracks: int = 0
    was_running: bool = False


@dataclass(slots=True)
class _Known:
    """What the log says of a track."""

    is_closed: bool = False
    files: set[str] = field(default_factory=set)
    last_us: int = 0
    opened: bool = False
    about: object = None


@dataclass(slots=True)
class _Content:
    """What a file holds, as far as it is whole."""

    size: int
    packets: int
    first_us: int | None
    last_us: int | None


Damaged = Callable[[str, Exception], None]
"""Is told of a session that could not be finished, and why."""


def recover_all(directory: Path, damaged: Damaged) -> list[Recovered]:
    """Finishes all sessions of a recording directory that need it, each on its own.

    Sessions another process has open are left alone. One that was stopped and needed nothing
    is not read again until its log changes.

    Args:
        directory: of sessions.
        damaged: told of those whose log or files are not what was written, or can't be read or
            written; they stay as they are, the others are finished.

    Raises:
        OSError: the directory can't be read.
    """
    found: list[Recovered] = []
    for place in sorted(item for item in directory.iterdir() if (item / "session.json").is_file()):
        try:
            if _is_finished(place):
                continue
            recovered = recover_session(place)
            if recovered is not None:
                found.append(recovered)
            elif _has_stopped(place):
                _mark(place)
        except LogBusyError:
            continue
        except (
            OSError,
            RecorderError,
            ArithmeticError,
            LookupError,
            TypeError,
            ValueError,
        ) as error:
            damaged(place.name, error)
    return found


def _state(place: Path) -> str:
    about = (place / "events.jsonl").stat()
    return f"{about.st_size} {about.st_mtime_ns} {about.st_ino}\n"


def _is_finished(place: Path) -> bool:
    try:
        return read_regular(place / _FINISHED) == _state(place).encode()
    except (OSError, ValueError):
        return False


def _has_stopped(place: Path) -> bool:
    """Whether nothing but uploads follows in the log: only such a session is marked."""
    with open_regular(place / "events.jsonl") as file:
        return any(b'"type":"recording.stopped"' in line for line in file)


def _mark(place: Path) -> None:
    # Not synced: what a crash takes is made again by the next start.
    with open_regular(place / _FINISHED, os.O_RDWR | os.O_CREAT | os.O_TRUNC) as mark:
        mark.write(_state(place).encode())


def recover_session(place: Path) -> Recovered | None:
    """Finishes one session; ``None`` where there was nothing to do.

    Raises:
        RecorderError: its log or ``session.json`` is not what was written.
        OSError: a file can't be read or written.
    """
    session = read_session(place)
    known: dict[str, _Known] = {}
    with EventLog.open(place) as log:
        stopped_us: int | None = None
        recording = RecordingSession()
        for event in read_events(place, session):
            if event.type == "recording.stopped":
                stopped_us = event.at_us
            _note(known, event)
            recording.apply(event)
        found = Recovered(session.session)
        tracks = place / "tracks"
        folders = (
            sorted(item for item in tracks.iterdir() if item.is_dir()) if tracks.is_dir() else []
        )
        for folder in folders:
            track = known.setdefault(folder.name, _Known())
            if stopped_us is not None and track.is_closed:
                continue
            _finish(log, folder, track, found, session.started_ns)
        for name, track in known.items():
            if track.opened and not track.is_closed:
                found.tracks += 1
                _describe(log, tracks / name / "track.json", track)
                _close(log, name, track, stopped_us)
        # Nobody may have been there: without word of it the time until it goes on would be a whole
        # recording of nothing, and one that nobody goes on with could not be sealed.
        found.was_running = recording.state in {State.RECORDING, State.PAUSED}
        if not (
            found.closed or found.cut_bytes or found.removed or found.tracks or found.was_running
        ):
            return None
        payload = {
            "tracks": found.tracks,
            "files": sorted(found.closed),
            "cut_bytes": found.cut_bytes,
            "removed": found.removed,
        }
        log.append("recording.recovered", payload, durable=True)
    return found


def _note(known: dict[str, _Known], event: Event) -> None:
    name = event.payload.get("track")
    if not isinstance(name, str):
        return
    track = known.setdefault(name, _Known())
    match event.type:
        case "track.opened":
            track.opened, track.is_closed = True, False
            track.last_us = max(track.last_us, event.at_us)
        case "track.described":
            track.about = event.payload.get("about", track.about)
        case "track.closed":
            track.is_closed = True
        case "segment.closed":
            track.files.add(event.payload["file"])
            track.last_us = max(track.last_us, event.payload["to_us"])
        case "gap.declared":
            track.last_us = max(track.last_us, event.payload["to_us"])


def _finish(log: EventLog, folder: Path, track: _Known, found: Recovered, started_ns: int) -> None:
    """Closes the open files of a track, and tells of closed ones the log does not know."""
    for half in _left(folder, _PART + _CUT):
        half.unlink()
    finished: set[Path] = set()
    for part in _left(folder, _PART):
        path = part.with_name(part.name.removesuffix(_PART))
        if path.exists() and path.samefile(part):
            part.unlink()
            continue
        with open_regular(part, os.O_RDWR) as file:
            content = _whole(file, path.name)
            torn = os.fstat(file.fileno()).st_size - content.size
            found.cut_bytes += torn
            if content.packets == 0:
                part.unlink()
                found.removed += 1
                continue
            os.fsync(file.fileno())
            if torn:
                _cut(part, file, content.size)
        finished.add(_give_name(part, path))
    sync_directory(folder)
    for path in sorted(folder.iterdir()):
        if path in finished or _is_news(path, track.files):
            if not track.opened:
                track.opened = True
                log.append("track.opened", {"track": folder.name}, at=track.last_us)
            payload = _described(path, track, started_ns)
            log.append("segment.closed", {"track": folder.name, **payload}, at=payload["to_us"])
            track.last_us = max(track.last_us, payload["to_us"])
            found.closed.append(f"{folder.name}/{path.name}")


def _is_news(path: Path, known: set[str]) -> bool:
    """Whether it is a file of the recorder's that the log lacks; the plain copy of one is not."""
    twin = path.with_name(path.name.removesuffix(_PLAIN) + _SEALED)
    is_copy = path.name.endswith(_PLAIN) and (twin.name in known or twin.exists())
    is_ours = bool(_FILE.fullmatch(path.name)) and path.is_file() and not is_copy
    return is_ours and path.name not in known


def _left(folder: Path, kind: str) -> list[Path]:
    """What the recorder left unfinished; somebody else's files are none of its business."""
    found = (path for path in folder.iterdir() if path.name.endswith(kind))
    return sorted(path for path in found if _FILE.fullmatch(path.name.removesuffix(kind)))


def _cut(part: Path, file: BinaryIO, size: int) -> None:
    """Takes off a torn end, all at once with the time of the last write, which is kept: of what is
    encrypted it is all that says when the file ends.
    """
    written_ns = os.fstat(file.fileno()).st_mtime_ns
    cut = part.with_name(part.name + _CUT)
    file.seek(0)
    left = size
    with cut.open("wb") as whole:
        while left and (data := file.read(min(left, _COPIED))):
            whole.write(data)
            left -= len(data)
        whole.flush()
        os.fsync(whole.fileno())
    os.utime(cut, ns=(written_ns, written_ns))
    cut.rename(part)


def _give_name(part: Path, path: Path) -> Path:
    """Names a finished file, and returns its path.

    Where the name is taken, the next free number is its own.
    """
    # Nothing else writes here: what is free stays free.
    if path.exists():
        kind = path.name[path.name.index(".") :]
        taken = (item.name.split(".")[0] for item in path.parent.iterdir())
        number = max(int(name) for name in taken if name.isdecimal()) + 1
        path = path.with_name(f"{number:06}{kind}")
    try:
        # A link refuses to replace what is there; a rename would do it silently.
        path.hardlink_to(part)
    except FileExistsError:
        raise
    except OSError:
        # Not every file system has links.
        part.rename(path)
    else:
        part.unlink()
    return path


def _describe(log: EventLog, path: Path, track: _Known) -> None:
    """Says what ``track.json`` says, where the log could not yet."""
    try:
        data = read_regular(path)
        told = json.loads(data)
        is_ours = isinstance(told, dict) and canonical(told) == data
    except (FileNotFoundError, CanonicalError, ValueError, RecursionError):
        return
    about = digests_of(data).to_json()
    if is_ours and about != track.about:
        payload = {**who_sends(told), "track": path.parent.name, "about": about, "recovered": True}
        log.append("track.described", payload, at=track.last_us)


def _close(log: EventLog, name: str, track: _Known, stopped_us: int | None) -> None:
    to_us = track.last_us + _AT_MOST_LOST_US
    if stopped_us is not None:
        to_us = max(track.last_us, min(to_us, stopped_us))
    gap = {"from_us": track.last_us, "to_us": to_us, "cause": "crash", "packets": None}
    log.append("gap.declared", {"track": name, **gap}, at=to_us)
    log.append("track.closed", {"track": name}, at=to_us)


def _described(path: Path, track: _Known, started_ns: int) -> dict[str, Any]:
    """The payload of ``segment.closed`` but its track."""
    digester = Digester()
    with open_regular(path) as file:
        content = _whole(file, path.name)
        written_ns = os.fstat(file.fileno()).st_mtime_ns
        file.seek(0)
        size = 0
        while data := file.read(_COPIED):
            digester.update(data)
            size += len(data)
    # Of what is encrypted, the time of the last write says when it ends.
    written_us = max((written_ns - started_ns) // 1000, track.last_us)
    first_us = track.last_us if content.first_us is None else content.first_us
    return {
        "segment": int(path.name.split(".")[0]),
        "file": path.name,
        "bytes": size,
        "packets": content.packets if path.name.endswith(_PLAIN) else None,
        "from_us": min(first_us, written_us if content.last_us is None else content.last_us),
        "to_us": written_us if content.last_us is None else content.last_us,
        **digester.finish().to_json(),
    }


def _whole(file: BinaryIO, name: str) -> _Content:
    """How far a file consists of whole blocks, or frames."""
    if name.endswith(_SEALED):
        return _whole_frames(file)
    content = _Content(0, 0, None, None)
    for kind, size, at_us in _blocks(file):
        content.size += size
        if kind == _PACKET:
            content.packets += 1
            if at_us > _MAX_US:
                continue
            content.first_us = at_us if content.first_us is None else content.first_us
            content.last_us = max(content.last_us or 0, at_us)
    return content


def _blocks(file: BinaryIO) -> Iterator[tuple[int, int, int]]:
    """Kind, size and time of each block, up to the first that is not whole."""
    first = True
    while len(head := file.read(_HEAD.size)) == _HEAD.size:
        kind, size = _HEAD.unpack(head)
        if size < 12 or size % 4 or size > _MAX_BLOCK or first != (kind == _SECTION):
            return
        body = file.read(size - _HEAD.size)
        if len(body) != size - _HEAD.size or body[-4:] != head[4:]:
            return
        high, low = _TIME.unpack_from(body, 4) if kind == _PACKET and len(body) >= 12 else (0, 0)
        yield kind, size, high << 32 | low
        first = False


def _whole_frames(file: BinaryIO) -> _Content:
    header = Header.read(file)
    content = _Content(0, 0, None, None)
    if header is None:
        return content
    content.size = len(header.raw)
    while len(head := file.read(4)) == 4:
        size = int.from_bytes(head, "big") & ~LAST
        if not TAG <= size <= MAX_FRAME or len(file.read(size)) != size:
            break
        content.size += 4 + size
        # Frames with a packet: the first one holds at least the file's beginning.
        content.packets += 1
    return content
