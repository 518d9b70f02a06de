"""Records rooms: session directories, event logs and the plane's capture files together."""

import asyncio
import contextlib
import json
import logging
import os
import secrets
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from recorder.canonical import canonical
from recorder.config import RecordedRooms, RecordingConfig
from recorder.digests import digests_of
from recorder.durable import sync_directory
from recorder.envelope import EnvelopeError, MasterKeys
from recorder.errors import LogStalledError, RecorderError
from recorder.key_source import load_keys
from recorder.log import EventLog, LogDisk
from recorder.log_writer import THREADS, LogWriter, SessionLog
from recorder.recovery import recover_all
from recorder.session_file import write_session
from recorder.track_file import who_sends
from sfu import CapturedTrack, CaptureFiles, Room
from signaling.recording import RecordingState
from witness.errors import StartError
from witness.i18n import of_error, t

__all__ = ["RecordingService", "SessionRecording", "load_key"]

_LOG = logging.getLogger(__name__)
_SYNC_S = 0.5
_RETRY_S = 2.0

Closed = Callable[[str, str, str, int, int], None]
"""Is told ``(session_id, track_id, file, from_us, to_us)`` of every file that was closed."""

Alarm = Callable[[str, str, str, str | None], None]
"""Is told ``(session_id, room_id, track_id, cause)``; no cause: it works again."""

Tell = Callable[[str, str, RecordingState], None]
"""Is told ``(room_id, session_id, state)``: on, paused, off."""


def load_key(config: RecordingConfig) -> MasterKeys | None:
    """The keys that keys of files are wrapped with.

    Raises:
        StartError: one can't be had.
    """
    try:
        return load_keys(config)
    except EnvelopeError as error:
        raise StartError(of_error(error)) from error


class SessionRecording:
    """One session: where its tracks are written, and what its log says of them.

    Events are written by the thread of the service, in order. While the log can't be written they
    wait, and are written later under the time at which they happened.

    Attributes:
        zero_ns: ``CLOCK_MONOTONIC`` when the session's clock was zero.
    """

    def __init__(
        self,
        place: Path,
        log: SessionLog,
        writer: LogWriter,
        ended: Callable[[], None],
        closed: Closed = lambda *_: None,
    ) -> None:
        self.place = place
        self.log = log
        self._writer = writer
        self._ended = ended
        self._closed = closed
        self._wall_us = log.session.started_ns // 1000
        self.zero_ns = time.monotonic_ns() - log.now_us() * 1000
        self._unmade: dict[Path, bytes] = {}
        self._refused: set[Path] = set()
        log.prepare = self._make_tracks
        self.alarm: Alarm = lambda *_: None

    def note(self, kind: str, payload: dict[str, Any], at_us: int | None = None) -> None:
        """Has an event written."""
        self.log.append(kind, payload, at=at_us)

    def open_track(self, track: CapturedTrack) -> CaptureFiles | None:
        """Says where a track is written. Its directory is made by this service's thread, or by
        the recorder's, whichever comes first; both try until they can.
        """
        about = _about(track)
        folder = self.place / "tracks" / track.track.track_id
        written = self._unmade[folder] = canonical(about)
        described = {"track": about["track"], **who_sends(about)}
        self.note("track.described", described | {"about": digests_of(written).to_json()})
        self._writer.wake(self.log)
        clock = {"wall_us": str(self._wall_us), "session": self.log.session.session}
        return CaptureFiles(
            directory=folder,
            name=track.track.track_id,
            description=f"{track.role} {track.track.source.value}",
            about=json.dumps({**about, "clock": clock}, separators=(",", ":")),
            zero_ns=self.zero_ns,
            wall_us=self._wall_us,
        )

    def track_changed(self, track: CapturedTrack) -> None:
        """Who brings a track again, after ``track.json`` was written, stands in the log."""
        about = _about(track)
        self.note("track.described", {"track": about["track"], **who_sends(about)})

    def on_event(self, track_id: str, event: Any) -> None:
        """Enters what the plane tells of a track into the log."""
        track = {"track": track_id}
        match type(event).__name__.rpartition("_")[2]:
            case "CaptureOpened":
                self.note("track.opened", track, event.at_us)
            case "CaptureSegmentClosed":
                segment = {
                    "segment": event.number,
                    "file": event.file,
                    "bytes": event.bytes,
                    "packets": event.packets,
                    "from_us": event.from_us,
                    "to_us": event.to_us,
                    "sha256": event.sha256,
                    "sm3": event.sm3,
                }
                self.note("segment.closed", track | segment, event.to_us)
                name = self.log.session.session
                self._closed(name, track_id, event.file, event.from_us, event.to_us)
            case "CaptureGap":
                gap = {
                    "from_us": event.from_us,
                    # Between packets of one instant, too, something is missing until it is filled.
                    "to_us": max(event.to_us, event.from_us + 1),
                    "cause": event.cause,
                    "packets": event.packets,
                }
                if event.encoding is not None:
                    gap["encoding"] = event.encoding
                self.note("gap.declared", track | gap, event.to_us)
            case "CaptureFailed":
                _LOG.error(
                    "recording can't be written",
                    extra={"track_id": track_id, "cause": event.cause, "reason": event.message},
                )
                self.note("alert.raised", track | {"cause": event.cause})
                self._alarm(track_id, event.cause)
            case "CaptureRestored":
                _LOG.info("recording can be written again", extra={"track_id": track_id})
                self.note("alert.ended", track)
                self._alarm(track_id, None)
            case "CaptureClosed":
                self.note("track.closed", track, event.at_us)
                self._alarm(track_id, None)

    def _alarm(self, track_id: str, cause: str | None) -> None:
        session = self.log.session
        self.alarm(session.session, session.room, track_id, cause)

    def finished(self) -> None:
        """The room is recorded no longer."""
        self.note("recording.stopped", {})
        self.log.release()
        self._ended()

    def _make_tracks(self) -> None:
        for folder, about in list(self._unmade.items()):
            try:
                _make_track(folder, about)
            except OSError as error:
                if folder not in self._refused:
                    self._refused.add(folder)
                    _LOG.warning(
                        "track directory can't be made",
                        extra={"track_id": folder.name, "reason": error.strerror},
                    )
                continue
            self._refused.discard(folder)
            # Unless it was said anew meanwhile.
            if self._unmade.get(folder) is about:
                del self._unmade[folder]


