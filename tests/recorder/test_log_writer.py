"""Logs for an event loop: a disk that hangs or refuses keeps nobody waiting, and nothing is lost
without a word."""

import asyncio
import errno
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import BinaryIO

import pytest

from recorder import log as of_log
from recorder import log_writer
from recorder.errors import (
    LogBusyError,
    LogStalledError,
    LogWriteError,
    RepeatedKeyError,
    SessionStateError,
)
from recorder.log import Event, EventLog, LogDisk, read_events
from recorder.log_writer import MAX_WORK, LogWriter, SessionLog
from recorder.session import Mark, Next, Pause, ReRecord, Start, Stop
from recorder.session_file import read_session, write_session
from recorder.sessions import OpenSession, Sessions


class BadDisk(LogDisk):
    """Hangs or refuses as the test says."""

    def __init__(self) -> None:
        self.works = threading.Event()
        self.works.set()
        self.hangs = threading.Event()
        self.refuses = False
        self.confirms = True

    def write(self, file: BinaryIO, data: bytes) -> int:
        self._wait()
        if self.refuses:
            raise OSError(errno.EIO, "Input/output error")
        return super().write(file, data)

    def sync(self, file: BinaryIO) -> None:
        self._wait()
        if not self.confirms:
            raise OSError(errno.EIO, "Input/output error")
        super().sync(file)

    def _wait(self) -> None:
        if not self.works.is_set():
            self.hangs.set()
            assert self.works.wait(30)


class Case:
    def __init__(self, place: Path) -> None:
        self.place, self.disk = place, BadDisk()
        self.writer = LogWriter(timeout_s=0.05)
        self.log = EventLog.open(place, disk=self.disk)
        self.queue = SessionLog(place, self.log, self.writer, limit=10, disk=self.disk)

    def hang(self) -> None:
        """Returns when the thread is stuck."""
        self.disk.works.clear()
        self.queue.append("mark", {"label": "stuck"}, at=0)
        assert self.disk.hangs.wait(30)

    def events(self) -> list[Event]:
        """All, in order; reading checks the chain."""
        return list(read_events(self.place, read_session(self.place)))


@pytest.fixture
def case(place: Path) -> Iterator[Case]:
    made = Case(place)
    yield made
    made.disk.works.set()
    made.disk.refuses, made.disk.confirms = False, True
    made.writer.close()
    made.log.close()


