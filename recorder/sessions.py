"""The recorded sessions of one server: their directories, logs and states.

A session lives in its log; this keeps those open that are being recorded, one for each room. What
writes the media is a :class:`CapturePort`.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from recorder.consents import ConsentBook
from recorder.errors import (
    LogStalledError,
    LogWriteError,
    RecorderError,
    SessionFileError,
    SessionStateError,
)
from recorder.findings import FindingBook
from recorder.flow import Flow, read_flow, write_flow
from recorder.log import Event, EventLog, LogDisk, read_events
from recorder.log_writer import LogWriter, SessionLog
from recorder.repeats import Repeats
from recorder.review import state_of_recording
from recorder.sale import Sale
from recorder.session import Command, Pause, RecordingSession, Resume, Start, State, Stop
from recorder.session_file import (
    SessionFile,
    is_session_id,
    read_session,
    rfc3339,
    write_session,
)
from recorder.timeline import derive_timeline
from recorder.transcript import Spoken, append_lines, close_transcript

__all__ = ["CapturePort", "OpenSession", "Sessions"]

_LOG = logging.getLogger(__name__)

_BUSY: Final = (
    "the disk of recordings does not answer and an earlier command waits for it; nothing was done: "
    "look at the session before you try again"
)


@dataclass(slots=True)
class OpenSession:
    """A session whose log is open for writing.

    Attributes:
        events: the same log, for those who must not wait.
        flow: whose nodes commands name; it never changes.
        capturing: media are being written, or would be but for a pause.
    """

    place: Path
    log: EventLog
    state: RecordingSession
    events: SessionLog
    flow: Flow | None = None
    capturing: bool = False
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)

    @property
    def session_id(self) -> str:
        """Its id."""
        return self.log.session.session

    @property
    def room(self) -> str:
        """The room it records."""
        return self.log.session.room


class CapturePort(Protocol):
    """What writes the media of a room. Called on the event loop's thread.

    It appends ``track.…``, ``segment.closed`` and ``gap.declared`` to the session's log.
    """

    def start(self, session: OpenSession) -> None:
        """Begins, or goes on after the server was gone.

        Raises:
            RecorderError: the room is not there, or can't be recorded.
        """
        ...

    def pause(self, session: OpenSession, *, paused: bool) -> None:
        """Takes nothing for a while, or goes on."""
        ...

    async def stop(self, session: OpenSession) -> None:
        """Ends; returns when every file is closed and logged."""
        ...


class Sessions:
    """All sessions in one directory.

    Args:
        directory: where sessions lie, each in a directory of its own.
        capture: writes the media.
        writer: whose thread writes logs; its own if left out.
        answer_s: how long a command may take; it goes on when it takes longer.
        wall_ns: ns since 1970.

    Attributes:
        attempted: told of every attempt that begins or ends, by its event.
    """

    def __init__(
        self,
        directory: Path,
        capture: CapturePort,
        *,
        writer: LogWriter | None = None,
        answer_s: float = 15.0,
        disk: LogDisk | None = None,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.attempted: Callable[[OpenSession, Event], None] = lambda *_: None
        self._writer = writer or LogWriter()
        self._answer_s = answer_s
        self._disk = disk
        self._tasks: set[asyncio.Task[Any]] = set()
        self._late: set[str] = set()
        self._repeats = Repeats()
        self._directory = directory
        self._capture = capture
        self._wall_ns = wall_ns
        self._open: dict[str, OpenSession] = {}
        self._opening = asyncio.Lock()
        self._writing = asyncio.Lock()

    async def create(
        self, room: str, sale: Sale | None = None, flow: Flow | None = None
    ) -> dict[str, Any]:
        """A new session of a room, ready to start.

        Args:
            room: what is recorded.
            sale: order and customer; they become part of ``session.json``.
            flow: the nodes that commands may name; any without one.

        Raises:
            SessionStateError: the room has a session that has not been stopped.
            OSError: the disk refused.
        """
        about = f"room {room}"
        return await self._waited(about, self._begun(about, self._create(room, sale, flow)))

    async def _create(self, room: str, sale: Sale | None, flow: Flow | None) -> dict[str, Any]:
        async with self._opening:
            if any(session.room == room for session in self._open.values()):
                raise SessionStateError("the room has a session that has not been stopped")
            now_ns = self._wall_ns()
            name = f"s-{rfc3339(now_ns)[:10].replace('-', '')}-{secrets.token_hex(4)}"
            await self._writer.run(
                write_session,
                self._directory,
                session=name,
                room=room,
                started_ns=now_ns,
                sale=sale,
            )
            if flow is not None:
                await self._writer.run(write_flow, self._place(name), flow)
            session = await self._opened(name)
            if flow is not None:
                event = await self._writer.run(session.events.commit, "flow.given", flow.given())
                session.state.apply(event)
        return _view(session)

    async def room_of(self, session_id: str) -> str:
        """The room that a session records.

        Raises:
            SessionFileError: there is no such session.
        """
        session = self._open.get(session_id)
        if session is not None:
            return session.room
        return (await asyncio.to_thread(read_session, self._place(session_id))).room

    async def command(
        self, session_id: str, command: Command, actor: str, *, key: str | None = None
    ) -> dict[str, Any]:
        """Carries out a command: all of it, or nothing.

        It is on the disk when this returns, or ``log.state`` of the answer is ``failing``: then it
        is carried out and logged, and the disk has not confirmed it.

        Args:
            session_id: of which session.
            command: what to do.
            actor: participant id of who asked for it.
            key: theirs, for this command: asked for again with it, it is carried out once and
                answered the same.

        Raises:
            RepeatedKeyError: the key was given to another command.
            SessionFileError: there is no such session.
            SessionStateError: the command makes no sense now; nothing has changed.
            LogStalledError: the disk doesn't answer; its text says whether the command may still
                be carried out. While it may, no other is taken for the session.
            RecorderError: log or capture failed.
        """
        name = None if key is None else (session_id, actor, key)
        task = None if name is None else self._repeats.find(name, command)
        if task is None:
            task = self._begun(session_id, self._command(session_id, command, actor))
            if name is not None:
                self._repeats.keep(name, command, task)
        return await self._waited(session_id, task)

    async def _command(self, session_id: str, command: Command, actor: str) -> dict[str, Any]:
        async with self._opening:
            session = await self._opened(session_id)
        async with self._turn(session):
            drafts = [(draft.type, draft.payload) for draft in session.state.decide(command)]
            for event in await self._writer.run(session.events.commit_all, drafts, actor=actor):
                session.state.apply(event)
                if event.type.startswith("attempt."):
                    self.attempted(session, event)
            await self._carry_out(session, command)
        return _view(session)

    @asynccontextmanager
    async def _turn(self, session: OpenSession) -> AsyncIterator[None]:
        """Commands of a session are carried out one after the other; none waits for long.

        Raises:
            LogStalledError: the one before takes too long; nothing was done.
        """
        try:
            # Less than the answer may take: what is withdrawn must not be told to come later.
            async with asyncio.timeout(self._answer_s / 2):
                await session.lock.acquire()
        except TimeoutError:
            raise LogStalledError(_BUSY) from None
        try:
            yield
        finally:
            session.lock.release()

    async def describe(self, session_id: str) -> dict[str, Any]:
        """Id, room, start and state; how complete it is, and what went wrong.

        Raises:
            SessionFileError: there is no such session.
            LogDamagedError: its log was changed.
        """
        place = self._place(session_id)
        if session_id in self._open:
            view = _view(self._open[session_id])
            return {**view, **await asyncio.to_thread(state_of_recording, place)}
        return await asyncio.to_thread(_read_view, place)

    async def timeline(self, session_id: str) -> dict[str, Any]:
        """Attempts, files, gaps and pauses, derived from the log.

        Raises:
            SessionFileError: there is no such session.
            LogDamagedError: its log was changed.
        """
        session = self._open.get(session_id)
        now_us = None if session is None else session.log.now_us()
        return await asyncio.to_thread(_read_timeline, self._place(session_id), now_us)

    async def consents(self, session_id: str) -> dict[str, Any]:
        """What participants agreed to, and withdrew, as ``consents.json`` has it.

        Raises:
            SessionFileError: there is no such session.
            LogDamagedError: its log was changed.
        """
        return await asyncio.to_thread(_read_consents, self._place(session_id))

    async def findings(self, session_id: str) -> dict[str, Any]:
        """What detectors found, and times of which they don't know.

        Raises:
            SessionFileError: there is no such session.
            LogDamagedError: its log was changed.
        """
        return await asyncio.to_thread(_read_findings, self._place(session_id))

    async def append_transcript(
        self, session_id: str, lines: Sequence[Spoken], *, final: bool, actor: str
    ) -> dict[str, Any]:
        """Adds what was said to a session's transcript, while it runs or after it.

        Args:
            session_id: of which session.
            lines: appended in this order, on the disk when this returns.
            final: nothing more will come: the transcript's digests are logged, and seal takes it.
            actor: what heard it.

        Returns:
            ``{"session_id", "bytes", "closed"}``.

        Raises:
            SessionFileError: there is no such session.
            SessionStateError: the transcript is closed, or would become too long.
            LogBusyError: another process has the session's log open.
            LogWriteError, OSError: the disk refused.
        """
        place = self._place(session_id)
        session = self._open.get(session_id)
        async with self._writing if session is None else session.lock:
            # It may have been stopped while this waited.
            log = None if session is None or session.log.is_closed else session.log
            size = await self._writer.run(_transcribe, place, log, lines, final, actor)
        return {"session_id": session_id, "bytes": size, "closed": final}

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Ends recordings that still run when the server does, and closes all logs."""
        try:
            yield
        finally:
            await self.close()

    async def close(self) -> None:
        """The server ends: so do its recordings."""
        for session in list(self._open.values()):
            async with session.lock:
                if session.state.state in {State.RECORDING, State.PAUSED}:
                    drafts = [
                        (draft.type, {**draft.payload, "reason": "server_stopped"})
                        for draft in session.state.decide(Stop())
                    ]
                    for event in await self._writer.run(session.events.commit_all, drafts):
                        session.state.apply(event)
                await self._finish(session)

    async def _carry_out(self, session: OpenSession, command: Command) -> None:
        match command:
            case Resume() if session.capturing:
                self._capture.pause(session, paused=False)
            case Start() | Resume():
                await self._start(session)
            case Pause():
                self._capture.pause(session, paused=True)
            case Stop():
                await self._finish(session)

    async def _finish(self, session: OpenSession) -> None:
        await self._capture.stop(session)
        await self._close(session)

    async def _close(self, session: OpenSession) -> None:
        try:
            await self._writer.run(session.log.close)
        except LogWriteError as error:
            # Its file is closed all the same, with everything in it.
            session.events.is_failing = True
            extra = {"session_id": session.session_id, "reason": str(error)}
            _LOG.error("event log is not confirmed by the disk", extra=extra)
        self._open.pop(session.session_id, None)

    async def _start(self, session: OpenSession) -> None:
        try:
            self._capture.start(session)
            session.capturing = True
        except RecorderError:
            # What was logged stays; the log says that it came to nothing.
            event = await self._writer.run(
                session.events.commit, "recording.stopped", {"failed": True}
            )
            session.state.apply(event)
            await self._close(session)
            raise

    async def _opened(self, session_id: str) -> OpenSession:
        """The session, opened again after a restart if need be."""
        session = self._open.get(session_id)
        if session is None:
            # Reading a whole chain must not keep the logs of others waiting.
            session = await asyncio.to_thread(self._reopened, self._place(session_id))
            if session.state.state is State.STOPPED:
                await self._writer.run(session.log.close)
                return session
            self._open[session_id] = session
        return session

    def _reopened(self, place: Path) -> OpenSession:
        flow = read_flow(place)
        log = EventLog.open(place, wall_ns=self._wall_ns, disk=self._disk)
        state = RecordingSession.replayed(read_events(place, log.session))
        if state.state in {State.RECORDING, State.PAUSED}:
            state.apply(log.append("recording.recovered", {}, durable=True))
        events = SessionLog(place, log, self._writer, disk=self._disk)
        return OpenSession(place, log, state, events, flow)

    def _begun(
        self, about: str, work: Coroutine[Any, Any, dict[str, Any]]
    ) -> asyncio.Task[dict[str, Any]]:
        """Begins something that goes on whoever waits for it.

        Raises:
            LogStalledError: something about the same is late: until it has ended nothing else is
                begun.
        """
        if about in self._late:
            work.close()
            raise LogStalledError(_BUSY)
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _waited(self, about: str, task: asyncio.Task[dict[str, Any]]) -> dict[str, Any]:
        """Waits for an answer; what takes longer goes on without whoever asked."""
        done, _ = await asyncio.wait({task}, timeout=self._answer_s)
        if done:
            return task.result()
        if about not in self._late:
            self._late.add(about)
            task.add_done_callback(_say_late)
            task.add_done_callback(lambda _: self._late.discard(about))
        raise LogStalledError(
            "the disk of recordings does not answer; the command is carried out once it does"
        )

    def _place(self, session_id: str) -> Path:
        if not is_session_id(session_id):
            raise SessionFileError("{session} is no session id", session=repr(session_id))
        return self._directory / session_id