class CommandedRecording(SessionRecording):
    """One whose start and end somebody commands: they are in the log already."""

    def finished(self) -> None:
        """All files are closed and told of."""
        self._writer.wake(self.log)
        self._ended()


class RecordingService:
    """All recordings of this server.

    Args:
        config: with a directory.
        tell: told when a room's recording begins, pauses and ends.
        closed: told of every file that was closed.
        writer: whose thread writes the logs; closed by whoever made it.
        disk: of the logs.

    Attributes:
        waiting: rooms whose recording can't begin, because the disk refuses or does not answer.
        damaged: sessions that the start could not finish, and why (a cause of alerts).
    """

    def __init__(
        self,
        config: RecordingConfig,
        tell: Tell,
        closed: Closed = lambda *_: None,
        *,
        writer: LogWriter | None = None,
        disk: LogDisk | None = None,
    ) -> None:
        assert config.directory is not None
        self.config = config
        self.directory = config.directory
        self._tell = tell
        self._closed = closed
        self.writer = writer or LogWriter(threads=THREADS)
        self.disk = disk
        self.waiting: set[str] = set()
        self.damaged: dict[str, str] = {}
        self.lost_events = 0
        self._beginning: dict[str, asyncio.Task[None]] = {}
        self.alarm: Alarm = lambda *_: None
        self._sessions: dict[str, tuple[str, SessionRecording]] = {}
        self._open: set[SessionRecording] = set()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Finishes what an earlier server left open, and begins to sync logs.

        Raises:
            StartError: the directory can't be used.
        """
        try:
            found = await asyncio.to_thread(recover_all, self.directory, self._is_damaged)
        except OSError as error:
            raise StartError(
                t("can't use the recording directory {path}: {reason}").format(
                    path=self.directory, reason=error
                )
            ) from error
        for item in found:
            _LOG.warning(
                "recording recovered",
                extra={
                    "session_id": item.session,
                    "files": len(item.closed),
                    "cut_bytes": item.cut_bytes,
                    "tracks": item.tracks,
                },
            )
        self._task = asyncio.create_task(self._sync())

    def _is_damaged(self, session_id: str, error: Exception) -> None:
        cause = "disk_error" if isinstance(error, OSError) else "log_damaged"
        self.damaged[session_id] = cause
        _LOG.error(
            "recording can't be recovered: it is left as it is",
            extra={"session_id": session_id, "cause": cause, "reason": str(error)},
        )

    def on_room(self, room: Room) -> None:
        """A room was opened."""
        if self.config.rooms is RecordedRooms.ALL:
            self.record(room)

    def record(self, room: Room) -> None:
        """Begins to record a room as soon as the disk takes a session; tried until it does."""
        if room.room_id not in self._beginning:
            task = asyncio.get_running_loop().create_task(self._begin(room))
            self._beginning[room.room_id] = task
            task.add_done_callback(lambda _: self._began(room.room_id))

    def _began(self, room_id: str) -> None:
        self._beginning.pop(room_id, None)
        self.waiting.discard(room_id)

    async def _begin(self, room: Room) -> None:
        while _can_begin(room):
            try:
                log = await self.writer.run_apart(self._make, room.room_id)
            except (OSError, RecorderError) as error:
                if room.room_id not in self.waiting:
                    self.waiting.add(room.room_id)
                    extra = {"room_id": room.room_id, "reason": str(error)}
                    _LOG.error("room can't be recorded", extra=extra)
                await asyncio.sleep(_RETRY_S)
                continue
            if not _can_begin(room):
                # Meanwhile somebody left, or commanded a recording.
                log.append("recording.started", {})
                log.append("recording.stopped", {"failed": True})
                log.release()
                return
            self._start(room, log)

    def _make(self, room_id: str) -> SessionLog:
        session_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{secrets.token_hex(4)}"
        write_session(self.directory, session=session_id, room=room_id, started_ns=time.time_ns())
        place = self.directory / session_id
        log = EventLog.open(place, disk=self.disk)
        return SessionLog(place, log, self.writer, own=True, disk=self.disk)

    def _start(self, room: Room, log: SessionLog) -> None:
        session_id = log.session.session
        recording: SessionRecording

        def ended() -> None:
            self._leave(recording)
            if self._sessions.get(room.room_id, ("", None))[1] is recording:
                del self._sessions[room.room_id]
            self._tell(room.room_id, session_id, "off")

        recording = SessionRecording(log.place, log, self.writer, ended, self._closed)
        recording.alarm = self.alarm
        self._sessions[room.room_id] = (session_id, recording)
        self._open.add(recording)
        recording.note("recording.started", {})
        room.start_capture(recording)
        _LOG.info("room is recorded", extra={"room_id": room.room_id, "session_id": session_id})
        self._tell(room.room_id, session_id, "on")

    def _leave(self, recording: SessionRecording) -> None:
        self._open.discard(recording)
        self.lost_events += recording.log.lost_events

    def record_session(
        self, room: Room, place: Path, log: SessionLog, finished: Callable[[], None]
    ) -> SessionRecording:
        """Writes a room's media for a session that is commanded elsewhere.

        Args:
            room: not being recorded.
            place: the session's directory.
            log: open; is not closed here.
            finished: called when the last file is closed and told of.
        """
        recording: SessionRecording

        def ended() -> None:
            self._leave(recording)
            finished()

        recording = CommandedRecording(place, log, self.writer, ended, self._closed)
        recording.alarm = self.alarm
        self._open.add(recording)
        room.start_capture(recording)
        self._tell(room.room_id, log.session.session, "on")
        return recording

    async def flush(self, recording: SessionRecording) -> None:
        """What a session's capture told is in its log when this returns, if the disk takes it."""
        try:
            await self.writer.run(recording.log.write_pending)
        except LogStalledError as error:
            extra = {"session_id": recording.log.session.session, "reason": str(error)}
            _LOG.error("event log is late", extra=extra)

    def tell(self, room_id: str, session_id: str, state: RecordingState) -> None:
        """Tells a room how its recording is."""
        self._tell(room_id, session_id, state)

    def of_session(self, session_id: str) -> SessionRecording | None:
        """The recording of a session that is being written."""
        return next((item for item in self._open if item.place.name == session_id), None)

    def pause(self, room: Room, paused: bool) -> None:
        """Pauses a room's recording, or goes on."""
        found = self._sessions.get(room.room_id)
        if found is None or room.capture is None or room.capture.paused == paused:
            return
        session_id, recording = found
        room.pause_capture(paused)
        recording.note("recording.paused" if paused else "recording.resumed", {})
        self._tell(room.room_id, session_id, "paused" if paused else "on")

    @property
    def logs(self) -> list[SessionLog]:
        """Those of recordings that run."""
        return [recording.log for recording in self._open]

    async def stop(self) -> None:
        """Has all that is left written; engines have been stopped before."""
        for task in [self._task, *self._beginning.values()]:
            if task is not None:
                task.cancel()
                with contextlib.suppress(asyncio.CancelledError):
                    await task
        for recording in self._open:
            recording.log.release()
        if not await asyncio.to_thread(self.writer.settle):
            _LOG.error("event logs can't be written to their end")
        self._open.clear()

    async def _sync(self) -> None:
        while True:
            await asyncio.sleep(_SYNC_S)
            for recording in self._open:
                self.writer.wake(recording.log)


