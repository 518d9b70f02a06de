"""Chunks held against what is in the package: uploaded frames, and captured packets of Opus."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Callable, Iterable, Iterator

from witness_verify.devices import Chunk
from witness_verify.failure import Failure

__all__ = ["MAX_UPLOAD", "Comparison", "uploaded_frames"]

MAX_UPLOAD = 8 << 20
_MAX_KEPT = 64 << 20
_MAX_TOGETHER = 64
_HEAD = 8  # timestamp and length before each frame


class Comparison:
    """Makes the digests of chunks again, and fails if one is not what was said.

    Frames of a chunk are held until it is whole, and are together not longer than was said. What
    was uploaded of it is read when nothing else lacks. More than 64 MiB are not held: chunks that
    are dropped therefore are never called whole.
    """

    def __init__(
        self,
        chunks: Iterable[Chunk],
        uploads: Callable[[Chunk], Iterable[tuple[int, bytes]]] = lambda _: (),
    ) -> None:
        self._frames: dict[Chunk, dict[int, bytes]] = {one: {} for one in chunks}
        self._room = {one: one.bytes for one in self._frames}
        self._uploads, self._unread = uploads, {one: one for one in self._frames if one.file}
        self._places: dict[tuple[int, int], list[Chunk]] = {}
        for one in self._frames:
            last = one.first + min((one.last - one.first) % 2**32, 2**22)
            for bucket in range(one.first >> 16, (last >> 16) + 1):
                near = self._places.setdefault((one.ssrc, bucket % 2**16), [])
                near.append(one)
                if len(near) > _MAX_TOGETHER:
                    raise Failure("too_large", "chunks at one time")
        self._kept = self._dropped = self.compared = 0

    def packet(self, data: bytes) -> None:
        """A captured RTP packet, RFC 3550, section 5.1."""
        if len(data) < 12:
            return
        timestamp, ssrc = struct.unpack_from("!II", data, 4)
        start, end = 12 + 4 * (data[0] & 15), len(data)
        if data[0] & 16 and start + 4 <= end:
            start += 4 + 4 * int.from_bytes(data[start + 2 : start + 4], "big")
        end -= data[-1] if data[0] & 32 else 0
        if start < end:
            self.frame(ssrc, timestamp, data[start:end])

    def frame(self, ssrc: int, timestamp: int, data: bytes) -> None:
        """A captured frame; of several with one timestamp the first counts."""
        for chunk in self._places.get((ssrc, timestamp >> 16), ()):
            if chunk in self._frames and chunk.holds(timestamp):
                self._add(chunk, timestamp, data)
                if len(self._frames[chunk]) + chunk.uploaded >= chunk.frames:
                    self._finish(chunk)
        if self._kept > _MAX_KEPT:
            for chunk in [one for one, have in self._frames.items() if have]:
                del self._frames[chunk]
                self._dropped += 1
            self._kept = 0

    def close(self, *, is_whole: bool = True) -> int:
        """Fails if frames of a chunk are missing that is said to be here.

        Args:
            is_whole: nothing was left out; else counts the chunks instead.
        """
        for chunk in list(self._unread):
            self._finish(chunk)
        for chunk, have in self._frames.items() if is_whole else ():
            detail = f"{len(have)} of {chunk.frames} frames at {chunk.first}"
            raise Failure("device", detail)
        if is_whole and self._dropped:
            raise Failure("device", f"{self._dropped} chunks are not whole")
        return len(self._frames) + self._dropped

    def _add(self, chunk: Chunk, timestamp: int, data: bytes) -> None:
        have = self._frames[chunk]
        if timestamp in have:
            return
        have[timestamp] = data
        self._kept += len(data)
        self._room[chunk] -= _HEAD + len(data)
        if self._room[chunk] < 0:
            raise Failure("device", f"more than {chunk.bytes} bytes at {chunk.first}")

    def _finish(self, chunk: Chunk) -> None:
        """With what was uploaded of it; compares it if it is whole by now."""
        for timestamp, data in self._uploads(chunk) if self._unread.pop(chunk, None) else ():
            if chunk in self._frames:
                self._add(chunk, timestamp, data)
        if chunk in self._frames and len(self._frames[chunk]) >= chunk.frames:
            self._compare(chunk, self._frames.pop(chunk))

    def _compare(self, chunk: Chunk, have: dict[int, bytes]) -> None:
        made = hashlib.sha256()
        for timestamp in sorted(have, key=lambda one: (one - chunk.first) % 2**32):
            made.update(struct.pack("!II", timestamp, len(have[timestamp])) + have[timestamp])
            self._kept -= len(have[timestamp])
        if made.hexdigest() != chunk.sha256:
            raise Failure("device", f"the chunk at {chunk.first}")
        self.compared += 1


def uploaded_frames(data: bytes, chunk: Chunk) -> Iterator[tuple[int, bytes]]:
    """Frames of a file of a chunk: each after its timestamp and its length."""
    at, found, last = 0, 0, -1
    while at + 8 <= len(data):
        timestamp, size = struct.unpack_from("!II", data, at)
        behind = (timestamp - chunk.first) % 2**32
        at += 8 + size
        if size == 0 or at > len(data) or behind <= last or not chunk.holds(timestamp):
            raise Failure("device", f"{chunk.file}: frame {found + 1}")
        yield timestamp, data[at - size : at]
        found, last = found + 1, behind
    if at != len(data) or found != chunk.uploaded:
        raise Failure("device", f"{chunk.file}: {found} frames")
