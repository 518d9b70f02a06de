"""What a long measurement is doing, on standard error."""

import sys
import time

from witness.i18n import t

__all__ = ["Progress"]

_LEAST_GAP_S = 1.0


class Progress:
    """One line for each step, with the seconds since the start."""

    def __init__(self) -> None:
        self._started_s = time.monotonic()
        self._rooms_said_s = 0.0

    def say(self, text: str) -> None:
        """A new step."""
        elapsed_s = time.monotonic() - self._started_s
        sys.stderr.write(f"{elapsed_s:6.1f} s  {text}\n")
        sys.stderr.flush()

    def rooms(self, count: int, wanted: int) -> None:
        """So many rooms are open; said about once a second and at the end."""
        now_s = time.monotonic()
        if count == wanted or now_s - self._rooms_said_s >= _LEAST_GAP_S:
            self._rooms_said_s = now_s
            self.say(t("{count} of {wanted} rooms are open").format(count=count, wanted=wanted))
