"""What can be seen of the package from outside: for metrics and for an administrator."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from sfu.model import Kind, Lines, MediaState, Quality, Role, Source

if TYPE_CHECKING:
    from sfu._media import Snapshot

__all__ = [
    "EngineView",
    "ParticipantView",
    "RoomView",
    "SfuSnapshot",
    "SubscriptionView",
    "TrackView",
]


@dataclass(frozen=True, slots=True)
class EngineView:
    """One engine.

    Attributes:
        failed: takes nothing any more.
        commands: sent so far.
        deferred: of those, had to wait for a full queue.
        backlog: wait now.
        refused: by the engine at once, as malformed.
        commands_failed: reported failed by the engine.
        events_lost: overflowed the engine's event queue.
        snapshot: the engine's own; ``None`` once it failed.
    """

    index: int
    failed: bool
    rooms: int
    participants: int
    commands: int
    deferred: int
    backlog: int
    refused: int
    commands_failed: int
    events_lost: int
    snapshot: "Snapshot | None"


@dataclass(frozen=True, slots=True)
class TrackView:
    """One track; ``codec`` is ``None`` until its first packet."""

    track_id: str
    source: Source
    muted: bool
    codec: str | None


@dataclass(frozen=True, slots=True)
class SubscriptionView:
    """One subscription; ``mid`` is ``None`` where it has no line."""

    track_id: str
    state: str
    mid: str | None


@dataclass(frozen=True, slots=True)
class ParticipantView:
    """One participant, without its name."""

    participant_id: str
    role: Role
    hidden: bool
    media: MediaState
    lines: Lines
    quality: Quality
    tracks: Sequence[TrackView]
    subscriptions: Sequence[SubscriptionView]


@dataclass(frozen=True, slots=True)
class RoomView:
    """One room."""

    room_id: str
    engine: int
    participants: Sequence[ParticipantView]


@dataclass(frozen=True, slots=True)
class SfuSnapshot:
    """Everything at one moment; every role, kind and state has a count."""

    draining: bool
    engines: Sequence[EngineView]
    rooms: Sequence[RoomView]
    participants_by_role: Mapping[Role, int]
    participants_by_media: Mapping[MediaState, int]
    tracks_by_kind: Mapping[Kind, int]
    subscriptions_by_state: Mapping[str, int]
