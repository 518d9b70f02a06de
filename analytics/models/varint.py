"""Numbers of Protocol Buffers: seven bits a byte, the least first."""

__all__ = ["varint"]


def varint(value: int) -> bytes:
    """A number that is not negative, as it is written."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
