"""What goes wrong with recordings: told once, graded, counted, and told again when it is over."""

import logging
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from recorder.session_file import rfc3339

__all__ = ["CAUSES", "Alert", "AlertBoard", "AlertCollector", "AlertKind", "Severity"]

_LOG = logging.getLogger(__name__)
_MAX_OPEN: Final = 4_096
"""Alerts that may be open; beyond it the oldest are forgotten, and counted."""

CAUSES: Final = frozenset(
    {
        "disk_full", "disk_slow", "disk_error", "low", "differs", "live_differs", "refused",
        "log_damaged", "keys", "timestamp", "unreachable", "digest_differs",
    }
)  # fmt: skip


class AlertKind(StrEnum):
    """What is in trouble."""

    CAPTURE = "capture"
    SEAL = "seal"
    COMPLETENESS = "completeness"
    UPLOAD = "upload"
    ARCHIVE = "archive"
    RECOVERY = "recovery"


class Severity(StrEnum):
    """How bad it is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Alert:
    """Something that is wrong, or is no longer.

    Attributes:
        cause: a word of :data:`CAUSES`; others become ``unknown``.
        room, track: where it concerns them.
        is_over: it ended.
    """

    kind: AlertKind
    severity: Severity
    cause: str
    session: str
    room: str = ""
    track: str = ""
    at_ns: int = 0
    is_over: bool = False

    @property
    def key(self) -> tuple[str, str, str]:
        """One of these is open at a time."""
        return self.kind.value, self.session, self.track

    def to_json(self) -> dict[str, Any]:
        """As webhooks have it."""
        return {
            "alert": self.kind.value,
            "severity": self.severity.value,
            "cause": self.cause,
            "session": self.session,
            "room": self.room or None,
            "track": self.track or None,
            "at": rfc3339(self.at_ns),
            "state": "ended" if self.is_over else "raised",
        }


Listener = Callable[[Alert], None]


class AlertBoard:
    """Alerts that are open now. Listeners are called once when one is raised, once when it ends.

    Attributes:
        raised: totals by kind and severity.
        forgotten: alerts that were open when there were too many.
    """

    def __init__(self, wall_ns: Callable[[], int] = time.time_ns) -> None:
        self._wall_ns = wall_ns
        self._open: OrderedDict[tuple[str, str, str], Alert] = OrderedDict()
        self._listeners: list[Listener] = []
        self.raised: Counter[tuple[str, str]] = Counter()
        self.forgotten = 0

    def listen(self, listener: Listener) -> None:
        """Has every alert told to somebody else as well."""
        self._listeners.append(listener)

    @property
    def open(self) -> list[Alert]:
        """Those there are now, oldest first."""
        return list(self._open.values())

    def raise_(self, alert: Alert) -> None:
        """Something is wrong. Said again, it is nothing new, unless it got worse."""
        known = self._open.get(alert.key)
        if known is not None and known.severity == alert.severity:
            return
        cause = alert.cause if alert.cause in CAUSES else "unknown"
        alert = replace(alert, cause=cause, at_ns=self._wall_ns(), is_over=False)
        self._open[alert.key] = alert
        while len(self._open) > _MAX_OPEN:
            self._open.popitem(last=False)
            self.forgotten += 1
        self.raised[alert.kind.value, alert.severity.value] += 1
        _LOG.warning(
            "alert raised",
            extra={"session_id": alert.session, "alert": alert.kind.value, "cause": cause},
        )
        self._tell(alert)

    def end(self, kind: AlertKind, session: str, track: str = "") -> None:
        """It is no longer; nothing happens where it never was."""
        known = self._open.pop((kind.value, session, track), None)
        if known is not None:
            _LOG.info("alert ended", extra={"session_id": session, "alert": kind.value})
            self._tell(replace(known, at_ns=self._wall_ns(), is_over=True))

    def _tell(self, alert: Alert) -> None:
        for listener in self._listeners:
            listener(alert)


class AlertCollector(Collector):
    """Alerts by kind and grade.

    Attributes:
        findings: of detectors, by grade: those have grades of their own.
        outages_us: of recordings that are finished, in which the server was away.
    """

    def __init__(self, board: AlertBoard) -> None:
        self._board = board
        self.findings: Callable[[], Mapping[str, int]] = dict
        self.outages_us = 0

    def collect(self) -> Iterable[Metric]:
        """Totals and those open now; every label value is present, if only with 0."""
        total = CounterMetricFamily(
            "witness_alerts", "Alerts that were raised.", labels=["type", "grade"]
        )
        now = GaugeMetricFamily(
            "witness_alerts_open", "Alerts that are open now.", labels=["type", "grade"]
        )
        present = Counter((one.kind.value, one.severity.value) for one in self._board.open)
        for kind in AlertKind:
            for severity in Severity:
                labels = [kind.value, severity.value]
                total.add_metric(labels, self._board.raised[kind.value, severity.value])
                now.add_metric(labels, present[kind.value, severity.value])
        for grade, count in self.findings().items():
            total.add_metric(["finding", grade], count)
        yield total
        yield now
        yield CounterMetricFamily(
            "witness_recording_outage_seconds",
            "Time of finished recordings of which there is nothing because the server was away.",
            self.outages_us / 1e6,
        )
