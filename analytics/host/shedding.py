"""How many tracks are decoded while the host can't keep up with all."""

from typing import Final

__all__ = ["Shedding"]

LATE_US: Final = 500_000
"""Media that are read so late wait somewhere; what waits for too long is dropped by who sends it,
whichever track it is of."""

_TWICE: Final = 2
_SETTLE: Final = 2
_CALM: Final = 10
_CALM_MOST: Final = 300


class Shedding:
    """Leaves whole tracks out, so that those that are left are watched well.

    The plane drops packets of all tracks alike when nobody takes them, and a track that lacks one
    packet in three brings neither sound nor picture. So while the host is behind for two seconds in
    a row, half of the tracks go. When it keeps up for a while a quarter more are tried; if that was
    too much they go again, and the next attempt waits twice as long, five minutes at most.

    Attributes:
        limit: tracks that are decoded; ``None``: all.
        is_behind: even the most punctual message of the last second was read late.
    """

    def __init__(self) -> None:
        self.limit: int | None = None
        self.is_behind = False
        self._least_us: int | None = None
        self._late = self._calm = self._settle = 0
        self._wait = _CALM
        self._before: int | None = None

    def note(self, lag_us: int) -> None:
        """Media were read, so long after they had come."""
        self._least_us = lag_us if self._least_us is None else min(self._least_us, lag_us)

    def tick(self, count: int) -> None:
        """A second has gone by.

        Args:
            count: tracks that somebody needs.
        """
        least_us, self._least_us = self._least_us, None
        if least_us is None:
            # Nothing came, and so nothing waits.
            self.is_behind = False
            self._late = 0
            return
        self.is_behind = least_us >= LATE_US
        if self.is_behind:
            self._fall_behind(count)
        else:
            self._keep_up(count)

    def _fall_behind(self, count: int) -> None:
        self._calm = 0
        if self._settle:
            # What had been waiting for all of them is still being read.
            self._settle -= 1
            return
        self._late += 1
        if self._late < _TWICE:
            return
        self._late, self._settle = 0, _SETTLE
        if self._before is not None:
            self.limit, self._before = self._before, None
            self._wait = min(2 * self._wait, _CALM_MOST)
        else:
            decoded = count if self.limit is None else min(self.limit, count)
            self.limit = max(1, decoded // 2)

    def _keep_up(self, count: int) -> None:
        self._late = self._settle = 0
        self._calm += 1
        if self.limit is None or self._calm < self._wait:
            return
        self._calm = 0
        if self._before is not None:
            # The last attempt went well.
            self._wait = max(_CALM, self._wait // 2)
        if self.limit >= count:
            self.limit = self._before = None
        else:
            self._before = self.limit
            self.limit += max(1, self.limit // 4)
