"""Messages of the tap socket."""

from dataclasses import dataclass
from struct import Struct
from typing import Final

from analytics.errors import HostError

__all__ = ["CODECS", "MAX_MESSAGE_BYTES", "TapFormatError", "TapPacket", "parse_message"]

MAX_MESSAGE_BYTES: Final = 65_536
CODECS: Final = ("opus", "vp8", "vp9", "h264", "av1")

_HEAD: Final = Struct("<HBBBBHIIQQQ")
_VERSION: Final = 1
_UNSAID: Final = 255


class TapFormatError(HostError):
    """Bytes from the tap socket that are no message."""


@dataclass(frozen=True, slots=True)
class TapPacket:
    """A packet of a tapped track.

    Attributes:
        encoding: index, the smallest picture first.
        instance: tells streams apart that had the encoding's place one after the other.
        number: sequence number that doesn't wrap.
        rotation: quarter turns clockwise; ``None``: the packet doesn't say.
        at_us: arrival, µs on the session clock.
        data: the RTP packet; empty: the number was left out on purpose, or brought nothing.
    """

    tap: int
    codec: str
    encoding: int
    instance: int
    number: int
    rotation: int | None
    at_us: int
    data: bytes


def parse_message(message: bytes) -> list[TapPacket]:
    """Takes a message apart.

    Raises:
        TapFormatError: it is none; nothing of it can be used.
    """
    if len(message) > MAX_MESSAGE_BYTES:
        raise TapFormatError("a message of {size} bytes is too long", size=len(message))
    packets = []
    at = 0
    while at < len(message):
        if len(message) - at < _HEAD.size:
            raise TapFormatError("a message ends within the head of a record, at byte {at}", at=at)
        length, version, codec, encoding, turns, zero, instance, zero_too, tap, number, at_us = (
            _HEAD.unpack_from(message, at)
        )
        if version != _VERSION:
            raise TapFormatError("a record of version {version}", version=version)
        if codec >= len(CODECS):
            raise TapFormatError("a record of codec {codec}", codec=codec)
        if turns > 3 and turns != _UNSAID:
            raise TapFormatError("a record with {turns} quarter turns", turns=turns)
        if zero or zero_too:
            raise TapFormatError("a record whose reserved bytes are not zero")
        at += _HEAD.size
        data = message[at : at + length]
        if len(data) < length:
            raise TapFormatError("a record is longer than its message, at byte {at}", at=at)
        at += length
        rotation = None if turns == _UNSAID else turns
        name = CODECS[codec]
        packets.append(TapPacket(tap, name, encoding, instance, number, rotation, at_us, data))
    return packets
