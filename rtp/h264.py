"""H.264 payloads."""

from collections.abc import Iterator

from rtp.errors import PacketError
from rtp.frame import Payload

__all__ = ["H264"]

_START_CODE = b"\x00\x00\x00\x01"
_SLICE, _IDR, _SEI, _SPS, _PPS, _AUD = 1, 5, 6, 7, 8, 9
_STAP_A, _FU_A = 24, 28


class H264:
    """RFC 6184: single NAL units, STAP-A and FU-A (packetization modes 0 and 1)."""

    def begins(self, payload: bytes) -> bool:
        """Whether parameter sets, or a slice of the first macroblock, stand first."""
        if not payload:
            raise PacketError("an empty H.264 payload")
        kind = payload[0] & 0x1F
        if kind == _STAP_A:
            return self.begins(next(_aggregated(payload)))
        if kind == _FU_A:
            header, body = _fragment(payload)
            return bool(header & 0x80) and _is_first(header & 0x1F, body)
        return _is_first(kind, payload[1:])

    def build(self, payloads: list[bytes]) -> Payload:
        """All NAL units, each with a start code before it (Annex B)."""
        out = bytearray()
        kinds: set[int] = set()
        fragment: bytearray | None = None
        for payload in payloads:
            kind = payload[0] & 0x1F if payload else 0
            if fragment is not None and kind != _FU_A:
                raise PacketError("a fragmented H.264 unit without its end")
            if kind == _FU_A:
                fragment = _add_fragment(fragment, payload)
                if _fragment(payload)[0] & 0x40:
                    kinds.add(fragment[0] & 0x1F)
                    out += _START_CODE + fragment
                    fragment = None
                continue
            units = [payload] if 1 <= kind <= 23 else _aggregated(payload)
            for unit in units:
                kinds.add(unit[0] & 0x1F)
                out += _START_CODE + unit
        if fragment is not None:
            raise PacketError("a fragmented H.264 unit without its end")
        return Payload(bytes(out), keyframe=_IDR in kinds)


def _add_fragment(fragment: bytearray | None, payload: bytes) -> bytearray:
    header, body = _fragment(payload)
    if header & 0x80:
        if fragment is not None:
            raise PacketError("a fragmented H.264 unit begins within another")
        return bytearray([payload[0] & 0xE0 | header & 0x1F]) + body
    if fragment is None:
        raise PacketError("a fragmented H.264 unit without its start")
    fragment += body
    return fragment


def _fragment(payload: bytes) -> tuple[int, bytes]:
    """Header and bytes of a FU-A (RFC 6184, section 5.8)."""
    if len(payload) < 3:
        raise PacketError("an H.264 fragment without content")
    if payload[1] & 0xC0 == 0xC0:
        raise PacketError("an H.264 fragment that is start and end at once")
    return payload[1], payload[2:]


def _aggregated(payload: bytes) -> Iterator[bytes]:
    """Units of a STAP-A (RFC 6184, section 5.7.1)."""
    kind = payload[0] & 0x1F if payload else 0
    if kind != _STAP_A:
        raise PacketError(f"H.264 payload of type {kind}; known are 1 to 24 and 28")
    at = 1
    while True:
        size = int.from_bytes(payload[at : at + 2], "big")
        unit = payload[at + 2 : at + 2 + size]
        if size == 0 or len(unit) < size or not 1 <= unit[0] & 0x1F <= 23:
            raise PacketError("an aggregated H.264 unit that is empty, cut short or no unit")
        yield unit
        at += 2 + size
        if at == len(payload):
            return


def _is_first(kind: int, body: bytes) -> bool:
    """``first_mb_in_slice`` is an Exp-Golomb number: 0 is a single set bit."""
    if kind in {_SLICE, _IDR}:
        return bool(body) and bool(body[0] & 0x80)
    return kind in {_SEI, _SPS, _PPS, _AUD}
