"""Sessions of the recorder as signaling asks for them."""

import logging
from collections.abc import Awaitable
from typing import Any, TypeVar

from recorder.errors import RecorderError, SessionFileError, SessionStateError
from recorder.session import Command, Mark, Next, Pause, ReRecord, Resume, Start, Stop
from recorder.sessions import Sessions
from signaling.errors import ErrorCode, HttpCode
from signaling.sessions import MarkCommand, NodeCommand, SessionCommand, SessionRefusedError

__all__ = ["SessionService"]

_LOG = logging.getLogger(__name__)
_PLAIN: dict[str, Command] = {
    "start": Start(),
    "pause": Pause(),
    "resume": Resume(),
    "stop": Stop(),
}
Told = TypeVar("Told")


class SessionService:
    """Implements :class:`signaling.sessions.RecordedSessions`."""

    def __init__(self, sessions: Sessions) -> None:
        self._sessions = sessions

    async def create(self, room_id: str) -> dict[str, Any]:
        """A new session of a room."""
        return await _answered(self._sessions.create(room_id))

    def room_of(self, session_id: str) -> str:
        """The room a session belongs to."""
        try:
            return self._sessions.room_of(session_id)
        except RecorderError as error:
            raise _refusal(error) from error

    async def command(self, session_id: str, command: SessionCommand, actor: str) -> dict[str, Any]:
        """Carries out a command."""
        return await _answered(self._sessions.command(session_id, _meant(command), actor))

    async def describe(self, session_id: str) -> dict[str, Any]:
        """What a session is."""
        return await _answered(self._sessions.describe(session_id))

    async def timeline(self, session_id: str) -> dict[str, Any]:
        """What was recorded when, and what is missing."""
        return await _answered(self._sessions.timeline(session_id))


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
    if isinstance(error, SessionStateError):
        return SessionRefusedError(409, HttpCode.WRONG_STATE, str(error))
    if isinstance(error, SessionFileError):
        return SessionRefusedError(404, HttpCode.UNKNOWN_SESSION, "no such session")
    _LOG.error("the recorder failed", extra={"reason": str(error)})
    return SessionRefusedError(503, ErrorCode.INTERNAL, "the recorder failed; see the server's log")
