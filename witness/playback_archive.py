"""Recordings whose originals are in the archive alone, as the playback page shows them.

Opening one reads the small files of its package (session, log, flow, transcript, what tracks are)
out of the storage by ranges, each compared with the manifest, into ``archived/`` beside its films.
The whole package is fetched by the worker when a film or a verification needs it, compared with the
archive's digest. What was brought is a cache: bounded, the longest unused goes first.
"""

import asyncio
import hashlib
import io
import json
import os
import shutil
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from recorder.errors import SessionFileError
from recorder.review import Criteria
from recorder.session_file import is_session_id
from recorder.views import playback_place
from witness.archiving import Archiving
from witness.unpacking import unpack

if TYPE_CHECKING:
    from archive.archive import Archive
    from archive.catalogue import Query
    from archive.record import Deposit

__all__ = [
    "FOLDER",
    "ArchivedFile",
    "ArchivedRecordings",
    "Brought",
    "CacheFullError",
    "fetched",
    "merged",
]

FOLDER: Final = "archived"
"""In the folder of a session's films."""

_ABOUT: Final = "deposit.json"
_PACKAGE: Final = "package.zip"
_MAX_PAGES: Final = 20
"""Pages of the archive's catalogue that one search reads."""

_BLOCK: Final = 1 << 20


class CacheFullError(Exception):
    """There is no room for a package.

    Attributes:
        ever: there never will be: it is larger than the cache.
    """

    def __init__(self, *, ever: bool) -> None:
        super().__init__("the cache of archived recordings is full")
        self.ever = ever


@dataclass(frozen=True, slots=True)
class Brought:
    """What was brought of a session.

    Attributes:
        place: a session's directory, with media only while a film is made.
        archive_package: id of the package.
        bytes, sha256: of it, as the archive has it.
        package: where it lies once it was fetched.
    """

    place: Path
    archive_package: str
    bytes: int
    sha256: str
    package: Path


