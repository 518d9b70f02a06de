"""Takes the snapshots."""

from collections import Counter
from collections.abc import Iterable, Sequence

from sfu.model import Kind, MediaState, Role
from sfu.participant import Participant
from sfu.plane import EnginePort
from sfu.room import Room
from sfu.snapshot import (
    EngineView,
    ParticipantView,
    RoomView,
    SfuSnapshot,
    SubscriptionView,
    TrackView,
)
from sfu.subscription import SubscriptionState

__all__ = ["take_snapshot"]


def take_snapshot(
    ports: Sequence[EnginePort], rooms: Iterable[Room], *, draining: bool
) -> SfuSnapshot:
    """Everything at this moment."""
    open_rooms = list(rooms)
    views = [_room(room) for room in open_rooms]
    people = [item for room in views for item in room.participants]
    roles = Counter(item.role for item in people)
    media = Counter(item.media for item in people)
    kinds = Counter(track.source.kind for item in people for track in item.tracks)
    states = Counter(sub.state for item in people for sub in item.subscriptions)
    return SfuSnapshot(
        draining=draining,
        engines=[_engine(port, open_rooms) for port in ports],
        rooms=views,
        participants_by_role={role: roles[role] for role in Role},
        participants_by_media={state: media[state] for state in MediaState},
        tracks_by_kind={kind: kinds[kind] for kind in Kind},
        subscriptions_by_state={
            state.value: states[state.value]
            for state in SubscriptionState
            if state is not SubscriptionState.ENDED
        },
    )


def _engine(port: EnginePort, rooms: Sequence[Room]) -> EngineView:
    own = [room for room in rooms if room.port is port]
    counters = port.counters
    return EngineView(
        index=port.index,
        failed=port.failed,
        rooms=len(own),
        participants=sum(len(room.participants) for room in own),
        commands=counters.commands,
        deferred=counters.deferred,
        backlog=port.backlog,
        refused=counters.refused,
        commands_failed=counters.failed,
        events_lost=counters.events_lost,
        snapshot=None if port.failed else port.statistics(),
    )


def _room(room: Room) -> RoomView:
    return RoomView(
        room.room_id, room.port.index, [_participant(item) for item in room.participants.values()]
    )


def _participant(participant: Participant) -> ParticipantView:
    return ParticipantView(
        participant_id=participant.participant_id,
        role=participant.grant.role,
        hidden=participant.grant.hidden,
        media=participant.media,
        lines=participant.lines,
        quality=participant.quality(),
        tracks=[
            TrackView(item.track.track_id, item.track.source, item.track.muted, item.codec)
            for item in participant.publishing.publications.values()
        ],
        subscriptions=[
            SubscriptionView(
                item.track.track_id, item.state.value, item.line.mid if item.line else None
            )
            for item in participant.reception.subscriptions.values()
        ],
    )
