"""Recordings for those who may watch them: found, opened for a purpose, filmed, verified."""

import asyncio
import json
import logging
import secrets
from collections import Counter, OrderedDict
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from archive.errors import ArchiveError
from recorder.config import EvidenceConfig, RecordingConfig
from recorder.envelope import MasterKeys
from recorder.errors import LogWriteError, RecorderError, SessionFileError
from recorder.log import EventLog
from recorder.review import Catalogue, Criteria, describe_recording
from recorder.session_file import is_session_id, read_session, rfc3339
from recorder.view_heads import SEARCHES_FILE, append_chained, note_head
from recorder.views import PLAYBACK_FOLDER, open_views, playback_place
from signaling.clock import Clock, TokenBucket
from signaling.errors import ErrorCode, HttpCode
from signaling.recordings import NewView, SealedMedia, Search, ViewPass
from signaling.sessions import SessionRefusedError
from signaling.staff import StaffIdentity, StaffRole
from witness.archiving import Archiving
from witness.errors import EvidenceError
from witness.playback_archive import (
    ArchivedRecordings,
    Brought,
    CacheFullError,
    merged,
)
from witness.playback_films import SealedFilm, sealed_film, sweep
from witness.playback_jobs import Job, Jobs, JobsFullError
from witness.sealing import certificates_of

__all__ = ["PlaybackCollector", "PlaybackLibrary", "playback_directory"]

_LOG = logging.getLogger(__name__)
VIEW_S: Final = 3_600.0
"""How long a purpose that was given holds."""

_MAX_VIEWS: Final = 1_000
_MAX_OWN_VIEWS: Final = 20
_MAX_LOGS: Final = 32
_SYNC_S: Final = 1.0
_NOTE_S: Final = 60.0
"""How much of the end of a log of views can be cut off unnoticed at most while it grows."""

_WAITING: Final = 8
_PER_S: Final = 10.0
_BURST: Final = 200.0
_DESCRIBING: Final = 20.0
"""How many other requests a description counts as."""

_ASKED_PER_S: Final = 1.0
_ASKED_BURST: Final = 60.0
Told = TypeVar("Told")


@dataclass(slots=True)
class _Open:
    view: ViewPass
    bucket: TokenBucket


@dataclass(slots=True)
class _Log:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    log: EventLog | None = None
    users: int = 0
    written: int = 0
    noted: int = 0
    noted_s: float = 0.0


def playback_directory(recording: RecordingConfig) -> Path:
    """Where films and logs of views lie.

    Raises:
        ValueError: nothing is recorded.
    """
    if recording.playback_directory is not None:
        return recording.playback_directory
    if recording.directory is None:
        raise ValueError("recording.directory is not set")
    return recording.directory / PLAYBACK_FOLDER


