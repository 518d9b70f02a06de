import errno
import hashlib
import os
import subprocess
from pathlib import Path
from typing import Any, BinaryIO

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder import log as of_log
from recorder.digests import digests_of
from recorder.errors import (
    CanonicalError,
    LogBusyError,
    LogDamagedError,
    LogError,
    LogWriteError,
    SessionFileError,
)
from recorder.log import MAX_LINE, Event, EventLog, LogDisk, parse_event, read_events
from recorder.session_file import read_session, rfc3339, write_session
from tests.recorder.conftest import STARTED_NS


def events_of(place: Path) -> list[Event]:
    return list(read_events(place, read_session(place)))


def written(place: Path, count: int) -> bytes:
    with EventLog.open(place, wall_ns=lambda: STARTED_NS) as log:
        for number in range(count):
            log.append("mark", {"label": f"第 {number}"}, actor="rm", at=number * 1000)
    return (place / "events.jsonl").read_bytes()


def test_events_are_chained_from_the_session_file_on(place: Path) -> None:
    written(place, 3)
    events = events_of(place)
    assert [event.seq for event in events] == [1, 2, 3]
    assert events[0].prev == digests_of((place / "session.json").read_bytes())
    assert [event.prev for event in events[1:]] == [event.digest for event in events[:-1]]
    assert events[1].payload == {"label": "第 1"}
    assert events[1].at_us == 1000


def test_a_log_goes_on_where_it_ended(place: Path) -> None:
    written(place, 2)
    with EventLog.open(place) as log:
        assert log.head[0] == 2
        assert log.torn is None
        log.append("mark", {})
    assert [event.seq for event in events_of(place)] == [1, 2, 3]


def test_session_clock_goes_on_after_a_clock_was_set_back(place: Path) -> None:
    with EventLog.open(place) as log:
        log.append("mark", {}, at=5_000_000_000)
    with EventLog.open(place, wall_ns=lambda: STARTED_NS) as log:
        assert log.append("mark", {}).at_us >= 5_000_000_000


def test_digests_are_those_of_openssl(place: Path) -> None:
    data = (place / "session.json").read_bytes()
    for name, expected in digests_of(data).to_json().items():
        done = subprocess.run(
            ["openssl", "dgst", f"-{name}", "-r"], input=data, capture_output=True, check=True
        )
        assert done.stdout.split()[0].decode() == expected


@pytest.mark.parametrize("cut", [1, 2, 40, 200])
def test_a_torn_last_line_is_put_aside_and_told(place: Path, cut: int) -> None:
    data = written(place, 3)
    (place / "events.jsonl").write_bytes(data[:-cut])
    torn = data[:-cut].rpartition(b"\n")[2]
    with EventLog.open(place) as log:
        assert log.torn is not None
    events = events_of(place)
    assert [event.type for event in events] == ["mark", "mark", "log.recovered"]
    assert events[-1].payload == {
        "bytes": len(torn),
        "sha256": hashlib.sha256(torn).hexdigest(),
    }
    assert (place / "events.torn").read_bytes() == torn + b"\n"


def test_a_torn_first_line_leaves_a_log_that_can_go_on(place: Path) -> None:
    (place / "events.jsonl").write_bytes(b'{"actor":"sy')
    with EventLog.open(place) as log:
        log.append("mark", {})
    assert [event.type for event in events_of(place)] == ["log.recovered", "mark"]


