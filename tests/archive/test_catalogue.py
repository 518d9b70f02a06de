"""Searching, page by page; and what can't be asked."""

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest

from archive.archive import Archive
from archive.catalogue import Query
from archive.errors import CatalogueError, QueryError
from archive.local import LocalBackend
from recorder.sale import Sale
from tests.archive.packages import TODAY, Clock, an_archive, material, passing, years


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def archive(tmp_path: Path, clock: Clock) -> Archive:
    """Five sessions, a day apart, in two rooms."""
    found = an_archive(tmp_path, LocalBackend(tmp_path / "objects"), clock)
    for number in range(5):
        given = material(
            tmp_path,
            f"s{number}",
            room=f"room-{number % 2}",
            started=TODAY - timedelta(days=number),
            sale=Sale(f"PO-{number}", None, "fund", TODAY.isoformat(), f"c-{number % 3}"),
            parties=((f"p-{number}", "customer"), ("rm-1", "rm")),
        )
        found.deposit(given, passing, who="system")
    found.hold("s4", "case-1", who="legal", why="complaint")
    return found


@pytest.mark.parametrize(
    ("query", "sessions"),
    [
        (Query(), "01234"),
        (Query(session="s2"), "2"),
        (Query(session="s"), "01234"),
        (Query(session="S2"), ""),
        (Query(session="s%"), ""),
        (Query(room="room-1"), "13"),
        (Query(order="PO-3"), "3"),
        (Query(customer="c-0"), "03"),
        (Query(participant="rm-1"), "01234"),
        (Query(participant="p-2"), "2"),
        (Query(since=TODAY - timedelta(days=1)), "01"),
        (Query(until=TODAY - timedelta(days=3)), "34"),
        (Query(since=TODAY - timedelta(days=3), until=TODAY - timedelta(days=2)), "23"),
        (Query(state="held"), "4"),
        (Query(state="deleted"), ""),
        (Query(state="due"), ""),
        (Query(room="room-0", customer="c-0", state="archived"), "0"),
        (Query(rooms=("room-1", "room-9")), "13"),
        (Query(rooms=("room-1",), room="room-0"), ""),
        (Query(rooms=()), ""),
        (Query(order="' OR 1=1 --"), ""),
    ],
)
def test_what_is_found(archive: Archive, query: Query, sessions: str) -> None:
    found = [one.facts.session for one in archive.search(query).deposits]
    assert found == [f"s{number}" for number in sessions]


def test_what_is_due_is_found(archive: Archive, clock: Clock) -> None:
    for number in range(5):
        archive.retain(f"s{number}", contract_end=TODAY, who="r", why="ended")
    clock.day = TODAY + years(21)
    found = [one.facts.session for one in archive.search(Query(state="due")).deposits]
    assert found == ["s0", "s1", "s2", "s3"]
    assert {one.facts.session for one in archive.due()} == set(found)


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 5, 6])
def test_pages_are_whole_together(archive: Archive, limit: int) -> None:
    found, cursor = [], None
    for _ in range(6):
        page = archive.search(Query(limit=limit, cursor=cursor))
        assert 0 < len(page.deposits) <= limit
        found += [one.facts.session for one in page.deposits]
        cursor = page.next
        if cursor is None:
            break
    assert found == ["s0", "s1", "s2", "s3", "s4"]


@pytest.mark.parametrize(
    "query",
    [
        Query(limit=0), Query(limit=501), Query(state="gone"), Query(cursor="x"),
        Query(cursor="AAAA"), Query(cursor="\N{SNOWMAN}"), Query(cursor="YSBiIGM"),
    ],
)  # fmt: skip
def test_questions_that_make_no_sense(archive: Archive, query: Query) -> None:
    with pytest.raises(QueryError):
        archive.search(query)


def test_a_session_is_named_by_its_beginning(archive: Archive) -> None:
    assert archive.session_named("s3") == "s3"
    with pytest.raises(CatalogueError, match="several"):
        archive.session_named("s")
    for name in ("x", ""):
        with pytest.raises(CatalogueError, match="not archived"):
            archive.session_named(name)


def test_counts(archive: Archive) -> None:
    counts = archive.catalogue.counts()
    size = sum(one.bytes for one in archive.search(Query()).deposits)
    assert counts == {"archived": 5, "deleted": 0, "held": 1, "bytes": size}


def test_a_catalogue_that_can_not_be_used(archive: Archive, tmp_path: Path) -> None:
    path = tmp_path / "archive" / "catalogue.sqlite3"
    with sqlite3.connect(path) as base:
        base.execute("PRAGMA user_version = 9")
    base.close()
    with pytest.raises(CatalogueError, match="newer version"):
        archive.search(Query())
    path.write_bytes(b"nothing of the kind" * 100)
    with pytest.raises(CatalogueError, match="reindex"):
        archive.search(Query())
    path.unlink()
    assert archive.reindex("admin") == (5, 0)
    assert len(archive.search(Query()).deposits) == 5
