"""Opus: a packet is a frame of sound."""

from rtp.errors import PacketError
from rtp.frame import Payload

__all__ = ["Opus", "duration_ticks"]

_MAX_TICKS = 5_760  # 120 ms at 48 kHz
_SILK_TICKS = (480, 960, 1_920, 2_880)
_CELT_TICKS = (120, 240, 480, 960)


def duration_ticks(packet: bytes) -> int:
    """Length of a packet in ticks of 1/48,000 s.

    Raises:
        PacketError: empty, without frames, or longer than 120 ms.

    Spec: RFC 6716, section 3.
    """
    if not packet:
        raise PacketError("an empty Opus packet")
    configuration = packet[0] >> 3
    if configuration < 12:
        ticks = _SILK_TICKS[configuration % 4]
    elif configuration < 16:
        ticks = 480 if configuration % 2 == 0 else 960
    else:
        ticks = _CELT_TICKS[configuration % 4]
    match packet[0] & 3:
        case 0:
            frames = 1
        case 1 | 2:
            frames = 2
        case _:
            if len(packet) < 2:
                raise PacketError("an Opus packet ends before its frame count")
            frames = packet[1] & 0x3F
    if frames == 0 or frames * ticks > _MAX_TICKS:
        raise PacketError(f"an Opus packet of {frames} frames, {frames * ticks / 48:.1f} ms")
    return frames * ticks


class Opus:
    """RFC 7587, section 4.2."""

    def begins(self, payload: bytes) -> bool:
        """Every packet does."""
        return bool(payload)

    def build(self, payloads: list[bytes]) -> Payload:
        """The packet itself."""
        if len(payloads) != 1:
            raise PacketError(f"{len(payloads)} Opus packets with one timestamp")
        duration_ticks(payloads[0])
        return Payload(payloads[0], keyframe=True)
