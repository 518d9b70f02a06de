"""The event log of a session: every line is chained to the one before it.

``events.jsonl`` holds one event a line, in canonical JSON. ``digest`` is made of the event without
``digest``; ``prev`` is the digest of the event before, for the first one that of ``session.json``.
So every edit, insertion, deletion and exchange shows in the log itself. What a log alone can't
show is that its *end* was cut off at a line, or that all of it was written anew by somebody who
knows the format: that shows against a head kept elsewhere, see ``docs/evidence.md``.
"""

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Final, Self

from recorder.canonical import canonical
from recorder.digests import Digests, digests_of
from recorder.errors import CanonicalError, LogBusyError, LogDamagedError, LogError, LogWriteError
from recorder.regular import open_regular
from recorder.session_file import SessionFile, read_session, rfc3339

__all__ = ["MAX_LINE", "Event", "EventLog", "LogDisk", "TornTail", "parse_event", "read_events"]

MAX_LINE: Final = 65_536
"""Bytes of a line at most, with its end."""

_NAME: Final = "events.jsonl"
_TORN: Final = ".torn"
_TYPE: Final = re.compile(r"[a-z][a-z_]{0,31}(\.[a-z][a-z_]{0,31})*")
_MAX_UNSYNCED_S: Final = 1.0
_MAX_UNSYNCED: Final = 16 * 2**20


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the log.

    Attributes:
        seq: from 1, without holes.
        ts_server: RFC 3339 by the server's clock, when it was written.
        at_us: when it happened, on the session clock.
        actor: who caused it: a participant id, a service's name, or ``system``.
        type: what happened, ``segment.closed``.
        payload: what belongs to that type.
        prev: digests of the event before.
        digest: digests of this one.
    """

    seq: int
    ts_server: str
    at_us: int
    actor: str
    type: str
    payload: dict[str, Any]
    prev: Digests
    digest: Digests

    def line(self) -> bytes:
        """As it stands in the log, with the line's end."""
        return canonical({**_body(self), "digest": self.digest.to_json()}) + b"\n"


@dataclass(frozen=True, slots=True)
class TornTail:
    """Half a line that a crash left behind; kept in ``events.torn``, no longer in the log."""

    bytes: int
    sha256: str