def _can_begin(room: Room) -> bool:
    return not room.is_closed and room.capture is None


def _make_track(folder: Path, about: bytes) -> None:
    """Makes a track's directory and its ``track.json``, so that a power failure leaves both.

    The session's directory exists: one that was removed is not begun again.
    """
    for place in (folder.parent, folder):
        place.mkdir(mode=0o700, exist_ok=True)
        sync_directory(place.parent)
    new = folder / "track.json.new"
    with new.open("wb") as file:
        file.write(about)
        file.flush()
        os.fsync(file.fileno())
    new.replace(folder / "track.json")
    sync_directory(folder)


def _about(track: CapturedTrack) -> dict[str, Any]:
    """What ``track.json`` says; documented in ``docs/recording.md``."""
    first = track.formats[0] if track.formats else None
    return {
        "version": 1,
        "track": track.track.track_id,
        "participant": track.track.participant_id,
        "name": track.name,
        "role": track.role,
        "kind": track.track.kind.value,
        "source": track.track.source.value,
        "codec": first.codec if first else None,
        "clock_rate": first.clock_rate if first else None,
        "formats": [
            {
                "codec": item.codec,
                "payload_type": item.payload_type,
                "clock_rate": item.clock_rate,
                "fmtp": dict(item.fmtp),
            }
            for item in track.formats
        ],
        "rids": list(track.rids),
        "ssrc": track.ssrc,
    }
