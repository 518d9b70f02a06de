"""What waits to be recognised: bounded, and fair between those who speak."""

import threading
from collections import OrderedDict, deque
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from analytics.speech.cutter import Cut

__all__ = ["Job", "Queue"]

Owner = TypeVar("Owner")


@dataclass(frozen=True, slots=True)
class Job(Generic[Owner]):
    """A cut of somebody."""

    owner: Owner
    cut: Cut


@dataclass(slots=True)
class _Waiting:
    finals: deque[Cut] = field(default_factory=deque)
    partial: Cut | None = None


class Queue(Generic[Owner]):
    """Cuts of several owners.

    Final ones come before partial ones, and owners in turn. When it is full, the owner with most
    waiting loses the oldest: who talks much doesn't push out who says one word. A partial cut waits
    alone for each owner, replaced by the next, and gone with its final one.

    Args:
        limit: final cuts that wait, of all owners together.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._owners: OrderedDict[Owner, _Waiting] = OrderedDict()
        self._lock = threading.Lock()
        self.dropped = 0

    def __len__(self) -> int:
        with self._lock:
            return self._finals() + sum(w.partial is not None for w in self._owners.values())

    def put(self, owner: Owner, cut: Cut) -> Job[Owner] | None:
        """Adds a cut.

        Returns:
            The one that had to go for it.
        """
        with self._lock:
            waiting = self._owners.setdefault(owner, _Waiting())
            if not cut.is_final:
                waiting.partial = cut
                return None
            waiting.partial = None
            waiting.finals.append(cut)
            if self._finals() <= self._limit:
                return None
            most = max(self._owners, key=lambda one: len(self._owners[one].finals))
            self.dropped += 1
            return Job(most, self._owners[most].finals.popleft())

    def take(self) -> Job[Owner] | None:
        """The most urgent cut; ``None`` if nothing waits."""
        with self._lock:
            for owner, waiting in self._owners.items():
                if waiting.finals:
                    return self._taken(owner, waiting.finals.popleft())
            for owner, waiting in self._owners.items():
                if waiting.partial is not None:
                    cut, waiting.partial = waiting.partial, None
                    return self._taken(owner, cut)
            return None

    def give_up(self, owner: Owner) -> list[Cut]:
        """Forgets an owner.

        Returns:
            Its final cuts that waited.
        """
        with self._lock:
            waiting = self._owners.pop(owner, None)
            return list(waiting.finals) if waiting else []

    def _taken(self, owner: Owner, cut: Cut) -> Job[Owner]:
        self._owners.move_to_end(owner)
        return Job(owner, cut)

    def _finals(self) -> int:
        return sum(len(waiting.finals) for waiting in self._owners.values())