class ArchivedRecordings:
    """Sessions that are in the archive and not in the directory of recordings.

    Args:
        archiving: the configured archive.
        recordings: directory of the sessions that are here.
        own: directory of films and views.
        most_bytes: of what is brought, all sessions together.
    """

    def __init__(self, archiving: Archiving, recordings: Path, own: Path, most_bytes: int) -> None:
        self.archiving = archiving
        self._recordings = recordings
        self._own = own
        self._most_bytes = most_bytes
        self._lock = threading.Lock()

    def find(self, criteria: Criteria) -> tuple[list[dict[str, Any]], bool]:
        """What fits, newest first, and whether there may be more of it.

        Raises:
            CatalogueError: the catalogue can't be used.
        """
        from archive.catalogue import Catalogue

        if criteria.state not in {None, "stopped"}:
            return [], False
        catalogue = Catalogue(self.archiving.directory / "catalogue.sqlite3")
        found: dict[str, Deposit] = {}
        is_more = False
        for query in _queries(criteria):
            fits, more = self._fitting(catalogue.search, query, criteria)
            is_more |= more
            for deposit in fits:
                other = found.setdefault(deposit.facts.session, deposit)
                if other.facts.sealed_at < deposit.facts.sealed_at:
                    found[deposit.facts.session] = deposit
        newest = sorted(map(_listed, found.values()), key=_place, reverse=True)
        return newest[: criteria.limit], is_more or len(newest) > criteria.limit

    def _fitting(
        self, search: Callable[["Query", date], Any], query: "Query", criteria: Criteria
    ) -> tuple[list["Deposit"], bool]:
        found: list[Deposit] = []
        for _ in range(_MAX_PAGES):
            page = search(query, date.min)
            found += [one for one in page.deposits if self._fits(one, criteria)]
            if page.next is None or len(found) > criteria.limit:
                return found, page.next is not None
            query = replace(query, cursor=page.next)
        return found, True

    def _fits(self, deposit: "Deposit", criteria: Criteria) -> bool:
        facts = deposit.facts
        if criteria.after is not None and (facts.started_at, facts.session) >= criteria.after:
            return False
        text, sale = criteria.text, facts.sale
        named = facts.session.startswith(text) or facts.room.startswith(text)
        return (
            criteria.allowed(facts.room)
            and (named or text in {sale.order_no, sale.customer})
            and not (self._recordings / facts.session / "session.json").is_file()
        )

    def began(self, session: str) -> str | None:
        """When a session began, RFC 3339; ``None`` if it isn't archived."""
        from archive.catalogue import Catalogue

        if not is_session_id(session):
            return None
        catalogue = Catalogue(self.archiving.directory / "catalogue.sqlite3")
        deposits = catalogue.of_session(session)
        return deposits[0].facts.started_at if deposits else None

    def brought(self, session: str) -> Brought | None:
        """What lies here of a session; ``None`` if nothing does."""
        folder = playback_place(self._own, session) / FOLDER
        try:
            about = json.loads((folder / _ABOUT).read_bytes())
            return Brought(
                folder / session,
                str(about["package"]),
                int(about["bytes"]),
                str(about["sha256"]),
                folder / _PACKAGE,
            )
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def bring(self, session: str, allowed: Callable[[str], bool]) -> Brought:
        """Reads the small files of a session's newest package, unless they are here.

        Args:
            session: its id.
            allowed: whether recordings of a room may be told of.

        Raises:
            SessionFileError: it is not in the archive, or not for whoever asks.
            ArchiveError: the archive failed, or a file is not what was sealed.
            OSError: the disk refused.
        """
        from archive.errors import CatalogueError, QueryError

        folder = playback_place(self._own, session) / FOLDER
        with self._lock:
            archive = self.archiving.open()
            there = [one for one in archive.catalogue.of_session(session) if one.state != "deleted"]
            if not there:
                # Its time was over: nothing that was brought outlives it.
                shutil.rmtree(folder, ignore_errors=True)
                raise SessionFileError("{session} is not in the archive", session=session)
            try:
                deposit = archive.newest(session)
            except CatalogueError as error:
                raise QueryError("session {name} is not archived", name=session) from error
            if not allowed(deposit.facts.room):
                raise SessionFileError("{session} is not in the archive", session=session)
            known = self.brought(session)
            if known is None or known.archive_package != deposit.facts.package:
                self._bring(archive, deposit, folder)
            os.utime(folder / _ABOUT)
        found = self.brought(session)
        assert found is not None
        return found

    def _bring(self, archive: "Archive", deposit: "Deposit", folder: Path) -> None:
        new = folder.with_name(f"{FOLDER}.new")
        shutil.rmtree(new, ignore_errors=True)
        session = deposit.facts.session
        (new / session).mkdir(mode=0o700, parents=True)
        try:
            with io.BufferedReader(archive.open_package(deposit), _BLOCK) as file:
                unpack(file, new / session, deposit.facts.package, media=False)
            about = {
                "package": deposit.facts.package,
                "bytes": deposit.package.bytes,
                "sha256": deposit.package.sha256,
            }
            (new / _ABOUT).write_text(json.dumps(about))
            shutil.rmtree(folder, ignore_errors=True)
            new.rename(folder)
        finally:
            shutil.rmtree(new, ignore_errors=True)

    def open_package(self, session: str) -> "ArchivedFile":
        """The package as it lies in the storage.

        Raises:
            ArchiveError: it is not there, or the archive failed.
        """
        archive = self.archiving.open()
        return ArchivedFile(archive, archive.newest(session))

    def make_room(self, session: str, needed: int, in_use: Collection[str]) -> None:
        """Removes what was longest unused until so many bytes find room.

        Raises:
            CacheFullError: they don't.
        """
        if needed > self._most_bytes:
            raise CacheFullError(ever=True)
        with self._lock:
            entries = sorted(self._entries())
            total = sum(size for _, _, size in entries)
            for _, folder, size in entries:
                name = folder.parent.name
                if total + needed <= self._most_bytes:
                    return
                if name != session and name not in in_use:
                    shutil.rmtree(folder, ignore_errors=True)
                    total -= size
            if total + needed > self._most_bytes:
                raise CacheFullError(ever=False)

    def _entries(self) -> Iterator[tuple[int, Path, int]]:
        for folder in self._own.glob(f"*/{FOLDER}"):
            try:
                used_ns = (folder / _ABOUT).stat().st_mtime_ns
            except OSError:
                used_ns = 0
            files = (path for path in folder.rglob("*") if path.is_file())
            yield used_ns, folder, sum(path.stat().st_size for path in files)

    def task(self, session: str, who: str, why: str) -> dict[str, Any] | None:
        """What a worker needs to fetch the package; ``None`` if the session isn't archived."""
        known = self.brought(session)
        if known is None:
            return None
        return {
            "archiving": self.archiving.to_json(),
            "session": session,
            "package": str(known.package),
            "id": known.archive_package,
            "who": who,
            "why": why,
        }


