"""The archive: deposits, searches, holds, and deletes what may go.

What is stricter is written first, so that whatever cuts a step off leaves more guarded than was
asked, never less: a hold reaches the storage before the journal, a release the journal before the
storage, and an original goes after its copy was read again.
"""

import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

from archive import identity
from archive.catalogue import Catalogue, Page, Query
from archive.copying import copy_out
from archive.errors import (
    ArchiveError,
    CatalogueError,
    DepositError,
    IntegrityError,
    MissingError,
    RetainedError,
)
from archive.journal import Entry, Journal
from archive.package import Facts, StoredFile, digest_of, facts_of
from archive.record import (
    PACKAGE,
    Deposit,
    Stored,
    is_record_key,
    key_of,
    package_key,
    record_from,
    record_key,
    record_of,
    tombstone_from,
)
from archive.removals import REMOVED
from archive.retention import Dates, Rules, expect_likely
from archive.storage import Progress, Storage
from recorder.durable import sync_directory
from recorder.regular import open_regular
from recorder.sale import Sale
from recorder.session_file import is_session_id, rfc3339

__all__ = ["Archive", "Check", "Expired", "Material", "Step", "Whole"]

Step = Callable[[str], None]
"""Told of every step that is done; tests end the process there."""

Check = Callable[[Path], str]
"""Says ``pass``, ``gaps`` or ``unknown`` of a package; raises when it is not what was sealed."""

Whole = Callable[[Facts], AbstractContextManager[bool]]
"""Entered just before originals go: says whether a package has all of its session still. Until it
is left nothing can be added to the session.
"""

_VERIFIED: Final = frozenset({"pass", "gaps"})
_REMOVING: Final = ".removing"
_CASE: Final = 64


@dataclass(frozen=True, slots=True)
class Material:
    """What there is to archive of a session.

    Attributes:
        package: the evidence package.
        films: files made of it, put beside it.
        originals: what may be removed once the package is safe, in this order; the package last.
    """

    package: Path
    films: tuple[Path, ...] = ()
    originals: tuple[Path, ...] = ()


@dataclass(frozen=True, slots=True)
class Expired:
    """A deposit that was deleted, or could not be.

    Attributes:
        refused: why not; ``None`` if it is gone.
    """

    deposit: Deposit
    refused: RetainedError | None


def _nothing(_: str) -> None:
    pass


