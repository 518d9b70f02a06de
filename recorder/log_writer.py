"""Event logs for an event loop: nothing here waits for a disk but a few threads.

What is told goes into a bounded queue of its session, in order and with the time at which it
happened; a thread makes the chain and writes. A session has always the same thread, and several
have one: hundreds of rooms that begin at once don't wait for each other's syncs one by one.
Commands of people wait for their event, for a while: what has not begun by then is withdrawn and
has no effect.

| queue | size | when full |
|---|---|---|
| events of a session | :data:`MAX_PENDING` | counted by type, declared in the log (``log.lost``) |
| … of segments, gaps, consents | :data:`MAX_RESERVED` more | the same |
| work of commands, of a thread | :data:`MAX_WORK` | refused (:class:`LogStalledError`) |

A log that could not be written for a while says so afterwards (``log.late``).
"""

import asyncio
import errno
import logging
import os
import threading
import time
import zlib
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from recorder.digests import Digests
from recorder.errors import LogStalledError, LogWriteError, RecorderError
from recorder.log import Event, EventLog, LogDisk

__all__ = ["LATE_S", "MAX_PENDING", "MAX_WORK", "THREADS", "LogWriter", "SessionLog"]

_LOG = logging.getLogger(__name__)

MAX_PENDING: Final = 20_000
"""Events of a session that wait for a disk."""

MAX_RESERVED: Final = 2_000
"""More of them that say what is there, what is missing, and what may be done: they outlive whoever
floods the log."""

MAX_WORK: Final = 256
"""Pieces of work of commands that wait."""

THREADS: Final = 8
"""Of a server: file systems commit together what is synced at the same time."""

LATE_S: Final = 2.0
"""An event that waited so long is told of."""

_RESERVED: Final = {
    "gap.declared", "segment.closed", "consent.given", "consent.withdrawn",
}  # fmt: skip
_TIMEOUT_S: Final = 5.0
_CLOSE_S: Final = 10.0
_NO_SPACE: Final = os.strerror(errno.ENOSPC)

Done = TypeVar("Done")


