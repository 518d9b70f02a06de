"""Every change of the journal shows, unless it is at its end."""

import os
import random
import resource
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from archive.errors import JournalError
from archive.journal import Journal


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "journal.jsonl"
    journal = Journal(path, lambda: 1_790_000_000_000_000_000)
    for number in range(6):
        journal.append("hold.placed", "", "legal", f"第{number}号投诉", session=f"s{number}")
    return path


def test_what_was_written_is_read(path: Path) -> None:
    found = list(Journal(path).read())
    assert [entry.seq for entry in found] == [1, 2, 3, 4, 5, 6]
    assert (found[2].who, found[2].why, found[2].facts) == ("legal", "第2号投诉", {"session": "s2"})
    assert list(Journal(path.with_name("none")).read()) == []


CHANGES: list[Callable[[list[bytes]], list[bytes]]] = [
    lambda lines: lines[1:],
    lambda lines: lines[:2] + lines[3:],
    lambda lines: [lines[1], lines[0], *lines[2:]],
    lambda lines: [*lines[:3], lines[2], *lines[3:]],
    lambda lines: [*lines[:2], lines[2].replace(b"s2", b"s3"), *lines[3:]],
    lambda lines: [*lines[:2], b"\n", *lines[2:]],
    lambda lines: [*lines[:2], b"{}\n", *lines[2:]],
    lambda lines: [*lines, b"x" * 70_000],
]


@pytest.mark.parametrize("change", CHANGES)
def test_changes_show(path: Path, change: Callable[[list[bytes]], list[bytes]]) -> None:
    path.write_bytes(b"".join(change(path.read_bytes().splitlines(keepends=True))))
    with pytest.raises(JournalError):
        list(Journal(path).read())


def test_any_byte_that_changed_shows(path: Path) -> None:
    data, rng = path.read_bytes(), random.Random(5)
    for _ in range(200):
        at = rng.randrange(len(data) - 1)  # the last line's end may be cut off by a crash
        path.write_bytes(data[:at] + bytes([data[at] ^ (1 << rng.randrange(8))]) + data[at + 1 :])
        with pytest.raises(JournalError):
            list(Journal(path).read())


def test_half_a_line_is_moved_away(path: Path) -> None:
    data = path.read_bytes()
    path.write_bytes(data + data[:100])
    assert len(list(Journal(path).read())) == 6
    Journal(path).append("hold.released", "", "legal", "settled")
    assert [entry.seq for entry in Journal(path).read()] == [1, 2, 3, 4, 5, 6, 7]
    assert path.with_suffix(".torn").read_bytes() == data[:100] + b"\n"


def test_processes_write_in_turn(path: Path) -> None:
    children = []
    for number in range(4):
        child = os.fork()
        if child == 0:
            try:
                for _ in range(10):
                    Journal(path).append("verify.passed", "", f"w{number}")
            finally:
                os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)
    assert len(list(Journal(path).read())) == 46


def test_what_can_not_be_written_is_said(path: Path) -> None:
    with pytest.raises(JournalError, match="too long"):
        Journal(path).append("x", "", "who", "y" * 70_000)
    with pytest.raises(JournalError, match="can't be written"):
        Journal(path).append("x", "", "who", facts={"share": 0.5})
    with pytest.raises(JournalError, match="can't be written"):
        Journal(path.parent / "nowhere" / "journal").append("x", "", "who")
    assert len(list(Journal(path).read())) == 6


def test_a_short_write_leaves_nothing_and_is_said(path: Path) -> None:
    size = path.stat().st_size
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size + 50, size + 50))
        try:
            Journal(path).append("hold.placed", "", "legal")
        except JournalError:
            os._exit(7)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    assert path.stat().st_size == size
    assert Journal(path).append("hold.placed", "", "legal").seq == 7


def test_an_end_without_lines_stops_it(path: Path) -> None:
    with path.open("ab") as file:
        file.write(b"x" * 200_000)
    data = path.read_bytes()
    with pytest.raises(JournalError, match="no line ends there"):
        Journal(path).append("hold.placed", "", "legal")
    assert path.read_bytes() == data
