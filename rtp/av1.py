"""AV1 payloads."""

from rtp.errors import PacketError
from rtp.frame import Payload

__all__ = ["Av1"]

_CONTINUES, _CONTINUED, _NEW_SEQUENCE = 0x80, 0x40, 0x08
_TEMPORAL_DELIMITER, _TILE_LIST, _SEQUENCE_HEADER = 2, 8, 1
_DELIMITER = b"\x12\x00"


class Av1:
    """RTP payload format for AV1, version 1.0. Frames come as temporal units with sizes."""

    def begins(self, payload: bytes) -> bool:
        """Only the start of a coded video sequence is certain."""
        if not payload:
            raise PacketError("an empty AV1 payload")
        return bool(payload[0] & _NEW_SEQUENCE) and not payload[0] & _CONTINUES

    def build(self, payloads: list[bytes]) -> Payload:
        """A temporal unit: a delimiter, then every OBU with its size."""
        open_obu: bytearray | None = None
        obus: list[bytes] = []
        for payload in payloads:
            header, elements = _elements(payload)
            if bool(header & _CONTINUES) != (open_obu is not None):
                raise PacketError("an AV1 fragment without its start or its end")
            for index, element in enumerate(elements):
                whole = element if open_obu is None else open_obu + element
                open_obu = None
                if index == len(elements) - 1 and header & _CONTINUED:
                    open_obu = bytearray(whole)
                else:
                    obus.append(bytes(whole))
        if open_obu is not None:
            raise PacketError("an AV1 fragment without its end")
        units = [unit for unit in map(_with_size, obus) if unit]
        keyframe = bool(payloads[0][0] & _NEW_SEQUENCE)
        if keyframe and not any(unit[0] >> 3 & 15 == _SEQUENCE_HEADER for unit in units):
            raise PacketError("an AV1 sequence without its header")
        if not units:
            raise PacketError("an AV1 payload without OBUs")
        return Payload(_DELIMITER + b"".join(units), keyframe)


def _elements(payload: bytes) -> tuple[int, list[bytes]]:
    """Aggregation header and OBU elements (section 4.4)."""
    if len(payload) < 2:
        raise PacketError("an AV1 payload without content")
    header = payload[0]
    if header & 0x07:
        raise PacketError("reserved bits of an AV1 aggregation header are set")
    if header & _CONTINUES and header & _NEW_SEQUENCE:
        raise PacketError("an AV1 sequence that begins within a fragment")
    count, at = header >> 4 & 3, 1
    elements: list[bytes] = []
    while at < len(payload):
        if count and len(elements) == count - 1:
            size = len(payload) - at
        else:
            size, at = _leb128(payload, at)
        if size == 0 or at + size > len(payload):
            raise PacketError("an AV1 element that is empty or longer than its packet")
        elements.append(payload[at : at + size])
        at += size
    if count and len(elements) != count:
        raise PacketError(f"an AV1 packet of {len(elements)} elements that names {count}")
    return header, elements


def _leb128(data: bytes, at: int) -> tuple[int, int]:
    """A number in groups of 7 bits, lowest first, and where it ends."""
    value = 0
    for index in range(5):
        if at + index >= len(data):
            break
        value |= (data[at + index] & 0x7F) << (7 * index)
        if not data[at + index] & 0x80:
            return value, at + index + 1
    raise PacketError("an AV1 size that does not end")


def _write_leb128(value: int) -> bytes:
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _with_size(obu: bytes) -> bytes:
    """The OBU with its size in it; empty for kinds that do not belong into RTP."""
    first = obu[0]
    if first & 0x81:
        raise PacketError("forbidden or reserved bits of an AV1 OBU are set")
    head = 2 if first & 0x04 else 1
    if len(obu) < head:
        raise PacketError("an AV1 OBU ends within its header")
    body = obu[head:]
    if first & 0x02:
        size, start = _leb128(obu, head)
        body = obu[start : start + size]
        if len(body) != size:
            raise PacketError("an AV1 OBU that is shorter than it says")
    if first >> 3 & 15 in {_TEMPORAL_DELIMITER, _TILE_LIST}:
        return b""
    return bytes([first | 0x02]) + obu[1:head] + _write_leb128(len(body)) + body
