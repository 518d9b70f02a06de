"""What goes to detectors and what they cost, as metrics; labels of closed sets."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final, Protocol

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from analytics.link import Status
from witness.analytics_service import AnalyticsService
from witness.analytics_totals import REASONS

__all__ = ["REFUSALS", "AnalyticsCollector", "TapCounts"]

_TAP: Final = "host"
"""In place of a detector's name: what is on its way from the engines to the host."""
REFUSALS: Final = (
    "malformed", "unknown_detector", "unknown_participant", "too_often", "failed", "long_for_host",
)  # fmt: skip
"""Why a line between server and host was lost."""


class TapCounts(Protocol):
    """What the taps of an engine did (``sfu._media.TapStats``)."""

    @property
    def waiting(self) -> int:
        """Packets on their way."""

    @property
    def dropped(self) -> Mapping[str, int]:
        """By reason."""


class AnalyticsCollector(Collector):
    """The way to the host, and what the host says of its detectors.

    Counters of a host that was started anew go on where those of the last one ended.

    Args:
        service: knows the host.
        taps: counts of each engine.
    """

    def __init__(self, service: AnalyticsService, taps: Callable[[], Sequence[TapCounts]]) -> None:
        self._service = service
        self._taps = taps

    def collect(self) -> Iterable[Metric]:
        """Every label value of the configured detectors is present, if only with 0."""
        status = self._service.latest or Status()
        names = sorted(self._service.detectors)
        taps = self._taps()
        depth = GaugeMetricFamily(
            "witness_tap_queue_depth", "Packets or inputs that wait.", labels=["plugin"]
        )
        depth.add_metric([_TAP], sum(tap.waiting for tap in taps))
        dropped = CounterMetricFamily(
            "witness_tap_dropped", "Packets or inputs not looked at.", labels=["plugin", "reason"]
        )
        reasons = sorted({reason for tap in taps for reason in tap.dropped})
        for reason in reasons:
            dropped.add_metric([_TAP, reason], sum(tap.dropped[reason] for tap in taps))
        for reason, count in sorted(self._service.way.dropped.items()):
            dropped.add_metric([_TAP, reason], count)
        dropped.add_metric([_TAP, "shed"], self._service.totals.shed_packets)
        seconds = CounterMetricFamily(
            "witness_detector_seconds", "Processor time of detectors.", labels=["plugin"]
        )
        restarts = CounterMetricFamily(
            "witness_detector_restarts", "Detectors started again.", labels=["plugin"]
        )
        lag = GaugeMetricFamily(
            "witness_detector_lag_seconds", "Age of what was looked at last.", labels=["plugin"]
        )
        totals = self._service.totals
        for name in names:
            depth.add_metric([name], status.queue_depth.get(name, 0))
            seconds.add_metric([name], totals.seconds[name])
            restarts.add_metric([name], totals.restarts[name])
            lag.add_metric([name], status.lag_ms.get(name, 0.0) / 1_000)
            for reason in REASONS:
                dropped.add_metric([name, reason], totals.dropped[name, reason])
        yield from (depth, dropped, seconds, restarts, lag)
        refused = CounterMetricFamily(
            "witness_analytics_refused", "Lines of the host that were lost.", labels=["reason"]
        )
        for reason in REFUSALS:
            refused.add_metric([reason], self._service.refused[reason])
        refused.add_metric(["unsaid"], self._service.totals.unsaid)
        yield refused
        up = 1.0 if self._service.has_host else 0.0
        yield GaugeMetricFamily("witness_analytics_host_up", "Whether there is a host.", up)
        yield CounterMetricFamily(
            "witness_analytics_host_restarts", "Hosts started again.", self._service.way.restarts
        )
        yield GaugeMetricFamily(
            "witness_tap_tracks", "Tracks that detectors look at.", self._service.tap_count
        )
        yield GaugeMetricFamily(
            "witness_tap_tracks_shed",
            "Tracks left out because the host can't keep up.",
            status.shed_tracks,
        )
        yield CounterMetricFamily(
            "witness_tap_decode_seconds", "Processor time of decoding.", totals.decode_seconds
        )
