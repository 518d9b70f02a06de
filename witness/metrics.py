"""What ``/metrics`` shows: one collector a subsystem, read at the moment of the scrape.

Names of the domain begin with ``witness_``, all others with ``sfu_<subsystem>_``. Labels come from
closed sets, never from remote input and never identifiers; ``engine`` is the number of a thread.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from prometheus_client import (
    CollectorRegistry,
    GCCollector,
    Histogram,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from sfu import Sfu
from signaling.http_member import HttpProtocol
from signaling.stats import Stats
from witness import version
from witness.gate import Gate
from witness.plane_metrics import PlaneMetrics

__all__ = ["CONTENT_TYPE_LATEST", "HttpCollector", "Metrics", "SfuCollector", "SignalingCollector"]

_LAG_BOUNDS_S = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 5.0)


class SfuCollector(Collector):
    """Rooms, participants, tracks and the media plane."""

    def __init__(self, sfu: Sfu) -> None:
        self._sfu = sfu
        self._plane = PlaneMetrics()

    def collect(self) -> Iterable[Metric]:
        """Counts of one moment; every label value is present, if only with 0."""
        snapshot = self._sfu.snapshot()
        yield GaugeMetricFamily("witness_rooms", "Open rooms.", len(snapshot.rooms))
        yield _gauge(
            "witness_participants", "Participants in rooms.", "role", snapshot.participants_by_role
        )
        yield _gauge(
            "sfu_participant_media",
            "Participants by the state of their media.",
            "state",
            snapshot.participants_by_media,
        )
        yield _gauge("sfu_room_tracks", "Published tracks.", "kind", snapshot.tracks_by_kind)
        yield _gauge(
            "sfu_room_subscriptions", "Subscriptions.", "state", snapshot.subscriptions_by_state
        )
        yield GaugeMetricFamily(
            "sfu_server_draining", "1 while new rooms are refused.", float(snapshot.draining)
        )
        yield from self._plane.families(snapshot.engines)


class SignalingCollector(Collector):
    """Sockets and messages."""

    def __init__(self, stats: Stats) -> None:
        self._stats = stats

    def collect(self) -> Iterable[Metric]:
        """Totals and present numbers."""
        stats = self._stats
        yield GaugeMetricFamily("sfu_signaling_connections", "Open WebSockets.", stats.connections)
        for name, text, value in (
            ("connections_opened", "WebSockets opened.", stats.connections_opened),
            ("repeated_requests", "Requests answered from memory.", stats.repeated),
            ("outbox_discarded", "Outboxes beyond their bounds.", stats.outbox_discarded),
            (
                "volatile_replaced",
                "Level and quality notices a newer one overtook.",
                stats.volatile_replaced,
            ),
            (
                "report_tracks_ignored",
                "Entries of quality reports for tracks that are gone.",
                stats.report_tracks_ignored,
            ),
            ("demo_tokens", "Tokens signed with the demo key.", stats.demo_tokens),
        ):
            yield CounterMetricFamily(f"sfu_signaling_{name}", text, value)
        for name, text, label, counter in (
            ("connections_refused", "WebSockets refused.", "reason", stats.connections_refused),
            ("connections_closed", "WebSockets the server ended.", "reason", stats.closed),
            ("errors", "Requests refused.", "code", stats.errors),
            ("hellos_refused", "Joins and resumes refused.", "cause", stats.hellos_refused),
            ("rate_limited", "Messages refused for their rate.", "limit", stats.rate_limited),
            ("joins", "Participants admitted.", "how", stats.joins),
            ("resumes", "Resumes.", "how", stats.resumes),
            ("left", "Participants gone.", "reason", stats.left),
            ("messages_in", "Messages from clients.", "type", stats.messages_in),
            ("messages_out", "Messages to clients.", "kind", stats.messages_out),
        ):
            yield _counter(f"sfu_signaling_{name}", text, label, counter)
        yield from self._sessions()
        yield _counter(
            "sfu_signaling_bytes",
            "Bytes of messages.",
            "dir",
            {"in": stats.bytes_in, "out": stats.bytes_out},
        )

    def _sessions(self) -> Iterable[Metric]:
        """WHIP and WHEP; both are there, if only with 0."""
        stats = self._stats
        protocols = [protocol.value for protocol in HttpProtocol]
        yield _gauge(
            "sfu_signaling_http_sessions",
            "WHIP and WHEP sessions.",
            "protocol",
            {protocol: stats.http_sessions[protocol] for protocol in protocols},
        )
        for name, text, counter in (
            ("opened", "WHIP and WHEP sessions opened.", stats.http_opened),
            ("replaced", "Sessions taken over by the same participant.", stats.http_replaced),
        ):
            values = {protocol: counter[protocol] for protocol in protocols}
            yield _counter(f"sfu_signaling_http_sessions_{name}", text, "protocol", values)
        requests = CounterMetricFamily(
            "sfu_signaling_http_requests",
            "WHIP and WHEP requests by class of their answer.",
            labels=["protocol", "status"],
        )
        for labels, count in stats.http_requests.items():
            requests.add_metric(list(labels), count)
        yield requests


class HttpCollector(Collector):
    """TCP connections of the public port."""

    def __init__(self, gate: Gate) -> None:
        self._gate = gate

    def collect(self) -> Iterable[Metric]:
        """Present numbers and totals; every label value is present, if only with 0."""
        gate = self._gate
        yield _gauge("sfu_http_connections", "Open TCP connections.", "phase", gate.phases)
        yield GaugeMetricFamily(
            "sfu_http_connections_limit", "TCP connections allowed.", gate.limits.connections
        )
        yield _counter(
            "sfu_http_connections_cut",
            "TCP connections refused or ended by the server.",
            "reason",
            gate.cuts,
        )


class Metrics:
    """The registry of one process.

    Args:
        sfu: rooms and media plane.
        stats: signaling.
    """

    def __init__(self, sfu: Sfu, stats: Stats) -> None:
        self.registry = CollectorRegistry()
        for collector in (SfuCollector(sfu), SignalingCollector(stats), _BuildInfo()):
            self.registry.register(collector)
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._lag = Histogram(
            "sfu_event_loop_lag_seconds",
            "How late the event loop runs a timer.",
            buckets=_LAG_BOUNDS_S,
            registry=self.registry,
        )

    def observe_loop_lag(self, late_s: float) -> None:
        """Takes one measurement of the event loop."""
        self._lag.observe(late_s)

    def render(self) -> bytes:
        """The text format of Prometheus."""
        return generate_latest(self.registry)


class _BuildInfo(Collector):
    def collect(self) -> Iterable[Metric]:
        info = GaugeMetricFamily("sfu_build_info", "The version as a label.", labels=["version"])
        info.add_metric([version()], 1)
        yield info


def _gauge(name: str, text: str, label: str, values: Mapping[Any, float]) -> Metric:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([str(key)], value)
    return family


def _counter(name: str, text: str, label: str, values: Mapping[Any, float]) -> Metric:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([str(key)], value)
    return family