class LogWriter:
    """The threads.

    Args:
        timeout_s: how long a command waits for work to begin.
        threads: they begin when they are needed.
    """

    def __init__(self, timeout_s: float = _TIMEOUT_S, *, threads: int = 1) -> None:
        self._timeout_s = timeout_s
        self._lanes = [_Lane() for _ in range(threads)]
        self._turn = 0

    @property
    def stalled_s(self) -> float:
        """How long the disk has been at one piece of work; 0 when idle."""
        return max(lane.stalled_s for lane in self._lanes)

    def wake(self, log: "SessionLog") -> None:
        """Has a session's queue written; once is enough until it begins."""
        self._lane_of(log).wake(log)

    async def run(self, work: Callable[..., Done], *arguments: Any, **named: Any) -> Done:
        """Does something, in turns with the queues: on the thread of the session whose log does
        it or is given, else on that of the object whose method it is.

        Raises:
            LogStalledError: the disk didn't answer; nothing was done and nothing will be.
        """
        future = self._lane_for(work, arguments).submit(work, *arguments, **named)
        waiting = asyncio.wrap_future(future)
        done, _ = await asyncio.wait({waiting}, timeout=self._timeout_s)
        # What has begun can't be taken back: its end is waited for.
        if not done and future.cancel():
            raise LogStalledError("the disk of recordings does not answer; nothing was done")
        return await waiting

    async def run_late(self, work: Callable[..., Done], *arguments: Any, **named: Any) -> Done:
        """The same for what nobody waits for, however long it takes.

        Raises:
            LogStalledError: too much waits already; nothing was done.
        """
        lane = self._lane_for(work, arguments)
        return await asyncio.wrap_future(lane.submit(work, *arguments, **named))

    async def run_apart(self, work: Callable[..., Done], *arguments: Any) -> Done:
        """The same for what touches nothing that others do: on any thread.

        Raises:
            LogStalledError: too much waits already; nothing was done.
        """
        self._turn += 1
        lane = self._lanes[self._turn % len(self._lanes)]
        return await asyncio.wrap_future(lane.submit(work, *arguments))

    def settle(self, timeout_s: float = _CLOSE_S) -> bool:
        """Waits, blocking, until all that was told is on its way to the disk or refused.

        Returns:
            whether all of it was written in time, and nothing was refused.
        """
        end_s = time.monotonic() + timeout_s
        settled = [lane.settle(max(0.0, end_s - time.monotonic())) for lane in self._lanes]
        return all(settled)

    def close(self, timeout_s: float = _CLOSE_S) -> bool:
        """Ends the threads when all is written; whether that came in time."""
        is_settled = self.settle(timeout_s)
        for lane in self._lanes:
            lane.end(timeout_s, wait=is_settled)
        return is_settled

    def _lane_of(self, log: "SessionLog") -> "_Lane":
        return self._lanes[zlib.crc32(log.place.name.encode()) % len(self._lanes)]

    def _lane_for(self, work: Callable[..., Any], arguments: Sequence[Any]) -> "_Lane":
        owner = getattr(work, "__self__", None)
        for one in (owner, *arguments):
            if isinstance(one, SessionLog):
                return self._lane_of(one)
        return self._lanes[id(owner) // 64 % len(self._lanes)]


class _Lane:
    """A thread, and what it has to do."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._work: deque[tuple[Future[Any], Callable[[], Any]]] = deque()
        self._due: deque[SessionLog] = deque()
        self._unwritten: set[SessionLog] = set()
        self._thread: threading.Thread | None = None
        self._busy_since_s: float | None = None
        self._is_closed = False

    @property
    def stalled_s(self) -> float:
        since_s = self._busy_since_s
        return 0.0 if since_s is None else time.monotonic() - since_s

    def wake(self, log: "SessionLog") -> None:
        with self._condition:
            if not log.is_due:
                log.is_due = True
                self._due.append(log)
                self._begin()

    def submit(self, work: Callable[..., Done], *arguments: Any, **named: Any) -> "Future[Done]":
        future: Future[Done] = Future()
        with self._condition:
            if len(self._work) >= MAX_WORK or self._is_closed:
                raise LogStalledError("the disk of recordings does not answer; nothing was done")
            self._work.append((future, lambda: work(*arguments, **named)))
            self._begin()
        return future

    def settle(self, timeout_s: float) -> bool:
        with self._condition:
            return self._condition.wait_for(self._is_idle, timeout_s) and not self._unwritten

    def end(self, timeout_s: float, *, wait: bool) -> None:
        with self._condition:
            self._is_closed = True
            self._condition.notify_all()
        if wait and self._thread is not None:
            self._thread.join(timeout_s)

    def _is_idle(self) -> bool:
        return not self._due and not self._work and self._busy_since_s is None

    def _begin(self) -> None:
        if self._thread is None and not self._is_closed:
            # A disk that hangs forever must not keep the process from ending.
            self._thread = threading.Thread(target=self._run, name="recording-log", daemon=True)
            self._thread.start()
        self._condition.notify_all()

    def _run(self) -> None:
        turn = True
        while True:
            with self._condition:
                self._busy_since_s = None
                self._condition.notify_all()
                self._condition.wait_for(lambda: bool(self._work or self._due or self._is_closed))
                if not self._work and not self._due:
                    return
                self._busy_since_s = time.monotonic()
                is_turn = self._work and (turn or not self._due)
                work = self._work.popleft() if is_turn else None
                log = None if work else self._due.popleft()
                turn = work is None
                if log is not None:
                    log.is_due = False
            if work is not None:
                self._do(*work)
            elif log is not None:
                try:
                    log.write_pending()
                except Exception:  # noqa: BLE001 - one log's fault must not end the others'
                    _LOG.exception("event log failed")
                if log.pending or log.is_failing:
                    self._unwritten.add(log)
                else:
                    self._unwritten.discard(log)

    @staticmethod
    def _do(future: "Future[Any]", work: Callable[[], Any]) -> None:
        if not future.set_running_or_notify_cancel():
            return
        try:
            future.set_result(work())
        except BaseException as error:  # noqa: BLE001 - it is the one's who waits
            future.set_exception(error)


@dataclass(slots=True)
class _Entry:
    type: str
    payload: dict[str, Any]
    actor: str
    at_us: int
    told_s: float = field(default_factory=time.monotonic)


class SessionLog:
    """The log of one session, as the event loop uses it.

    Args:
        place: the session's directory.
        log: open; opened again when somebody closed it and there is more to write.
        writer: its thread writes.
        own: the log is closed by :meth:`release`.
        limit: events that may wait.
        disk: of logs that are opened again.

    Attributes:
        head: number and digests of the last event that was written.
        lost_events: that found no room, or could never be written.
        is_failing: the disk refused, the last time.
        prepare: called on the thread before anything is written.
    """

    def __init__(
        self,
        place: Path,
        log: EventLog,
        writer: LogWriter,
        *,
        own: bool = False,
        limit: int = MAX_PENDING,
        disk: LogDisk | None = None,
    ) -> None:
        self.place = place
        self.session = log.session
        self.head: tuple[int, Digests] = log.head
        self.lost_events = 0
        self.is_failing = False
        self.is_due = False
        self._log = log
        self._writer = writer
        self._own = own
        self._limit = limit
        self._lock = threading.Lock()
        # Whoever closes or withdraws may not be on the session's own thread.
        self._writing = threading.RLock()
        self._pending: deque[_Entry] = deque()
        self._lost: _Entry | None = None
        self._late: dict[str, Any] | None = None
        self._release = False
        self._disk = disk
        self.prepare: Callable[[], None] = lambda: None

    @property
    def pending(self) -> int:
        """Events that wait."""
        return len(self._pending)

    @property
    def room(self) -> int:
        """How many events find room now."""
        return max(0, self._limit - len(self._pending))

    @property
    def late_s(self) -> float:
        """How long the oldest of them has waited."""
        with self._lock:
            return time.monotonic() - self._pending[0].told_s if self._pending else 0.0

    def state(self) -> dict[str, Any]:
        """For people: ``ok``, ``late`` or ``failing``, and what is on the disk."""
        state = "failing" if self.is_failing else "late" if self.late_s >= LATE_S else "ok"
        seq, digests = self.head
        return {
            "state": state,
            "seq": seq,
            "sha256": digests.sha256,
            "pending": self.pending,
            "lost": self.lost_events,
        }

    def now_us(self) -> int:
        """The session clock, µs."""
        return self._log.now_us()

    def append(
        self,
        type: str,  # noqa: A002 - the field's name
        payload: dict[str, Any],
        *,
        actor: str = "system",
        at: int | None = None,
        durable: bool = False,  # noqa: ARG002 - all are, soon; who has to know asks the writer
    ) -> None:
        """Has an event written; returns at once."""
        entry = _Entry(type, payload, actor, self.now_us() if at is None else at)
        with self._lock:
            reserved = MAX_RESERVED if type in _RESERVED else 0
            if len(self._pending) >= self._limit + reserved:
                self._lose(entry)
            else:
                self._pending.append(entry)
        self._writer.wake(self)

    def _lose(self, entry: _Entry) -> None:
        """There is no room: what is lost in a row becomes one event in its place."""
        self.lost_events += 1
        if self._lost is None or self._pending[-1] is not self._lost:
            about = {"events": 0, "from_us": entry.at_us, "to_us": entry.at_us, "types": {}}
            self._lost = _Entry("log.lost", about, "system", entry.at_us)
            self._pending.append(self._lost)
            _LOG.error("event log is full", extra={"session_id": self.session.session})
        payload = self._lost.payload
        payload["events"] += 1
        payload["from_us"] = min(payload["from_us"], entry.at_us)
        payload["to_us"] = max(payload["to_us"], entry.at_us)
        payload["types"][entry.type] = payload["types"].get(entry.type, 0) + 1

    def release(self) -> None:
        """Others may have the log: it is closed when all is written, and opened when needed."""
        self._release = True
        self._writer.wake(self)

    # On the thread.

    def commit(self, type: str, payload: dict[str, Any], *, actor: str = "system") -> Event:  # noqa: A002
        """Writes what waits, then an event; see :meth:`commit_all`."""
        return self.commit_all([(type, payload)], actor=actor)[0]

    def commit_all(
        self, drafts: Sequence[tuple[str, dict[str, Any]]], *, actor: str = "system"
    ) -> list[Event]:
        """Writes what waits, then events that belong together: all of them, or none.

        They are on the disk when this returns, or :attr:`is_failing` says that the disk has not
        confirmed them; that is tried again.

        Raises:
            RecorderError: they could not be written, and are not in the log.
            OSError: the log can't be opened.
        """
        with self._writing:
            self.write_pending()
            log = self._opened()
            events = log.append_all(drafts, actor=actor, durable=True)
            if events:
                self.head = events[-1].seq, events[-1].digest
            if log.refused is not None:
                self._fail(log.refused)
                self._writer.wake(self)
            return events

    def write_pending(self) -> None:
        """Writes what waits, as far as the disk takes it."""
        with self._writing:
            self._write_pending()

    def _write_pending(self) -> None:
        self.prepare()
        try:
            while self._pending:
                self._write(self._pending[0])
                with self._lock:
                    self._pending.popleft()
            if not self._log.is_closed:
                self._log.sync_if_due()
            # Only now: else each round on a disk that refuses would tell of it.
            self._tell_late()
        except (RecorderError, OSError) as error:
            self._fail(str(error))
            return
        self.is_failing = not self._log.is_closed and self._log.refused is not None
        if self._release and not self.is_failing:
            self._let_go()

    def write_durably(self) -> bool:
        """Writes what waits and has the disk confirm it; whether it did."""
        self.write_pending()
        if self._pending or self.is_failing:
            return False
        if not self._log.is_closed:
            try:
                self._log.sync()
            except RecorderError as error:
                self._fail(str(error))
                self._writer.wake(self)
        return self._log.refused is None

    def _fail(self, reason: str) -> None:
        extra = {"session_id": self.session.session, "reason": reason}
        if not self.is_failing:
            _LOG.error("event log can't be written", extra=extra)
        self.is_failing = True
        self._note_late("disk_full" if _NO_SPACE in reason else "disk_error")

    def _write(self, entry: _Entry) -> None:
        with self._lock:
            if entry is self._lost:
                # From here on another one is begun.
                self._lost = None
        log = self._opened()
        try:
            event = log.append(entry.type, entry.payload, actor=entry.actor, at=entry.at_us)
        except LogWriteError:
            raise
        except RecorderError as error:
            # It can never be written: it is lost, and said to be.
            _LOG.error("event refused", extra={"type": entry.type, "reason": str(error)})
            span = {"from_us": entry.at_us, "to_us": entry.at_us}
            about = {"events": 1, **span, "types": {entry.type: 1}}
            event = log.append("log.lost", about, at=entry.at_us)
            self.lost_events += 1
        self.head = event.seq, event.digest
        if time.monotonic() - entry.told_s >= LATE_S:
            self._note_late("disk_slow", entry.at_us)
        if self._late is not None:
            self._late["events"] += 1

    def _note_late(self, cause: str, at_us: int | None = None) -> None:
        if self._late is None:
            with self._lock:
                first_us = self._pending[0].at_us if self._pending else self.now_us()
            from_us = first_us if at_us is None else at_us
            self._late = {"cause": cause, "events": 0, "from_us": from_us}

    def _tell_late(self) -> None:
        if self._late is None:
            return
        about = {**self._late, "to_us": self.now_us()}
        event = self._opened().append("log.late", about)
        self.head = event.seq, event.digest
        self._late = None
        extra = {"session_id": self.session.session, "events": about["events"]}
        _LOG.warning("event log was late", extra=extra)

    def _opened(self) -> EventLog:
        if self._log.is_closed:
            self._log, self._own = EventLog.open(self.place, disk=self._disk), True
        return self._log

    def _let_go(self) -> None:
        self._release = False
        if self._own:
            try:
                self._log.close()
            except RecorderError as error:
                _LOG.error("event log can't be closed", extra={"reason": str(error)})