class LogDisk:
    """What a log needs of a disk: tests put a worse one in its place."""

    def write(self, file: BinaryIO, data: bytes) -> int:
        """Appends some of the bytes; returns how many."""
        return file.write(data)

    def sync(self, file: BinaryIO) -> None:
        """Brings the content to the disk."""
        os.fdatasync(file.fileno())

    def truncate(self, file: BinaryIO, size: int) -> None:
        """Takes off what stands after so many bytes."""
        os.ftruncate(file.fileno(), size)

    def rewrite(self, path: Path, data: bytes, offset: int) -> None:
        """Writes once more what stands there, so that the next sync has to bring it to the disk."""
        with path.open("r+b", buffering=0) as file:
            if os.pwrite(file.fileno(), data, offset) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class EventLog:
    """Appends to one session's log. Safe to use from several threads.

    An event is in the operating system's hands when :meth:`append` returns, so it outlives this
    process; it outlives the machine's power when it was ``durable`` or :meth:`sync` came after
    it. Whoever owns the log calls :meth:`sync_if_due` at least twice a second.

    Written and synced are two things: an event is in the log, once, when :meth:`append` returned,
    even where the disk would not confirm it. That is tried again, by writing anew from memory what
    was not confirmed: after a failed sync, Linux may call pages clean that never reached the disk.

    Attributes:
        torn: what a crash left behind.
        refused: why the disk did not confirm the last events, or ``None``.
    """

    def __init__(
        self,
        session: SessionFile,
        path: Path,
        file: BinaryIO,
        last: tuple[int, int, Digests],
        wall_ns: Callable[[], int],
        disk: LogDisk | None = None,
    ) -> None:
        self.session = session
        self._disk = disk or LogDisk()
        self.torn: TornTail | None = None
        self.refused: str | None = None
        self._path = path
        self._file = file
        self._seq, last_us, self._head = last
        self._wall_ns = wall_ns
        # A clock that was set back must not let the session's clock go back.
        elapsed_us = max((wall_ns() - session.started_ns) // 1000, last_us)
        self._zero_ns = time.monotonic_ns() - elapsed_us * 1000
        self._size = file.seek(0, os.SEEK_END)
        self._unsynced = bytearray()
        self._unsynced_since_s: float | None = None
        self._has_rest = False
        self._lock = threading.Lock()

    @classmethod
    def open(
        cls,
        place: Path,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        session: SessionFile | None = None,
        name: str = _NAME,
        disk: LogDisk | None = None,
    ) -> Self:
        """Opens or begins the log of the session in a directory.

        The whole chain is read and checked. A last line without an end is what a crash leaves
        behind: it is moved to ``events.torn`` and the log says so (``log.recovered``).

        Args:
            place: of the log.
            wall_ns: ns since 1970.
            session: what the chain begins at, where its directory is another.
            name: of the file.
            disk: writes and syncs.

        Raises:
            SessionFileError: the directory holds no session.
            LogDamagedError: the log was changed.
            LogBusyError: somebody else has it open.
            LogWriteError: the disk did not take what recovery had to write.
            OSError: the file can't be opened.
        """
        session = session or read_session(place)
        path = place / name
        file = open_regular(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, buffering=0)
        try:
            try:
                fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise LogBusyError(
                    "the event log of session {session} is being written by another process",
                    session=session.session,
                ) from None
            torn = _cut_torn_tail(path, file)
            last = (0, 0, session.digests)
            for event in read_events(place, session, name):
                last = (event.seq, max(event.at_us, last[1]), event.digest)
            log = cls(session, path, file, last, wall_ns, disk)
            if torn is not None:
                log.torn = torn
                payload = {"bytes": torn.bytes, "sha256": torn.sha256}
                log.append("log.recovered", payload)
                log.sync()
        except BaseException:
            file.close()
            raise
        return log

    @property
    def head(self) -> tuple[int, Digests]:
        """Number and digests of the last event; 0 and those of ``session.json`` when empty."""
        with self._lock:
            return self._seq, self._head

    @property
    def is_closed(self) -> bool:
        """Nothing can be appended any more."""
        return self._file.closed

    def now_us(self) -> int:
        """The session clock, µs; it never goes back."""
        return (time.monotonic_ns() - self._zero_ns) // 1000

    @property
    def room(self) -> int:
        """How many events find room now: nothing waits here."""
        return 2**31

    def append(
        self,
        type: str,  # noqa: A002 - the field's name
        payload: dict[str, Any],
        *,
        actor: str = "system",
        at: int | None = None,
        durable: bool = False,
    ) -> Event:
        """Writes one event.

        Args:
            type: lower-case words with dots between them.
            payload: values that have canonical JSON.
            actor: who caused it.
            at: µs on the session clock; now if left out.
            durable: on the disk before this returns, or :attr:`refused` says why it is not.

        Raises:
            CanonicalError: the payload has no canonical JSON.
            LogError: the type or the line's length is not allowed, or the log is closed.
            LogWriteError: the disk did not take it; the log is as before.
        """
        return self.append_all([(type, payload)], actor=actor, at=at, durable=durable)[0]

    def append_all(
        self,
        drafts: Sequence[tuple[str, dict[str, Any]]],
        *,
        actor: str = "system",
        at: int | None = None,
        durable: bool = False,
    ) -> list[Event]:
        """Writes events that belong together: all of them, or none.

        Args:
            drafts: types and payloads.
            actor: as for :meth:`append`, like the next two.
            at: µs on the session clock.
            durable: synced before this returns.

        Raises:
            CanonicalError, LogError, LogWriteError: as for :meth:`append`.
        """
        with self._lock:
            if self._file.closed:
                raise LogError("the event log is closed")
            at_us = self.now_us() if at is None else at
            events = self._chain(drafts, actor, at_us)
            self._write(b"".join(map(_line, events)))
            if events:
                self._seq, self._head = events[-1].seq, events[-1].digest
            if durable or (self.refused is None and self._is_due()):
                self._try_sync()
        return events

    def _chain(
        self, drafts: Sequence[tuple[str, dict[str, Any]]], actor: str, at_us: int
    ) -> list[Event]:
        events: list[Event] = []
        seq, head = self._seq, self._head
        for kind, payload in drafts:
            if not _TYPE.fullmatch(kind):
                raise LogError("{type} is no type of an event", type=repr(kind))
            seq += 1
            now = rfc3339(self._wall_ns())
            event = _chained(Event(seq, now, at_us, actor, kind, payload, head, head))
            events.append(event)
            head = event.digest
        return events

    def sync_if_due(self) -> None:
        """Syncs when something has been waiting for a second, or was refused.

        Raises:
            LogWriteError: the disk refused.
        """
        with self._lock:
            if self._is_due():
                self._sync()

    def sync(self) -> None:
        """All that was appended is on the disk when this returns.

        Raises:
            LogWriteError: the disk refused.
        """
        with self._lock:
            self._sync()

    def close(self) -> None:
        """Syncs and lets go of the file; may be called again.

        Raises:
            LogWriteError: the disk refused.
        """
        with self._lock:
            if self._file.closed:
                return
            try:
                self._sync()
                self._cut_rest()
            finally:
                self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _write(self, lines: bytes) -> None:
        self._cut_rest()
        if len(self._unsynced) + len(lines) > _MAX_UNSYNCED:
            self._sync()
        reason = None
        try:
            if self._disk.write(self._file, lines) != len(lines):
                reason = os.strerror(errno.ENOSPC)
        except OSError as error:
            reason = error.strerror
        if reason is not None:
            # A part of a line must not stand before the next one.
            self._has_rest = True
            with contextlib.suppress(LogWriteError):
                self._cut_rest()
            raise _not_written(reason)
        self._size += len(lines)
        self._unsynced += lines
        if self._unsynced_since_s is None:
            self._unsynced_since_s = time.monotonic()

    def _cut_rest(self) -> None:
        if not self._has_rest:
            return
        try:
            self._disk.truncate(self._file, self._size)
        except OSError as error:
            raise _not_written(error.strerror) from error
        self._has_rest = False

    def _is_due(self) -> bool:
        if self._unsynced_since_s is None:
            return False
        waited_s = time.monotonic() - self._unsynced_since_s
        return self.refused is not None or waited_s >= _MAX_UNSYNCED_S

    def _try_sync(self) -> None:
        with contextlib.suppress(LogWriteError):
            self._sync()

    def _sync(self) -> None:
        if self._unsynced_since_s is None:
            return
        try:
            if self.refused is not None:
                data = bytes(self._unsynced)
                self._disk.rewrite(self._path, data, self._size - len(data))
            self._disk.sync(self._file)
        except OSError as error:
            self.refused = error.strerror or str(error)
            raise _not_written(self.refused) from error
        self.refused = None
        self._unsynced.clear()
        self._unsynced_since_s = None


def _not_written(reason: str | None) -> LogWriteError:
    return LogWriteError("the event log can't be written: {reason}", reason=reason)


def _line(event: Event) -> bytes:
    line = event.line()
    if len(line) > MAX_LINE:
        raise LogError("an event of {bytes} bytes is too long", bytes=len(line))
    return line


def read_events(place: Path, session: SessionFile, name: str = _NAME) -> Iterator[Event]:
    """Reads and checks the log of a session's directory, event by event.

    Raises:
        LogDamagedError: a line is not the one that was written there.
        OSError: the file can't be read.
    """
    prev, seq = session.digests, 0
    with open_regular(place / name) as file:
        while line := file.readline(MAX_LINE + 1):
            seq += 1
            event = parse_event(line, seq)
            if event.seq != seq or event.prev != prev:
                raise LogDamagedError(
                    "line {seq} of the event log does not follow the one before it", seq=seq
                )
            yield event
            prev = event.digest


def parse_event(line: bytes, number: int) -> Event:
    """Reads one line and checks its own digests.

    Args:
        line: with its end.
        number: of the line, for the error's text.

    Raises:
        LogDamagedError: it is not an event as :meth:`EventLog.append` writes them.
    """
    event: Event | None
    try:
        value = json.loads(line)
        event = Event(
            value["seq"],
            value["ts_server"],
            value["at_us"],
            value["actor"],
            value["type"],
            value["payload"],
            Digests.from_json(value["prev"]),
            Digests.from_json(value["digest"]),
        )
        whole = _typed(event) and event.line() == line and _chained(event) == event
    except (ValueError, KeyError, TypeError, RecursionError, CanonicalError):
        whole, event = False, None
    if not whole or event is None:
        raise LogDamagedError("line {seq} of the event log is not what was written", seq=number)
    return event


def _typed(event: Event) -> bool:
    texts = (event.ts_server, event.actor, event.type)
    numbers = (event.seq, event.at_us)
    return (
        all(isinstance(text, str) for text in texts)
        and all(type(number) is int for number in numbers)
        and isinstance(event.payload, dict)
    )


def _body(event: Event) -> dict[str, Any]:
    return {
        "actor": event.actor,
        "at_us": event.at_us,
        "payload": event.payload,
        "prev": event.prev.to_json(),
        "seq": event.seq,
        "ts_server": event.ts_server,
        "type": event.type,
    }


def _chained(event: Event) -> Event:
    digest = digests_of(canonical(_body(event)))
    return Event(
        event.seq,
        event.ts_server,
        event.at_us,
        event.actor,
        event.type,
        event.payload,
        event.prev,
        digest,
    )


def _cut_torn_tail(path: Path, file: BinaryIO) -> TornTail | None:
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - MAX_LINE)
    file.seek(start)
    tail = file.read(size - start)
    torn = tail[tail.rfind(b"\n") + 1 :]
    if not torn:
        return None
    if len(torn) == MAX_LINE:
        raise LogDamagedError("the event log does not end in an event")
    with path.with_suffix(_TORN).open("ab") as kept:
        kept.write(torn + b"\n")
        kept.flush()
        os.fsync(kept.fileno())
    os.ftruncate(file.fileno(), size - len(torn))
    os.fsync(file.fileno())
    return TornTail(len(torn), hashlib.sha256(torn).hexdigest())
