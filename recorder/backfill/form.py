"""Frames one after the other: the form of uploads, of backfill files, and of what digests are made.

Each frame is its RTP timestamp and its length, 32 bits each and big-endian, then its bytes. So
the digest that was said during the call is that of a file anyone can make with ``sha256sum``.

Spec: docs/protocol.md, ``digest.batch``.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from struct import Struct
from typing import Final

from recorder.backfill.errors import BodyError

__all__ = ["MAX_BYTES", "MAX_FRAMES", "Frame", "digest_of", "pack", "unpack"]

MAX_BYTES: Final = 8 * 1024 * 1024
"""Of a body."""

MAX_FRAMES: Final = 10_000

_HEADER: Final = Struct("!II")
_HALF: Final = 1 << 31
_WORD: Final = 1 << 32


@dataclass(frozen=True, slots=True)
class Frame:
    """A sent frame: its RTP timestamp, 32 bits, and its bytes."""

    timestamp: int
    data: bytes


def pack(frames: Iterable[Frame]) -> bytes:
    """The frames in this form."""
    out = bytearray()
    for frame in frames:
        out += _HEADER.pack(frame.timestamp, len(frame.data)) + frame.data
    return bytes(out)


def unpack(body: bytes) -> list[Frame]:
    """Reads a body.

    Raises:
        BodyError: cut off, too long, a frame is empty, or timestamps don't rise.
    """
    if len(body) > MAX_BYTES:
        raise BodyError("{bytes} bytes are more than a chunk may have", bytes=len(body))
    return list(_frames(body))


def _frames(body: bytes) -> Iterator[Frame]:
    at = count = 0
    last: int | None = None
    while at < len(body):
        if at + _HEADER.size > len(body):
            raise BodyError("the body ends within the header of frame {index}", index=count)
        timestamp, size = _HEADER.unpack_from(body, at)
        at += _HEADER.size
        if size == 0:
            raise BodyError("frame {index} is empty", index=count)
        if at + size > len(body):
            raise BodyError("the body ends within frame {index}", index=count)
        if last is not None and not 0 < (timestamp - last) % _WORD < _HALF:
            raise BodyError("frame {index} is not later than the one before", index=count)
        if count >= MAX_FRAMES:
            raise BodyError("more than {limit} frames", limit=MAX_FRAMES)
        yield Frame(timestamp, body[at : at + size])
        last = timestamp
        count += 1
        at += size


def digest_of(frames: Iterable[Frame]) -> str:
    """SHA-256 of the frames in this form, hexadecimal."""
    made = hashlib.sha256()
    for frame in frames:
        made.update(_HEADER.pack(frame.timestamp, len(frame.data)))
        made.update(frame.data)
    return made.hexdigest()
