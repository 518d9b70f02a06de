from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.errors import SessionStateError
from recorder.session import (
    Command,
    Mark,
    Next,
    Pause,
    RecordingSession,
    ReRecord,
    Resume,
    Start,
    State,
    Stop,
)


@dataclass
class Happened:
    type: str
    at_us: int
    payload: dict[str, Any] = field(default_factory=dict)


class Scene:
    """Commands one after another, a second apart."""

    def __init__(self) -> None:
        self.session = RecordingSession()
        self.events: list[Happened] = []

    def do(self, *commands: Command) -> "Scene":
        for command in commands:
            at_us = (len(self.events) + 1) * 1_000_000
            for draft in self.session.decide(command):
                event = Happened(draft.type, at_us, draft.payload)
                self.session.apply(event)
                self.events.append(event)
        return self

    def happen(self, kind: str) -> "Scene":
        event = Happened(kind, (len(self.events) + 1) * 1_000_000)
        self.session.apply(event)
        self.events.append(event)
        return self

    def types(self) -> list[str]:
        return [event.type for event in self.events]


def test_a_node_recorded_again_supersedes_and_both_stay() -> None:
    scene = Scene().do(Start(), Next("risk"), Next("consent"), ReRecord("risk"), Stop())
    assert scene.types() == [
        "recording.started",
        "attempt.started",
        "attempt.ended",
        "attempt.started",
        "attempt.ended",
        "attempt.started",
        "attempt.ended",
        "recording.stopped",
    ]
    first, _, again = scene.session.attempts
    assert (first.node, first.attempt, first.superseded_by) == ("risk", 1, 2)
    assert (again.node, again.attempt, again.supersedes) == ("risk", 2, 1)
    assert again.to_us is not None


ILLEGAL = [
    ([], Pause()),
    ([], Resume()),
    ([], Stop()),
    ([], Mark("x")),
    ([], Next("a")),
    ([Start()], Start()),
    ([Start()], Resume()),
    ([Start()], ReRecord("a")),
    ([Start(), Next("a")], Next("a")),
    ([Start(), Pause()], Pause()),
    ([Start(), Pause()], Next("a")),
    ([Start(), Next("a"), Pause()], ReRecord("a")),
    ([Start(), Stop()], Start()),
    ([Start(), Stop()], Resume()),
    ([Start(), Stop()], Mark("x")),
]


@pytest.mark.parametrize(("before", "command"), ILLEGAL)
def test_what_makes_no_sense_raises_and_changes_nothing(
    before: list[Command], command: Command
) -> None:
    scene = Scene().do(*before)
    state, count = scene.session.state, len(scene.events)
    with pytest.raises(SessionStateError):
        scene.do(command)
    assert (scene.session.state, len(scene.events)) == (state, count)


def test_a_recording_that_lost_its_server_can_go_on_or_end() -> None:
    scene = Scene().do(Start()).happen("recording.recovered")
    assert scene.session.state is State.INTERRUPTED
    with pytest.raises(SessionStateError):
        scene.do(Next("a"))
    assert scene.do(Resume()).session.state is State.RECORDING
    assert scene.happen("recording.recovered").do(Stop()).session.state is State.STOPPED
    assert scene.happen("recording.recovered").session.state is State.STOPPED


COMMANDS = st.sampled_from(
    [Start(), Pause(), Resume(), Mark("m"), Next("a"), Next("b"), ReRecord("a"), Stop()]
)


@given(st.lists(COMMANDS, max_size=30))
def test_playing_the_log_again_gives_the_same_state(commands: list[Command]) -> None:
    scene = Scene()
    for command in commands:
        try:
            scene.do(command)
        except SessionStateError:
            continue
    again = RecordingSession.replayed(scene.events)
    assert (again.state, again.attempts) == (scene.session.state, scene.session.attempts)
    for attempt in again.attempts:
        earlier = [item.attempt for item in again.attempts if item.node == attempt.node]
        assert earlier == list(range(1, len(earlier) + 1))
        assert attempt.supersedes == (attempt.attempt - 1 or None)
