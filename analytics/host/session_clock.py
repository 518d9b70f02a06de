"""The session clock, as a host knows it: by the times that what it is told carries."""

from collections import deque
from collections.abc import Callable
from typing import Final

from analytics.link import MAX_US

__all__ = ["WINDOW_S", "SessionClock", "SessionClocks"]

WINDOW_S: Final = 30.0
_BUCKET_S: Final = 1.0
_FEWEST: Final = 5
"""Seconds with a message that are kept however old they are: one message after a long silence may
be late, and says little about the clock."""


class SessionClock:
    """What is the time in a session, when all that says so comes late.

    The message that was under way the shortest tells how the two clocks relate. Where host and
    server share a clock that holds for ever. Clocks of two machines drift apart, and either may be
    set or stand still for a while: there only the last :data:`WINDOW_S` seconds count, so that the
    time is right again that long after a step. What came within that time is never in the future.

    Args:
        is_shared: host and server read the same clock.
    """

    def __init__(self, *, is_shared: bool) -> None:
        self._is_shared = is_shared
        self._zeros: deque[tuple[float, float]] = deque()
        """When a second with messages began, and when the session did, by the most punctual of
        them; seconds of the host's clock."""
        self._zero_s: float | None = None

    def note(self, at_us: int, now_s: float) -> None:
        """Something came that was sent at ``at_us`` of the session clock.

        Args:
            at_us: of the message.
            now_s: the host's clock.
        """
        zero_s = now_s - at_us / 1e6
        if self._is_shared:
            self._zero_s = zero_s if self._zero_s is None else min(zero_s, self._zero_s)
            return
        zeros = self._zeros
        if zeros and now_s - zeros[-1][0] < _BUCKET_S:
            began_s, least_s = zeros[-1]
            zeros[-1] = began_s, min(zero_s, least_s)
        else:
            zeros.append((now_s, zero_s))
        while len(zeros) > _FEWEST and now_s - zeros[0][0] > WINDOW_S:
            zeros.popleft()
        self._zero_s = min(least_s for _, least_s in zeros)

    def now_us(self, now_s: float) -> int:
        """The time in the session, µs; 0 while nothing has come.

        Args:
            now_s: the host's clock.
        """
        if self._zero_s is None:
            return 0
        return min(MAX_US, max(0, int((now_s - self._zero_s) * 1e6)))


class SessionClocks:
    """The clocks of all sessions.

    Args:
        clock: of the host, seconds; only differences count.
        is_shared: the server reads the same clock.
    """

    def __init__(self, clock: Callable[[], float], *, is_shared: bool) -> None:
        self._clock = clock
        self._is_shared = is_shared
        self._sessions: dict[str, SessionClock] = {}

    def __len__(self) -> int:
        return len(self._sessions)

    def note(self, session_id: str, at_us: int) -> None:
        """Something of a session came that was sent at that time of it."""
        clock = self._sessions.get(session_id)
        if clock is None:
            clock = self._sessions[session_id] = SessionClock(is_shared=self._is_shared)
        clock.note(at_us, self._clock())

    def now_us(self, session_id: str) -> int:
        """The time in a session, µs; 0 while nothing of it has come."""
        clock = self._sessions.get(session_id)
        return 0 if clock is None else clock.now_us(self._clock())

    def end(self, session_id: str) -> None:
        """A session is over."""
        self._sessions.pop(session_id, None)

    def end_all(self) -> None:
        """So are all of them."""
        self._sessions.clear()
