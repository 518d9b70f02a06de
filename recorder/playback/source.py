"""What is read of a captured track, whatever holds it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from recorder.playback.clock import SenderReport
from recorder.playback.uploads import Uploads

__all__ = ["CapturedPacket", "Item", "TrackInfo", "TrackSource"]


@dataclass(frozen=True, slots=True)
class TrackInfo:
    """What ``track.json`` says of a track.

    Attributes:
        participant: id of who published it; tracks of one participant share a clock.
        name: how the participant is shown, the id where no name is known.
        kind: ``audio`` or ``video``.
        is_document: a shared screen or document instead of a camera.
        codec: in lower case, a key of :data:`rtp.assembly.FORMATS`.
        formats: codecs by payload type, where several were agreed on: the one that most packets
            are of is the track's.
        payload_types: packets of others are passed over; empty: none is.
    """

    track: str
    participant: str
    name: str
    role: str
    kind: str
    codec: str
    clock_rate: int
    is_document: bool = False
    formats: Mapping[int, str] = field(default_factory=dict)
    payload_types: frozenset[int] = field(default_factory=frozenset)


@dataclass(frozen=True, slots=True)
class CapturedPacket:
    """An RTP packet and when it arrived, µs on the session clock."""

    arrival_us: int
    data: bytes


Item = CapturedPacket | SenderReport


class TrackSource(Protocol):
    """A captured track."""

    @property
    def info(self) -> TrackInfo:
        """What kind of track it is."""

    @property
    def uploads(self) -> Uploads:
        """What was uploaded later."""

    def read(self) -> Iterator[Item]:
        """All of it in order of arrival, from the start at every call.

        Raises:
            RecorderError: a file can't be read, or is not what was written.
        """
