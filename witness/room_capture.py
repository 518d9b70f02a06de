"""What :class:`recorder.sessions.Sessions` needs of the rooms: their media, written to files."""

import asyncio
import logging
from collections.abc import Callable, Mapping
from typing import Final

from recorder.errors import SessionStateError
from recorder.sessions import OpenSession
from sfu import Room
from witness.recording import RecordingService, SessionRecording

__all__ = ["RoomCapturePort"]

_LOG = logging.getLogger(__name__)
_LAST_FILES_S: Final = 10.0


class RoomCapturePort:
    """Implements :class:`recorder.sessions.CapturePort`.

    Args:
        rooms: those there are.
        service: writes the files and logs them.
        ended: told the session whose room closed without a command.
    """

    def __init__(
        self,
        rooms: Mapping[str, Room],
        service: RecordingService,
        ended: Callable[[str], None],
    ) -> None:
        self._rooms = rooms
        self._service = service
        self._ended = ended
        self._live: dict[str, tuple[SessionRecording, asyncio.Event]] = {}

    def start(self, session: OpenSession) -> None:
        """Records the room of a session."""
        room = self._rooms.get(session.room)
        if room is None:
            raise SessionStateError("nobody is in the room")
        if room.capture is not None:
            raise SessionStateError("the room is being recorded already")
        name, finished = session.session_id, asyncio.Event()

        def on_finished() -> None:
            finished.set()
            if name in self._live:
                self._ended(name)

        recording = self._service.record_session(room, session.place, session.events, on_finished)
        self._live[name] = (recording, finished)

    def pause(self, session: OpenSession, *, paused: bool) -> None:
        """Takes nothing for a while, or goes on."""
        room = self._rooms.get(session.room)
        if room is not None and session.session_id in self._live:
            room.pause_capture(paused)
            self._service.tell(session.room, session.session_id, "paused" if paused else "on")

    async def stop(self, session: OpenSession) -> None:
        """Ends, and waits for the last files."""
        found = self._live.pop(session.session_id, None)
        if found is None:
            return
        recording, finished = found
        room = self._rooms.get(session.room)
        if room is not None:
            room.stop_capture()
        try:
            async with asyncio.timeout(_LAST_FILES_S):
                await finished.wait()
        except TimeoutError:
            _LOG.error("last files are late", extra={"session_id": session.session_id})
        await self._service.flush(recording)
        self._service.tell(session.room, session.session_id, "off")