class PlaybackLibrary:
    """Implements :class:`signaling.recordings.RecordingLibrary`.

    Args:
        recording: with a directory.
        evidence: where packages and keys lie.
        clock: both clocks.
        keys: of encrypted recordings; they go to workers through their standard input.
        archiving: where recordings are found that are not here any more.

    Attributes:
        views: opened so far, by role.
    """

    def __init__(
        self,
        recording: RecordingConfig,
        evidence: EvidenceConfig,
        clock: Clock,
        keys: MasterKeys | None = None,
        archiving: Archiving | None = None,
    ) -> None:
        assert recording.directory is not None
        self._directory = recording.directory
        self._keys = keys
        self._own = playback_directory(recording)
        self._evidence = evidence
        self._clock = clock
        self._catalogue = Catalogue(self._directory)
        self._archived: ArchivedRecordings | None = None
        if archiving is not None:
            most_bytes = recording.playback_cache_gib << 30
            self._archived = ArchivedRecordings(archiving, self._directory, self._own, most_bytes)
        self._searching = asyncio.Lock()
        self._describing = asyncio.Lock()
        self._asked: OrderedDict[str, TokenBucket] = OrderedDict()
        self._open: OrderedDict[str, _Open] = OrderedDict()
        self._logs: OrderedDict[str, _Log] = OrderedDict()
        self._keeping: asyncio.Task[None] | None = None
        self.jobs = Jobs(_WAITING)
        self.views: Counter[str] = Counter()

    async def close(self) -> None:
        """Ends workers and closes logs."""
        await self.jobs.close()
        if self._keeping is not None:
            self._keeping.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeping
        for name in list(self._logs):
            await self._let_go(name)

    async def search(self, search: Search, who: StaffIdentity) -> dict[str, Any]:
        """Recordings somebody may watch, newest first; who looked for what is logged before."""
        self._count_asked(who.subject)
        await self._answered(lambda: self._log_search(search, who))
        # The catalogue is one thing in memory: one search after the other.
        async with self._searching:
            found, before = await self._answered(lambda: self._find(search, who))
        return {"recordings": found, "before": before}

    def _find(self, search: Search, who: StaffIdentity) -> tuple[list[dict[str, Any]], str | None]:
        criteria = Criteria(
            search.q,
            search.from_day,
            search.to_day,
            search.state,
            search.before,
            None if search.before is None else self._began(search.before),
            search.limit,
            who.may_see,
        )
        here, before = self._catalogue.find(criteria)
        here = [{**one, "archived": False} for one in here]
        if self._archived is None:
            return here, before
        gone, is_more = self._archived.find(criteria)
        end = None if before is None else self._began(before)
        return merged(here, end, gone, is_more=is_more, limit=search.limit)

    def _began(self, name: str) -> tuple[str, str] | None:
        try:
            return rfc3339(read_session(self._directory / name).started_ns), name
        except SessionFileError:
            began = None if self._archived is None else self._archived.began(name)
            return None if began is None else (began, name)

    async def open_view(self, session_id: str, who: StaffIdentity, wanted: NewView) -> ViewPass:
        """Logs who watches and why, then lets in."""
        self._count_asked(who.subject)
        await self._answered(lambda: self._admit(session_id, who))
        self._make_room(who.subject)
        expires_s = min(self._clock().unix_s + VIEW_S, who.expires_at)
        view = ViewPass(
            secrets.token_hex(8),
            secrets.token_urlsafe(32),
            session_id,
            who,
            wanted.purpose,
            expires_s,
        )
        about = {
            "view": view.view,
            "role": who.role.value,
            "purpose": wanted.purpose,
            "note": wanted.note,
        }
        await self._log(view, "view.opened", about, durable=True)
        self.views[who.role.value] += 1
        self._open[view.token] = _Open(view, TokenBucket(_PER_S, _BURST, self._clock().steady_s))
        return view

    def _admit(self, session_id: str, who: StaffIdentity) -> None:
        """Whether there is such a recording for somebody, here or in the archive.

        Raises:
            SessionFileError: there is none.
        """
        if not is_session_id(session_id):
            raise SessionFileError("{session} is no session id", session=repr(session_id))
        try:
            session = read_session(self._directory / session_id)
        except SessionFileError:
            if self._archived is None:
                raise
            self._archived.bring(session_id, who.may_see)
            return
        if not who.may_see(session.room):
            raise SessionFileError("{session} is not for everybody", session=session_id)

    def _count_asked(self, subject: str) -> None:
        """Searches and views cost reading logs: so many of each viewer.

        Raises:
            SessionRefusedError: there were more.
        """
        now_s = self._clock().steady_s
        bucket = self._asked.setdefault(subject, TokenBucket(_ASKED_PER_S, _ASKED_BURST, now_s))
        self._asked.move_to_end(subject)
        if len(self._asked) > _MAX_VIEWS:
            self._asked.popitem(last=False)
        if bucket.take(1, now_s):
            raise SessionRefusedError(429, ErrorCode.RATE_LIMITED, "too many requests")

    def _log_search(self, search: Search, who: StaffIdentity) -> None:
        self._own.mkdir(mode=0o700, parents=True, exist_ok=True)
        filters = search.model_dump(by_alias=True, exclude_defaults=True)
        about = {"at": rfc3339(int(self._clock().unix_s * 1e9)), "who": who.subject}
        line = {**about, "role": who.role.value, "filters": filters}
        head = append_chained(self._own / SEARCHES_FILE, line)
        # In a log that is kept elsewhere, it shows whether the end was cut off.
        _LOG.info("search is noted", extra={"sha256": head})

    def _make_room(self, subject: str) -> None:
        """Ends a viewer's own oldest view where he has too many, never another's.

        Raises:
            SessionRefusedError: others have too many open.
        """
        now_s = self._clock().unix_s
        for token in [one for one, kept in self._open.items() if kept.view.expires_s <= now_s]:
            del self._open[token]
        own = [one for one, kept in self._open.items() if kept.view.who.subject == subject]
        if len(own) >= _MAX_OWN_VIEWS:
            del self._open[own[0]]
        if len(self._open) >= _MAX_VIEWS:
            detail = "too many recordings are being watched; try again later"
            raise SessionRefusedError(503, ErrorCode.SERVER_FULL, detail)

    def view(self, session_id: str, token: str) -> ViewPass:
        """The open view of a cookie."""
        known = self._open.get(token)
        if known is not None and known.view.expires_s <= self._clock().unix_s:
            del self._open[token]
            known = None
        if known is None or known.view.session_id != session_id:
            detail = "say what for first: POST /v1/recordings/{id}/views"
            raise SessionRefusedError(401, HttpCode.NO_VIEW, detail)
        if known.bucket.take(1, self._clock().steady_s):
            raise SessionRefusedError(429, ErrorCode.RATE_LIMITED, "too many requests")
        return known.view

    async def describe(self, view: ViewPass) -> dict[str, Any]:
        """What is drawn beside the film."""
        place = self._place(view.session_id)
        if self._open[view.token].bucket.take(_DESCRIBING, self._clock().steady_s):
            raise SessionRefusedError(429, ErrorCode.RATE_LIMITED, "too many requests")
        # It reads a whole log: one after the other, or calls would wait for all of them.
        async with self._describing:
            told = await self._answered(lambda: describe_recording(place))
        work = await self.work(view)
        return {**told, **work, "viewer": {"who": view.who.subject, "purpose": view.purpose}}

    async def ask(self, view: ViewPass, work: str, language: str) -> dict[str, Any]:
        """Has a film made, or the package verified."""
        key, task = await self._answered(lambda: self._task(view, work, language))
        try:
            self.jobs.ask(key, task)
        except JobsFullError:
            detail = "too much work is waiting; try again later"
            raise SessionRefusedError(503, ErrorCode.SERVER_FULL, detail) from None
        await self._log(view, "view.asked", {"view": view.view, "what": work})
        return await self.work(view)

    async def work(self, view: ViewPass) -> dict[str, Any]:
        """How far film and verification are."""
        name = view.session_id
        files = await asyncio.to_thread(self._files, name)
        films = {
            language: _merged(files[f"film-{language}"], self._job(f"film:{language}:{name}"))
            for language in ("zh", "en")
        }
        verdict = _merged(files["verification"], self._job(f"verification:{name}"))
        return {"films": films, "verification": verdict, "package": files["package"]}

    def sweep(self) -> None:
        """Removes halves of films; and plain films, where they are to be encrypted."""
        sweep(self._own, plain=self._keys is not None)

    async def file(self, view: ViewPass, what: str, language: str) -> Path | SealedMedia:
        """The film or the package."""
        name, keys = view.session_id, self._keys
        film = self._film(name, language)
        sealed = what == "film" and keys is not None
        path = self._package(name) if what != "film" else sealed_film(film) if sealed else film
        if path is None or not await asyncio.to_thread(path.is_file):
            if what == "package" and self._archived is not None and self._brought(name):
                archived = self._archived
                return await self._answered(lambda: archived.open_package(name))
            raise SessionRefusedError(404, HttpCode.NOT_FOUND, f"there is no {what} yet")
        if sealed and keys is not None:
            return await self._answered(lambda: SealedFilm(film, keys))
        return path

    async def fetched(self, view: ViewPass, what: str, span: tuple[int, int], size: int) -> None:
        """Logs what is about to be sent."""
        about = {"view": view.view, "what": what, "from": span[0], "to": span[1], "of": size}
        await self._log(view, "view.fetched", about, durable=what == "package")

    async def _log(
        self, view: ViewPass, kind: str, payload: dict[str, Any], *, durable: bool = False
    ) -> None:
        entry = self._logs.setdefault(view.session_id, _Log())
        self._logs.move_to_end(view.session_id)
        async with _used(entry):
            await self._answered(lambda: self._write(entry, view, kind, payload, durable))
        for name in list(self._logs)[: max(0, len(self._logs) - _MAX_LOGS)]:
            if not self._logs[name].users:
                await self._let_go(name)
        if self._keeping is None or self._keeping.done():
            self._keeping = asyncio.get_running_loop().create_task(self._keep())

    async def _let_go(self, name: str) -> None:
        """Closes a log nobody uses; who wants it meanwhile waits and opens it again."""
        entry = self._logs[name]
        async with _used(entry):
            await asyncio.to_thread(self._close_log, name, entry)
        if not entry.users:
            self._logs.pop(name, None)

    def _write(
        self, entry: _Log, view: ViewPass, kind: str, payload: dict[str, Any], durable: bool
    ) -> None:
        if entry.log is None or entry.log.is_closed:
            place = playback_place(self._own, view.session_id)
            entry.log = open_views(place, self._place(view.session_id))
            entry.noted = entry.log.head[0]
        event = entry.log.append(kind, payload, actor=view.who.subject, durable=durable)
        if durable and entry.log.refused is not None:
            raise LogWriteError(entry.log.refused)
        entry.written = event.seq
        if durable:
            self._note(view.session_id, entry)

    def _note(self, name: str, entry: _Log) -> None:
        """Enters the log's head into the heads of all: its end can't be cut off unnoticed."""
        assert entry.log is not None
        seq, digests = entry.log.head
        head = note_head(self._own, name, seq, digests.sha256)
        entry.noted, entry.noted_s = seq, self._clock().steady_s
        # In a log that is kept elsewhere, it shows whether the heads themselves were cut.
        _LOG.info("views are noted", extra={"session_id": name, "seq": seq, "sha256": head})

    def _settle(self, name: str, entry: _Log, *, now: bool = False) -> None:
        """Syncs what was appended; notes the head, if that is due.

        What the disk refuses is the fault of no request that happens to come by.
        """
        try:
            if entry.log is not None and entry.written > entry.noted:
                entry.log.sync()
                if now or self._clock().steady_s - entry.noted_s >= _NOTE_S:
                    self._note(name, entry)
        except (RecorderError, OSError) as error:
            _LOG.error("a log of views can't be written", extra={"reason": str(error)})

    def _close_log(self, name: str, entry: _Log) -> None:
        self._settle(name, entry, now=True)
        try:
            if entry.log is not None:
                entry.log.close()
        except RecorderError as error:
            _LOG.error("a log of views can't be closed", extra={"reason": str(error)})
        entry.log, entry.written = None, entry.noted

    async def _keep(self) -> None:
        """Settles logs every second, as long as there is something to settle."""
        while open_logs := [item for item in self._logs.items() if item[1].written > item[1].noted]:
            await asyncio.sleep(_SYNC_S)
            for name, entry in open_logs:
                async with _used(entry):
                    await asyncio.to_thread(self._settle, name, entry)

    def _task(self, view: ViewPass, work: str, language: str) -> tuple[str, dict[str, Any]]:
        name = view.session_id
        place, own = self._place(name), playback_place(self._own, name)
        archived = self._archived_task(view, work)
        if work == "film":
            told = describe_recording(place)
            if told["state"] != "stopped":
                detail = "a film is made when the recording has stopped"
                raise SessionRefusedError(409, HttpCode.WRONG_STATE, detail)
            return f"film:{language}:{name}", {
                "work": work,
                "session": str(place),
                "film": str(self._film(name, language)),
                "language": language,
                "keys": [] if self._keys is None else self._keys.to_json(),
                "uploads": told["uploads"],
                "archived": archived,
            }
        package = self._package(name)
        if package is None or not (archived or package.is_file()):
            raise SessionRefusedError(404, HttpCode.NOT_FOUND, "there is no package yet")
        try:
            trust = [str(path) for path in certificates_of(self._evidence)]
        except EvidenceError as error:
            raise SessionRefusedError(409, HttpCode.WRONG_STATE, str(error)) from error
        return f"verification:{name}", {
            "work": work,
            "package": str(package),
            "trust": trust,
            "result": str(own / "verdict.json"),
            "archived": archived,
        }

    def _archived_task(self, view: ViewPass, work: str) -> dict[str, Any] | None:
        """How a worker gets a package that is in the archive alone.

        Raises:
            SessionRefusedError: there is no room for it.
        """
        known = self._brought(view.session_id)
        if known is None or self._archived is None:
            return None
        # A film is made of files, which lie beside the package meanwhile.
        needed = (0 if known.package.is_file() else known.bytes) + known.bytes * (work == "film")
        in_use = {one.view.session_id for one in self._open.values()} | self.jobs.sessions
        try:
            self._archived.make_room(view.session_id, needed, in_use)
        except CacheFullError as error:
            if error.ever:
                detail = "larger than the cache of archived recordings (playback_cache_gib)"
                raise SessionRefusedError(409, HttpCode.WRONG_STATE, detail) from None
            detail = "too many archived recordings are being watched; try again later"
            raise SessionRefusedError(503, ErrorCode.SERVER_FULL, detail) from None
        return self._archived.task(view.session_id, view.who.subject, f"playback: {view.purpose}")

    def _files(self, name: str) -> dict[str, Any]:
        """What lies on the disk."""
        found: dict[str, Any] = {}
        for language in ("zh", "en"):
            film = self._film(name, language)
            about = _read(film.with_suffix(".json")) if self._has_film(film) else None
            found[f"film-{language}"] = None if about is None else {"state": "done", **about}
        verdict = _read(playback_place(self._own, name) / "verdict.json")
        if archived := self._brought(name):
            found["package"] = {"bytes": archived.bytes}
            same = verdict is not None and verdict["sha256"] == archived.sha256
            found["verification"] = {"state": "done", **(verdict or {})} if same else None
            return found
        package = self._package(name)
        known = package.stat() if package is not None and package.is_file() else None
        found["package"] = None if known is None else {"bytes": known.st_size}
        is_current = (
            known is not None
            and verdict is not None
            and verdict["bytes"] == known.st_size
            and verdict["mtime_ns"] == str(known.st_mtime_ns)
        )
        found["verification"] = {"state": "done", **(verdict or {})} if is_current else None
        return found

    def _job(self, key: str) -> dict[str, Any] | None:
        job: Job | None = self.jobs.get(key)
        if job is None or job.state == "done":
            return None
        # Why it failed names paths of the server: that is for its log.
        return {"state": job.state, "share": job.share, "before": self.jobs.place(job)}

    def _film(self, name: str, language: str) -> Path:
        return playback_place(self._own, name) / f"film-{language}.mp4"

    def _has_film(self, film: Path) -> bool:
        return (film if self._keys is None else sealed_film(film)).is_file()

    def _brought(self, name: str) -> Brought | None:
        """What was brought from the archive of a session that is not here."""
        if self._archived is None or (self._directory / name / "session.json").is_file():
            return None
        return self._archived.brought(name)

    def _package(self, name: str) -> Path | None:
        if archived := self._brought(name):
            return archived.package
        directory = self._evidence.packages_directory
        return None if directory is None else directory / f"{name}.zip"

    def _place(self, session_id: str) -> Path:
        if not is_session_id(session_id):
            raise SessionRefusedError(404, HttpCode.UNKNOWN_SESSION, "no such recording")
        archived = self._brought(session_id)
        return self._directory / session_id if archived is None else archived.place

    async def _answered(self, work: Callable[[], Told]) -> Told:
        try:
            return await asyncio.to_thread(work)
        except SessionFileError as error:
            detail = "no such recording"
            raise SessionRefusedError(404, HttpCode.UNKNOWN_SESSION, detail) from error
        except (RecorderError, ArchiveError, EvidenceError, OSError) as error:
            _LOG.error("a recording can't be shown", extra={"reason": str(error)})
            detail = "the recording can't be read; see the server's log"
            raise SessionRefusedError(503, ErrorCode.INTERNAL, detail) from error


