"""What is archived, to be searched: SQLite in the archive's directory.

Nothing is only here. All of it can be made again from the packages, what lies beside them, and
the journal (``witness archive reindex``).
"""

import base64
import binascii
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, Final

from archive.errors import CatalogueError, QueryError
from archive.keep import Keep
from archive.package import Facts, Party
from archive.record import Deposit, Stored
from archive.retention import Dates
from recorder.sale import Sale

__all__ = ["MAX_PAGE", "STATES", "Catalogue", "Page", "Query"]

MAX_PAGE: Final = 500
"""Deposits in one answer at most."""

STATES: Final = ("archived", "deleted", "held", "due")
"""What may be asked for; ``held`` and ``due`` (its day has passed) are archived too."""

_VERSION: Final = 1
_WAIT_S: Final = 30.0
_SCHEMA: Final = """
CREATE TABLE deposit (
    package TEXT PRIMARY KEY, session TEXT NOT NULL, room TEXT NOT NULL,
    order_no TEXT, product_code TEXT, product_class TEXT, sold_until TEXT, customer TEXT,
    started_at TEXT NOT NULL, sealed_at TEXT NOT NULL, archived_at TEXT NOT NULL,
    length_us INTEGER NOT NULL, missing_us INTEGER NOT NULL, events INTEGER NOT NULL,
    verdict TEXT NOT NULL, state TEXT NOT NULL, originals TEXT NOT NULL,
    contract_end TEXT, dispute_end TEXT, lock_until TEXT NOT NULL, retain_until TEXT
) STRICT;
CREATE INDEX deposit_started ON deposit (started_at DESC, package);
CREATE INDEX deposit_session ON deposit (session);
CREATE INDEX deposit_room ON deposit (room, started_at DESC);
CREATE INDEX deposit_order ON deposit (order_no) WHERE order_no IS NOT NULL;
CREATE INDEX deposit_customer ON deposit (customer) WHERE customer IS NOT NULL;
CREATE TABLE object (
    package TEXT NOT NULL REFERENCES deposit ON DELETE CASCADE, position INTEGER NOT NULL,
    key TEXT NOT NULL, kind TEXT NOT NULL, bytes INTEGER NOT NULL, sha256 TEXT NOT NULL,
    PRIMARY KEY (package, position)
) STRICT;
CREATE TABLE party (
    package TEXT NOT NULL REFERENCES deposit ON DELETE CASCADE,
    participant TEXT NOT NULL, role TEXT NOT NULL, PRIMARY KEY (package, participant, role)
) STRICT;
CREATE INDEX party_participant ON party (participant);
CREATE TABLE hold (session TEXT NOT NULL, name TEXT NOT NULL, PRIMARY KEY (session, name)) STRICT;
"""
_COLUMNS: Final = (
    "package, session, room, order_no, product_code, product_class, sold_until, customer,"
    " started_at, sealed_at, archived_at, length_us, missing_us, events, verdict, state,"
    " originals, contract_end, dispute_end, lock_until, retain_until"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Query:
    """What is looked for; everything that is given has to hold.

    Attributes:
        session: an id, or its beginning.
        room_begins: with what the room's name begins.
        rooms: only these, whatever ``room`` says; ``None``: all.
        since, until: days (UTC) on which the recording began, both included.
        state: one of :data:`STATES`.
        cursor: of the page before.
    """

    session: str | None = None
    room: str | None = None
    room_begins: str | None = None
    order: str | None = None
    customer: str | None = None
    participant: str | None = None
    since: date | None = None
    until: date | None = None
    state: str | None = None
    limit: int = 100
    cursor: str | None = None
    rooms: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """An answer, the newest recordings first.

    Attributes:
        next: cursor of the page that follows; ``None`` on the last one.
    """

    deposits: tuple[Deposit, ...]
    next: str | None


class Catalogue:
    """One file; each call opens it, so threads and processes may share it."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def put(self, deposit: Deposit) -> None:
        """Enters a deposit, or what has changed of it.

        Raises:
            CatalogueError: the file can't be used.
        """
        with self._open() as base:
            _put(base, deposit)

    def set_originals(self, package: str, state: str) -> None:
        """Says where the originals of a deposit are; all else stays as others may have made it.

        Raises:
            CatalogueError: the file can't be used.
        """
        with self._open() as base:
            base.execute("UPDATE deposit SET originals = ? WHERE package = ?", (state, package))

    def replace_all(self, deposits: Sequence[Deposit], holds: Sequence[tuple[str, str]]) -> None:
        """Begins anew with these; all at once, or not at all.

        Raises:
            CatalogueError: the file can't be used.
        """
        with self._open() as base:
            base.execute("DELETE FROM deposit")
            base.execute("DELETE FROM hold")
            for deposit in deposits:
                _put(base, deposit)
            base.executemany("INSERT OR IGNORE INTO hold VALUES (?, ?)", holds)

    def set_hold(self, session: str, case: str, *, on: bool) -> None:
        """Says that a case needs a session, or no longer does; also before it is archived.

        Raises:
            CatalogueError: the file can't be used.
        """
        with self._open() as base:
            if on:
                base.execute("INSERT OR IGNORE INTO hold VALUES (?, ?)", (session, case))
            else:
                base.execute("DELETE FROM hold WHERE session = ? AND name = ?", (session, case))

    def holds(self, session: str) -> tuple[str, ...]:
        """Cases that need a session, sorted.

        Raises:
            CatalogueError: the file can't be used.
        """
        with self._open() as base:
            rows = base.execute("SELECT name FROM hold WHERE session = ? ORDER BY name", (session,))
            return tuple(name for (name,) in rows)

    def of_session(self, session: str) -> list[Deposit]:
        """All packages of a session, the newest first: that with most of the session's log, for
        clocks are set.

        Raises:
            CatalogueError: the file can't be used.
        """
        return self._where("session = ? ORDER BY events DESC, sealed_at DESC, package", (session,))

    def of_package(self, package: str) -> Deposit | None:
        """The deposit of a package.

        Raises:
            CatalogueError: the file can't be used.
        """
        found = self._where("package = ?", (package,))
        return found[0] if found else None

    def sessions_beginning(self, text: str, limit: int = 2) -> list[str]:
        """Ids of archived sessions that begin so.

        Raises:
            CatalogueError: the file can't be used.
        """
        with self._open() as base:
            rows = base.execute(
                "SELECT DISTINCT session FROM deposit WHERE substr(session, 1, ?) = ?"
                " ORDER BY session LIMIT ?",
                (len(text), text, limit),
            )
            return [name for (name,) in rows]

    def settled(self) -> set[str]:
        """Ids of all packages that were archived, also of those deleted since; without those
        whose originals were being removed when something cut that off.

        Raises:
            CatalogueError: the file can't be used.
        """
        with self._open() as base:
            rows = base.execute("SELECT package FROM deposit WHERE originals <> 'removing'")
            return {name for (name,) in rows}

    def removing(self) -> list[Deposit]:
        """Deposits whose originals are being removed, or were when something cut that off.

        Raises:
            CatalogueError: the file can't be used.
        """
        return self._where("originals = 'removing' ORDER BY package", ())

    def due(self, today: date) -> list[Deposit]:
        """Deposits whose day has passed and that no case needs, the oldest first.

        Raises:
            CatalogueError: the file can't be used.
        """
        found = self._where(
            "state = 'archived' AND retain_until < ? ORDER BY retain_until, package",
            (today.isoformat(),),
        )
        return [item for item in found if item.keep.may_go(today)]

    def search(self, query: Query, today: date) -> Page:
        """What fits a question.

        Raises:
            CatalogueError: the question makes no sense, or the file can't be used.
        """
        if not 1 <= query.limit <= MAX_PAGE:
            raise QueryError("limit must be 1 to {most}", most=MAX_PAGE)
        clauses, values = _clauses(query, today)
        if query.cursor is not None:
            clauses.append("(started_at, package) < (?, ?)")
            values += _cursor(query.cursor)
        where = " AND ".join(clauses) or "1"
        found = self._where(
            f"{where} ORDER BY started_at DESC, package DESC LIMIT ?", (*values, query.limit + 1)
        )
        more = len(found) > query.limit
        page = found[: query.limit]
        last = page[-1].facts if more else None
        return Page(tuple(page), None if last is None else _cursor_of(last))

    def counts(self) -> dict[str, int]:
        """How many deposits there are in each state, and how many bytes.

        Raises:
            CatalogueError: the file can't be used.
        """
        with self._open() as base:
            states = dict(base.execute("SELECT state, count(*) FROM deposit GROUP BY state"))
            held = base.execute(
                "SELECT count(*) FROM deposit WHERE state = 'archived'"
                " AND session IN (SELECT session FROM hold)"
            ).fetchone()[0]
            size = base.execute(
                "SELECT coalesce(sum(bytes), 0) FROM object JOIN deposit USING (package)"
                " WHERE state = 'archived'"
            ).fetchone()[0]
        return {
            "archived": states.get("archived", 0),
            "deleted": states.get("deleted", 0),
            "held": held,
            "bytes": size,
        }

    def _where(self, clause: str, values: Sequence[object]) -> list[Deposit]:
        with self._open() as base:
            rows = base.execute(
                f"SELECT {_COLUMNS} FROM deposit WHERE {clause}",  # noqa: S608 - our own clauses
                tuple(values),
            ).fetchall()
            return [_deposit(base, row) for row in rows]

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(sqlite3.connect(self._path, timeout=_WAIT_S)) as base:
                self._path.chmod(0o600)
                base.execute("PRAGMA foreign_keys = ON")
                base.execute("PRAGMA synchronous = FULL")
                # What was sold to whom leaves the file with its deposit.
                base.execute("PRAGMA secure_delete = ON")
                with base:
                    base.execute("BEGIN IMMEDIATE" if not _is_ready(base) else "BEGIN")
                    if not _is_ready(base):
                        for statement in _SCHEMA.split(";"):
                            base.execute(statement)
                        base.execute(f"PRAGMA user_version = {_VERSION}")
                    yield base
        except (sqlite3.Error, OSError) as error:
            raise CatalogueError(
                "the catalogue {path} can't be used: {reason}; `witness archive reindex` makes a"
                " new one after it was moved away",
                path=self._path,
                reason=error,
            ) from error


def _is_ready(base: sqlite3.Connection) -> bool:
    version = base.execute("PRAGMA user_version").fetchone()[0]
    if version > _VERSION:
        raise CatalogueError("the catalogue was made by a newer version")
    return bool(version == _VERSION)


def _clauses(query: Query, today: date) -> tuple[list[str], list[object]]:
    clauses: list[str] = []
    values: list[object] = []
    for column, value in (
        ("room", query.room),
        ("order_no", query.order),
        ("customer", query.customer),
    ):
        if value is not None:
            clauses.append(f"{column} = ?")
            values.append(value)
    for column, begins in (("session", query.session), ("room", query.room_begins)):
        if begins is not None:
            clauses.append(f"substr({column}, 1, ?) = ?")
            values += [len(begins), begins]
    if query.rooms is not None:
        clauses.append(f"room IN ({', '.join('?' * len(query.rooms))})")
        values += query.rooms
    if query.participant is not None:
        clauses.append("package IN (SELECT package FROM party WHERE participant = ?)")
        values.append(query.participant)
    if query.since is not None:
        clauses.append("started_at >= ?")
        values.append(query.since.isoformat())
    if query.until is not None:
        clauses.append("substr(started_at, 1, 10) <= ?")
        values.append(query.until.isoformat())
    _add_state(query.state, today, clauses, values)
    return clauses, values


def _add_state(state: str | None, today: date, clauses: list[str], values: list[object]) -> None:
    held = "session IN (SELECT session FROM hold)"
    match state:
        case None:
            pass
        case "archived" | "deleted":
            clauses.append("state = ?")
            values.append(state)
        case "held":
            clauses.append(f"state = 'archived' AND {held}")
        case "due":
            clauses.append(
                f"state = 'archived' AND retain_until < ? AND lock_until < ? AND NOT {held}"
            )
            values += [today.isoformat(), today.isoformat()]
        case _:
            raise QueryError("state must be one of: {states}", states=", ".join(STATES))


def _cursor_of(facts: Facts) -> str:
    text = f"{facts.started_at} {facts.package}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _cursor(text: str) -> list[str]:
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
        started_at, package = data.decode("ascii").split(" ")
    except (binascii.Error, ValueError):
        raise QueryError("the cursor is none that was given out") from None
    return [started_at, package]


def _put(base: sqlite3.Connection, deposit: Deposit) -> None:
    facts, sale, dates, keep = deposit.facts, deposit.facts.sale, deposit.dates, deposit.keep
    row = (
        facts.package, facts.session, facts.room, sale.order_no, sale.product_code,
        sale.product_class, sale.contract_end, sale.customer, facts.started_at, facts.sealed_at,
        deposit.archived_at, facts.length_us, facts.missing_us, facts.events, deposit.verdict,
        deposit.state, deposit.originals, _text(dates.contract_end), _text(dates.dispute_end),
        _text(keep.lock_until), _text(keep.retain_until),
    )  # fmt: skip
    marks = ", ".join("?" * len(row))
    base.execute("DELETE FROM deposit WHERE package = ?", (facts.package,))
    base.execute(f"INSERT INTO deposit ({_COLUMNS}) VALUES ({marks})", row)  # noqa: S608
    base.executemany(
        "INSERT INTO object VALUES (?, ?, ?, ?, ?, ?)",
        [
            (facts.package, position, one.key, one.kind, one.bytes, one.sha256)
            for position, one in enumerate(deposit.objects)
        ],
    )
    base.executemany(
        "INSERT INTO party VALUES (?, ?, ?)",
        [(facts.package, one.participant, one.role) for one in facts.parties],
    )


def _deposit(base: sqlite3.Connection, row: Sequence[Any]) -> Deposit:
    (
        package, session, room, order_no, product_code, product_class, sold_until, customer,
        started_at, sealed_at, archived_at, length_us, missing_us, events, verdict, state,
        originals, contract_end, dispute_end, lock_until, retain_until,
    ) = row  # fmt: skip
    objects = base.execute(
        "SELECT key, kind, bytes, sha256 FROM object WHERE package = ? ORDER BY position",
        (package,),
    )
    parties = base.execute(
        "SELECT participant, role FROM party WHERE package = ? ORDER BY participant, role",
        (package,),
    )
    holds = base.execute("SELECT name FROM hold WHERE session = ? ORDER BY name", (session,))
    facts = Facts(
        package,
        session,
        room,
        started_at,
        sealed_at,
        length_us,
        missing_us,
        events,
        Sale(order_no, product_code, product_class, sold_until, customer),
        tuple(Party(*one) for one in parties),
    )
    return Deposit(
        facts,
        tuple(Stored(*one) for one in objects),
        archived_at,
        verdict,
        Dates(facts.recorded, _day(contract_end), _day(dispute_end), facts.sold_until),
        Keep(date.fromisoformat(lock_until), _day(retain_until), tuple(n for (n,) in holds)),
        state,
        originals,
    )


def _text(day: date | None) -> str | None:
    return None if day is None else day.isoformat()


def _day(text: str | None) -> date | None:
    return None if text is None else date.fromisoformat(text)