class ArchivedFile:
    """A package in the storage; implements :class:`signaling.recordings.SealedMedia`.

    Read from beginning to end it is compared with the archive's digest, and its last piece is not
    given away if it differs.

    Attributes:
        size: bytes.
    """

    def __init__(self, archive: "Archive", deposit: "Deposit") -> None:
        self._storage = archive.storage
        self._one = deposit.package
        self.size = deposit.package.bytes
        self._digest = hashlib.sha256()
        self._at = 0

    async def read(self, start: int, count: int) -> bytes:
        """Part of the package.

        Raises:
            ArchiveError: the storage failed, or the package is not what was archived.
        """
        return await asyncio.to_thread(self._read, start, count)

    def _read(self, start: int, count: int) -> bytes:
        from archive.errors import IntegrityError

        data = b"".join(self._storage.read(self._one.key, start, count))
        if len(data) != count:
            raise IntegrityError("{key} is not what was archived", key=self._one.key)
        if start == self._at:
            self._digest.update(data)
            self._at += count
            if self._at == self.size and self._digest.hexdigest() != self._one.sha256:
                raise IntegrityError("{key} is not what was archived", key=self._one.key)
        return data

    async def close(self) -> None:
        """There is nothing to let go of."""


def _queries(criteria: Criteria) -> Iterator["Query"]:
    """What to ask the catalogue, of which each answers a part."""
    from archive.catalogue import Query

    days = (criteria.from_day, criteria.to_day)
    since, until = (None if day is None else date.fromisoformat(day) for day in days)
    if criteria.after is not None:
        last = date.fromisoformat(criteria.after[0][:10])
        until = last if until is None else min(until, last)
    every = Query(since=since, until=until, state="archived")
    text = criteria.text
    if not text:
        yield every
        return
    yield replace(every, session=text)
    yield replace(every, room_begins=text)
    yield replace(every, order=text)
    yield replace(every, customer=text)


def _listed(deposit: "Deposit") -> dict[str, Any]:
    """As :class:`recorder.summary.Summary` tells of recordings that are here."""
    facts = deposit.facts
    return {
        "session": facts.session,
        "room": facts.room,
        "started_at": facts.started_at,
        "state": "stopped",
        "length_us": facts.length_us,
        "tracks": None,
        "captured": None,
        "filled": None,
        "open_gaps": None,
        "outage_us": None,
        "completeness": {"audio": None, "video": None},
        "sealed": True,
        "packages": [facts.package],
        "problem": None,
        **facts.sale.to_json(),
        "archived": True,
    }


def _place(told: Mapping[str, Any]) -> tuple[str, str]:
    """What recordings are sorted by."""
    return told["started_at"], told["session"]


def merged(
    here: list[dict[str, Any]],
    end_here: tuple[str, str] | None,
    gone: list[dict[str, Any]],
    *,
    is_more: bool,
    limit: int,
) -> tuple[list[dict[str, Any]], str | None]:
    """One list of two, newest first.

    Args:
        here: recordings of this machine.
        end_here: beginning and id of the last one that was looked at, if they go on after it.
        gone: those that are in the archive alone.
        is_more: there may be more of those.
        limit: of the list.

    Returns:
        The list, and after which id it goes on, if it may.
    """
    ends = [] if end_here is None else [end_here]
    if is_more and gone:
        ends.append(_place(gone[-1]))
    # What is older than where one of the two was cut off comes after what follows there.
    end = max(ends, default=None)
    found = sorted([*here, *gone], key=_place, reverse=True)
    found = found if end is None else [one for one in found if _place(one) >= end]
    if len(found) > limit:
        return found[:limit], found[limit - 1]["session"]
    return found, None if end is None else end[1]


def fetched(task: Mapping[str, Any], progress: Callable[[int, int], None]) -> Path:
    """The package of a session that is in the archive alone; runs in the worker.

    Args:
        task: of :meth:`ArchivedRecordings.task`.
        progress: told of bytes.

    Raises:
        ArchiveError, EvidenceError: the archive failed, or the package is not what was archived.
        OSError: the disk refused.
    """
    from archive.errors import IntegrityError, MissingError

    package = Path(task["package"])
    if package.is_file():
        return package
    archive = Archiving.from_json(task["archiving"]).open()
    deposit = archive.catalogue.of_package(task["id"])
    if deposit is None or deposit.state == "deleted":
        raise MissingError("{key} is not in the storage", key=task["id"])
    about = {"who": str(task["who"]), "why": str(task["why"])}
    try:
        archive.fetch(deposit, deposit.package, package, **about, progress=progress)
    except IntegrityError:
        # Half of an earlier copy that the disk lost parts of is begun anew, once.
        part = package.with_name(f"{package.name}.part")
        if not part.exists():
            raise
        part.unlink()
        archive.fetch(deposit, deposit.package, package, **about, progress=progress)
    return package
