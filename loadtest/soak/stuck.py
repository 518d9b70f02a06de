"""Finds subscriptions that get nothing though they should."""

from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, field

__all__ = ["Expected", "Stuck", "StuckDetector"]


@dataclass(frozen=True, slots=True)
class Expected:
    """A subscription that should get packets now."""

    key: Hashable
    """The same for as long as it is the same one."""
    room: int
    kind: str
    silent_s: float | None
    """Since its last packet; ``None``: there was none yet."""


@dataclass(frozen=True, slots=True)
class Stuck:
    """One that got nothing."""

    at_s: float
    room: int
    kind: str
    silent_s: float


@dataclass(slots=True)
class StuckDetector:
    """Tells who has been without packets for ``patience_s`` while nothing excused that.

    Each is told once for as long as it lasts.
    """

    patience_s: float
    found: list[Stuck] = field(default_factory=list)
    checked: int = 0
    """Subscriptions looked at, over all looks."""
    longest_silence_s: float = 0.0
    """Of one that was not excused."""
    _since_s: dict[Hashable, float] = field(default_factory=dict)
    _told: set[Hashable] = field(default_factory=set)

    def look(self, now_s: float, expected: Iterable[Expected]) -> list[Stuck]:
        """Takes what should get packets now; returns what is newly stuck."""
        current: Mapping[Hashable, Expected] = {one.key: one for one in expected}
        self._since_s = {key: self._since_s.get(key, now_s) for key in current}
        self._told &= current.keys()
        new = []
        for key, one in current.items():
            self.checked += 1
            excused_until_s = self._since_s[key]
            waited_s = now_s - excused_until_s
            silent_s = waited_s if one.silent_s is None else min(waited_s, one.silent_s)
            self.longest_silence_s = max(self.longest_silence_s, silent_s)
            if silent_s <= self.patience_s:
                self._told.discard(key)
            elif key not in self._told:
                self._told.add(key)
                new.append(Stuck(round(now_s, 1), one.room, one.kind, round(silent_s, 1)))
        self.found += new
        return new

    def excuse_all(self) -> None:
        """Everything stood still, we too: nobody has waited so far."""
        self._since_s.clear()
