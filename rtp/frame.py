"""What comes out of depacketisation."""

from dataclasses import dataclass
from typing import Protocol

__all__ = ["EncodedFrame", "Payload", "PayloadFormat"]


@dataclass(frozen=True, slots=True)
class Payload:
    """A frame as its payload format describes it.

    Attributes:
        data: what a decoder takes.
        keyframe: needs no other frame.
        base_index: number of the last frame of the lowest temporal layer, modulo 256; ``None``
            where the format or the sender says nothing of temporal layers.
        layer: temporal layer, 0 is the lowest.
        layer_sync: refers to the lowest layer only.
    """

    data: bytes
    keyframe: bool
    base_index: int | None = None
    layer: int = 0
    layer_sync: bool = False


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One whole picture, or one packet of sound.

    Attributes:
        ssrc: stream it came in.
        timestamp: RTP timestamp, 32 bits.
        arrival_us: when its first packet arrived, on the session clock.
        decodable: everything it refers to is there.
        after_loss: packets before it are missing or were unreadable.
    """

    ssrc: int
    timestamp: int
    arrival_us: int
    data: bytes
    keyframe: bool
    decodable: bool
    after_loss: bool


class PayloadFormat(Protocol):
    """How frames of one codec lie in RTP payloads. Functions of the bytes alone."""

    def begins(self, payload: bytes) -> bool:
        """Whether a frame certainly starts with this payload.

        Raises:
            PacketError: the payload breaks its format.
        """

    def build(self, payloads: list[bytes]) -> Payload:
        """The frame made of all its payloads, in order.

        Raises:
            PacketError: they break their format, or are not all of one frame.
        """
