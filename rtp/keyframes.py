"""Whether a frame needs no other one, told by its bytes alone."""

__all__ = ["is_keyframe"]

_IDR = 5
_SEQUENCE_HEADER = 1


def is_keyframe(codec: str, data: bytes) -> bool:
    """Looks at the first bits of a frame; at the kinds of its units for H.264 and AV1.

    Spec: RFC 6386, section 9.1; VP9 bitstream, section 6.2; H.264, section 7.4.1; AV1, section 5.3.
    """
    match codec:
        case "opus":
            return True
        case "vp8":
            return bool(data) and not data[0] & 1
        case "vp9":
            return bool(data) and not data[0] & 0b1100
        case "h264":
            return any(unit[0] & 0x1F == _IDR for unit in data.split(b"\0\0\1") if unit)
        case _:
            return _has_sequence_header(data)


def _has_sequence_header(data: bytes) -> bool:
    at = 0
    while at < len(data) and data[at] & 2:
        if data[at] >> 3 & 15 == _SEQUENCE_HEADER:
            return True
        at += 2 if data[at] & 4 else 1
        size = shift = 0
        while at < len(data):
            size |= (data[at] & 0x7F) << shift
            shift += 7
            at += 1
            if not data[at - 1] & 0x80:
                break
        at += size
    return False
