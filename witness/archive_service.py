"""Archives sealed sessions while the server runs, and answers what is in the archive."""

import asyncio
import contextlib
import json
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from archive.catalogue import Catalogue, Query
from archive.errors import CatalogueError, JournalError, QueryError
from archive.journal import Journal
from archive.removals import finish_removals
from signaling.archive import ArchiveSearch
from signaling.errors import ErrorCode
from signaling.sessions import SessionRefusedError
from witness.archiving import Archiving, waiting

__all__ = ["MAX_QUEUE", "ArchiveCatalogue", "ArchiveCollector", "ArchiveService", "Work"]

_LOG = logging.getLogger(__name__)

MAX_QUEUE: Final = 1_000
"""Sessions that are looked at in one round; the rest is found again in the next one."""

_FIRST_RETRY_S: Final = 30.0
_LAST_RETRY_S: Final = 3_600.0
_LINE: Final = 1 << 20

_CAUSES: Final = {"IntegrityError": "digest_differs", "StorageError": "unreachable"}
"""Causes of alerts; what else goes wrong with a session is ``refused``."""

Alarm = Callable[[str, str | None], None]
"""Is told a session and why it can't be archived, or ``None`` when it was."""

Work = Callable[[str], Awaitable[dict[str, Any]]]
"""Archives a session; ``{"done": {"bytes", "originals"}}`` or ``{"error": {"kind", "reason"}}``."""


class ArchiveCatalogue:
    """Implements :class:`signaling.archive.ArchivedSessions`."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def place_of(self, session: str) -> dict[str, Any] | None:
        """Where the newest package of a session lies; ``None`` while it isn't archived."""
        try:
            found = await asyncio.to_thread(self._catalogue.of_session, session)
        except CatalogueError as error:
            _LOG.error("the archive's catalogue failed", extra={"reason": str(error)})
            return None
        for one in found:
            if one.state == "archived":
                place = {"package": one.facts.package, "key": one.package.key}
                days = one.to_json()
                return place | {name: days[name] for name in ("retain_until", "legal_hold")}
        return None

    async def search(self, wanted: ArchiveSearch, rooms: frozenset[str] | None) -> dict[str, Any]:
        """A page of deposits."""
        query = Query(
            session=wanted.session,
            room=wanted.room,
            order=wanted.order,
            customer=wanted.customer,
            participant=wanted.participant,
            since=None if wanted.from_day is None else date.fromisoformat(wanted.from_day),
            until=None if wanted.to_day is None else date.fromisoformat(wanted.to_day),
            state=wanted.state,
            limit=wanted.limit,
            cursor=wanted.cursor,
            rooms=None if rooms is None else tuple(sorted(rooms)),
        )
        today = datetime.now(UTC).date()
        try:
            page = await asyncio.to_thread(self._catalogue.search, query, today)
        except QueryError as error:
            raise SessionRefusedError(400, ErrorCode.BAD_MESSAGE, str(error)) from error
        except CatalogueError as error:
            _LOG.error("the archive's catalogue failed", extra={"reason": str(error)})
            detail = "the archive can't be searched now; see the server's log"
            raise SessionRefusedError(503, ErrorCode.INTERNAL, detail) from error
        return {"deposits": [one.to_json() for one in page.deposits], "next": page.next}


@dataclass(slots=True)
class _Failure:
    """A session that could not be archived."""

    since_s: float
    tries: int
    next_s: float


