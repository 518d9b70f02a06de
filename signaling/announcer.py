"""Tells members what happens in their room, as far as they may know."""

import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

from sfu.model import AudioProtection, EncodingDemand, Lines, MediaState, PlayoutDelay, Track
from signaling.advice import AudioAdvice
from signaling.member import Member, track_info
from signaling.notices import (
    LayersWanted,
    LeftReason,
    MediaStateNotice,
    Negotiate,
    ParticipantConnection,
    ParticipantInfo,
    ParticipantJoined,
    ParticipantLeft,
    Playout,
    Protection,
    Reach,
    ServerData,
    Speakers,
    TrackMuted,
    TrackPublished,
    TrackUnavailable,
    TrackUnpublished,
    WantedEncoding,
)
from signaling.roster import Roster

if TYPE_CHECKING:
    from sfu import Participant, Room

__all__ = ["Announcer"]

log = logging.getLogger(__name__)

_REASONS = {reason.value: reason for reason in LeftReason}
_ROOM_ENDS = frozenset({"empty", "panicked", "engine_failed", "shutdown"})


class Announcer:
    """The listener of ``sfu``.

    Args:
        on_left: a member's participation ended; called after it left the roster and before the
            others are told.
        on_track_gone: a track ended.
        on_media: a member's media has another state, and why.
        advice: tells members what to do about loss of audio.
    """

    def __init__(
        self,
        roster: Roster,
        *,
        on_left: Callable[[Member, LeftReason], None],
        on_track_gone: Callable[[str], None],
        on_media: Callable[[Member, str], None],
        advice: AudioAdvice,
    ) -> None:
        self._roster = roster
        self._advice = advice
        self._on_left = on_left
        self._on_track_gone = on_track_gone
        self._on_media = on_media

    def participant_joined(self, participant: "Participant") -> None:
        """Tells the others of a newcomer."""
        if participant.grant.hidden:
            return
        info = ParticipantInfo(
            participant_id=participant.participant_id,
            role=participant.grant.role,
            name=participant.name,
            connection=Reach.CONNECTED,
        )
        # The newcomer itself enters the roster after this.
        self._tell(
            self._roster.in_room(participant.room.room_id), ParticipantJoined(participant=info)
        )

    def participant_left(self, participant: "Participant", reason: str) -> None:
        """Ends the membership and tells the others."""
        member = self._member(participant)
        if member is None:
            return
        why = _REASONS.get(reason)
        if why is None:
            why = LeftReason.ROOM_CLOSED if reason in _ROOM_ENDS else LeftReason.REMOVED
        self._roster.remove(member)
        self._on_left(member, why)
        if not member.grant.hidden:
            others = self._roster.in_room(member.room_id)
            self._tell(others, ParticipantLeft(participant_id=member.participant_id, reason=why))

    def media_changed(self, participant: "Participant", state: MediaState, reason: str) -> None:
        """Tells the participant of its own media."""
        member = self._member(participant)
        if member is None:
            return
        log.info(
            "media changed", extra={**member.log_extra, "state": state.value, "reason": reason}
        )
        if state is not MediaState.NONE:
            member.notify(MediaStateNotice(state=state, reason=reason))
        self.refresh_reach(member)
        self._on_media(member, reason)

    def track_published(self, track: Track) -> None:
        """Tells those who may receive it."""
        owner = self._roster.enter_track(track)
        if owner is None:
            return
        log.info(
            "track published",
            extra={**owner.log_extra, "track_id": track.track_id, "source": track.source.value},
        )
        self._tell(self._viewers(owner), TrackPublished(track=track_info(track)))

    def track_unpublished(self, track: Track) -> None:
        """Tells those who could receive it."""
        owner = self._roster.owner_of(track)
        self._roster.forget_track(track)
        self._on_track_gone(track.track_id)
        if owner is None:
            return
        log.info("track unpublished", extra={**owner.log_extra, "track_id": track.track_id})
        self._tell(self._viewers(owner), TrackUnpublished(track_id=track.track_id))

    def track_muted(self, track: Track, by: str) -> None:
        """Tells those who may receive it, and the owner when another did it."""
        owner = self._roster.owner_of(track)
        if owner is None:
            return
        notice = TrackMuted(track_id=track.track_id, muted=track.muted, by=by)
        told = self._viewers(owner)
        if by != owner.participant_id:
            told.append(owner)
        self._tell(told, notice)

    def demand_changed(self, track: Track, demand: tuple[EncodingDemand, ...]) -> None:
        """Tells the publisher what to send."""
        owner = self._roster.owner_of(track)
        if owner is not None:
            owner.notify(layers_wanted(track, demand))

    def audio_protection_changed(
        self,
        participant: "Participant",
        protection: AudioProtection,  # noqa: ARG002 (all is told)
    ) -> None:
        """Tells the publisher which copies to send."""
        self._advise(participant, Protection)

    def uplink_floor_changed(self, participant: "Participant") -> None:
        """Tells the publisher how low its estimate may fall."""
        self._advise(participant, Protection)

    def playout_delay_changed(
        self,
        participant: "Participant",
        delay: PlayoutDelay,  # noqa: ARG002 (all is told)
    ) -> None:
        """Tells the subscriber how long to hold what it receives."""
        self._advise(participant, Playout)

    def track_unavailable(self, participant: "Participant", track: Track, reason: str) -> None:
        """Tells the subscriber."""
        member = self._member(participant)
        if member is not None:
            member.notify(TrackUnavailable(track_id=track.track_id, reason=reason))

    def negotiation_needed(self, participant: "Participant", lines: Lines) -> None:
        """Asks the client for an offer."""
        member = self._member(participant)
        if member is not None:
            member.notify(Negotiate(audio=lines.audio, video=lines.video))

    def speakers_changed(
        self, room: "Room", active: Track | None, levels: list[tuple[Track, int]]
    ) -> None:
        """Tells everybody who is loud, as far as they may hear it."""
        members = self._roster.rooms.get(room.room_id, {})
        made: dict[tuple[str | None, tuple[str, ...]], tuple[Speakers, str]] = {}
        for member in list(members.values()):
            visible = [
                (track.track_id, max(-127, min(0, level)))
                for track, level in levels
                if self._may_hear(member, members.get(track.participant_id))
            ]
            hears = active is not None and self._may_hear(
                member, members.get(active.participant_id)
            )
            active_id = active.track_id if active is not None and hears else None
            # Nearly always everybody hears the same, so the message is made once.
            key = active_id, tuple(track_id for track_id, _ in visible)
            if key not in made:
                notice = Speakers(active=active_id, levels=tuple(visible))
                made[key] = notice, notice.data_json()
            notice, data_json = made[key]
            member.notify_volatile(notice, data_json=data_json)

    def room_closed(self, room: "Room", reason: str) -> None:
        """Nobody is left to be told."""

    def refresh_reach(self, member: Member) -> None:
        """Tells others when a member became unreachable or reachable."""
        reach = member.reach()
        if reach is member.shown:
            return
        member.shown = reach
        log.info("reach changed", extra={**member.log_extra, "connection": reach.value})
        if not member.grant.hidden:
            notice = ParticipantConnection(participant_id=member.participant_id, connection=reach)
            self._tell(self._roster.others(member), notice)

    @staticmethod
    def remind_demand(member: Member) -> None:
        """Tells a publisher again what not to send."""
        for track, demand in member.participant.demands():
            if not all(item.wanted for item in demand):
                member.notify(layers_wanted(track, demand))

    def remind_advice(self, member: Member) -> None:
        """Tells a client that came back what to do about loss of audio, as it is now."""
        self._advice.remind(member)

    def _advise(self, participant: "Participant", kind: type[Protection | Playout]) -> None:
        member = self._member(participant)
        if member is not None:
            self._advice.changed(member, kind)

    def _viewers(self, owner: Member) -> list[Member]:
        return [other for other in self._roster.others(owner) if other.sees_tracks_of(owner)]

    def _member(self, participant: "Participant") -> Member | None:
        member = self._roster.get(participant.room.room_id, participant.participant_id)
        return member if member is not None and member.participant is participant else None

    @staticmethod
    def _may_hear(member: Member, owner: Member | None) -> bool:
        return owner is not None and member.sees_tracks_of(owner)

    @staticmethod
    def _tell(members: list[Member], notice: ServerData) -> None:
        data_json = notice.data_json()
        for member in members:
            member.notify(notice, data_json=data_json)


def layers_wanted(track: Track, demand: tuple[EncodingDemand, ...]) -> LayersWanted:
    """The notice to a track's publisher."""
    encodings = tuple(WantedEncoding(rid=item.rid, wanted=item.wanted) for item in demand)
    return LayersWanted(track_id=track.track_id, encodings=encodings)
