"""Texts that are sent compressed: raw DEFLATE (RFC 1951) of UTF-8, in base64.

An offer of a browser with a few lines has 17 KB, thirteen segments of TCP, and deflated two. Where
half of all packets are lost each segment waits for timers that double. Compression of the whole
WebSocket would cost a quarter of a MiB for each participant all the time.
"""

import zlib
from base64 import b64decode, b64encode

__all__ = ["deflated", "inflated", "inflated_body"]

_RAW = -15
"""No header: RFC 1951 alone, with the largest window."""


def deflated(text: str) -> str:
    """The text as it is sent."""
    packer = zlib.compressobj(level=9, wbits=_RAW)
    return b64encode(packer.compress(text.encode()) + packer.flush()).decode("ascii")


def inflated(packed: str, most: int) -> str:
    """The text that was sent.

    Args:
        packed: base64.
        most: bytes the text may have; more is never made.

    Raises:
        ValueError: it is no base64, no DEFLATE, not complete, no UTF-8, or longer than ``most``.
    """
    return _inflate(b64decode(packed, validate=True), most, _RAW, "raw DEFLATE (RFC 1951)")


def inflated_body(packed: bytes, most: int) -> str:
    """The text of a body in the format of HTTP's ``deflate`` (RFC 1950).

    Args:
        packed: the body.
        most: bytes the text may have; more is never made.

    Raises:
        ValueError: as :func:`inflated`.
    """
    return _inflate(packed, most, zlib.MAX_WBITS, "zlib's format (RFC 1950)")


def _inflate(data: bytes, most: int, wbits: int, name: str) -> str:
    try:
        unpacker = zlib.decompressobj(wbits=wbits)
        text = unpacker.decompress(data, most + 1)
    except zlib.error as error:
        raise ValueError(f"not {name}") from error
    if len(text) > most:
        raise ValueError(f"more than {most} bytes when inflated")
    if not unpacker.eof or unpacker.unused_data:
        raise ValueError("not one complete DEFLATE stream")
    return text.decode("utf-8")
