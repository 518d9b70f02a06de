"""What the package reports to its caller."""

from typing import TYPE_CHECKING, Protocol

from sfu.model import AudioProtection, EncodingDemand, Lines, MediaState, PlayoutDelay, Track

if TYPE_CHECKING:
    from sfu.participant import Participant
    from sfu.room import Room

__all__ = ["SfuListener"]


class SfuListener(Protocol):
    """Called synchronously, after the state it tells of is in place. Must not raise.

    Hidden participants are reported like others: what goes to whom is the caller's business.
    """

    def participant_joined(self, participant: "Participant") -> None:
        """``participant`` is in the room."""

    def participant_left(self, participant: "Participant", reason: str) -> None:
        """``participant`` is gone; its tracks were reported unpublished before."""

    def media_changed(self, participant: "Participant", state: MediaState, reason: str) -> None:
        """The transport's state changed.

        Args:
            participant: whose transport.
            state: the new state.
            reason: ``none``, or why it failed, as in ``Event.TransportStateChanged``.
        """

    def track_published(self, track: Track) -> None:
        """A new track; not called when a track comes back on a new transport."""

    def track_unpublished(self, track: Track) -> None:
        """The track is gone."""

    def track_muted(self, track: Track, by: str) -> None:
        """``track.muted`` changed; ``by`` is a participant."""

    def demand_changed(self, track: Track, demand: tuple[EncodingDemand, ...]) -> None:
        """Which encodings of ``track`` its publisher shall send; all until this is called."""

    def audio_protection_changed(
        self, participant: "Participant", protection: AudioProtection
    ) -> None:
        """What ``participant``, who publishes it, should do about loss of an audio track.

        Nothing until this is called; ``participant.audio_protections()`` has what holds.
        """

    def uplink_floor_changed(self, participant: "Participant") -> None:
        """``participant.uplink_floor_bps`` is what its browser's estimate shall stay above."""

    def playout_delay_changed(self, participant: "Participant", delay: PlayoutDelay) -> None:
        """How long ``participant`` should hold an audio track it receives.

        Zero until this is called; ``participant.playout_delays()`` has what holds.
        """

    def track_unavailable(self, participant: "Participant", track: Track, reason: str) -> None:
        """``participant`` can't receive ``track``: ``no_common_codec``."""

    def negotiation_needed(self, participant: "Participant", lines: Lines) -> None:
        """The client must offer again, with ``lines`` receiving m-lines in total.

        Called at most once between two offers. May be called inside ``negotiate``, before its
        answer is returned. Not called inside ``admit``: ``participant.lines`` tells what the
        first offer needs.
        """

    def speakers_changed(
        self, room: "Room", active: Track | None, levels: list[tuple[Track, int]]
    ) -> None:
        """Levels in dBov, -127 (silence) to 0; only tracks that are neither hidden nor muted."""

    def room_closed(self, room: "Room", reason: str) -> None:
        """``empty``, ``panicked``, ``engine_failed``, ``shutdown`` or what ``close`` was given."""
