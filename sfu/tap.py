"""Tapping a room: which producer brings which track to analytics, and how much of it.

Who wants what is decided elsewhere (:class:`TapTarget`); the plane copies packets. This module
keeps the two together while tracks come, go and come back.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from sfu.layers import ALL_TEMPORAL, spatial_for
from sfu.model import Kind, Size, Track
from sfu.plane import EnginePort

if TYPE_CHECKING:
    from sfu.participant import Participant
    from sfu.registry import Registry
    from sfu.subscription import Publication

__all__ = ["RoomTaps", "TapTarget", "TapWish", "TappedTrack"]

_ASPECT: Final = 16 / 9


@dataclass(frozen=True, slots=True)
class TapWish:
    """What the plane is told of a tap.

    Attributes:
        tap: its number; stays the same when another producer brings the track.
        spatial: index of the encoding that is enough, the smallest picture first.
        temporal: highest temporal layer of use.
        zero_ns: ``CLOCK_MONOTONIC`` when the session's clock was zero.
    """

    tap: int
    spatial: int
    temporal: int
    zero_ns: int


@dataclass(frozen=True, slots=True)
class TappedTrack:
    """A track as analytics know it.

    Attributes:
        role: of its publisher.
        codec: its preferred one; packets say which they are.
    """

    track: Track
    role: str
    codec: str
    clock_rate_hz: int


class TapTarget(Protocol):
    """Who is told of a room's people and tracks. On the event loop's thread; must not raise.

    Nobody learns of participants that are hidden.
    """

    def participant_joined(self, participant_id: str, role: str) -> None:
        """Somebody is in the room; told before any track of theirs."""

    def participant_left(self, participant_id: str) -> None:
        """Somebody is gone; their tracks have ended before."""

    def track_started(self, track: TappedTrack) -> None:
        """There is a track."""

    def track_muted(self, track_id: str, muted: bool) -> None:
        """It brings nothing for now, or does so again."""

    def track_ended(self, track_id: str) -> None:
        """There is none any more; its tap is closed."""

    def finished(self) -> None:
        """The room is closed, or its taps were ended."""


@dataclass(slots=True)
class _Tap:
    number: int
    height: int | None


class RoomTaps:
    """The taps of one room.

    Args:
        zero_ns: ``CLOCK_MONOTONIC`` when the clock of the session was zero.
    """

    def __init__(
        self, port: EnginePort, registry: "Registry", target: TapTarget, zero_ns: int
    ) -> None:
        self._port = port
        self._registry = registry
        self._target = target
        self._zero_ns = zero_ns
        self._publications: dict[str, Publication] = {}
        self._open: dict[str, _Tap] = {}
        self._stopped = False

    def joined(self, participant: "Participant") -> None:
        """Somebody is in the room."""
        grant = participant.grant
        if not grant.hidden:
            self._target.participant_joined(participant.participant_id, grant.role.value)

    def left(self, participant: "Participant") -> None:
        """Somebody is gone."""
        if not participant.grant.hidden:
            self._target.participant_left(participant.participant_id)

    def bring(self, publication: "Publication") -> None:
        """A producer brings a track, for the first time or again."""
        track = publication.track
        is_new = track.track_id not in self._publications
        self._publications[track.track_id] = publication
        if not is_new:
            self.fit(publication)
            return
        first = publication.settings.formats[0]
        role = publication.owner.grant.role.value
        self._target.track_started(TappedTrack(track, role, first.codec, first.clock_rate_hz))
        if track.muted:
            self._target.track_muted(track.track_id, True)

    def muted(self, track: Track) -> None:
        """A track was muted, or is no longer."""
        if track.track_id in self._publications:
            self._target.track_muted(track.track_id, track.muted)

    def end(self, track_id: str) -> None:
        """A track is no longer published."""
        self._open.pop(track_id, None)
        if self._publications.pop(track_id, None) is not None:
            self._target.track_ended(track_id)

    def open(self, track_id: str, height: int | None = None) -> int | None:
        """Taps a track, or changes what is tapped of it.

        Args:
            track_id: the track.
            height: of the picture that is enough, in pixels, of its lowest temporal layer;
                ``None``: sound, or the largest picture with all its frames.

        Returns:
            The number its packets carry; ``None`` where there is no such track.
        """
        publication = self._publications.get(track_id)
        if publication is None or self._stopped:
            return None
        tap = self._open.get(track_id)
        if tap is None:
            tap = self._open[track_id] = _Tap(self._registry.new_id(), height)
        tap.height = height
        self.fit(publication)
        return tap.number

    def close(self, track_id: str) -> None:
        """Hands out nothing more of a track; nothing happens where that is so."""
        publication = self._publications.get(track_id)
        if self._open.pop(track_id, None) is not None and publication is not None:
            self._port.set_tap(publication.producer_id, None)

    def refresh(self, track_id: str) -> None:
        """A decoder can't go on without a keyframe; how often one is asked for, the plane says."""
        publication = self._publications.get(track_id)
        if track_id in self._open and publication is not None:
            self._port.request_keyframe(publication.producer_id)

    def fit(self, publication: "Publication") -> None:
        """Tells the plane what is enough; sizes or the producer may be others than before."""
        tap = self._open.get(publication.track.track_id)
        if tap is None:
            return
        spatial, temporal = _layer(publication, tap.height)
        wish = TapWish(tap.number, spatial, temporal, self._zero_ns)
        self._port.set_tap(publication.producer_id, wish)

    def stop(self) -> None:
        """Ends all taps."""
        if self._stopped:
            return
        self._stopped = True
        for track_id in list(self._open):
            self.close(track_id)
        self._publications.clear()
        self._target.finished()


def _layer(publication: "Publication", height: int | None) -> tuple[int, int]:
    if publication.track.kind is Kind.AUDIO:
        return 0, ALL_TEMPORAL
    if height is None:
        return max(0, len(publication.settings.rids) - 1), ALL_TEMPORAL
    size = Size(max(1, round(height * _ASPECT)), max(1, height))
    return spatial_for(size, publication.sizes) or 0, 0
