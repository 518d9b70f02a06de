"""VP8 payloads."""

from dataclasses import dataclass

from rtp.errors import PacketError
from rtp.frame import Payload

__all__ = ["Vp8", "Vp8Descriptor", "parse_descriptor"]


@dataclass(frozen=True, slots=True)
class Vp8Descriptor:
    """What stands before the bytes of a VP8 frame, and how long it is."""

    size: int
    start: bool
    base_index: int | None
    layer: int
    layer_sync: bool


def parse_descriptor(payload: bytes) -> Vp8Descriptor:
    """Reads a payload descriptor.

    Raises:
        PacketError: it is cut short, or no byte of the frame follows.

    Spec: RFC 7741, section 4.2.
    """
    try:
        first = payload[0]
        at, base_index, layer, layer_sync = 1, None, 0, False
        if first & 0x80:
            present = payload[1]
            at = 2
            if present & 0x80:
                at += 2 if payload[at] & 0x80 else 1
            if present & 0x40:
                base_index = payload[at]
                at += 1
            if present & 0x30:
                if present & 0x20:
                    layer, layer_sync = payload[at] >> 6, bool(payload[at] & 0x20)
                at += 1
    except IndexError:
        raise PacketError("a VP8 payload ends within its descriptor") from None
    if at >= len(payload):
        raise PacketError("a VP8 payload without a byte of the frame")
    return Vp8Descriptor(at, bool(first & 0x10) and not first & 0x07, base_index, layer, layer_sync)


class Vp8:
    """RFC 7741."""

    def begins(self, payload: bytes) -> bool:
        """Whether the first partition starts here."""
        return parse_descriptor(payload).start

    def build(self, payloads: list[bytes]) -> Payload:
        """Partitions in order."""
        descriptors = [parse_descriptor(payload) for payload in payloads]
        if not descriptors[0].start:
            raise PacketError("a VP8 frame without its first partition")
        if any(descriptor.start for descriptor in descriptors[1:]):
            raise PacketError("two VP8 frames with one timestamp")
        data = b"".join(p[d.size :] for p, d in zip(payloads, descriptors, strict=True))
        keyframe = not data[0] & 1
        if keyframe and (len(data) < 10 or data[3:6] != b"\x9d\x01\x2a"):
            raise PacketError("a VP8 keyframe without its start code")
        head = descriptors[0]
        return Payload(data, keyframe, head.base_index, head.layer, head.layer_sync)
