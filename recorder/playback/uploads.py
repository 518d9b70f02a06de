"""Frames that were uploaded to fill gaps, and which stretches of a stream are complete."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

__all__ = ["SaidRange", "UploadedFrame", "Uploads"]

_WORD = 1 << 32


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
        seq: number in the track; the next range has the next one.
        first_ts: RTP timestamp of its first frame, ``last_ts`` of its last.
        is_complete: captured and uploaded frames together have the digest that was said.
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
        for item in sorted(ranges, key=lambda item: item.seq):
            self._streams.setdefault(item.ssrc, []).append(item)
        self._seqs = {ssrc: [item.seq for item in ranges] for ssrc, ranges in self._streams.items()}
        with_files = [item for items in self._streams.values() for item in items if item.file]
        self._files = sorted(with_files, key=lambda item: item.from_us)

    def files(self) -> list[SaidRange]:
        """Ranges with uploaded frames, in order of time."""
        return list(self._files)

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
        seqs = self._seqs[ssrc]
        start, end = bisect_right(seqs, first.seq) - 1, bisect_right(seqs, last.seq)
        between = self._streams[ssrc][start:end]
        return len(between) == last.seq - first.seq + 1 and all(r.is_complete for r in between)

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
