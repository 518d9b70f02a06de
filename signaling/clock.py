"""Time as an argument: instants, deadlines, token buckets. Nothing here reads a clock by itself."""

import heapq
import time
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

__all__ = ["Allowance", "Clock", "Deadlines", "Instant", "TokenBucket", "system_clock"]

K = TypeVar("K", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Instant:
    """One moment on two clocks.

    Attributes:
        steady_s: never jumps; for intervals.
        unix_s: calendar time; for tokens and time stamps.
    """

    steady_s: float
    unix_s: float


Clock = Callable[[], Instant]


def system_clock() -> Instant:
    """The present, by the clocks of this machine."""
    return Instant(time.monotonic(), time.time())


class Deadlines(Generic[K]):
    """At most one deadline for each key; the earliest is found in constant time.

    Args:
        on_earlier: called when the earliest deadline moved to an earlier time.
    """

    def __init__(self, on_earlier: Callable[[], None]) -> None:
        self._on_earlier = on_earlier
        self._at: dict[K, tuple[float, int]] = {}
        self._heap: list[tuple[float, int, K]] = []
        self._count = 0

    def __len__(self) -> int:
        return len(self._at)

    def __contains__(self, key: K) -> bool:
        return key in self._at

    def set(self, key: K, at_s: float) -> None:
        """Sets or moves the deadline of ``key``, steady clock."""
        before = self.next()
        self._count += 1
        self._at[key] = (at_s, self._count)
        heapq.heappush(self._heap, (at_s, self._count, key))
        self._compact()
        if before is None or at_s < before:
            self._on_earlier()

    def at(self, key: K) -> float | None:
        """The deadline of ``key``."""
        entry = self._at.get(key)
        return entry[0] if entry else None

    def cancel(self, key: K) -> None:
        """Forgets the deadline of ``key``, if there is one."""
        self._at.pop(key, None)
        self._compact()

    def next(self) -> float | None:
        """The earliest deadline."""
        while self._heap and not self._is_live(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop_due(self, now_s: float) -> K | None:
        """Takes the earliest key whose deadline has come."""
        at_s = self.next()
        if at_s is None or at_s > now_s:
            return None
        _, _, key = heapq.heappop(self._heap)
        del self._at[key]
        return key

    def _is_live(self, entry: tuple[float, int, K]) -> bool:
        at_s, count, key = entry
        return self._at.get(key) == (at_s, count)

    def _compact(self) -> None:
        # Moved and cancelled entries stay in the heap until they outnumber the live ones.
        if len(self._heap) > 2 * len(self._at) + 64:
            self._heap = [entry for entry in self._heap if self._is_live(entry)]
            heapq.heapify(self._heap)


class TokenBucket:
    """Allows ``rate_per_s`` on average and ``burst`` at once."""

    def __init__(self, rate_per_s: float, burst: float, now_s: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._level = float(burst)
        self._at_s = now_s

    def take(self, amount: float, now_s: float) -> float:
        """Takes ``amount`` if it is there.

        An amount above ``burst`` counts as ``burst``, else it would never be allowed.

        Returns:
            0 when taken, else the seconds after which it will be there; nothing was taken.
        """
        amount = min(amount, self._burst)
        elapsed_s = max(0.0, now_s - self._at_s)
        self._level = min(self._burst, self._level + elapsed_s * self._rate_per_s)
        self._at_s = max(self._at_s, now_s)
        if self._level >= amount:
            self._level -= amount
            return 0.0
        return (amount - self._level) / self._rate_per_s


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a sender may still send. It belongs to the participant, not to its socket."""

    messages: TokenBucket
    bytes: TokenBucket
