"""What waits for a worker."""

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from analytics.detector import AudioChunk
from analytics.host.wire import FrameAt, Item, Order

__all__ = ["ORDERS", "ORDERS_AT_ONCE", "WORDS", "WorkerQueue"]

WORDS: Final = 10_000
"""Marks, words and findings that wait. Nobody makes so many; with more, the worker is as good as
dead."""
ORDERS: Final = 200_000
"""Watches that begin or end: as many as there are people, times detectors."""
ORDERS_AT_ONCE: Final = 256
"""A worker that is given thousands of watches says in between that it lives."""


@dataclass(slots=True)
class _Entry:
    order: Any
    detectors: tuple[str, ...]
    at_us: int | None


class WorkerQueue:
    """Bounded; of pictures and sound the newest win, and each that has to go is counted.

    Args:
        limit: pictures and chunks of sound that wait.
        freed: told of every picture that is dropped.
    """

    def __init__(self, limit: int, freed: Callable[[FrameAt], None]) -> None:
        self._limit = limit
        self._freed = freed
        self._entries: deque[_Entry] = deque()
        self._media = 0
        self._orders = 0
        self.dropped: dict[str, Counter[str]] = {}

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def is_overrun(self) -> bool:
        """More waits than can be meant."""
        words = len(self._entries) - self._media - self._orders
        return words > WORDS or self._orders > ORDERS

    def depth(self, detector: str) -> int:
        """Pictures and chunks that wait for a detector."""
        return sum(
            detector in entry.detectors for entry in self._entries if entry.at_us is not None
        )

    def order(self, order: Order) -> None:
        """Adds what is never dropped."""
        self._entries.append(_Entry(order, (), None))
        self._orders += 1

    def put(self, item: Item, watches: tuple[int, ...], detectors: tuple[str, ...]) -> None:
        """Adds an input; the oldest picture or chunk goes if there are too many."""
        is_media = isinstance(item, FrameAt | AudioChunk)
        at_us = item.pts_us if isinstance(item, FrameAt | AudioChunk) else None
        self._entries.append(_Entry((item, watches), detectors, at_us))
        self._media += is_media
        while self._media > self._limit:
            self.drop_oldest("queue_full")

    def drop_oldest(self, reason: str, *, pictures: bool = False) -> bool:
        """Drops the oldest picture or chunk; says whether there was one."""
        for place, entry in enumerate(self._entries):
            if entry.at_us is not None and (not pictures or isinstance(entry.order[0], FrameAt)):
                del self._entries[place]
                self._drop(entry, reason)
                return True
        return False

    def drop_of(self, allowed: Callable[[Item, int], bool]) -> None:
        """Takes out what may not be looked at any more.

        Args:
            allowed: whether a watch may have an input.
        """
        kept: deque[_Entry] = deque()
        for entry in self._entries:
            if not isinstance(entry.order, tuple):
                kept.append(entry)
                continue
            item, watches = entry.order
            left = tuple(watch for watch in watches if allowed(item, watch))
            if left:
                entry.order = item, left
                kept.append(entry)
            else:
                self._drop(entry, "no_consent")
        self._entries = kept

    def take(self, limit: int) -> list[Order]:
        """The next orders, at most ``limit`` inputs among them."""
        taken: list[Order] = []
        inputs = orders = 0
        while self._entries and inputs < limit and orders < ORDERS_AT_ONCE:
            entry = self._entries.popleft()
            self._media -= entry.at_us is not None
            if isinstance(entry.order, tuple):
                inputs += 1
            else:
                orders += 1
                self._orders -= 1
            taken.append(entry.order)
        return taken

    def clear(self, reason: str) -> None:
        """Drops all."""
        while self._entries:
            self._drop(self._entries.popleft(), reason)

    def _drop(self, entry: _Entry, reason: str) -> None:
        self._media -= entry.at_us is not None
        if not isinstance(entry.order, tuple):
            self._orders -= 1
            return
        item = entry.order[0]
        if isinstance(item, FrameAt):
            self._freed(item)
        for detector in entry.detectors:
            self.dropped.setdefault(detector, Counter())[reason] += 1
