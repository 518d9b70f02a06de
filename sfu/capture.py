"""Recording a room: which producer brings which track to which files.

What a recording is and where it lies is decided elsewhere (:class:`CaptureTarget`); the plane
writes the files. This module keeps the two together while tracks come, go and come back.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from sfu.model import Track
from sfu.plane import EnginePort

if TYPE_CHECKING:
    from sfu._media import Event
    from sfu.registry import Registry
    from sfu.subscription import Publication

__all__ = ["CaptureFiles", "CaptureTarget", "CapturedFormat", "CapturedTrack", "RoomCapture"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class CapturedFormat:
    """What a payload type of a recorded track means."""

    codec: str
    payload_type: int
    clock_rate: int
    fmtp: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class CapturedTrack:
    """A track as its recording describes it.

    Attributes:
        formats: in order of preference; which of them is used shows in the packets.
        rids: of its simulcast streams, the smallest picture first; empty without simulcast.
        ssrc: where the offer named it.
    """

    track: Track
    role: str
    name: str
    formats: tuple[CapturedFormat, ...]
    rids: tuple[str, ...]
    ssrc: int | None


@dataclass(frozen=True, slots=True)
class CaptureFiles:
    """Where a track is written.

    Attributes:
        directory: this track's own; made when it is missing, in a session that is there.
        name: of the interface in the files.
        description: of the same, for people.
        about: JSON, part of every file.
        zero_ns: ``CLOCK_MONOTONIC`` when the session's clock was zero.
        wall_us: the wall clock then, µs since 1970.
        first_segment: number of the first file.
    """

    directory: Path
    name: str
    description: str
    about: str
    zero_ns: int
    wall_us: int
    first_segment: int = 1


class CaptureTarget(Protocol):
    """The recording of one session. Called on the event loop's thread; must not raise or block."""

    def open_track(self, track: CapturedTrack) -> CaptureFiles | None:
        """Where a track is to be written; ``None``: it is not recorded."""

    def track_changed(self, track: CapturedTrack) -> None:
        """Another producer brings a track that was opened, and it is described otherwise."""

    def on_event(self, track_id: str, event: "Event") -> None:
        """Takes one of the ``Event.Capture…`` of a track."""

    def finished(self) -> None:
        """The room is recorded no longer, and all events were told."""


class RoomCapture:
    """The recording of one room, from its start to its end."""

    def __init__(self, port: EnginePort, registry: "Registry", target: CaptureTarget) -> None:
        self._port = port
        self._registry = registry
        self._target = target
        self._captures: dict[str, int] = {}
        self._described: dict[str, CapturedTrack] = {}
        self._open: dict[int, str] = {}
        self._paused = False
        self._stopped = False

    @property
    def paused(self) -> bool:
        """Whether nothing is taken for now."""
        return self._paused

    def bring(self, publication: "Publication") -> None:
        """A producer brings a track, for the first time or again."""
        if self._stopped:
            return
        track_id = publication.track.track_id
        capture = self._captures.get(track_id)
        described = _described(publication)
        if capture is None:
            capture = self._announce(described)
        elif described != self._described[track_id]:
            self._target.track_changed(described)
        if capture is None:
            return
        self._described[track_id] = described
        self._port.set_capture(publication.producer_id, capture)
        if self._paused:
            self._port.pause_capture(publication.producer_id, True)

    def end(self, track_id: str) -> None:
        """A track is no longer published."""
        capture = self._captures.pop(track_id, None)
        self._described.pop(track_id, None)
        if capture is not None:
            self._port.close_capture(capture)

    def pause(self, publications: "Mapping[str, Publication]", paused: bool) -> None:
        """Takes nothing until told otherwise; what is between is a declared gap."""
        if self._stopped or paused == self._paused:
            return
        self._paused = paused
        for track_id, publication in publications.items():
            if track_id in self._captures:
                self._port.pause_capture(publication.producer_id, paused)

    def stop(self, publications: "Mapping[str, Publication]") -> None:
        """Ends the recording; its last events come a moment later."""
        if self._stopped:
            return
        self._stopped = True
        for track_id, capture in self._captures.items():
            publication = publications.get(track_id)
            if publication is not None:
                self._port.set_capture(publication.producer_id, None)
            self._port.close_capture(capture)
        self._captures.clear()
        self._finish_if_done()

    def abandon(self) -> None:
        """The engine is gone with all that it had to tell."""
        self._stopped = True
        self._captures.clear()
        for capture in self._open:
            self._registry.captures.pop(capture, None)
        self._open.clear()
        self._target.finished()

    def on_event(self, capture: int, event: "Event") -> None:
        """Takes an event of one of its tracks."""
        track_id = self._open.get(capture)
        if track_id is None:
            return
        self._target.on_event(track_id, event)
        if type(event).__name__.rpartition("_")[2] == "CaptureClosed":
            del self._open[capture]
            self._registry.captures.pop(capture, None)
            self._finish_if_done()

    def _announce(self, described: CapturedTrack) -> int | None:
        files = self._target.open_track(described)
        if files is None:
            return None
        capture = self._registry.new_id()
        self._port.open_capture(capture, files)
        self._captures[described.track.track_id] = capture
        self._open[capture] = described.track.track_id
        self._registry.captures[capture] = self
        return capture

    def _finish_if_done(self) -> None:
        if self._stopped and not self._open:
            self._target.finished()


def _described(publication: "Publication") -> CapturedTrack:
    settings, owner = publication.settings, publication.owner
    formats = tuple(
        CapturedFormat(item.codec, item.payload_type, item.clock_rate_hz, dict(item.parameters))
        for item in settings.formats
    )
    return CapturedTrack(
        publication.track,
        owner.grant.role.value,
        owner.name,
        formats,
        settings.rids,
        settings.ssrcs[0],
    )
