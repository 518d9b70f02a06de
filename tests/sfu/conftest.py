"""A room on a fake engine, and a listener that remembers."""

from collections.abc import Callable
from typing import Any

import pytest

from sfu import Grant, Offer, Participant, Role, Room, Sfu, SfuConfig
from tests.fakes.engine import FakeEngine
from tests.sfu.offers import Client

FINGERPRINT = ":".join(["CC"] * 32)
FOREVER = 4e9


class RecordingListener:
    """Keeps ``(name, arguments)`` of every call."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        if name.startswith("_"):
            raise AttributeError(name)

        def record(*arguments: Any) -> None:
            self.calls.append((name, arguments))

        return record

    def take(self, name: str | None = None) -> list[Any]:
        """Calls since the last take; of one name only, its arguments."""
        calls, self.calls = self.calls, []
        if name is None:
            return calls
        return [arguments for called, arguments in calls if called == name]

    def of(self, name: str) -> list[tuple[Any, ...]]:
        """Arguments of the calls of one name, without forgetting any."""
        return [arguments for called, arguments in self.calls if called == name]


class Scene:
    """One SFU with one engine and one room."""

    def __init__(self, config: SfuConfig | None = None, engines: int = 1) -> None:
        self.now_s = 1000.0
        self.engines = [FakeEngine() for _ in range(engines)]
        self.engine = self.engines[0]
        self.listener = RecordingListener()
        self.sfu = Sfu(
            config or SfuConfig(),
            self.engines,
            FINGERPRINT,
            self.listener,
            clock=lambda: self.now_s,
        )
        self.clients: dict[Participant, Client] = {}

    @property
    def room(self) -> Room:
        return self.sfu.open_room("room")

    def join(self, name: str, role: Role = Role.CUSTOMER, **options: Any) -> Participant:
        grant = options.pop("grant", None) or Grant.default_for(role, FOREVER)
        participant = self.room.admit(name, grant, **options)
        self.clients[participant] = Client()
        return participant

    def call(self, participant: Participant, *kinds: str) -> Any:
        """Publishes and offers the lines the participant needs."""
        client = self.clients[participant]
        if not client.lines:
            client.publish(*kinds)
        client.receive(participant.lines.audio, participant.lines.video)
        return participant.negotiate(Offer(client.sdp))

    def emit(self, *events: object) -> None:
        """Lets the engine report."""
        self.engine.emit(*events)
        self.sfu.handle_events(self.engine)

    def transport_of(self, participant: Participant) -> int:
        assert participant.transport is not None
        return participant.transport.transport_id

    def producer_of(self, participant: Participant, kind: str = "audio") -> int:
        for item in participant.publishing.publications.values():
            if item.track.kind == kind:
                return item.producer_id
        raise AssertionError(f"{participant.participant_id} publishes no {kind}")


@pytest.fixture
def scene() -> Scene:
    return Scene()
