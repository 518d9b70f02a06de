"""The recording of a session as a state machine without I/O.

Commands are decided into events, events are applied to the state; nothing else changes it, so
applying the events of a log again gives the same state. Nothing is ever taken back: recording a
node again (补录) begins another attempt that supersedes the one before, and both stay.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, Protocol, Self

from recorder.errors import SessionStateError, UnknownNodeError

__all__ = [
    "Attempt",
    "Command",
    "Draft",
    "Mark",
    "Next",
    "Pause",
    "Played",
    "ReRecord",
    "RecordingSession",
    "Resume",
    "Start",
    "State",
    "Stop",
]


class State(StrEnum):
    """Where a recording is."""

    READY = "ready"
    RECORDING = "recording"
    PAUSED = "paused"
    INTERRUPTED = "interrupted"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Start:
    """Begins the recording."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Stops taking media until :class:`Resume`; the time between is a declared gap."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Goes on after a pause or after the server was gone."""


@dataclass(frozen=True, slots=True)
class Mark:
    """Remembers a moment."""

    label: str


@dataclass(frozen=True, slots=True)
class Next:
    """Goes on to a node of the flow that was not recorded yet."""

    node: str


@dataclass(frozen=True, slots=True)
class ReRecord:
    """Records a node again; its latest attempt is superseded and stays."""

    node: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Ends the recording for good."""


Command = Start | Pause | Resume | Mark | Next | ReRecord | Stop


@dataclass(frozen=True, slots=True)
class Draft:
    """An event that is to be appended to the log."""

    type: str
    payload: dict[str, Any]


class Played(Protocol):
    """What of an event matters here; :class:`recorder.log.Event` is one."""

    @property
    def type(self) -> str:
        """What happened."""
        ...

    @property
    def at_us(self) -> int:
        """When, on the session clock."""
        ...

    @property
    def payload(self) -> dict[str, Any]:
        """What belongs to it."""
        ...


@dataclass(slots=True)
class Attempt:
    """One recording of a node.

    Attributes:
        attempt: from 1, counted for each node.
        supersedes: the attempt of the same node that this one replaces.
        superseded_by: the attempt that replaces this one.
        to_us: ``None`` while it runs.
    """

    node: str
    attempt: int
    supersedes: int | None
    from_us: int
    to_us: int | None = None
    superseded_by: int | None = None


_LIVE: Final = frozenset({State.RECORDING, State.PAUSED, State.INTERRUPTED})


class RecordingSession:
    """State of one recording."""

    def __init__(self) -> None:
        self.state = State.READY
        self.attempts: list[Attempt] = []
        self._latest: dict[str, Attempt] = {}
        self._running: Attempt | None = None
        self._nodes: tuple[str, ...] | None = None
        self._final: frozenset[str] = frozenset()

    @classmethod
    def replayed(cls, events: Iterable[Played]) -> Self:
        """The state that a log tells of."""
        session = cls()
        for event in events:
            session.apply(event)
        return session

    @property
    def running(self) -> Attempt | None:
        """The attempt that is being recorded."""
        return self._running

    def decide(self, command: Command) -> list[Draft]:
        """The events that carry out a command; changes nothing.

        Raises:
            SessionStateError: the command makes no sense now.
        """
        match command:
            case Start():
                self._expect("start", {State.READY})
                return [Draft("recording.started", {})]
            case Pause():
                self._expect("pause", {State.RECORDING})
                return [Draft("recording.paused", {})]
            case Resume():
                self._expect("resume", {State.PAUSED, State.INTERRUPTED})
                return [Draft("recording.resumed", {})]
            case Mark(label):
                self._expect("mark", _LIVE)
                return [Draft("mark", {"label": label})]
            case Next(node):
                self._expect("next", {State.RECORDING})
                self._expect_node(node)
                if node in self._latest:
                    raise SessionStateError(
                        "node {node} was recorded already: use re_record", node=node
                    )
                return [*self._ended("next"), _started(node, 1, None)]
            case ReRecord(node):
                self._expect("re_record", {State.RECORDING})
                self._expect_node(node)
                if node not in self._latest:
                    raise SessionStateError("node {node} was not recorded yet: use next", node=node)
                if node in self._final:
                    raise SessionStateError(
                        "the flow doesn't let node {node} be recorded again", node=node
                    )
                before = self._latest[node].attempt
                return [*self._ended("re_record"), _started(node, before + 1, before)]
            case Stop():
                self._expect("stop", _LIVE)
                return [*self._ended("stop"), Draft("recording.stopped", {})]

    def apply(self, event: Played) -> None:
        """Takes an event of the log; types that don't concern the recording's state pass."""
        match event.type:
            case "recording.started" | "recording.resumed":
                self.state = State.RECORDING
            case "recording.paused":
                self.state = State.PAUSED
            case "recording.recovered":
                if self.state in _LIVE:
                    self.state = State.INTERRUPTED
            case "recording.stopped":
                self.state = State.STOPPED
            case "flow.given":
                self._nodes = tuple(event.payload["nodes"])
                self._final = frozenset(event.payload["final"])
            case "attempt.started":
                self._begin(event)
            case "attempt.ended":
                if self._running is not None:
                    self._running.to_us = event.at_us
                self._running = None

    def _begin(self, event: Played) -> None:
        payload = event.payload
        attempt = Attempt(payload["node"], payload["attempt"], payload["supersedes"], event.at_us)
        before = self._latest.get(attempt.node)
        if before is not None:
            before.superseded_by = attempt.attempt
        self._latest[attempt.node] = self._running = attempt
        self.attempts.append(attempt)

    def _expect(self, command: str, states: Iterable[State]) -> None:
        if self.state not in states:
            raise SessionStateError(
                "{command} makes no sense while the recording is {state}",
                command=command,
                state=self.state.value,
            )

    def _expect_node(self, node: str) -> None:
        """Without a flow every node is known."""
        if self._nodes is not None and node not in self._nodes:
            raise UnknownNodeError(
                "the session's flow has no node {node}; it has {nodes}",
                node=node,
                nodes=", ".join(self._nodes),
            )

    def _ended(self, reason: str) -> list[Draft]:
        if self._running is None:
            return []
        running = self._running
        payload = {"node": running.node, "attempt": running.attempt, "reason": reason}
        return [Draft("attempt.ended", payload)]


def _started(node: str, attempt: int, supersedes: int | None) -> Draft:
    return Draft("attempt.started", {"node": node, "attempt": attempt, "supersedes": supersedes})
