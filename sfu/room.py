"""The media scope of a session."""

import logging
import re
from collections.abc import Mapping, Sequence
from enum import StrEnum

from sfu.capture import CaptureTarget, RoomCapture
from sfu.errors import (
    DuplicateParticipantError,
    IllegalTransitionError,
    InvalidIdentifierError,
    RoomClosedError,
    RoomFullError,
)
from sfu.model import Grant, Track
from sfu.participant import Participant
from sfu.plane import EnginePort
from sfu.registry import Registry
from sfu.sdp_rules import ID_CHARACTER
from sfu.standing import Selection
from sfu.subscription import Publication
from sfu.tap import RoomTaps, TapTarget

__all__ = ["Room", "RoomState"]

log = logging.getLogger(__name__)

_IDENTIFIER = re.compile(ID_CHARACTER + "{1,64}", re.ASCII)


class RoomState(StrEnum):
    """A closed room never opens again."""

    OPEN = "open"
    CLOSED = "closed"


class Room:
    """Made by :meth:`sfu.Sfu.open_room`. All its participants are on one engine.

    Attributes:
        plane_id: identifier in the plane.
        port: to the engine.
        active_speaker: who speaks, where somebody does who may be shown.
        screen_first: where a link can't carry all, a shared screen comes before faces.
    """

    def __init__(self, room_id: str, plane_id: int, port: EnginePort, registry: Registry) -> None:
        self.room_id = room_id
        self.plane_id = plane_id
        self.port = port
        self.registry = registry
        self.state = RoomState.OPEN
        self.publications: dict[str, Publication] = {}
        self.active_speaker: Track | None = None
        self.screen_first = registry.config.screen_first
        self.capture: RoomCapture | None = None
        self.taps: RoomTaps | None = None
        self._levels: list[tuple[Track, int]] = []
        self._participants: dict[str, Participant] = {}
        port.create_room(plane_id)
        registry.rooms[plane_id] = self

    @property
    def is_closed(self) -> bool:
        """It has ended."""
        return self.state is RoomState.CLOSED

    @property
    def participants(self) -> Mapping[str, Participant]:
        """Participants by identifier."""
        return self._participants

    @property
    def tracks(self) -> Mapping[str, Track]:
        """Tracks by identifier."""
        return {track_id: item.track for track_id, item in self.publications.items()}

    def admit(
        self,
        participant_id: str,
        grant: Grant,
        *,
        name: str = "",
        auto_subscribe: bool = True,
        selection: Selection | None = None,
    ) -> Participant:
        """Lets somebody in.

        Args:
            participant_id: an RFC 8866 token of 1 to 64 characters: it is part of descriptions.
            grant: what it may do.
            name: shown to others.
            auto_subscribe: receive everything the grant allows, without asking for each track.
            selection: the participant offers once: what it covers is put on the lines of that
                offer, as tracks come and go. ``None``: the client is asked for lines.

        Raises:
            RoomClosedError: the room is closed.
            RoomFullError: it holds as many as it may.
            DuplicateParticipantError: somebody of this identifier is in.
            InvalidIdentifierError: the identifier has other characters.
        """
        if self.state is RoomState.CLOSED:
            raise RoomClosedError("the room is closed")
        try:
            self._check_admission(participant_id)
        except InvalidIdentifierError:
            self._close_if_empty()
            raise
        participant = Participant(
            self,
            participant_id,
            grant,
            name=name,
            auto_subscribe=auto_subscribe,
            selection=selection,
        )
        self._participants[participant_id] = participant
        if auto_subscribe:
            for publication in self.publications.values():
                if participant.may_receive(publication):
                    participant.reception.wish(publication)
        participant.reception.consider_asked()
        log.info(
            "participant joined",
            extra={
                "room_id": self.room_id,
                "participant_id": participant_id,
                "role": grant.role.value,
                "pii.name": name,
            },
        )
        self.registry.listener.participant_joined(participant)
        if self.taps is not None:
            self.taps.joined(participant)
        return participant

    def put_screen_first(self, screen_first: bool) -> None:
        """Decides what comes first where a link can't carry all: a shared screen, or faces."""
        if self.screen_first != screen_first:
            self.screen_first = screen_first
            for participant in self._participants.values():
                participant.reception.fit_all()

    def start_capture(self, target: CaptureTarget) -> None:
        """Records all tracks of the room, now and later, until :meth:`stop_capture`.

        The engine must have been told where to record.

        Raises:
            RoomClosedError: the room is closed.
            IllegalTransitionError: it is being recorded.
        """
        if self.state is RoomState.CLOSED:
            raise RoomClosedError("the room is closed")
        if self.capture is not None:
            raise IllegalTransitionError("the room is being recorded")
        self.capture = RoomCapture(self.port, self.registry, target)
        for publication in self.publications.values():
            self.capture.bring(publication)

    def pause_capture(self, paused: bool) -> None:
        """Pauses the recording of the room, or goes on; nothing happens where there is none."""
        if self.capture is not None:
            self.capture.pause(self.publications, paused)

    def stop_capture(self) -> None:
        """Ends the recording of the room; another may be started then."""
        capture, self.capture = self.capture, None
        if capture is not None:
            capture.stop(self.publications)

    def start_taps(self, target: TapTarget, zero_ns: int) -> RoomTaps:
        """Tells analytics of all people and tracks, now and later, and lets them tap some.

        Args:
            target: is told.
            zero_ns: ``CLOCK_MONOTONIC`` when the clock of the session was zero.

        Raises:
            RoomClosedError: the room is closed.
            IllegalTransitionError: it is being tapped.
        """
        if self.state is RoomState.CLOSED:
            raise RoomClosedError("the room is closed")
        if self.taps is not None:
            raise IllegalTransitionError("the room is being tapped")
        self.taps = RoomTaps(self.port, self.registry, target, zero_ns)
        for participant in self._participants.values():
            self.taps.joined(participant)
        for publication in self.publications.values():
            self.taps.bring(publication)
        return self.taps

    def stop_taps(self) -> None:
        """Ends what analytics get of the room; it may be started again then."""
        taps, self.taps = self.taps, None
        if taps is not None:
            taps.stop()

    def close(self, reason: str) -> None:
        """Ends the room; its participants leave with reason ``room_closed``."""
        self._close(reason, plane_gone=False)

    def announce(self, publications: Sequence[Publication]) -> None:
        """Tracks were published, by one offer: the others are asked for lines once."""
        for publication in publications:
            self.publications[publication.track.track_id] = publication
            if self.capture is not None:
                self.capture.bring(publication)
            self.registry.listener.track_published(publication.track)
            if self.taps is not None:
                self.taps.bring(publication)
        for participant in list(self._participants.values()):
            if not participant.auto_subscribe:
                continue
            for publication in publications:
                if participant.may_receive(publication):
                    participant.reception.wish(publication)
            participant.reception.ask()

    def retract(self, publication: Publication) -> None:
        """A track is no longer published; nothing happens where it never was announced."""
        if self.publications.pop(publication.track.track_id, None) is None:
            return
        if self.capture is not None:
            self.capture.end(publication.track.track_id)
        if self.taps is not None:
            self.taps.end(publication.track.track_id)
        self._levels = [item for item in self._levels if item[0] is not publication.track]
        if self.active_speaker is publication.track:
            self.active_speaker = None
        self.registry.listener.track_unpublished(publication.track)

    def forget(self, participant: Participant, reason: str) -> None:
        """A participant has left; the last one closes the room."""
        self._participants.pop(participant.participant_id, None)
        log.info(
            "participant left",
            extra={
                "room_id": self.room_id,
                "participant_id": participant.participant_id,
                "reason": reason,
            },
        )
        if self.taps is not None:
            self.taps.left(participant)
        self.registry.listener.participant_left(participant, reason)
        self._close_if_empty()

    def lost(self, reason: str) -> None:
        """The plane has ended the room with all that was in it."""
        self._close(reason, plane_gone=True)

    def levels_changed(self, levels: list[tuple[int, int]]) -> None:
        """Takes over audio levels: ``(producer, level)`` as in RFC 6464."""
        self._levels = [
            (track, -level) for producer, level in levels if (track := self._audible(producer))
        ]
        if self._levels:
            self._report_speakers()

    def speaker_changed(self, producer: int | None) -> None:
        """Takes over who speaks."""
        active = self._audible(producer) if producer is not None else None
        if active is not self.active_speaker:
            self.active_speaker = active
            self._report_speakers()

    def _report_speakers(self) -> None:
        levels = [item for item in self._levels if not item[0].muted]
        active = self.active_speaker
        if active is not None and active.muted:
            active = None
        self.registry.listener.speakers_changed(self, active, levels)

    def _audible(self, producer: int) -> Track | None:
        publication = self.registry.publications.get(producer)
        if publication is None or publication.owner.room is not self:
            return None
        if publication.owner.grant.hidden or publication.track.muted:
            return None
        return publication.track

    def _check_admission(self, participant_id: str) -> None:
        if participant_id in self._participants:
            raise DuplicateParticipantError("a participant of this identifier is in the room")
        limit = self.registry.config.max_participants_per_room
        if len(self._participants) >= limit:
            raise RoomFullError(f"the room holds at most {limit} participants")
        if _IDENTIFIER.fullmatch(participant_id) is None:
            raise InvalidIdentifierError(
                "a participant identifier is 1 to 64 letters, digits or !#$%&'*+.^_`{|}~-"
            )

    def _close_if_empty(self) -> None:
        if not self._participants:
            self.close("empty")

    def _close(self, reason: str, *, plane_gone: bool) -> None:
        if self.state is RoomState.CLOSED:
            return
        self.state = RoomState.CLOSED
        if self.capture is not None and self.port.failed:
            capture, self.capture = self.capture, None
            capture.abandon()
        self.stop_capture()
        self.stop_taps()
        if not plane_gone:
            self.port.close_room(self.plane_id)
        # The plane has closed, or will close, all that the room holds.
        self.port = self.port.detached()
        for participant in list(self._participants.values()):
            participant.leave("room_closed")
        self.registry.rooms.pop(self.plane_id, None)
        self.registry.forget_room(self)
        log.info("room closed", extra={"room_id": self.room_id, "reason": reason})
        self.registry.listener.room_closed(self, reason)
