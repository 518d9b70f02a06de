"""Whether event logs of recordings can be written."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from recorder.log_writer import LATE_S
from witness.recording import RecordingService

__all__ = ["LogCollector"]


class LogCollector(Collector):
    """Queues of event logs, of all recordings that run."""

    def __init__(self, recording: RecordingService) -> None:
        self._recording = recording

    def collect(self) -> Iterable[Metric]:
        """Now; losses since the start."""
        logs = self._recording.logs
        lost = self._recording.lost_events + sum(log.lost_events for log in logs)
        for name, text, value in (
            ("pending_events", "Events that wait to be written.", sum(log.pending for log in logs)),
            (
                "late_seconds",
                "Age of the oldest event that waits.",
                max((log.late_s for log in logs), default=0.0),
            ),
            (
                "stalled_seconds",
                "How long the disk has been at one piece of work.",
                self._recording.writer.stalled_s,
            ),
            (
                "failing",
                "Logs that can't be written now, or are late.",
                sum(log.is_failing or log.late_s >= LATE_S for log in logs),
            ),
            (
                "waiting_rooms",
                "Rooms whose recording can't begin.",
                len(self._recording.waiting),
            ),
        ):
            yield GaugeMetricFamily(f"witness_event_log_{name}", text, float(value))
        yield CounterMetricFamily(
            "witness_event_log_lost_events", "Events that found no room to wait.", lost
        )
