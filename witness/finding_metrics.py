"""Findings of detectors as metrics: labels of closed sets, never who or in which session."""

from collections.abc import Iterable

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from witness.finding_grades import FindingGrade
from witness.findings import LOST, FindingsDesk

__all__ = ["FindingsCollector"]

_OUTCOMES = ("pass", "warn", "fail", "unknown")


class FindingsCollector(Collector):
    """What detectors found, and what was not taken of it."""

    def __init__(self, desk: FindingsDesk) -> None:
        self._desk = desk

    def graded(self) -> dict[str, int]:
        """Alerts by grade, for the family of alerts."""
        return {grade.value: self._desk.graded[grade] for grade in FindingGrade}

    def collect(self) -> Iterable[Metric]:
        """Totals; every label value of the known detectors is present, if only with 0."""
        desk = self._desk
        found = CounterMetricFamily(
            "witness_findings", "What detectors found.", labels=["detector", "kind", "outcome"]
        )
        known = {
            (name, kind, outcome)
            for name, card in desk.cards.items()
            for kind, outcomes in (
                *((one.kind, _OUTCOMES) for one in card.kinds),
                ("unknown", ("unknown",)),
            )
            for outcome in outcomes
        }
        for labels in sorted(known | desk.counts.keys()):
            found.add_metric(list(labels), desk.counts[labels])
        yield found
        lost = CounterMetricFamily(
            "witness_findings_lost", "Findings that were not taken.", labels=["reason"]
        )
        for reason in LOST:
            lost.add_metric([reason], desk.lost[reason])
        yield lost
        for name, text, value in (
            ("witness_alerts_suppressed", "Findings too soon after one like it.", desk.suppressed),
            ("witness_findings_unshown", "Hints too many for an RM's page.", desk.unshown),
            ("witness_transcript_lines", "Lines of transcripts written.", desk.lines),
        ):
            yield CounterMetricFamily(name, text, value)
        yield GaugeMetricFamily("witness_findings_open", "Findings that go on.", desk.open_count)