@asynccontextmanager
async def _used(entry: _Log) -> AsyncIterator[None]:
    entry.users += 1
    try:
        async with entry.lock:
            yield
    finally:
        entry.users -= 1


def _merged(there: dict[str, Any] | None, job: dict[str, Any] | None) -> dict[str, Any]:
    """What is under way says more than what is there."""
    return job or there or {"state": "none"}


def _read(path: Path) -> dict[str, Any] | None:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None
    return value if isinstance(value, dict) else None


class PlaybackCollector(Collector):
    """Views, and work in the worker."""

    def __init__(self, library: PlaybackLibrary) -> None:
        self._library = library

    def collect(self) -> Iterable[Metric]:
        """Totals and present numbers; every label value is present, if only with 0."""
        views = CounterMetricFamily(
            "witness_playback_views", "Views of recordings that were opened.", labels=["role"]
        )
        for role in StaffRole:
            if role is not StaffRole.DETECTOR:
                views.add_metric([role.value], self._library.views[role.value])
        yield views
        jobs = self._library.jobs
        work = CounterMetricFamily(
            "witness_playback_work", "Films and verifications, by how they ended.", labels=["how"]
        )
        for how, count in (("done", jobs.done), ("failed", jobs.failed), ("refused", jobs.refused)):
            work.add_metric([how], count)
        yield work
        yield GaugeMetricFamily(
            "witness_playback_waiting", "Films and verifications that wait.", jobs.waiting
        )
