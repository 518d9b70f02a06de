"""VP9 payloads."""

from dataclasses import dataclass

from rtp.errors import PacketError
from rtp.frame import Payload

__all__ = ["Vp9", "Vp9Descriptor", "parse_descriptor"]

_MAX_SUPERFRAME = 8


@dataclass(frozen=True, slots=True)
class Vp9Descriptor:
    """What stands before the bytes of a VP9 layer frame, and how long it is."""

    size: int
    start: bool
    end: bool
    predicted: bool
    base_index: int | None
    layer: int
    switching_point: bool
    spatial: int


class _Reader:
    def __init__(self, data: bytes) -> None:
        self._data = data
        self.at = 0

    def byte(self) -> int:
        if self.at >= len(self._data):
            raise PacketError("a VP9 payload ends within its descriptor")
        self.at += 1
        return self._data[self.at - 1]


def parse_descriptor(payload: bytes) -> Vp9Descriptor:
    """Reads a payload descriptor.

    Raises:
        PacketError: it is cut short, or no byte of the frame follows.

    Spec: RFC 9628, section 4.2.
    """
    reader = _Reader(payload)
    first = reader.byte()
    predicted, flexible = bool(first & 0x40), bool(first & 0x10)
    base_index, layer, switching, spatial = None, 0, False, 0
    if first & 0x80 and reader.byte() & 0x80:
        reader.byte()
    if first & 0x20:
        indices = reader.byte()
        layer, switching, spatial = indices >> 5, bool(indices & 0x10), indices >> 1 & 7
        if not flexible:
            base_index = reader.byte()
    if flexible and predicted:
        references = 1
        while reader.byte() & 1:
            references += 1
            if references > 3:
                raise PacketError("a VP9 frame with more than three references")
    if first & 0x02:
        _skip_structure(reader)
    if reader.at >= len(payload):
        raise PacketError("a VP9 payload without a byte of the frame")
    return Vp9Descriptor(
        size=reader.at,
        start=bool(first & 0x08),
        end=bool(first & 0x04),
        predicted=predicted,
        base_index=base_index,
        layer=layer,
        switching_point=switching,
        spatial=spatial,
    )


def _skip_structure(reader: _Reader) -> None:
    """Section 4.2.1, the scalability structure."""
    head = reader.byte()
    if head & 0x10:
        for _ in range(4 * ((head >> 5) + 1)):
            reader.byte()
    if head & 0x08:
        for _ in range(reader.byte()):
            for _ in range(reader.byte() >> 2 & 3):
                reader.byte()


class Vp9:
    """RFC 9628. Spatial layers of one picture become one superframe."""

    def begins(self, payload: bytes) -> bool:
        """Whether the lowest spatial layer starts here."""
        descriptor = parse_descriptor(payload)
        return descriptor.start and descriptor.spatial == 0

    def build(self, payloads: list[bytes]) -> Payload:
        """Layer frames in order, with an index if there are several."""
        descriptors = [parse_descriptor(payload) for payload in payloads]
        frames: list[bytearray] = []
        ended = True
        for payload, descriptor in zip(payloads, descriptors, strict=True):
            if descriptor.start != ended:
                raise PacketError("a VP9 layer frame without its start or its end")
            if descriptor.start:
                frames.append(bytearray())
            frames[-1] += payload[descriptor.size :]
            ended = descriptor.end
        if not ended:
            raise PacketError("a VP9 layer frame without its end")
        head = descriptors[0]
        return Payload(
            _superframe(frames),
            keyframe=not head.predicted,
            base_index=head.base_index,
            layer=head.layer,
            layer_sync=head.switching_point,
        )


def _superframe(frames: list[bytearray]) -> bytes:
    """Spec: VP9 bitstream specification, annex B."""
    if len(frames) == 1:
        return bytes(frames[0])
    if len(frames) > _MAX_SUPERFRAME:
        raise PacketError(f"a VP9 picture of {len(frames)} layer frames")
    width = (max(map(len, frames)).bit_length() + 7) // 8
    marker = bytes([0xC0 | (width - 1) << 3 | (len(frames) - 1)])
    sizes = b"".join(len(frame).to_bytes(width, "little") for frame in frames)
    return b"".join([*frames, marker, sizes, marker])
