"""Sessions of the recorder as signaling asks for them."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Self, TypeVar

from pydantic import ValidationError

from recorder.errors import (
    FlowError,
    LogBusyError,
    LogStalledError,
    RecorderError,
    RepeatedKeyError,
    SessionFileError,
    SessionStateError,
    UnknownNodeError,
)
from recorder.flow import parse_flow
from recorder.log import Event
from recorder.sale import Sale
from recorder.session import Command, Mark, Next, Pause, ReRecord, Resume, Start, Stop
from recorder.sessions import OpenSession, Sessions
from recorder.transcript import Spoken
from sfu import Room
from signaling.errors import ErrorCode, HttpCode
from signaling.sessions import (
    MarkCommand,
    NewSession,
    NodeCommand,
    SessionCommand,
    SessionRefusedError,
)
from witness.recording import RecordingService
from witness.room_capture import RoomCapturePort

__all__ = ["SessionService"]

_LOG = logging.getLogger(__name__)
_PLAIN: dict[str, Command] = {
    "start": Start(),
    "pause": Pause(),
    "resume": Resume(),
    "stop": Stop(),
}
Told = TypeVar("Told")

Archived = Callable[[str], Awaitable[dict[str, Any] | None]]
"""Where a session's package lies in the archive; ``None`` while it isn't there."""


MarkNode = Callable[[str, str, Mapping[str, Any], int], None]
"""Is told ``(session_id, kind, data, at_us)``: ``node.started`` or ``node.ended``, and the node."""


async def _nowhere(_: str) -> None:
    """There is no archive."""


class SessionService:
    """Implements :class:`signaling.sessions.RecordedSessions`."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions
        self._ending: set[asyncio.Task[None]] = set()
        self.archived: Archived = _nowhere

    @classmethod
    def of_rooms(cls, rooms: Mapping[str, Room], recording: RecordingService) -> Self:
        """Sessions of these rooms; one ends when its room does."""
        service: Self

        def ended(session_id: str) -> None:
            service.end_soon(session_id)

        port = RoomCapturePort(rooms, recording, ended)
        sessions = Sessions(recording.directory, port, writer=recording.writer, disk=recording.disk)
        service = cls(sessions)
        return service

    def follow(self, mark: MarkNode) -> None:
        """Has somebody told of nodes as they begin and end."""

        def attempted(session: OpenSession, event: Event) -> None:
            code = event.payload["node"]
            nodes = () if session.flow is None else session.flow.nodes
            node = next((one for one in nodes if one.code == code), None)
            data = {"code": code} if node is None else node.model_dump(exclude_none=True)
            kind = "node.started" if event.type == "attempt.started" else "node.ended"
            attempt = {"attempt": event.payload["attempt"]}
            mark(session.session_id, kind, {**data, **attempt}, event.at_us)

        self._sessions.attempted = attempted

    def end_soon(self, session_id: str) -> None:
        """Stops a session whose room has closed."""
        task = asyncio.get_running_loop().create_task(self._end(session_id))
        self._ending.add(task)
        task.add_done_callback(self._ending.discard)

    async def close(self) -> None:
        """Ends all recordings, because the server does."""
        if self._ending:
            await asyncio.wait(self._ending)
        await self._sessions.close()

    async def _end(self, session_id: str) -> None:
        try:
            await self._sessions.command(session_id, Stop(), "system")
        except (RecorderError, OSError) as error:
            extra = {"session_id": session_id, "reason": str(error)}
            _LOG.error("session can't be stopped", extra=extra)

    async def create(self, wanted: NewSession) -> dict[str, Any]:
        """A new session of a room."""
        try:
            flow = None if wanted.flow is None else parse_flow(wanted.flow)
        except FlowError as error:
            raise SessionRefusedError(400, ErrorCode.BAD_MESSAGE, str(error)) from error
        return await _answered(self._sessions.create(wanted.room, _sale(wanted), flow))

    async def room_of(self, session_id: str) -> str:
        """The room a session belongs to."""
        return await _answered(self._sessions.room_of(session_id))

    async def command(
        self, session_id: str, command: SessionCommand, actor: str, *, key: str | None = None
    ) -> dict[str, Any]:
        """Carries out a command, once for each key of whoever asks."""
        return await _answered(self._sessions.command(session_id, _meant(command), actor, key=key))

    async def describe(self, session_id: str) -> dict[str, Any]:
        """What a session is."""
        told = await _answered(self._sessions.describe(session_id))
        return {**told, "archive": await self.archived(session_id)}

    async def timeline(self, session_id: str) -> dict[str, Any]:
        """What was recorded when, and what is missing."""
        return await _answered(self._sessions.timeline(session_id))

    async def consents(self, session_id: str) -> dict[str, Any]:
        """What participants agreed to, and withdrew."""
        return await _answered(self._sessions.consents(session_id))

    async def findings(self, session_id: str) -> dict[str, Any]:
        """What detectors found, and times of which they don't know."""
        return await _answered(self._sessions.findings(session_id))

    async def transcribe(
        self, session_id: str, lines: list[dict[str, Any]], *, final: bool, actor: str
    ) -> dict[str, Any]:
        """Adds lines to a session's transcript."""
        spoken = []
        for number, line in enumerate(lines):
            try:
                spoken.append(Spoken.model_validate(line))
            except ValidationError as error:
                first = error.errors(include_url=False, include_input=False)[0]
                where = ".".join(["lines", str(number), *(str(part) for part in first["loc"])])
                detail = f"{where}: {first['msg']}"
                raise SessionRefusedError(400, ErrorCode.BAD_MESSAGE, detail) from error
        added = self._sessions.append_transcript(session_id, spoken, final=final, actor=actor)
        return await _answered(added)


def _sale(wanted: NewSession) -> Sale:
    order = {} if wanted.order is None else wanted.order.model_dump()
    customer = wanted.customer
    return Sale(**order, customer=None if customer is None else customer.crm_customer_id)


def _meant(command: SessionCommand) -> Command:
    match command:
        case MarkCommand(label=label):
            return Mark(label)
        case NodeCommand(command="next", node=node):
            return Next(node)
        case NodeCommand(node=node):
            return ReRecord(node)
        case _:
            return _PLAIN[command.command]


async def _answered(answer: Awaitable[Told]) -> Told:
    try:
        return await answer
    except (RecorderError, OSError) as error:
        raise _refusal(error) from error


def _refusal(error: RecorderError | OSError) -> SessionRefusedError:
    if isinstance(error, RepeatedKeyError):
        return SessionRefusedError(422, ErrorCode.BAD_MESSAGE, str(error))
    if isinstance(error, UnknownNodeError):
        return SessionRefusedError(422, HttpCode.UNKNOWN_NODE, str(error))
    if isinstance(error, LogBusyError):
        detail = "the session's log is being written: try again when its recording has stopped"
        return SessionRefusedError(409, HttpCode.WRONG_STATE, detail)
    if isinstance(error, SessionStateError):
        return SessionRefusedError(409, HttpCode.WRONG_STATE, str(error))
    if isinstance(error, SessionFileError):
        return SessionRefusedError(404, HttpCode.UNKNOWN_SESSION, "no such session")
    if isinstance(error, LogStalledError):
        return SessionRefusedError(503, ErrorCode.INTERNAL, str(error))
    _LOG.error("the recorder failed", extra={"reason": str(error)})
    return SessionRefusedError(503, ErrorCode.INTERNAL, "the recorder failed; see the server's log")
