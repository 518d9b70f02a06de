"""RTP headers."""

from dataclasses import dataclass
from struct import Struct

from rtp.errors import PacketError

__all__ = ["RtpPacket", "parse_rtp"]

_FIXED = Struct("!BBHII")
_EXTENSION = Struct("!HH")


@dataclass(frozen=True, slots=True)
class RtpPacket:
    """One packet: what the header says, and the payload without padding."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes


def parse_rtp(data: bytes) -> RtpPacket:
    """Reads one packet; contributing sources and header extensions are passed over.

    Raises:
        PacketError: the bytes are no RTP packet, or its lengths contradict each other.

    Spec: RFC 3550, sections 5.1 and 5.3.1.
    """
    if len(data) < _FIXED.size:
        raise PacketError(f"an RTP header has 12 bytes, here are {len(data)}")
    first, second, sequence, timestamp, ssrc = _FIXED.unpack_from(data)
    if first >> 6 != 2:
        raise PacketError(f"RTP version {first >> 6}, known is 2")
    start = _FIXED.size + 4 * (first & 0x0F)
    if first & 0x10:
        if len(data) < start + _EXTENSION.size:
            raise PacketError("the header ends within its extension")
        start += _EXTENSION.size + 4 * _EXTENSION.unpack_from(data, start)[1]
    end = len(data)
    if first & 0x20 and end:
        padding = data[-1]
        if padding == 0:
            raise PacketError("padding of length 0")
        end -= padding
    if start > end:
        raise PacketError("header and padding are longer than the packet")
    return RtpPacket(
        second & 0x7F, bool(second & 0x80), sequence, timestamp, ssrc, bytes(data[start:end])
    )