@pytest.fixture
def _patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the machine is, nothing counts as late."""
    monkeypatch.setattr(log_writer, "LATE_S", 1e9)


@pytest.mark.usefixtures("_patient")
def test_events_are_written_in_order_under_the_time_at_which_they_happened(case: Case) -> None:
    for number in range(5):
        case.queue.append("mark", {"label": str(number)}, actor="rm", at=number * 7)
    assert case.writer.settle()
    events = case.events()
    assert [(event.payload["label"], event.at_us) for event in events] == [
        (str(number), number * 7) for number in range(5)
    ]
    assert case.queue.head == (5, events[-1].digest)
    assert case.queue.state() == {
        "state": "ok", "seq": 5, "sha256": events[-1].digest.sha256, "pending": 0, "lost": 0
    }  # fmt: skip


@pytest.mark.usefixtures("_patient")
async def test_a_disk_that_hangs_keeps_nobody_waiting(case: Case) -> None:
    case.hang()
    # All of this returns while the thread is stuck: else the test would never end.
    for number in range(5):
        case.queue.append("mark", {"label": str(number)}, at=number)
    assert case.queue.pending == 6
    assert case.queue.head[0] == 0
    assert case.queue.state()["pending"] == 6
    assert case.writer.stalled_s > 0
    done: list[str] = []
    with pytest.raises(LogStalledError, match="nothing was done"):
        await case.writer.run(done.append, "x")
    assert not case.writer.settle(0)
    assert not case.disk.works.is_set()
    case.disk.works.set()
    assert case.writer.settle()
    labels = [event.payload["label"] for event in case.events()]
    assert labels == ["stuck", "0", "1", "2", "3", "4"]
    assert done == [], "what was withdrawn stays undone"


@pytest.mark.usefixtures("_patient")
def test_what_finds_no_room_is_declared_where_it_is_missing(case: Case) -> None:
    case.hang()
    for number in range(9):
        case.queue.append("mark", {"label": str(number)}, at=number)
    for at_us in (500, 400, 600):
        case.queue.append("track.opened", {"track": "t"}, at=at_us)
    case.queue.append("mark", {"label": "lost"}, at=700)
    assert case.queue.lost_events == case.queue.state()["lost"] == 4
    case.disk.works.set()
    assert case.writer.settle()
    case.queue.append("mark", {"label": "after"}, at=800)
    assert case.writer.settle()
    events = case.events()
    assert [event.type for event in events] == ["mark"] * 10 + ["log.lost", "mark"]
    types = {"track.opened": 3, "mark": 1}
    assert events[10].payload == {"events": 4, "from_us": 400, "to_us": 700, "types": types}


@pytest.mark.usefixtures("_patient")
def test_what_says_what_is_there_has_room_of_its_own(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_writer, "MAX_RESERVED", 3)
    case.hang()
    assert case.queue.room == 9
    for number in range(11):
        case.queue.append("mark", {"label": str(number)}, at=number)
    assert case.queue.room == 0
    case.queue.append("gap.declared", {"track": "t"}, at=20)
    case.queue.append("segment.closed", {"track": "t"}, at=21)
    case.queue.append("gap.declared", {"track": "t"}, at=22)
    case.disk.works.set()
    assert case.writer.settle()
    kinds = [event.type for event in case.events()][-4:]
    assert kinds == ["log.lost", "gap.declared", "segment.closed", "log.lost"]
    assert case.queue.lost_events == 3
    assert case.queue.room == 10


def test_a_log_that_was_late_says_so(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    case.hang()
    case.queue.append("mark", {"label": "b"}, at=9)
    monkeypatch.setattr(log_writer, "LATE_S", 0.0)
    assert case.queue.state()["state"] == "late"
    case.disk.works.set()
    assert case.writer.settle()
    *marks, late = case.events()
    assert [event.payload["label"] for event in marks] == ["stuck", "b"]
    assert late.type == "log.late"
    told = {"cause": "disk_slow", "events": 2, "from_us": 0}
    assert told.items() <= late.payload.items()
    assert late.payload["to_us"] > 0


@pytest.mark.usefixtures("_patient")
def test_a_disk_that_refuses_is_told_of_and_tried_again(
    case: Case, caplog: pytest.LogCaptureFixture
) -> None:
    case.disk.refuses = True
    case.queue.append("mark", {"label": "a"}, at=5)
    assert not case.writer.settle(), "it waits"
    case.queue.append("mark", {"label": "b"}, at=6)
    assert not case.writer.settle()
    assert case.queue.state()["state"] == "failing"
    assert case.queue.pending == 2
    assert [record.getMessage() for record in caplog.records] == ["event log can't be written"]
    with pytest.raises(LogWriteError):
        case.queue.commit("mark", {"label": "now"})
    case.disk.refuses = False
    case.writer.wake(case.queue)
    assert case.writer.settle()
    assert not case.queue.is_failing
    events = case.events()
    assert [event.type for event in events] == ["mark", "mark", "log.late"]
    assert events[2].payload["cause"] == "disk_error"
    assert events[2].payload["events"] == 2


@pytest.mark.usefixtures("_patient")
def test_a_disk_that_does_not_confirm_doubles_nothing(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(of_log, "_MAX_UNSYNCED_S", 0.0)
    case.disk.confirms = False
    case.queue.append("gap.declared", {"track": "t"}, at=5)
    for _ in range(4):
        case.writer.wake(case.queue)
        assert not case.writer.settle()
    assert case.queue.state()["state"] == "failing"
    assert case.queue.pending == 0
    committed = case.queue.commit("mark", {"label": "now"})
    assert case.queue.head == (2, committed.digest)
    assert case.queue.is_failing
    case.disk.confirms = True
    case.writer.wake(case.queue)
    assert case.writer.settle()
    assert case.queue.state()["state"] == "ok"
    events = case.events()
    assert [event.type for event in events] == ["gap.declared", "mark", "log.late"]
    assert events[2].payload["cause"] == "disk_error"


@pytest.mark.usefixtures("_patient")
def test_a_damaged_log_is_failing_and_loses_nothing_twice(case: Case) -> None:
    case.queue.append("mark", {"label": "1"})
    assert case.writer.settle()
    case.log.close()
    path = case.place / "events.jsonl"
    whole = path.read_bytes()
    path.write_bytes(b"{}\n" + whole)
    case.queue.append("mark", {"label": "2"})
    for _ in range(3):
        case.writer.wake(case.queue)
        assert not case.writer.settle()
    assert case.queue.is_failing
    assert (case.queue.pending, case.queue.lost_events) == (1, 0)
    path.write_bytes(whole)
    case.writer.wake(case.queue)
    assert case.writer.settle()
    case.queue.release()
    assert case.writer.settle()
    assert [event.type for event in case.events()] == ["mark", "mark", "log.late"]


@pytest.mark.usefixtures("_patient")
def test_an_event_that_can_never_be_written_is_declared(case: Case) -> None:
    case.queue.append("mark", {"label": "x" * 70_000}, at=3)
    case.queue.append("mark", {"label": "fits"}, at=4)
    assert case.writer.settle()
    assert [event.type for event in case.events()] == ["log.lost", "mark"]
    assert case.queue.lost_events == 1


@pytest.mark.usefixtures("_patient")
def test_a_log_that_somebody_closed_is_opened_again_and_let_go(case: Case) -> None:
    case.queue.append("mark", {"label": "1"})
    case.queue.release()
    assert case.writer.settle()
    assert not case.log.is_closed, "whose log it is closes it"
    case.log.close()
    at_us = case.queue.now_us()
    case.queue.append("mark", {"label": "2"}, actor="customer-1")
    assert case.writer.settle()
    assert case.queue.now_us() >= at_us
    with pytest.raises(LogBusyError):
        EventLog.open(case.place)
    case.queue.release()
    assert case.writer.settle()
    EventLog.open(case.place).close()
    assert [event.payload["label"] for event in case.events()] == ["1", "2"]


@pytest.mark.usefixtures("_patient")
async def test_no_more_work_waits_than_may(case: Case) -> None:
    case.hang()
    waiting = [asyncio.ensure_future(case.writer.run(int)) for _ in range(MAX_WORK)]
    await asyncio.sleep(0)
    with pytest.raises(LogStalledError):
        await case.writer.run(int)
    results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(result, LogStalledError) for result in results)


class NoCapture:
    def start(self, session: OpenSession) -> None:
        session.events.append("track.opened", {"track": "mic"})

    def pause(self, session: OpenSession, *, paused: bool) -> None: ...

    async def stop(self, session: OpenSession) -> None: ...


@pytest.mark.usefixtures("_patient")
async def test_commands_are_refused_or_late_while_the_disk_hangs(tmp_path: Path) -> None:
    disk, writer = BadDisk(), LogWriter(timeout_s=60)
    sessions = Sessions(tmp_path, NoCapture(), writer=writer, answer_s=60, disk=disk)
    name = (await sessions.create("sale-1"))["session_id"]
    other = (await sessions.create("sale-2"))["session_id"]
    await sessions.command(name, Start(), "rm")
    disk.works.clear()
    sessions._answer_s = 0.05
    # Its event is being written: that can't be taken back.
    with pytest.raises(LogStalledError, match="once it does"):
        await sessions.command(name, Next("risk"), "rm")
    assert await asyncio.to_thread(disk.hangs.wait, 30)
    sessions._answer_s, writer._timeout_s = 60, 0.05
    with pytest.raises(LogStalledError, match="nothing was done"):
        await sessions.command(other, Start(), "rm")
    writer._timeout_s = 60
    assert (await sessions.describe(other))["state"] == "ready"
    assert (await sessions.describe(name))["log"]["state"] == "ok"
    for _ in range(10):
        with pytest.raises(LogStalledError, match="earlier command waits"):
            await sessions.command(name, Next("risk"), "rm")
    disk.works.set()
    assert await asyncio.to_thread(writer.settle)
    await asyncio.gather(*sessions._tasks)
    assert (await sessions.command(name, Mark("here"), "rm"))["node"] == "risk"
    for command in (Pause(), Stop()):
        await sessions.command(name, command, "rm")
    place = tmp_path / name
    kinds = [event.type for event in read_events(place, read_session(place))]
    assert [kind for kind in kinds if kind.startswith(("recording", "mark", "attempt"))] == [
        "recording.started", "attempt.started", "mark", "recording.paused", "attempt.ended",
        "recording.stopped",
    ]  # fmt: skip
    await sessions.close()
    assert await asyncio.to_thread(writer.close)


@pytest.mark.usefixtures("_patient")
async def test_a_command_that_is_asked_for_again_with_its_key_is_done_once(tmp_path: Path) -> None:
    disk, writer = BadDisk(), LogWriter(timeout_s=60)
    sessions = Sessions(tmp_path, NoCapture(), writer=writer, answer_s=60, disk=disk)
    name = (await sessions.create("sale-1"))["session_id"]
    await sessions.command(name, Start(), "rm", key="k-1")
    disk.works.clear()
    mark = partial(sessions.command, name, Mark("here"), "rm", key="k-2")
    first = asyncio.ensure_future(mark())
    assert await asyncio.to_thread(disk.hangs.wait, 30)
    again = asyncio.ensure_future(mark())
    await asyncio.sleep(0)
    sessions._answer_s = 0.05
    for _ in range(2):
        with pytest.raises(LogStalledError, match="once it does"):
            await mark()
    with pytest.raises(RepeatedKeyError):
        await sessions.command(name, Mark("there"), "rm", key="k-2")
    sessions._answer_s = 60
    disk.works.set()
    assert await first == await again == await mark()
    await sessions.command(name, Mark("here"), "expert", key="k-2")
    await sessions.command(name, Mark("here"), "rm", key="k-3")
    with pytest.raises(SessionStateError):
        await sessions.command(name, Start(), "rm", key="k-4")
    place = tmp_path / name
    marks = [event for event in read_events(place, read_session(place)) if event.type == "mark"]
    assert [event.actor for event in marks] == ["rm", "expert", "rm"]
    await sessions.close()
    assert await asyncio.to_thread(writer.close)


@pytest.mark.usefixtures("_patient")
async def test_what_was_withdrawn_may_be_done_when_its_key_comes_again(tmp_path: Path) -> None:
    writer = LogWriter(timeout_s=60)
    sessions = Sessions(tmp_path, NoCapture(), writer=writer, answer_s=60)
    name = (await sessions.create("sale-1"))["session_id"]
    await sessions.command(name, Start(), "rm")
    async with sessions._open[name].lock:
        sessions._answer_s = 0.2
        with pytest.raises(LogStalledError, match="nothing was done"):
            await sessions.command(name, Mark("x"), "rm", key="k")
        sessions._answer_s = 60
    await sessions.command(name, Mark("x"), "rm", key="k")
    place = tmp_path / name
    marks = [event for event in read_events(place, read_session(place)) if event.type == "mark"]
    assert len(marks) == 1
    await sessions.close()
    assert await asyncio.to_thread(writer.close)


@pytest.mark.usefixtures("_patient")
async def test_a_command_that_waits_for_another_is_withdrawn(tmp_path: Path) -> None:
    disk, writer = BadDisk(), LogWriter(timeout_s=60)
    sessions = Sessions(tmp_path, NoCapture(), writer=writer, answer_s=60, disk=disk)
    name = (await sessions.create("sale-1"))["session_id"]
    await sessions.command(name, Start(), "rm")
    disk.works.clear()
    first = asyncio.ensure_future(sessions.command(name, Next("risk"), "rm"))
    assert await asyncio.to_thread(disk.hangs.wait, 30)
    sessions._answer_s = 0.1
    with pytest.raises(LogStalledError, match="nothing was done"):
        await sessions.command(name, ReRecord("risk"), "rm")
    disk.works.set()
    assert (await first)["attempt"] == 1
    sessions._answer_s = 60
    await sessions.close()
    assert await asyncio.to_thread(writer.close)


@pytest.mark.usefixtures("_patient")
async def test_a_command_the_disk_did_not_confirm_is_carried_out(tmp_path: Path) -> None:
    disk, writer = BadDisk(), LogWriter(timeout_s=60)
    sessions = Sessions(tmp_path, NoCapture(), writer=writer, answer_s=60, disk=disk)
    name = (await sessions.create("sale-1"))["session_id"]
    await sessions.command(name, Start(), "rm")
    disk.confirms = False
    told = await sessions.command(name, Next("risk"), "rm")
    assert (told["node"], told["log"]["state"]) == ("risk", "failing")
    told = await sessions.command(name, Stop(), "rm")
    assert (told["state"], told["log"]["state"]) == ("stopped", "failing")
    place = tmp_path / name
    kinds = [event.type for event in read_events(place, read_session(place))]
    assert [kind for kind in kinds if kind.startswith(("recording", "attempt"))] == [
        "recording.started", "attempt.started", "attempt.ended", "recording.stopped"
    ]  # fmt: skip
    assert (await sessions.create("sale-1"))["state"] == "ready", "the room is free"
    disk.confirms = True
    await sessions.close()
    await asyncio.to_thread(writer.close)


class MeetingDisk(LogDisk):
    """Syncs only come back when so many are under way at once."""

    def __init__(self, parties: int) -> None:
        self.together = threading.Barrier(parties, timeout=30)

    def sync(self, file: BinaryIO) -> None:
        self.together.wait()
        super().sync(file)


async def test_sessions_do_not_wait_for_syncs_of_others(tmp_path: Path) -> None:
    disk, writer = MeetingDisk(4), LogWriter(timeout_s=60, threads=4)
    logs: list[SessionLog] = []
    lanes = set()
    for number in range(100):
        place = tmp_path / f"s{number}"
        write_session(tmp_path, session=place.name, room="r", started_ns=1)
        log = SessionLog(place, EventLog.open(place), writer)
        log._log.close()
        # What was closed is opened again, on the disk that is given.
        log._disk, lane = disk, writer._lane_of(log)
        if lane not in lanes:
            lanes.add(lane)
            logs.append(log)
    assert len(logs) == 4
    # Each of them is synced before it is answered: one after the other, none ever were.
    await asyncio.gather(*(writer.run(log.commit, "mark", {"label": "x"}) for log in logs))
    assert [log.head[0] for log in logs] == [1] * 4
    # So are directories of sessions that begin.
    assert len(await asyncio.gather(*(writer.run_apart(disk.together.wait) for _ in range(4)))) == 4
    disk.together = threading.Barrier(1)
    for log in logs:
        log.release()
    assert writer.close()


async def test_what_is_told_and_commanded_of_a_session_stays_in_order(place: Path) -> None:
    writer = LogWriter(timeout_s=60, threads=8)
    log = SessionLog(place, EventLog.open(place), writer, own=True)
    for number in range(20):
        log.append("mark", {"label": f"told {number}"}, at=number)
        await writer.run(log.commit, "mark", {"label": f"commanded {number}"})
    log.release()
    assert writer.close()
    labels = [event.payload["label"] for event in read_events(place, read_session(place))]
    assert labels == [f"{how} {n}" for n in range(20) for how in ("told", "commanded")]
