"""Progress on one line of a terminal."""

import sys
import time

from witness.i18n import t

__all__ = ["Bar"]

_GAP_S = 0.2
_WIDTH = 24


class Bar:
    """How much is done, and how long the rest will take; written at most five times a second.

    Args:
        step: what is being done; left out where there is only one thing.
    """

    def __init__(self, step: str = "") -> None:
        self._step = f"{step}  " if step else ""
        self._started_s = time.monotonic()
        self._said_s = 0.0
        self._is_done = False

    def __call__(self, done: int, total: int) -> None:
        """So much of so much is done."""
        now_s = time.monotonic()
        if self._is_done or (done < total and now_s - self._said_s < _GAP_S):
            return
        self._said_s = now_s
        self._is_done = done >= total
        left_s = (now_s - self._started_s) * (total - done) / max(done, 1)
        full = _WIDTH * done // max(total, 1)
        text = "0 %"
        if done:
            text = t("{percent} %, {left} s left").format(
                percent=100 * done // max(total, 1), left=f"{left_s:.0f}"
            )
        end = "\n" if self._is_done else ""
        bar = "█" * full + "·" * (_WIDTH - full)
        sys.stderr.write(f"\r{self._step}{bar}  {text}\x1b[K{end}")
        sys.stderr.flush()