class Archive:
    """One archive.

    Args:
        directory: of catalogue, journal and locks; :func:`archive.identity.begin` made it.
        storage: where objects lie.
        rules: how long they stay.
        wall_ns: ns since 1970.

    Raises:
        StorageError: directory and storage aren't there, or don't belong together.
    """

    def __init__(
        self,
        directory: Path,
        storage: Storage,
        rules: Rules,
        wall_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        identity.check(directory, storage)
        self._directory = directory
        self.storage = storage
        self.catalogue = Catalogue(directory / "catalogue.sqlite3")
        self.journal = Journal(directory / "journal.jsonl", wall_ns)
        self._locks = directory / "locks"
        self._locks.mkdir(mode=0o700, exist_ok=True)
        self._rules = rules
        self._wall_ns = wall_ns

    @property
    def today(self) -> date:
        """This day, UTC."""
        return datetime.fromtimestamp(self._wall_ns() / 1e9, UTC).date()

    # Putting in.

    def deposit(
        self,
        material: Material,
        check: Check,
        *,
        who: str,
        remove: Whole | None = None,
        progress: Progress | None = None,
        step: Step = _nothing,
    ) -> Deposit:
        """Archives a package; safe to call again after whatever cut it off.

        Args:
            material: the files.
            check: looks at the package before anything is copied.
            who: for the journal.
            remove: remove the originals after the copy was read again and compared, if the package
                was verified and this still says that it has all of the session.
            progress: told of bytes copied and read again, of all files together.
            step: told of every step.

        Returns:
            What the catalogue has now.

        Raises:
            PackageError: the file is no package.
            DepositError: it does not pass, or is being archived by another process.
            IntegrityError: a copy came out different.
            StorageError: the storage failed; calling again goes on from there.
            OSError: a file can't be read or removed.
        """
        with open_regular(material.package) as file:
            facts = facts_of(file)
        with self._lock(facts.session, wait=False):
            found = self.catalogue.of_package(facts.package)
            if found is not None and found.state == "deleted":
                raise DepositError("package {package} was deleted", package=facts.package)
            fresh = found is None
            if found is None:
                found = self._put(facts, material, check, who, progress, step)
            elif digest_of(material.package) != found.package.sha256:
                raise DepositError(
                    "{path} is not the package that was archived", path=material.package
                )
            if remove and found.originals != "removed" and found.verdict in _VERIFIED:
                if not fresh:
                    self._compare(found, progress)
                # A copy takes its time: the session is looked at now, not before it.
                with remove(facts) as is_whole:
                    if is_whole:
                        found = self._remove(found, material.originals, who, step)
        return found

    def _put(
        self,
        facts: Facts,
        material: Material,
        check: Check,
        who: str,
        progress: Progress | None,
        step: Step,
    ) -> Deposit:
        verdict = check(material.package)
        step("checked")
        objects = [_stored(facts, "package", material.package), *self._films(facts, material, who)]
        self.journal.append(
            "deposit.begun", facts.package, who, session=facts.session, sha256=objects[0][0].sha256
        )
        step("begun")
        dates = self._dates(facts)
        others = [one.keep for one in self._there(facts.session)]
        keep = self._rules.keep_beside(others, facts.sale.product_class, dates)
        keep = replace(keep, holds=self.catalogue.holds(facts.session))
        told = _Together(progress, [one.bytes for one, _ in objects])
        there = []
        for one, path in objects:
            try:
                self.storage.put(one.key, path, one.sha256, keep, told.next())
            except (IntegrityError, OSError) as error:
                if one.kind == "package":
                    raise
                self._no_film(facts, who, error)
                continue
            there.append(one)
            step(f"put {one.kind}")
        deposit = Deposit(
            facts,
            (*there, *self._earlier_films(facts, there)),
            rfc3339(self._wall_ns()),
            verdict,
            dates,
            keep,
        )
        # Last in the storage: who finds it knows that all the others are whole.
        self.storage.put_small(record_key(facts.session, facts.package), record_of(deposit))
        step("recorded")
        self.catalogue.put(deposit)
        step("catalogued")
        self.journal.append(
            "deposit.verified",
            facts.package,
            who,
            session=facts.session,
            objects=[{"key": one.key, "sha256": one.sha256} for one in deposit.objects],
            storage=self.storage.name,
        )
        step("journaled")
        # A case may have come while files were copied.
        with self._lock():
            self._settle(facts.session)
        return self._archived(facts.package)

    def _films(self, facts: Facts, material: Material, who: str) -> Iterator[tuple[Stored, Path]]:
        """Films as they are now; one that can't be read is no reason to keep the package out."""
        for path in material.films:
            try:
                yield _stored(facts, "film", path)
            except OSError as error:
                self._no_film(facts, who, error)

    def _no_film(self, facts: Facts, who: str, error: Exception) -> None:
        reason = str(error) if isinstance(error, ArchiveError) else type(error).__name__
        self.journal.append("film.failed", facts.package, who, reason, session=facts.session)

    def _earlier_films(self, facts: Facts, there: list[Stored]) -> Iterator[Stored]:
        """Films of a try that was cut off, which were made anew since: they are kept too."""
        known = {one.key for one in there}
        for one in self.storage.find(key_of(facts.session, facts.package, "film-")):
            if one.key not in known:
                yield Stored(one.key, "film", one.bytes, self.storage.digest(one.key))

    def _compare(self, deposit: Deposit, progress: Progress | None = None) -> None:
        """All objects, read from beginning to end.

        Raises:
            IntegrityError: one is missing, or not what was put there.
        """
        told = _Together(progress, [one.bytes for one in deposit.objects], twice=False)
        for one in deposit.objects:
            try:
                digest = self.storage.digest(one.key, told.next())
            except MissingError:
                raise IntegrityError("{key} is gone from the storage", key=one.key) from None
            if digest != one.sha256:
                raise IntegrityError("{key} is not what was archived", key=one.key)

    def _remove(self, deposit: Deposit, originals: Iterable[Path], who: str, step: Step) -> Deposit:
        facts = deposit.facts
        self.journal.append("originals.removing", facts.package, who, session=facts.session)
        self.catalogue.set_originals(facts.package, "removing")
        for path in originals:
            _remove_tree(path)
            step(f"removed {path.suffix or 'capture'}")
        self.journal.append(REMOVED, facts.package, who, session=facts.session)
        self.catalogue.set_originals(facts.package, "removed")
        return self._archived(facts.package)

    # Looking.

    def search(self, query: Query) -> Page:
        """What is archived.

        Raises:
            CatalogueError: the question makes no sense, or the catalogue can't be used.
        """
        return self.catalogue.search(query, self.today)

    def session_named(self, text: str) -> str:
        """The id of an archived session, by its id or the beginning of it.

        Raises:
            CatalogueError: none or several begin so.
        """
        found = self.catalogue.sessions_beginning(text) if text else []
        if text in found or len(found) == 1:
            return text if text in found else found[0]
        if found:
            raise CatalogueError("several archived sessions begin with {name}", name=text)
        raise CatalogueError("session {name} is not archived", name=text)

    def newest(self, session: str) -> Deposit:
        """The newest package of a session that is there.

        Raises:
            CatalogueError: there is none.
        """
        for deposit in self.catalogue.of_session(session):
            if deposit.state == "archived":
                return deposit
        raise CatalogueError("session {name} is not archived", name=session)

    def verify(
        self,
        session: str,
        who: str,
        judge: Callable[[Deposit], str],
        progress: Progress | None = None,
    ) -> list[tuple[Deposit, str]]:
        """Reads all objects of a session again and compares them; the journal says how it went.

        Args:
            session: its id.
            who: for the journal.
            judge: what the verifier says of a package as it lies in the storage: ``pass``,
                ``gaps``, ``unknown``, or ``fail:`` and why.
            progress: told of bytes read.

        Returns:
            What is there, and what was said of each; after it was written into the journal.

        Raises:
            IntegrityError: one is missing, or not what was put there.
            CatalogueError: the session isn't archived.
            StorageError: the storage failed.
        """
        self.newest(session)
        told = []
        for deposit in self._there(session):
            package = deposit.facts.package
            try:
                self._compare(deposit, progress)
                verdict = judge(deposit)
            except IntegrityError as error:
                self.journal.append("verify.failed", package, who, str(error), session=session)
                raise
            what = "verify.failed" if verdict.startswith("fail") else "verify.passed"
            self.journal.append(what, package, who, session=session, verdict=verdict)
            told.append((deposit, verdict))
        return told

    def open_package(self, deposit: Deposit) -> StoredFile:
        """The package as it lies in the storage, to be read by ranges."""
        return StoredFile(self.storage, deposit.package.key, deposit.package.bytes)

    def fetch(
        self,
        deposit: Deposit,
        one: Stored,
        out: Path,
        *,
        who: str,
        why: str,
        progress: Progress | None = None,
    ) -> None:
        """Copies an object out of the archive; goes on where an earlier try was cut off.

        Raises:
            IntegrityError: it is not what was archived; nothing is left under ``out``. Or what
                lies there from an earlier try is no beginning of it; that stays.
            StorageError: the storage failed.
            OSError: the file can't be written, or is there already.
        """
        if out.exists():
            raise FileExistsError(17, os.strerror(17), str(out))
        self.journal.append(
            "fetched", deposit.facts.package, who, why, session=deposit.facts.session, key=one.key
        )
        copy_out(self.storage, one, out, progress)

    # Keeping.

    def hold(self, session: str, case: str, *, who: str, why: str) -> tuple[str, ...]:
        """A case needs a session: nothing of it is deleted until it is released.

        Returns:
            All cases that need it.

        Raises:
            CatalogueError: the id of session or case is none.
            StorageError: the storage failed; the hold counts all the same, call again.
        """
        _check_names(session, case)
        with self._lock():
            self.catalogue.set_hold(session, case, on=True)
            try:
                self._settle(session)
            finally:
                self.journal.append("hold.placed", "", who, why, session=session, case=case)
            return self.catalogue.holds(session)

    def release(self, session: str, case: str, *, who: str, why: str) -> tuple[str, ...]:
        """A case needs a session no longer.

        Returns:
            The cases that still need it.

        Raises:
            CatalogueError: the case doesn't hold the session.
            StorageError: the storage failed, and still holds it; call again.
        """
        _check_names(session, case)
        with self._lock():
            if case not in self.catalogue.holds(session):
                raise CatalogueError(
                    "case {case} does not hold session {name}", case=case, name=session
                )
            self.journal.append("hold.released", "", who, why, session=session, case=case)
            self._settle(session, without=case)
            self.catalogue.set_hold(session, case, on=False)
            return self.catalogue.holds(session)

    def retain(
        self,
        session: str,
        *,
        contract_end: date | None = None,
        dispute_end: date | None = None,
        repeated: date | None = None,
        who: str,
        why: str,
    ) -> list[Deposit]:
        """Says from when the time of keeping counts; it only ever becomes longer.

        Args:
            session: archived.
            contract_end: last day of the contract.
            dispute_end: when a dispute was settled.
            repeated: the day once more, where it is more than 60 years from now: it can't be
                taken back.
            who: for the journal.
            why: for the journal.

        Raises:
            RetainedError: it would become shorter, lies before the recording, or so far away
                that it has to be repeated; nothing has changed.
            CatalogueError: the session isn't archived.
            StorageError: the storage failed.
        """
        self.newest(session)
        with self._lock():
            there = self._there(session)
            for day in filter(None, (contract_end, dispute_end)):
                expect_likely(day, there[0].dates.recorded, self.today, repeated)
            changed = [self._retained(one, contract_end, dispute_end) for one in there]
            self.journal.append(
                "retention.set",
                "",
                who,
                why,
                session=session,
                contract_end=None if contract_end is None else contract_end.isoformat(),
                dispute_end=None if dispute_end is None else dispute_end.isoformat(),
            )
            for deposit in changed:
                self._guard(deposit)
            return self._there(session)

    def _retained(
        self, deposit: Deposit, contract_end: date | None, dispute_end: date | None
    ) -> Deposit:
        dates = replace(
            deposit.dates,
            contract_end=contract_end or deposit.dates.contract_end,
            dispute_end=dispute_end or deposit.dates.dispute_end,
        )
        product, promised = deposit.facts.sale.product_class, [deposit.keep]
        keep = self._rules.keep(product, dates, promised)
        # By today's rules both: a rule that became shorter is no reason to refuse a later day.
        if not self._rules.keep(product, deposit.dates, promised).allows(keep):
            raise RetainedError(
                "{key} is kept until {day}; that can't become earlier",
                key=deposit.facts.session,
                day=deposit.keep.retain_until,
            )
        return deposit.kept(deposit.keep.merged(keep), dates)

    def due(self) -> list[Deposit]:
        """What may be deleted today by the catalogue; the storage is asked when it is done.

        Raises:
            CatalogueError: the catalogue can't be used.
        """
        return self.catalogue.due(self.today)

    def expire(self, deposit: Deposit, *, today: date, who: str, why: str) -> Expired:
        """Deletes a deposit whose time is over; its record stays, without what was sold to whom.

        Args:
            deposit: what is to go.
            today: which day it is, as whoever decides knows it: a clock alone deletes nothing.
            who: for the journal.
            why: for the journal.

        Raises:
            RetainedError: this machine's clock says that it is another day.
            StorageError: the storage failed; call again.
        """
        facts = deposit.facts
        if today != self.today:
            raise RetainedError(
                "this machine's clock says {clock}, not {today}: nothing is deleted",
                clock=self.today,
                today=today,
            )
        with self._lock():
            identity.check(self._directory, self.storage)
            now = self.catalogue.of_package(facts.package)
            if now is None or not now.keep.may_go(today):
                error = RetainedError("{key} is kept", key=facts.session)
                return Expired(deposit, error)
            try:
                for one in now.objects:
                    # All are asked before the first one goes.
                    self._may_go(one.key, facts.package, today)
            except RetainedError as error:
                self._refused(facts, who, error)
                return Expired(deposit, error)
            self.journal.append(
                "expiry.decided",
                facts.package,
                who,
                why,
                session=facts.session,
                today=today.isoformat(),
            )
            try:
                for one in reversed(now.objects):
                    self.storage.delete(one.key, today)
            except RetainedError as error:
                self._refused(facts, who, error)
                return Expired(deposit, error)
            gone = replace(
                now,
                state="deleted",
                facts=replace(facts, sale=Sale(), parties=()),
            )
            self.storage.put_small(record_key(facts.session, facts.package), record_of(gone))
            self.catalogue.put(gone)
            self.journal.append(
                "expiry.done",
                facts.package,
                who,
                session=facts.session,
                sha256=now.package.sha256,
                retain_until=str(now.keep.retain_until),
            )
            return Expired(gone, None)

    def _refused(self, facts: Facts, who: str, error: RetainedError) -> None:
        what = "expiry.refused"
        self.journal.append(what, facts.package, who, str(error), session=facts.session)

    def _may_go(self, key: str, package: str, today: date) -> None:
        keep = self.storage.keep_of(key)
        if keep is None and self.storage.head(key) is None:
            # Gone because an earlier try was cut off; else it is lost, and nobody deleted it.
            if any(
                one.what == "expiry.decided" and one.package == package
                for one in self.journal.read()
            ):
                return
            raise RetainedError("{key} is gone from the storage", key=key)
        if keep is None or not keep.may_go(today):
            raise RetainedError("the storage keeps {key}", key=key)

    # Making anew.

    def reindex(self, who: str, progress: Progress | None = None) -> tuple[int, int]:
        """Makes the catalogue anew from packages, what lies beside them, and the journal.

        Where they differ the stricter one holds.

        Returns:
            Packages found, and how many of them had no record beside them.

        Raises:
            IntegrityError: what lies beside a package can't be read.
            PackageError: an object is no package.
            StorageError: the storage failed.
            JournalError: the journal was changed.
        """
        with self._lock():
            gone = {one.package for one in self.journal.read() if one.what == "expiry.done"}
            holds = set(_holds_of(self.journal.read()))
            found = list(self.storage.find())
            keys = [one for one in found if one.key.endswith(f"/{PACKAGE}")]
            deposits, without = [], 0
            for done, one in enumerate(keys, 1):
                deposit, had_record = self._read_again(one.key, one.bytes)
                without += not had_record
                holds |= {(deposit.facts.session, case) for case in deposit.keep.holds}
                if deposit.facts.package not in gone:
                    deposits.append(deposit)
                if progress is not None:
                    progress(done, len(keys))
            kept = {one.facts.package: one for one in self._deleted() if one.facts.package in gone}
            kept |= self._tombstones({one.key for one in found}, gone)
            self.catalogue.replace_all([*deposits, *kept.values()], sorted(holds))
            for session in {session for session, _ in holds}:
                self._settle(session)
            self.journal.append("reindexed", "", who, packages=len(deposits), without=without)
            return len(deposits), without

    def _deleted(self) -> list[Deposit]:
        """Tombstones that the catalogue has, if there is one."""
        try:
            page = self.catalogue.search(Query(state="deleted", limit=500), self.today)
            found = [*page.deposits]
            while page.next is not None:
                query = Query(state="deleted", limit=500, cursor=page.next)
                page = self.catalogue.search(query, self.today)
                found += page.deposits
        except CatalogueError:
            return []
        return found

    def _tombstones(self, keys: set[str], gone: set[str]) -> dict[str, Deposit]:
        """What the storage says was deleted, of packages that are not there.

        Where the journal knows of a package and of no deletion, it was not deleted but lost.
        """
        known = {one.package for one in self.journal.read() if one.what == "deposit.verified"}
        found = {}
        for key in sorted(keys):
            if not is_record_key(key) or package_key(key) in keys:
                continue
            deposit = tombstone_from(self.storage.read_small(key))
            if deposit is not None and deposit.facts.package not in known - gone:
                found[deposit.facts.package] = deposit
        return found

    def _read_again(self, key: str, size: int) -> tuple[Deposit, bool]:
        facts = facts_of(StoredFile(self.storage, key, size))  # type: ignore[arg-type]
        dates = self._dates(facts)
        rule = self._rules.keep(facts.sale.product_class, dates)
        keep = self.storage.keep_of(key) or rule
        try:
            data = self.storage.read_small(record_key(facts.session, facts.package))
        except MissingError:
            one = Stored(key, "package", size, self.storage.digest(key))
            now = rfc3339(self._wall_ns())
            deposit = Deposit(facts, (one,), now, "unknown", dates, keep, originals="unknown")
            self.storage.protect(key, keep)
            self.storage.put_small(record_key(facts.session, facts.package), record_of(deposit))
            return deposit, False
        return record_from(data, facts, keep), True

    # Inside.

    def _dates(self, facts: Facts) -> Dates:
        """As was told of another package of the session, and as itself said."""
        dates = Dates(facts.recorded, sold_until=facts.sold_until)
        for other in self.catalogue.of_session(facts.session):
            dates = replace(
                dates,
                contract_end=_later(dates.contract_end, other.dates.contract_end),
                dispute_end=_later(dates.dispute_end, other.dates.dispute_end),
            )
        return dates

    def _there(self, session: str) -> list[Deposit]:
        return [one for one in self.catalogue.of_session(session) if one.state == "archived"]

    def _archived(self, package: str) -> Deposit:
        found = self.catalogue.of_package(package)
        assert found is not None
        return found

    def _settle(self, session: str, without: str | None = None) -> None:
        """Has the storage know the cases of a session."""
        holds = tuple(one for one in self.catalogue.holds(session) if one != without)
        for deposit in self._there(session):
            kept = deposit.kept(replace(deposit.keep, holds=holds), deposit.dates)
            self._guard(kept, without)

    def _guard(self, deposit: Deposit, without: str | None = None) -> None:
        """Storage, record, catalogue. Cases that only the storage knows stay, but for one."""
        for one in deposit.objects:
            before = self.storage.keep_of(one.key)
            keep = deposit.keep
            if before is not None:
                keep = keep.merged(before)
                if without is not None:
                    keep = keep.released(without)
            self.storage.protect(one.key, keep)
        facts = deposit.facts
        self.storage.put_small(record_key(facts.session, facts.package), record_of(deposit))
        self.catalogue.put(deposit)

    @contextmanager
    def _lock(self, session: str = "", *, wait: bool = True) -> Iterator[None]:
        """Keeps other processes out: of one session, or of everybody's holds and deletions."""
        path = self._locks / (f"{session}.lock" if session else "all")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                raise DepositError(
                    "session {name} is being archived by another process", name=session
                ) from None
            yield
        finally:
            os.close(descriptor)


class _Together:
    """Progress of several files as of one."""

    def __init__(self, progress: Progress | None, sizes: list[int], *, twice: bool = True) -> None:
        self._progress = progress
        self._factor = 2 if twice else 1
        self._sizes = iter(sizes)
        self._total = sum(sizes) * self._factor
        self._before = 0
        self._size = 0

    def next(self) -> Progress:
        """For the next file."""
        self._before += self._size
        self._size = next(self._sizes) * self._factor
        before = self._before

        def told(done: int, _: int) -> None:
            if self._progress is not None:
                self._progress(before + done, self._total)

        return told


def _stored(facts: Facts, kind: str, path: Path) -> tuple[Stored, Path]:
    """An object to be. Films are made anew, objects never replaced: their names have a digest."""
    digest = digest_of(path)
    name = PACKAGE if kind == "package" else f"film-{digest[:16]}{path.suffix}"
    key = key_of(facts.session, facts.package, name)
    return Stored(key, kind, path.stat().st_size, digest), path


def _remove_tree(path: Path) -> None:
    """Removes a file or a directory; also what an earlier try left of it."""
    # Moved away first: half a session must never look like one.
    away = path.parent / _REMOVING
    if path.is_dir():
        away.mkdir(mode=0o700, exist_ok=True)
        path.rename(away / path.name)
    else:
        path.unlink(missing_ok=True)
    sync_directory(path.parent)
    if (away / path.name).exists():
        shutil.rmtree(away / path.name)


def _holds_of(entries: Iterable[Entry]) -> set[tuple[str, str]]:
    found: set[tuple[str, str]] = set()
    for entry in entries:
        if entry.what in {"hold.placed", "hold.released"}:
            one = (str(entry.facts["session"]), str(entry.facts["case"]))
            (found.add if entry.what == "hold.placed" else found.discard)(one)
    return found


def _check_names(session: str, case: str) -> None:
    if not is_session_id(session):
        raise CatalogueError("{name} is no session id", name=repr(session))
    if not 1 <= len(case) <= _CASE or not is_session_id(case):
        raise CatalogueError(
            "{name} is no name of a case: 1 to 64 letters, digits, _ or -", name=repr(case)
        )


def _later(one: date | None, other: date | None) -> date | None:
    return max((day for day in (one, other) if day is not None), default=None)
