"""When frames are due: at the rate that a detector needs, of each track by itself."""

from typing import Final

from analytics.detector import Mark, VideoNeed

__all__ = ["Pace", "most_hz"]

_EARLY_US: Final = 20_000
_MAX_WITHIN_S: Final = 120.0


def most_hz(need: VideoNeed) -> float:
    """Frames a second that it may want at most."""
    return need.rate_hz if need.burst is None else max(need.rate_hz, need.burst.rate_hz)


class Pace:
    """The frames that one watch is due.

    Args:
        need: of its detector; ``None``: it needs no frames.
    """

    def __init__(self, need: VideoNeed | None) -> None:
        self._need = need
        self._due_us: dict[str, int] = {}
        self._until_us = -1

    def note(self, mark: Mark) -> bool:
        """Takes what happens; whether more frames are wanted from now on."""
        burst = None if self._need is None else self._need.burst
        if burst is None or mark.kind != burst.on:
            return False
        within_s, lasts_s = mark.data.get("within_s"), burst.lasts_s
        if isinstance(within_s, int | float) and not isinstance(within_s, bool) and within_s > 0:
            lasts_s = float(within_s)
        lasts_us = round(min(lasts_s, _MAX_WITHIN_S) * 1e6)
        self._until_us = max(self._until_us, mark.at_us + lasts_us)
        self._due_us.clear()
        return True

    def rate_hz(self, at_us: int) -> float:
        """Frames a second that are wanted at that time."""
        if self._need is None:
            return 0.0
        burst = self._need.burst
        if burst is None or at_us > self._until_us:
            return self._need.rate_hz
        return max(burst.rate_hz, self._need.rate_hz)

    def takes(self, track_id: str, at_us: int) -> bool:
        """Whether a frame of that time is due; then the next one is so much later."""
        if self._need is None:
            return False
        due_us = self._due_us.get(track_id, at_us)
        if at_us + _EARLY_US < due_us:
            return False
        step_us = int(1_000_000 / self.rate_hz(at_us))
        self._due_us[track_id] = max(due_us + step_us, at_us + step_us // 2)
        return True

    def forget(self, track_id: str) -> None:
        """There are no more frames of it."""
        self._due_us.pop(track_id, None)