class ArchiveService:
    """Archives sealed sessions one after the other; a failure delays its own session only.

    Args:
        archiving: what is configured.
        work: archives one session; a worker process if left out.
        now: monotonic seconds.

    Attributes:
        archived, failed, bytes: totals.
        queue: sessions that waited when last looked.
        left: sessions beyond the queue's bound then.
        alert: a session could not be archived for too long.
        alarm: told of such sessions, and of bytes that came out different at once.
    """

    def __init__(
        self,
        archiving: Archiving,
        work: Work | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._archiving = archiving
        self._work = work or self._in_process
        self._now = now
        self.catalogue = Catalogue(archiving.directory / "catalogue.sqlite3")
        self._journal = Journal(archiving.directory / "journal.jsonl")
        self._failures: dict[str, _Failure] = {}
        self._task: asyncio.Task[None] | None = None
        self.archived = self.failed = self.bytes = self.queue = self.left = 0
        self.alert = False
        self.alarm: Alarm = lambda *_: None

    def start(self) -> None:
        """Begins to look for sealed sessions."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Ends; a copy that is under way is cut off and goes on at the next start."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def tick(self) -> None:
        """One look at everything that is sealed, and every try that is due.

        Raises:
            CatalogueError, JournalError, OSError: a directory can't be read, or not written.
        """
        names = await asyncio.to_thread(self._waiting)
        self.queue, self.left = min(len(names), MAX_QUEUE), max(0, len(names) - MAX_QUEUE)
        for gone in self._failures.keys() - set(names):
            del self._failures[gone]
        # What failed gives way to what was never tried.
        names.sort(key=lambda name: name in self._failures)
        for name in names[:MAX_QUEUE]:
            failure = self._failures.get(name)
            if failure is None or failure.next_s <= self._now():
                await self._try(name)
        self._judge()

    @property
    def failing_s(self) -> float:
        """How long the oldest failure has lasted; 0 without one."""
        since = min((item.since_s for item in self._failures.values()), default=self._now())
        return self._now() - since

    def _waiting(self) -> list[str]:
        for name in finish_removals(
            self.catalogue, self._journal, "system", self._archiving.originals
        ):
            _LOG.info("removal of originals finished", extra={"session_id": name})
        return waiting(self._archiving, self.catalogue.settled())

    async def _try(self, name: str) -> None:
        told = await self._work(name)
        done = told.get("done")
        if done is not None:
            if self._failures.pop(name, None) is not None:
                self.alarm(name, None)
            self.archived += 1
            self.bytes += done["bytes"]
            self.queue -= 1
            extra = {"session_id": name, "bytes": done["bytes"], "originals": done["originals"]}
            _LOG.info("session archived", extra=extra)
            return
        self.failed += 1
        now_s = self._now()
        failure = self._failures.setdefault(name, _Failure(now_s, 0, now_s))
        failure.next_s = now_s + min(_FIRST_RETRY_S * 2**failure.tries, _LAST_RETRY_S)
        failure.tries = min(failure.tries + 1, 16)
        cause = _CAUSES.get(told["error"]["kind"], "refused")
        late = now_s - failure.since_s >= self._archiving.archive.alert_after_s
        if late or cause == "digest_differs":
            self.alarm(name, cause)
        extra = {"session_id": name, **told["error"], "retry_s": failure.next_s - now_s}
        _LOG.warning("session can't be archived", extra=extra)

    def _judge(self) -> None:
        raised = bool(self._failures) and self.failing_s >= self._archiving.archive.alert_after_s
        if raised and not self.alert:
            extra = {"sessions": len(self._failures), "failing_s": self.failing_s}
            _LOG.error("archiving has failed for long", extra=extra)
        elif self.alert and not raised:
            _LOG.info("archiving works again")
        self.alert = raised

    async def _run(self) -> None:
        while True:
            try:
                await self.tick()
            except (CatalogueError, JournalError, OSError) as error:
                self.failed += 1
                _LOG.error("archiving failed", extra={"reason": str(error)})
            await asyncio.sleep(self._archiving.archive.scan_s)

    async def _in_process(self, session: str) -> dict[str, Any]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "witness.archive_worker",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LINE,
        )
        task = json.dumps({"archiving": self._archiving.to_json(), "session": session})
        try:
            out, _ = await process.communicate(task.encode())
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        try:
            told: dict[str, Any] = json.loads(out)
        except ValueError:
            reason = f"the worker ended with code {process.returncode}"
            return {"error": {"kind": "WorkerDied", "reason": reason}}
        return told


class ArchiveCollector(Collector):
    """Figures of the archive."""

    def __init__(self, service: ArchiveService) -> None:
        self._service = service

    def collect(self) -> Iterable[Metric]:
        """Totals since the start, and how it is now."""
        service = self._service
        tries = CounterMetricFamily(
            "witness_archive_tries", "Sessions that were to be archived.", labels=["outcome"]
        )
        tries.add_metric(["archived"], service.archived)
        tries.add_metric(["failed"], service.failed)
        yield tries
        yield CounterMetricFamily(
            "witness_archive_bytes", "Bytes archived and compared.", service.bytes
        )
        for name, text, value in (
            ("queue_sessions", "Sealed sessions that wait to be archived.", service.queue),
            ("left_sessions", "Sealed sessions beyond the bound of a round.", service.left),
            ("failing_seconds", "Age of the oldest failure to archive.", service.failing_s),
            ("alert", "1 while archiving has failed for too long.", float(service.alert)),
        ):
            yield GaugeMetricFamily(f"witness_archive_{name}", text, value)