@settings(max_examples=200)
@given(data=st.data())
def test_every_edit_is_found(data: st.DataObject, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("log")
    write_session(root, session="s1", room="r1", started_ns=STARTED_NS)
    place = root / "s1"
    lines = written(place, 5).splitlines(keepends=True)
    match data.draw(st.sampled_from(["bit", "delete", "swap", "insert", "repeat", "head"])):
        case "bit":
            at = data.draw(st.integers(0, len(b"".join(lines)) - 1))
            changed = bytearray(b"".join(lines))
            changed[at] ^= 1 << data.draw(st.integers(0, 7))
            lines = [bytes(changed)]
        case "delete":
            del lines[data.draw(st.integers(0, 3))]
        case "swap":
            first, second = data.draw(
                st.lists(st.integers(0, 4), min_size=2, max_size=2, unique=True)
            )
            lines[first], lines[second] = lines[second], lines[first]
        case "insert":
            forged = lines[2].replace("第 2".encode(), "第 9".encode())
            lines.insert(data.draw(st.integers(0, 5)), forged)
        case "repeat":
            at = data.draw(st.integers(0, 4))
            lines.insert(at, lines[at])
        case "head":
            lines = lines[data.draw(st.integers(1, 4)) :]
    (place / "events.jsonl").write_bytes(b"".join(lines))
    with pytest.raises(LogDamagedError):
        events_of(place)


def test_a_log_belongs_to_its_session(place: Path, tmp_path: Path) -> None:
    written(place, 2)
    write_session(tmp_path, session="s2", room="r1", started_ns=STARTED_NS)
    (tmp_path / "s2" / "events.jsonl").write_bytes((place / "events.jsonl").read_bytes())
    with pytest.raises(LogDamagedError, match="line 1"):
        events_of(tmp_path / "s2")


def test_an_end_cut_off_at_a_line_shows_only_against_a_head_kept_elsewhere(place: Path) -> None:
    data = written(place, 3)
    head = events_of(place)[-1].digest
    (place / "events.jsonl").write_bytes(b"".join(data.splitlines(keepends=True)[:2]))
    events = events_of(place)
    assert len(events) == 2
    assert events[-1].digest != head


def test_damage_before_the_end_is_never_repaired(place: Path) -> None:
    data = written(place, 3)
    (place / "events.jsonl").write_bytes(data.replace(b"rm", b"mr", 1) + b'{"half')
    with pytest.raises(LogDamagedError, match="line 1"):
        EventLog.open(place)


def test_two_writers_at_once_are_refused(place: Path) -> None:
    with EventLog.open(place), pytest.raises(LogBusyError):
        EventLog.open(place)


@pytest.mark.parametrize(
    ("kind", "payload", "error"),
    [
        ("Mark", {}, LogError),
        ("", {}, LogError),
        ("mark\n", {}, LogError),
        ("mark", {"at": 0.5}, CanonicalError),
        ("mark", {"label": "x" * MAX_LINE}, LogError),
    ],
)
def test_what_can_not_be_logged_changes_nothing(
    place: Path, kind: str, payload: dict[str, Any], error: type[Exception]
) -> None:
    with EventLog.open(place) as log:
        with pytest.raises(error):
            log.append(kind, payload)
        assert log.head[0] == 0
        log.append("mark", {})
    assert len(events_of(place)) == 1


def test_a_full_disk_leaves_no_half_line(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with EventLog.open(place) as log:
        log.append("mark", {})
        file = log._file
        left = [20, 0]

        class Full:
            closed = False

            def write(self, line: bytes) -> int:
                room = left.pop(0)
                if not room:
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                return file.write(line[:room])

            def fileno(self) -> int:
                return file.fileno()

        monkeypatch.setattr(log, "_file", Full())
        for _ in range(2):
            with pytest.raises(LogWriteError):
                log.append("mark", {})
        monkeypatch.setattr(log, "_file", file)
        log.append("mark", {})
    assert [event.seq for event in events_of(place)] == [1, 2]


def test_commands_are_synced_at_once_and_others_within_a_second(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    now_s = [100.0]
    monkeypatch.setattr("recorder.log.os.fdatasync", synced.append)
    monkeypatch.setattr("recorder.log.time.monotonic", lambda: now_s[0])
    with EventLog.open(place) as log:
        log.append("mark", {}, durable=True)
        assert len(synced) == 1
        log.append("segment.closed", {})
        now_s[0] += 0.9
        log.sync_if_due()
        assert len(synced) == 1
        now_s[0] += 0.1
        log.sync_if_due()
        assert len(synced) == 2
        log.sync()
        assert len(synced) == 2


def test_a_closed_log_takes_nothing(place: Path) -> None:
    log = EventLog.open(place)
    log.close()
    log.close()
    with pytest.raises(LogError):
        log.append("mark", {})


GOOD = (
    (
        '{"actor":"rm","at_us":1,"digest":{"sha256":"S","sm3":"M"},"payload":{},'
        '"prev":{"sha256":"S","sm3":"M"},"seq":1,"ts_server":"t","type":"mark"}\n'
    )
    .replace("S", "0" * 64)
    .replace("M", "1" * 64)
)

MALFORMED = {
    "empty": "\n",
    "no object": "[]\n",
    "null": "null\n",
    "digest wrong": GOOD,
    "no end": GOOD[:-1],
    "white space": GOOD.replace(":1,", ": 1,"),
    "fraction": GOOD.replace('"at_us":1', '"at_us":1.0'),
    "true as number": GOOD.replace('"at_us":1', '"at_us":true'),
    "payload a list": GOOD.replace('"payload":{}', '"payload":[]'),
    "field more": GOOD.replace('"payload"', '"extra":1,"payload"'),
    "field less": GOOD.replace('"actor":"rm",', ""),
    "digest short": GOOD.replace("0" * 64, "0" * 63),
    "digest upper": GOOD.replace("0" * 64, "A" * 64),
    "half surrogate": GOOD.replace("rm", "\\ud800"),
    "endless number": GOOD.replace('"at_us":1', '"at_us":' + "9" * 5000),
    "deep": "[" * 60_000 + "\n",
    "no UTF-8": "\udcff\n",
}


@pytest.mark.parametrize("text", MALFORMED.values(), ids=MALFORMED.keys())
def test_malformed_lines_are_refused_by_number(text: str) -> None:
    with pytest.raises(LogDamagedError, match="line 7"):
        parse_event(text.encode("utf-8", "surrogateescape"), 7)


@pytest.mark.parametrize("name", ["", ".", "..", "a/b", "a\n", "-a", "a" * 65, "会话"])
def test_session_ids_that_name_no_directory_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(SessionFileError):
        write_session(tmp_path, session=name, room="r", started_ns=0)


def test_a_session_is_begun_once(place: Path) -> None:
    with pytest.raises(SessionFileError, match="exists"):
        write_session(place.parent, session="s1", room="r1", started_ns=0)


@pytest.mark.parametrize(
    "text", ["", "{}", "[]", "null", '{"version":2}', '{"version":1,"session":"s1"}', "[" * 9999]
)
def test_a_session_file_of_another_form_is_refused(place: Path, text: str) -> None:
    (place / "session.json").write_text(text)
    with pytest.raises(SessionFileError):
        read_session(place)


def test_a_session_file_moved_elsewhere_is_refused(place: Path) -> None:
    moved = place.rename(place.parent / "s9")
    with pytest.raises(SessionFileError, match="s1"):
        read_session(moved)


def test_times_are_written_to_the_millisecond() -> None:
    assert rfc3339(STARTED_NS) == "2026-09-21T14:13:20.123Z"


class BadDisk(LogDisk):
    """Refuses what the test says; a write that is refused leaves half of it."""

    def __init__(self) -> None:
        self.refuses: set[str] = set()
        self.rewritten: list[tuple[bytes, int]] = []

    def _check(self, work: str) -> None:
        if work in self.refuses:
            raise OSError(errno.EIO, "Input/output error")

    def write(self, file: BinaryIO, data: bytes) -> int:
        if "write" in self.refuses:
            super().write(file, data[: len(data) // 2])
        self._check("write")
        return super().write(file, data)

    def sync(self, file: BinaryIO) -> None:
        self._check("sync")
        super().sync(file)

    def truncate(self, file: BinaryIO, size: int) -> None:
        self._check("truncate")
        super().truncate(file, size)

    def rewrite(self, path: Path, data: bytes, offset: int) -> None:
        self.rewritten.append((data, offset))
        super().rewrite(path, data, offset)


def test_what_is_written_is_in_the_log_whether_or_not_the_disk_confirms_it(place: Path) -> None:
    disk = BadDisk()
    with EventLog.open(place, disk=disk) as log:
        log.append("mark", {"label": "0"}, durable=True)
        disk.refuses = {"sync"}
        first = log.append("mark", {"label": "1"}, durable=True)
        assert log.head == (2, first.digest)
        assert str(log.refused) == "Input/output error"
        for refused in (log.sync, log.sync_if_due):
            with pytest.raises(LogWriteError):
                refused()
        log.append("mark", {"label": "2"})
        disk.refuses = set()
        log.sync_if_due()
        assert not log.refused
    assert [event.payload["label"] for event in events_of(place)] == ["0", "1", "2"]


def test_what_was_not_confirmed_is_written_anew(place: Path) -> None:
    disk, path = BadDisk(), place / "events.jsonl"
    with EventLog.open(place, disk=disk) as log:
        log.append("mark", {"label": "0"}, durable=True)
        confirmed = path.stat().st_size
        disk.refuses = {"sync"}
        log.append("mark", {"label": "1"}, durable=True)
        tail = path.read_bytes()[confirmed:]
        # As if the page had been dropped after the error.
        with path.open("r+b") as file:
            file.seek(confirmed)
            file.write(bytes(len(tail)))
        disk.refuses = set()
        log.sync()
        assert disk.rewritten == [(tail, confirmed)]
        log.append("mark", {"label": "2"}, durable=True)
        assert len(disk.rewritten) == 1
    assert [event.payload["label"] for event in events_of(place)] == ["0", "1", "2"]


def test_unconfirmed_events_have_a_bound(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(of_log, "_MAX_UNSYNCED", 1_000)
    disk = BadDisk()
    disk.refuses = {"sync"}
    with EventLog.open(place, disk=disk) as log:
        log.append("mark", {"label": "x" * 500})
        with pytest.raises(LogWriteError):
            log.append("mark", {"label": "y" * 500})
        disk.refuses = set()
        log.append("mark", {"label": "z" * 500})
    assert [event.payload["label"][0] for event in events_of(place)] == ["x", "z"]


def test_half_a_line_that_can_not_be_cut_off_is_not_written_after(place: Path) -> None:
    disk = BadDisk()
    with EventLog.open(place, disk=disk) as log:
        log.append("mark", {"label": "0"})
        disk.refuses = {"write", "truncate"}
        with pytest.raises(LogWriteError):
            log.append("mark", {"label": "lost"})
        disk.refuses = {"truncate"}
        with pytest.raises(LogWriteError):
            log.append("mark", {"label": "lost"})
        disk.refuses = set()
        log.append("mark", {"label": "1"})
    assert [event.payload["label"] for event in events_of(place)] == ["0", "1"]


def test_events_that_belong_together_are_all_written_or_none(place: Path) -> None:
    disk = BadDisk()
    drafts: list[tuple[str, dict[str, Any]]] = [("attempt.ended", {}), ("attempt.started", {})]
    with EventLog.open(place, disk=disk) as log:
        disk.refuses = {"write"}
        with pytest.raises(LogWriteError):
            log.append_all(drafts)
        disk.refuses = set()
        with pytest.raises(LogError):
            log.append_all([*drafts, ("No type", {})])
        assert log.head[0] == 0
        log.append_all(drafts, actor="rm")
    assert [event.type for event in events_of(place)] == ["attempt.ended", "attempt.started"]
