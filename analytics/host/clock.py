"""From RTP time to the session clock."""

from collections import deque
from typing import Final

from rtp.order import Unwrapper

__all__ = ["MediaClock"]

_WINDOW_US: Final = 10_000_000
_STEP_US: Final = 2_000_000
_BUCKET_US: Final = 500_000


class MediaClock:
    """When what a timestamp names was sent, by when packets arrived.

    The packet that was under way the shortest in the last ten seconds says how the clocks relate:
    times are regular, and late by the least delay of the network. Times of one stream never run
    backwards. A jump of two seconds or more is taken for a clock that was set.

    Args:
        rate_hz: of the timestamps.
    """

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._ticks = Unwrapper(32)
        self._offsets: deque[tuple[int, int]] = deque()

    def session_us(self, timestamp: int, arrival_us: int) -> int:
        """Time of what ``timestamp`` names, µs on the session clock; not after ``arrival_us``."""
        media_us = self._ticks.unwrap(timestamp) * 1_000_000 // self._rate_hz
        offset = arrival_us - media_us
        if self._offsets and abs(offset - self._least()) >= _STEP_US and self._is_step(offset):
            self._offsets.clear()
        self._note(arrival_us, offset)
        return max(0, min(arrival_us, media_us + self._least()))

    def _note(self, arrival_us: int, offset: int) -> None:
        if self._offsets and arrival_us - self._offsets[-1][0] < _BUCKET_US:
            began_us, least = self._offsets[-1]
            self._offsets[-1] = began_us, min(least, offset)
        else:
            self._offsets.append((arrival_us, offset))
        while arrival_us - self._offsets[0][0] > _WINDOW_US:
            self._offsets.popleft()

    def _is_step(self, offset: int) -> bool:
        """A packet that comes early was stamped anew; one that is late may just be late."""
        return offset < self._least() or offset - self._least() >= 4 * _STEP_US

    def _least(self) -> int:
        return min(least for _, least in self._offsets)
