"""Recordings made whole while they run and after: the recorder's account and the people in rooms.

Whoever starts and stops recordings tells this what happens; this tells clients what is missing.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from recorder.backfill.ledger import Counts
from recorder.backfill.service import BackfillService, Log
from recorder.errors import RecorderError
from recorder.log import EventLog, read_events
from recorder.log_writer import LogWriter, SessionLog
from recorder.session_file import read_session
from signaling.clock import Clock, system_clock
from signaling.recording import Recordings, RecordingState

__all__ = ["BackfillCollector", "GapFilling"]

_LOG = logging.getLogger(__name__)
_TICK_S: Final = 1.0
_KINDS: Final = ("audio", "video")


Rejected = Callable[[str, str, str, str], None]
"""Is told ``(session_id, room_id, track_id, cause)`` of uploads that were not what was said."""


class GapFilling:
    """Ties the account of sessions to the rooms they are recorded in.

    Args:
        service: keeps the account.
        recordings: tells the people.
        writer: whose thread writes logs; closed by whoever made it.
        on_done: called with a session of which nothing more is wanted; its log can be closed.
        rejected: told of uploads that were not what was said.
    """

    def __init__(
        self,
        service: BackfillService,
        recordings: Recordings,
        *,
        writer: LogWriter | None = None,
        on_done: Callable[[str], None] = lambda _: None,
        rejected: Rejected = lambda *_: None,
        clock: Clock = system_clock,
    ) -> None:
        self._service = service
        self._recordings = recordings
        self._on_done = on_done
        self._rejected = rejected
        service.rejected = self._on_rejected
        self._clock = clock
        self._rooms: dict[str, str] = {}
        self._late: dict[str, SessionLog] = {}
        self._writer = writer or LogWriter()
        self._task: asyncio.Task[None] | None = None

    # What happens to recordings.

    def started(self, room_id: str, session_id: str, place: Path, log: Log) -> None:
        """A room is recorded from now on, as this session, or again after a restart.

        Raises:
            RecorderError: the session's files are not what they should be.
        """
        if isinstance(log, SessionLog):
            # Uploads go on for a day after a recording's end: the log is opened again for them.
            self._late[session_id] = log
        session = read_session(place)
        events = read_events(place, session) if (place / "events.jsonl").exists() else ()
        self._service.open(session_id, place, log, events)
        self._rooms[room_id] = session_id
        self._tell(room_id, session_id, "on")

    def _on_rejected(self, session_id: str, track_id: str, cause: str) -> None:
        log = self._late.get(session_id)
        self._rejected(session_id, "" if log is None else log.session.room, track_id, cause)

    def is_known(self, room_id: str, session_id: str) -> bool:
        """Whether :meth:`started` was called for it."""
        return self._rooms.get(room_id) == session_id

    def paused(self, room_id: str) -> None:
        """Nothing is recorded for now."""
        self._tell(room_id, self._rooms[room_id], "paused")

    def resumed(self, room_id: str) -> None:
        """The recording goes on."""
        self._tell(room_id, self._rooms[room_id], "on")

    def segment_closed(
        self, session_id: str, track_id: str, file: str, from_us: int, to_us: int
    ) -> None:
        """A file was closed; ``file`` is its name."""
        self._service.segment_closed(session_id, track_id, file, from_us, to_us)

    def stopped(self, room_id: str) -> None:
        """The recording is over; what is missing may still be uploaded."""
        session_id = self._rooms.pop(room_id, None)
        if session_id is not None:
            self._service.ended(session_id)
            self._tell(room_id, session_id, "off")

    def recover(self, directory: Path, window_s: float) -> int:
        """Takes up sessions that ended before this process began and may still be uploaded to.

        Returns:
            How many there are.
        """
        oldest_s = time.time() - window_s
        for path in sorted(directory.glob("*/events.jsonl")):
            place = path.parent
            if path.stat().st_mtime < oldest_s or place.name in self._service.sessions:
                continue
            try:
                self._reopen(place)
            except (RecorderError, OSError, KeyError, TypeError, ValueError) as error:
                _LOG.warning(
                    "session not reopened", extra={"session": place.name, "error": str(error)}
                )
        return len(self._late)

    def _reopen(self, place: Path) -> None:
        log = EventLog.open(place)
        late = SessionLog(place, log, self._writer, own=True)
        known = self._service.open(place.name, place, late, read_events(place, log.session))
        known.heard_us = known.ended_us or 0
        log.close()
        if known.ended_us is None or known.is_over:
            # Still to be resumed by whoever records, or complete.
            self._service.forget(place.name)
        else:
            self._late[place.name] = late

    # Running.

    def start(self) -> None:
        """Begins to look for what is missing."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Ends; logs that were reopened are closed."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None
        self._service.close()
        for log in self._late.values():
            log.release()
        self._late.clear()
        await asyncio.to_thread(self._writer.settle)

    async def tick(self) -> None:
        """One look at everything."""
        await self._service.tick()
        for log in self._late.values():
            # Others may want to read or seal it, once its recording is over.
            if log.place.name not in self._rooms.values():
                log.release()
        for room_id in list(self._recordings.rooms):
            self._recordings.ask(room_id)
        for session_id, known in list(self._service.sessions.items()):
            if known.is_over and not known.busy:
                self._finish(session_id)

    def _finish(self, session_id: str) -> None:
        self._service.keep_done(session_id)
        log = self._late.pop(session_id, None)
        if log is not None:
            log.release()
        self._on_done(session_id)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            try:
                await self.tick()
            except Exception:  # noqa: BLE001 - one session's fault must not stop the others
                _LOG.exception("gap filling failed")

    def _tell(self, room_id: str, session_id: str, state: RecordingState) -> None:
        self._recordings.set_state(room_id, session_id, state, self._clock())


class BackfillCollector(Collector):
    """What recordings lack, and what was brought."""

    def __init__(self, service: BackfillService) -> None:
        self._service = service

    def collect(self) -> Iterable[Metric]:
        """Of all sessions that are open now; totals since the start."""
        service = self._service
        yield GaugeMetricFamily(
            "witness_digest_lag_seconds",
            "Age of the oldest digest that was not compared with the recording yet.",
            service.lag_us() / 1e6,
        )
        totals = {kind: Counts() for kind in _KINDS}
        for session_id in list(service.sessions):
            for kind, counts in (service.completeness(session_id) or {}).items():
                totals[kind].sent += counts.sent
                totals[kind].present += counts.present
                totals[kind].missing_chunks += counts.missing_chunks
        missing = GaugeMetricFamily(
            "witness_chunks_missing", "Chunks clients are asked for.", labels=["track_kind"]
        )
        ratio = GaugeMetricFamily(
            "witness_archive_completeness_ratio",
            "Share of the frames that were sent which the recordings have; NaN: none were said.",
            labels=["track_kind"],
        )
        for kind, counts in totals.items():
            missing.add_metric([kind], counts.missing_chunks)
            ratio.add_metric([kind], float("nan") if counts.ratio is None else counts.ratio)
        yield missing
        yield ratio
        yield CounterMetricFamily(
            "witness_chunks_backfilled", "Chunks completed by uploads.", service.backfilled
        )
        rejected = CounterMetricFamily(
            "witness_backfill_rejected", "Uploads and chunks refused.", labels=["reason"]
        )
        for reason in ("body", "incomplete", "mismatch", "live_differs", "busy", "disk"):
            rejected.add_metric([reason], service.refused[reason])
        yield rejected
