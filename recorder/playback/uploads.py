"""Frames that were uploaded to fill gaps, and which stretches of a stream are complete."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

__all__ = ["SaidRange", "UploadedFrame", "Uploads"]

_WORD = 1 << 32
_MOST_BETWEEN = 4_096
"""Ranges of all streams between two frames of one; a longer pause ends with a keyframe."""


@dataclass(frozen=True, slots=True)
class UploadedFrame:
    """A frame of a stream; times as in RTP."""

    ssrc: int
    timestamp: int
    data: bytes


@dataclass(frozen=True, slots=True)
class SaidRange:
    """About a second of one stream as its sender described it.

    Attributes:
        seq: number in the track, counted over all its streams.
        first_ts: RTP timestamp of its first frame, ``last_ts`` of its last.
        is_complete: captured and uploaded frames together have the digest that was said.
        bytes: of its frames.
        from_us: where it lies on the session clock, about.
        file: of uploaded frames, if there are any.
    """

    ssrc: int
    seq: int
    first_ts: int
    last_ts: int
    is_complete: bool
    from_us: int = 0
    file: str | None = None
    bytes: int = 0


class Uploads:
    """What is known of one track from digests and uploads.

    Args:
        ranges: in any order.
        read: frames of a file.
    """

    def __init__(
        self,
        ranges: Iterable[SaidRange] = (),
        read: Callable[[SaidRange], Sequence[UploadedFrame]] = lambda _: (),
    ) -> None:
        self._read = read
        self._near: dict[int, int] = {}
        self._streams: dict[int, list[SaidRange]] = {}
        self._numbers: dict[int, SaidRange] = {}
        for item in sorted(ranges, key=lambda item: item.seq):
            self._streams.setdefault(item.ssrc, []).append(item)
            self._numbers[item.seq] = item

    def files(self) -> list[SaidRange]:
        """Ranges with uploaded frames, in the order they were sent."""
        return [item for item in self._numbers.values() if item.file]

    def frames(self, item: SaidRange) -> Iterator[UploadedFrame]:
        """Uploaded frames of a range.

        Raises:
            RecorderError: its file is not what was written.
        """
        yield from self._read(item)

    def is_whole(self, ssrc: int, after_ts: int, before_ts: int) -> bool:
        """Whether no frame of a stream is missing between two that are there."""
        first, last = self._range_of(ssrc, after_ts), self._range_of(ssrc, before_ts)
        if first is None or last is None:
            return False
        if not 0 <= last.seq - first.seq <= _MOST_BETWEEN:
            return False
        # Numbers count all streams of the track: one that is missing may have been of this one.
        between = (self._numbers.get(seq) for seq in range(first.seq, last.seq + 1))
        return all(item is not None and (item.is_complete or item.ssrc != ssrc) for item in between)

    def _range_of(self, ssrc: int, timestamp: int) -> SaidRange | None:
        """The range a timestamp is in: near the one found last, as frames come in order."""
        ranges: list[SaidRange] = self._streams.get(ssrc, [])
        near = self._near.get(ssrc, 0)
        for index in chain(range(max(0, near - 2), min(near + 4, len(ranges))), range(len(ranges))):
            item: SaidRange = ranges[index]
            if (timestamp - item.first_ts) % _WORD <= (item.last_ts - item.first_ts) % _WORD:
                self._near[ssrc] = index
                return item
        return None
