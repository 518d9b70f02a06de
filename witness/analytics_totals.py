"""Counters of hosts that come and go, added up."""

from collections import Counter

from analytics.link import Status

__all__ = ["Totals"]


class Totals:
    """What all hosts so far have counted.

    Attributes:
        seconds, restarts: by detector.
        dropped: by detector and reason.
    """

    def __init__(self) -> None:
        self.seconds: Counter[str] = Counter()
        self.restarts: Counter[str] = Counter()
        self.dropped: Counter[tuple[str, str]] = Counter()
        self.decode_seconds = 0.0
        self._last = Status()

    def renew(self) -> None:
        """Another host counts from nothing."""
        self._last = Status()

    def add(self, status: Status) -> None:
        """Takes the counters of the present host; one that runs backwards adds nothing."""
        before, self._last = self._last, status
        for name, value in status.seconds.items():
            self.seconds[name] += max(0.0, value - before.seconds.get(name, 0.0))  # type: ignore[assignment]
        for name, count in status.restarts.items():
            self.restarts[name] += max(0, count - before.restarts.get(name, 0))
        for name, reasons in status.dropped.items():
            known = before.dropped.get(name, {})
            for reason, count in reasons.items():
                self.dropped[name, reason] += max(0, count - known.get(reason, 0))
        self.decode_seconds += max(0.0, status.decode_seconds - before.decode_seconds)