def _say_late(task: "asyncio.Task[dict[str, Any]]") -> None:
    error = None if task.cancelled() else task.exception()
    _LOG.warning("command was late", extra={"reason": None if error is None else str(error)})


def _transcribe(
    place: Path, log: EventLog | None, lines: Sequence[Spoken], final: bool, actor: str
) -> int:
    read_session(place)
    size = append_lines(place, lines)
    if final and log is not None:
        close_transcript(place, log, actor)
    elif final:
        with EventLog.open(place) as opened:
            close_transcript(place, opened, actor)
    return size


def _view(session: OpenSession) -> dict[str, Any]:
    running = session.state.running
    return {
        **_about(session.log.session),
        "state": session.state.state.value,
        "node": None if running is None else running.node,
        "attempt": None if running is None else running.attempt,
        "flow": _flow_view(session.flow),
        "log": session.events.state(),
    }


def _read_view(place: Path) -> dict[str, Any]:
    session = read_session(place)
    state = RecordingSession.replayed(read_events(place, session))
    return {
        **_about(session),
        "state": state.state.value,
        "node": None,
        "attempt": None,
        "flow": _flow_view(read_flow(place)),
        **state_of_recording(place),
    }


def _about(session: SessionFile) -> dict[str, Any]:
    return {
        "session_id": session.session,
        "room": session.room,
        "started_at": rfc3339(session.started_ns),
        **session.sale.to_json(),
    }


def _flow_view(flow: Flow | None) -> dict[str, Any] | None:
    if flow is None:
        return None
    nodes = [{"code": node.code, "title": node.title.to_json()} for node in flow.nodes]
    return {"id": flow.id, "version": flow.version, "nodes": nodes}


def _read_timeline(place: Path, now_us: int | None) -> dict[str, Any]:
    session = read_session(place)
    return derive_timeline(read_events(place, session), now_us).to_json()


def _read_consents(place: Path) -> dict[str, Any]:
    session, book = read_session(place), ConsentBook()
    for event in read_events(place, session):
        book.apply(event)
    return {"session_id": session.session, **book.to_json()}


def _read_findings(place: Path) -> dict[str, Any]:
    session, book = read_session(place), FindingBook()
    for event in read_events(place, session):
        book.apply(event)
    return {"session_id": session.session, "findings": book.findings(), "lost": book.lost}
