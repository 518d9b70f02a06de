import asyncio
import threading
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from recorder import sessions as of_sessions
from recorder.errors import LogWriteError, SessionFileError, SessionStateError
from recorder.flow import parse_flow, read_flow
from recorder.log import EventLog, read_events
from recorder.session import Mark, Next, Pause, ReRecord, Resume, Start, Stop
from recorder.session_file import read_session
from recorder.sessions import OpenSession, Sessions
from tests.recorder.test_flow import FLOW


class FakeCapture:
    """Writes nothing, but logs what a capture would."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.refusal: Exception | None = None

    def start(self, session: OpenSession) -> None:
        if self.refusal:
            raise self.refusal
        self.calls.append("start")
        session.log.append("track.opened", {"track": "mic"})

    def pause(self, session: OpenSession, *, paused: bool) -> None:
        self.calls.append("pause" if paused else "resume")

    async def stop(self, session: OpenSession) -> None:
        await asyncio.sleep(0)
        self.calls.append("stop")
        session.log.append("track.closed", {"track": "mic"})


@pytest.fixture
def capture() -> FakeCapture:
    return FakeCapture()


@pytest.fixture
async def sessions(tmp_path: Path, capture: FakeCapture) -> AsyncIterator[Sessions]:
    sessions = Sessions(tmp_path, capture)
    async with sessions.running():
        yield sessions


def types(place: Path) -> list[str]:
    return [event.type for event in read_events(place, read_session(place))]


async def test_commands_are_logged_and_reach_the_capture(
    sessions: Sessions, capture: FakeCapture, tmp_path: Path
) -> None:
    made = await sessions.create("sale-1")
    name = made["session_id"]
    assert made["state"] == "ready"
    commands = [Start(), Next("risk"), Pause(), Resume(), Mark("here"), ReRecord("risk"), Stop()]
    views = [await sessions.command(name, command, "rm-1") for command in commands]
    states = ["recording", "recording", "paused", "recording", "recording", "recording", "stopped"]
    assert [view["state"] for view in views] == states
    assert (views[5]["node"], views[5]["attempt"]) == ("risk", 2)
    assert capture.calls == ["start", "pause", "resume", "stop"]
    assert types(tmp_path / name)[-2:] == ["recording.stopped", "track.closed"]
    assert (await sessions.describe(name))["state"] == "stopped"
    timeline = await sessions.timeline(name)
    assert [attempt["superseded_by"] for attempt in timeline["attempts"]] == [2, None]
    events = list(read_events(tmp_path / name, read_session(tmp_path / name)))
    assert {event.actor for event in events if event.type.startswith("recording")} == {"rm-1"}


async def test_a_room_has_one_session_at_a_time(sessions: Sessions) -> None:
    first = (await sessions.create("sale-1"))["session_id"]
    with pytest.raises(SessionStateError):
        await sessions.create("sale-1")
    await sessions.create("sale-2")
    for command in (Start(), Stop()):
        await sessions.command(first, command, "rm")
    assert (await sessions.create("sale-1"))["session_id"] != first
    with pytest.raises(SessionStateError):
        await sessions.command(first, Start(), "rm")


@pytest.mark.parametrize("name", ["nowhere", "..", "a/b", ""])
async def test_sessions_that_are_not_there_are_unknown(sessions: Sessions, name: str) -> None:
    for call in (
        sessions.room_of(name),
        sessions.describe(name),
        sessions.timeline(name),
        sessions.command(name, Stop(), ""),
    ):
        with pytest.raises(SessionFileError):
            await call


async def test_a_capture_that_can_not_start_leaves_a_stopped_session(
    sessions: Sessions, capture: FakeCapture, tmp_path: Path
) -> None:
    capture.refusal = LogWriteError("the event log can't be written: {reason}", reason="full")
    name = (await sessions.create("sale-1"))["session_id"]
    with pytest.raises(LogWriteError):
        await sessions.command(name, Start(), "rm")
    assert types(tmp_path / name) == ["recording.started", "recording.stopped"]
    capture.refusal = None
    await sessions.create("sale-1")


async def test_a_session_outlives_its_server(tmp_path: Path, capture: FakeCapture) -> None:
    first = Sessions(tmp_path, capture)
    name = (await first.create("sale-1"))["session_id"]
    await first.command(name, Start(), "rm")
    # As after kill -9: the log is not closed, only its lock is gone.
    first._open[name].log.close()
    second = Sessions(tmp_path, capture)
    async with second.running():
        with pytest.raises(SessionStateError):
            await second.command(name, Start(), "rm")
        assert (await second.describe(name))["state"] == "interrupted"
        assert (await second.command(name, Resume(), "rm"))["state"] == "recording"
        assert (await second.command(name, Stop(), "rm"))["state"] == "stopped"
    assert "recording.recovered" in types(tmp_path / name)


async def test_the_end_of_the_server_ends_captures_and_closes_logs(
    tmp_path: Path, capture: FakeCapture
) -> None:
    sessions = Sessions(tmp_path, capture)
    async with sessions.running():
        name = (await sessions.create("sale-1"))["session_id"]
        await sessions.command(name, Start(), "rm")
    assert capture.calls == ["start", "stop"]
    EventLog.open(tmp_path / name).close()


async def test_the_event_loop_reads_no_files(
    sessions: Sessions, monkeypatch: pytest.MonkeyPatch
) -> None:
    read_in: list[int] = []

    def noted(read: Callable[[Path], Any], place: Path) -> Any:
        read_in.append(threading.get_ident())
        return read(place)

    for read in (read_flow, read_session):
        monkeypatch.setattr(of_sessions, read.__name__, partial(noted, read))
    made = (await sessions.create("sale-1", flow=parse_flow(FLOW)))["session_id"]
    opened = len(read_in)
    for command in (Start(), Next("risk"), Stop()):
        told = await sessions.command(made, command, "rm-1")
        assert told["flow"]["nodes"][0]["code"] == "risk"
    assert await sessions.room_of(made) == "sale-1"
    assert len(read_in) == opened + 1
    assert threading.get_ident() not in read_in
