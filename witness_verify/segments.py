"""Capture files: their packets, and whether those are of the time a segment answers for."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from witness_verify import values
from witness_verify.failure import Failure
from witness_verify.spans import Range, joined, lengths

__all__ = ["Held", "check_times", "held", "packets"]

_MAX_BLOCK = 1 << 20
_MAX_PACKET = 65_535
_MEDIA_PORT = 5_004
_NEAR_US, _SILENCE_US = 100_000, 2_000_000


class Held(NamedTuple):
    """The time a segment answers for, its first and last packet; how many are of other streams."""

    file: str
    low: int
    high: int
    first: int
    last: int
    strange: int = 0


def held(file: str, blocks: Iterable[bytes], told: dict[str, Any], said: set[int]) -> Held:
    """Reads a segment that is not encrypted; fails unless it holds as many packets as was told.

    Args:
        file: its name.
        blocks: its content.
        told: its line of the index.
        said: the streams of its track that devices spoke of, if they spoke of any.
    """
    count, reports, strange, first, last = 0, 0, 0, 1 << 64, 0
    for at_us, packet in packets(blocks):
        if packet is None:
            reports += 1
        else:
            count, first, last = count + 1, min(first, at_us), max(last, at_us)
            strange += bool(said) and int.from_bytes(packet[8:12], "big") not in said
    # Of what a crash left, sender reports are counted too.
    if not count or told.get("packets") not in {count, count + reports}:
        raise Failure("segment", f"{file}: {count} packets")
    span = values.number(told, "from_us"), values.number(told, "to_us")
    return Held(file, *span, first, last, strange)


def check_times(track: list[Held], captured: list[Range], absent: list[Range]) -> None:
    """Fails where packets of a track are not of the time their segment answers for.

    It begins with its first packet and ends less than 2 s after its last one, or borders there on
    another segment, or a declared gap or pause. Of what lies between packets nothing follows:
    silence, or a picture that stands still, is sent in few packets or none. A file of no length
    holds what came during a pause and was sent before it.

    Args:
        track: its segments that are not encrypted.
        captured: times of all its segments.
        absent: its declared gaps, and pauses.
    """
    starts, ends = {low for low, _ in captured}, {high for _, high in captured}
    gaps = joined(absent)
    before = lengths([(one.low - _NEAR_US, one.low + _NEAR_US) for one in track], gaps)
    after = lengths([(one.high - _NEAR_US, one.high + _NEAR_US) for one in track], gaps)
    late = [(min(one.high, one.last), one.last) for one in track]
    for one, left, right, out, told in zip(track, before, after, late, lengths(late, gaps)):
        begins = one.low == one.first or (one.low < one.first and (left or one.low in ends))
        stops = one.high - one.last < _SILENCE_US or right or one.high in starts
        if not (begins and stops and (one.low == one.high or told == out[1] - out[0])):
            raise Failure("segment", f"{one.file}: {one.first} to {one.last} us")


def packets(blocks: Iterable[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Times and packets of a capture file: pcapng, little-endian, IPv4, UDP to the media port.

    What went elsewhere is ``None``; other blocks are passed over, to the first that is none.
    """
    data, at = b"", 0
    for more in blocks:
        data, at = data[at:] + more, 0
        while at + 8 <= len(data):
            kind, size = struct.unpack_from("<II", data, at)
            if size < 12 or size > _MAX_BLOCK:
                return
            if at + size > len(data):
                break
            if kind == 6 and size >= 32:
                high, low, captured = struct.unpack_from("<III", data, at + 12)
                if captured > _MAX_PACKET:
                    raise Failure("device", f"a packet of {captured} bytes")
                packet = data[at + 28 : at + min(28 + captured, size - 4)]
                start = 4 * (packet[0] & 15) if packet else 0
                is_udp = len(packet) >= start + 8 > 27 and packet[0] >> 4 == 4 and packet[9] == 17
                port = packet[start + 2 : start + 4] if is_udp else b""
                is_media = int.from_bytes(port, "big") == _MEDIA_PORT
                yield high << 32 | low, packet[start + 8 :] if is_media else None
            at += size
