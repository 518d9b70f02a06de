"""Counters of hosts that come and go, added up."""

from collections import Counter
from collections.abc import Collection
from typing import Final

from analytics.link import Status

__all__ = ["REASONS", "Totals"]

REASONS: Final = ("queue_full", "no_memory", "no_consent", "down")
"""Why a host drops inputs."""


class Totals:
    """What all hosts so far have counted; a host's own inventions are not taken over.

    Args:
        detectors: that there are.

    Attributes:
        seconds, restarts: by detector.
        dropped: by detector and reason.
        shed_packets: of tracks that were left out because a host couldn't keep up.
        unsaid: lines of hosts that they had no room for.
    """

    def __init__(self, detectors: Collection[str]) -> None:
        self._detectors = sorted(detectors)
        self.seconds: Counter[str] = Counter()
        self.restarts: Counter[str] = Counter()
        self.dropped: Counter[tuple[str, str]] = Counter()
        self.decode_seconds = 0.0
        self.shed_packets = 0
        self.unsaid = 0
        self._last = Status()

    def renew(self) -> None:
        """Another host counts from nothing."""
        self._last = Status()

    def add(self, status: Status) -> None:
        """Takes the counters of the present host; one that runs backwards adds nothing."""
        before, self._last = self._last, status
        for name in self._detectors:
            spent_s = status.seconds.get(name, 0.0) - before.seconds.get(name, 0.0)
            self.seconds[name] += max(0.0, spent_s)  # type: ignore[assignment]
            restarts = status.restarts.get(name, 0) - before.restarts.get(name, 0)
            self.restarts[name] += max(0, restarts)
            reasons, known = status.dropped.get(name, {}), before.dropped.get(name, {})
            for reason in REASONS:
                more = reasons.get(reason, 0) - known.get(reason, 0)
                self.dropped[name, reason] += max(0, more)
        self.decode_seconds += max(0.0, status.decode_seconds - before.decode_seconds)
        self.shed_packets += max(0, status.shed_packets - before.shed_packets)
        self.unsaid += max(0, status.unsaid - before.unsaid)
