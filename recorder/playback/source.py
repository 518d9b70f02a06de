"""What is read of a captured track, whatever holds it."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from recorder.errors import RecorderError
from recorder.playback.clock import SenderReport
from recorder.playback.uploads import Uploads

__all__ = ["CapturedPacket", "Damage", "Item", "TrackInfo", "TrackSource"]


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


@dataclass(frozen=True, slots=True)
class Damage:
    """Part of a track that was captured or uploaded and can't be read any more.

    Attributes:
        file: in the session's directory.
        from_us, to_us: when it was sent, session clock; as long as its file at most.
        why: what was found.
    """

    track: str
    file: str
    from_us: int
    to_us: int
    why: RecorderError


class TrackSource(Protocol):
    """A captured track."""

    @property
    def info(self) -> TrackInfo:
        """What kind of track it is."""

    @property
    def uploads(self) -> Uploads:
        """What was uploaded later."""

    @property
    def damage(self) -> Sequence[Damage]:
        """What could not be read so far: all of it after one reading to the end."""

    def read(self) -> Iterator[Item]:
        """All of it that can be read, in order of arrival, from the start at every call.

        Raises:
            RecorderError: a file is encrypted with another key, or not this track's.
            OSError: a file can't be read.
        """
