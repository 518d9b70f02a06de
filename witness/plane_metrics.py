"""Metrics of the media engines, from their snapshots."""

from collections.abc import Iterable, Iterator, Sequence

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeHistogramMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

from sfu._media import DROP_REASONS, FORWARD_DELAY_BOUNDS_S, STAGES, Counters, Snapshot
from sfu.snapshot import EngineView

__all__ = ["PlaneMetrics"]

_KINDS = ("audio", "video")
ESTIMATE_BOUNDS_BPS = (50e3, 100e3, 200e3, 400e3, 800e3, 1.6e6, 3.2e6, 6.4e6, 12.8e6)
"""Upper bounds of the bandwidth estimates."""
LOSS_BOUNDS = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7)
"""Upper bounds of the shares lost."""
_SWITCH_REASONS = ("wish", "budget", "encoding")
_TRANSPORT_STATES = ("new", "connecting", "connected", "disconnected", "failed", "closed")


class PlaneMetrics:
    """Sums over all engines, and load, rooms and memory of each.

    An engine that failed keeps its last numbers, so that totals never go down.
    """

    def __init__(self) -> None:
        self._latest: dict[int, Snapshot] = {}

    def families(self, engines: Sequence[EngineView]) -> Iterator[Metric]:
        """Everything, from one view per engine."""
        for engine in engines:
            if engine.snapshot is not None:
                self._latest[engine.index] = engine.snapshot
        counters = [snapshot.counters for snapshot in self._latest.values()]
        yield from _engines(engines)
        yield from _commands(engines)
        living = [e.snapshot for e in engines if e.snapshot is not None]
        yield _transports(living)
        yield _paths(living)
        yield from _tcp(list(self._latest.values()))
        yield from _sending(living)
        yield from _rtp(counters)
        yield from _feedback(counters)
        yield from _losses(counters)
        yield from _stages(counters)
        yield from _layers(counters)
        yield from _protection(counters)
        yield _forward_delay(counters)
        yield from _capture(list(self._latest.values()))


def _engines(engines: Sequence[EngineView]) -> Iterable[Metric]:
    up = GaugeMetricFamily("sfu_engine_up", "1 while the media thread runs.", labels=["engine"])
    load = GaugeMetricFamily(
        "sfu_engine_load_ratio",
        "Share of the last second the media thread was busy.",
        labels=["engine"],
    )
    rooms = GaugeMetricFamily("sfu_engine_rooms", "Rooms on the engine.", labels=["engine"])
    memory = GaugeMetricFamily(
        "sfu_engine_transport_memory_bytes",
        "Bytes held for participants: caches, tables and buffers.",
        labels=["engine"],
    )
    for engine in engines:
        label = [str(engine.index)]
        up.add_metric(label, 0 if engine.failed else 1)
        rooms.add_metric(label, engine.rooms)
        if engine.snapshot is not None:
            load.add_metric(label, engine.snapshot.load)
            memory.add_metric(label, sum(item.memory_bytes for item in engine.snapshot.transports))
    return up, load, rooms, memory


def _commands(engines: Sequence[EngineView]) -> Iterable[Metric]:
    """What went from Python to the engines."""
    outcomes = CounterMetricFamily(
        "sfu_engine_commands", "Commands to the engines, by what became of them.", labels=["result"]
    )
    outcomes.add_metric(["sent"], sum(e.commands for e in engines))
    outcomes.add_metric(["deferred"], sum(e.deferred for e in engines))
    outcomes.add_metric(["refused"], sum(e.refused for e in engines))
    outcomes.add_metric(["failed"], sum(e.commands_failed for e in engines))
    return (
        outcomes,
        GaugeMetricFamily(
            "sfu_engine_waiting_commands",
            "Commands that wait for room in an engine's queue.",
            sum(e.backlog for e in engines),
        ),
    )


def _transports(snapshots: Sequence[Snapshot]) -> Metric:
    states = dict.fromkeys(_TRANSPORT_STATES, 0)
    for snapshot in snapshots:
        for transport in snapshot.transports:
            states[transport.state] = states.get(transport.state, 0) + 1
    family = GaugeMetricFamily("sfu_transport_transports", "Transports.", labels=["state"])
    for state, count in states.items():
        family.add_metric([state], count)
    return family


def _paths(snapshots: Sequence[Snapshot]) -> Metric:
    protocols = dict.fromkeys(("udp", "tcp", "none"), 0)
    for snapshot in snapshots:
        for transport in snapshot.transports:
            protocols[transport.protocol or "none"] += 1
    family = GaugeMetricFamily(
        "sfu_transport_paths", "Transports by what they send media over.", labels=["protocol"]
    )
    for protocol, count in protocols.items():
        family.add_metric([protocol], count)
    return family


def _tcp(snapshots: Sequence[Snapshot]) -> Iterable[Metric]:
    """Connections of ICE over TCP."""
    stats = [snapshot.tcp for snapshot in snapshots]
    refused = CounterMetricFamily(
        "sfu_tcp_refused_connections", "TCP connections not taken.", labels=["reason"]
    )
    closed = CounterMetricFamily(
        "sfu_tcp_closed_connections", "TCP connections closed.", labels=["reason"]
    )
    for family, totals in (
        (refused, [item.refused for item in stats]),
        (closed, [item.closed for item in stats]),
    ):
        for reason in dict.fromkeys(reason for total in totals for reason in total):
            family.add_metric([reason], sum(total[reason] for total in totals))
    return (
        GaugeMetricFamily(
            "sfu_tcp_connections",
            "TCP connections open now.",
            sum(item.connections for item in stats),
        ),
        CounterMetricFamily(
            "sfu_tcp_accepted_connections",
            "TCP connections taken.",
            sum(item.accepted for item in stats),
        ),
        refused,
        closed,
    )


def _sending(snapshots: Sequence[Snapshot]) -> Iterable[Metric]:
    """What the paths to the subscribers take, as distributions over the transports of now."""
    transports = [transport for snapshot in snapshots for transport in snapshot.transports]
    estimates = [float(t.estimate_bps) for t in transports if t.estimate_bps is not None]
    losses = [t.send_loss_ratio for t in transports if t.send_loss_ratio is not None]
    return (
        _distribution(
            "sfu_transport_estimate_bps",
            "Bandwidth estimates of transports that have one, in bits per second.",
            ESTIMATE_BOUNDS_BPS,
            estimates,
        ),
        _distribution(
            "sfu_transport_send_loss_ratio",
            "Shares of the packets lost on the way to subscribers.",
            LOSS_BOUNDS,
            losses,
        ),
        GaugeMetricFamily(
            "sfu_transport_acked_bps",
            "Bits per second that arrive at the subscribers that report it.",
            sum(t.acked_bps for t in transports if t.acked_bps is not None),
        ),
        GaugeMetricFamily(
            "sfu_pacer_queue_max_seconds",
            "Longest time a packet waits to be sent to a subscriber.",
            max((t.pacer_queue_ms for t in transports), default=0.0) / 1000,
        ),
    )


def _distribution(
    name: str, text: str, bounds: Sequence[float], values: Sequence[float]
) -> GaugeHistogramMetricFamily:
    """A histogram of what is now: its counts fall when transports go."""
    buckets = [(f"{bound:g}", float(sum(value <= bound for value in values))) for bound in bounds]
    buckets.append(("+Inf", float(len(values))))
    return GaugeHistogramMetricFamily(name, text, buckets=buckets, gsum_value=sum(values))


def _rtp(counters: Sequence[Counters]) -> Iterable[Metric]:
    packets = CounterMetricFamily(
        "witness_rtp_packets", "RTP packets, retransmissions included.", labels=["dir", "kind"]
    )
    octets = CounterMetricFamily("sfu_rtp_bytes", "Bytes of RTP.", labels=["dir", "kind"])
    lost = CounterMetricFamily(
        "sfu_rtp_lost_packets", "Packets that never arrived, by kind.", labels=["kind"]
    )
    for index, kind in enumerate(_KINDS):
        packets.add_metric(["in", kind], sum(c.rtp_packets_in[index] for c in counters))
        packets.add_metric(["out", kind], sum(c.rtp_packets_out[index] for c in counters))
        octets.add_metric(["in", kind], sum(c.rtp_bytes_in[index] for c in counters))
        octets.add_metric(["out", kind], sum(c.rtp_bytes_out[index] for c in counters))
        lost.add_metric([kind], sum(c.rtp_lost[index] for c in counters))
    total = sum(sum(c.rtp_lost) for c in counters)
    return (
        packets,
        octets,
        lost,
        CounterMetricFamily("witness_rtp_lost", "Packets that never arrived.", total),
    )


def _feedback(counters: Sequence[Counters]) -> Iterable[Metric]:
    def both(name: str, text: str, received: int, sent: int) -> Metric:
        family = CounterMetricFamily(name, text, labels=["dir"])
        family.add_metric(["in"], received)
        family.add_metric(["out"], sent)
        return family

    nacks = (sum(c.nack_received for c in counters), sum(c.nack_sent for c in counters))
    plis = (sum(c.pli_received for c in counters), sum(c.pli_sent for c in counters))
    return (
        both(
            "sfu_rtcp_packets",
            "RTCP packets.",
            sum(c.rtcp_packets_in for c in counters),
            sum(c.rtcp_packets_out for c in counters),
        ),
        CounterMetricFamily("witness_nack", "NACKs, both directions.", sum(nacks)),
        both("sfu_rtcp_nack_packets", "NACKs by direction.", *nacks),
        CounterMetricFamily("witness_pli", "Keyframe requests, both directions.", sum(plis)),
        both("sfu_rtcp_pli_packets", "Keyframe requests by direction.", *plis),
        both(
            "sfu_rtx_packets",
            "Retransmitted packets.",
            sum(c.retransmissions_in for c in counters),
            sum(c.retransmissions_out for c in counters),
        ),
        CounterMetricFamily(
            "sfu_keyframes_repaired",
            "Keyframe requests answered by repairing the keyframe that was under way.",
            sum(c.keyframes_repaired for c in counters),
        ),
        CounterMetricFamily(
            "sfu_uplink_untold_losses",
            "Losses of publishers left out of congestion feedback: they don't come from the rate.",
            sum(c.losses_untold for c in counters),
        ),
        CounterMetricFamily(
            "sfu_rtx_echo_packets",
            "Packets of video sent again before they were asked for.",
            sum(c.echoes_out for c in counters),
        ),
        CounterMetricFamily(
            "sfu_rtx_echo_missed_packets",
            "Packets of video to be sent again unasked that were not there any more.",
            sum(c.echoes_missed for c in counters),
        ),
        CounterMetricFamily(
            "sfu_rtx_echo_postponed",
            "How often a packet to be sent again unasked had to wait for the path.",
            sum(c.echoes_postponed for c in counters),
        ),
        CounterMetricFamily(
            "sfu_rtx_padding_packets",
            "Packets sent again only to find out what a path takes.",
            sum(c.padding_out for c in counters),
        ),
        CounterMetricFamily(
            "sfu_rtx_missed_packets",
            "Packets asked for that had left the cache.",
            sum(c.retransmissions_missed for c in counters),
        ),
    )


def _losses(counters: Sequence[Counters]) -> Iterable[Metric]:
    """What was dropped or went wrong, by reason."""
    dropped = CounterMetricFamily(
        "sfu_forward_dropped_packets", "Packets not forwarded.", labels=["reason"]
    )
    for reason in DROP_REASONS:
        dropped.add_metric([reason], sum(c.dropped.get(reason, 0) for c in counters))
    handshakes = CounterMetricFamily("sfu_dtls_handshakes", "DTLS handshakes.", labels=["result"])
    handshakes.add_metric(["done"], sum(c.dtls_handshakes for c in counters))
    handshakes.add_metric(["failed"], sum(c.dtls_failures for c in counters))
    return (
        dropped,
        handshakes,
        CounterMetricFamily(
            "sfu_room_panics",
            "Rooms ended by a broken invariant.",
            sum(c.room_panics for c in counters),
        ),
        CounterMetricFamily(
            "sfu_engine_dropped_events",
            "Events lost because the event loop was too slow.",
            sum(c.events_dropped for c in counters),
        ),
    )


def _stages(counters: Sequence[Counters]) -> Iterable[Metric]:
    """Where every packet went: what entered a stage passed it, was dropped there or waits."""
    packets = CounterMetricFamily(
        "sfu_stage_packets", "Packets that entered and passed a stage.", labels=["stage", "result"]
    )
    dropped = CounterMetricFamily(
        "sfu_stage_dropped_packets", "Packets a stage dropped.", labels=["stage", "reason"]
    )
    waiting = GaugeMetricFamily(
        "sfu_stage_waiting_packets", "Packets that wait in a stage.", labels=["stage"]
    )
    unaccounted = GaugeMetricFamily(
        "sfu_stage_unaccounted_packets",
        "Packets nobody knows the fate of; anything but 0 is a bug.",
        labels=["stage"],
    )
    for stage in STAGES:
        of_stage = [c.stages[stage] for c in counters if stage in c.stages]
        packets.add_metric([stage, "entered"], sum(item.entered for item in of_stage))
        packets.add_metric([stage, "passed"], sum(item.passed for item in of_stage))
        waiting.add_metric([stage], sum(item.waiting for item in of_stage))
        unaccounted.add_metric([stage], sum(abs(item.unaccounted) for item in of_stage))
        for reason in DROP_REASONS:
            count = sum(item.dropped.get(reason, 0) for item in of_stage)
            if count:
                dropped.add_metric([stage, reason], count)
    unaccounted.add_metric(["class"], sum(abs(c.unclassified) for c in counters))
    return (
        packets,
        dropped,
        waiting,
        unaccounted,
        CounterMetricFamily(
            "sfu_engine_receive_overflow_packets",
            "Datagrams the kernel lost because a receive buffer was full.",
            sum(c.receive_overflows for c in counters),
        ),
    )


def _layers(counters: Sequence[Counters]) -> Iterable[Metric]:
    switches = CounterMetricFamily(
        "sfu_consumer_layer_switches",
        "Subscriptions that got a higher or lower layer, by what made it so.",
        labels=["direction", "reason"],
    )
    for reason in _SWITCH_REASONS:
        up = sum(c.layer_switches_up.get(reason, 0) for c in counters)
        down = sum(c.layer_switches_down.get(reason, 0) for c in counters)
        switches.add_metric(["up", reason], up)
        switches.add_metric(["down", reason], down)
    return (
        switches,
        CounterMetricFamily(
            "sfu_forward_filler_packets",
            "Empty packets sent in places that would else have stayed gaps.",
            sum(c.fillers_out for c in counters),
        ),
    )


def _protection(counters: Sequence[Counters]) -> Iterable[Metric]:
    """Copies of audio frames against loss."""
    packets = [sum(column) for column in zip(*(c.audio_copies_out for c in counters), strict=True)]
    buckets: list[tuple[str, float]] = []
    running = 0
    for copies, count in enumerate(packets):
        running += count
        buckets.append((str(copies), running))
    buckets.append(("+Inf", running))
    return (
        HistogramMetricFamily(
            "sfu_audio_copies",
            "Copies of earlier frames in audio packets to subscribers that take them.",
            buckets=buckets,
            sum_value=sum(copies * count for copies, count in enumerate(packets)),
        ),
        CounterMetricFamily(
            "sfu_audio_recovered_frames",
            "Frames of audio that publishers' copies brought back.",
            sum(c.audio_frames_recovered for c in counters),
        ),
        CounterMetricFamily(
            "sfu_audio_red_packets",
            "Audio packets of publishers that can carry copies.",
            sum(c.red_packets_in for c in counters),
        ),
    )


def _capture(snapshots: Sequence[Snapshot]) -> Iterable[Metric]:
    """What is recorded, and what could not be."""
    stats = [item.capture for item in snapshots if item.capture is not None]
    by_cause = {
        name: CounterMetricFamily(f"witness_capture_{name}", text, labels=["cause"])
        for name, text in (
            ("failures", "Failed attempts to write."),
            ("gaps", "Gaps declared."),
            ("missing_packets", "Packets missing in declared gaps, as far as known."),
        )
    }
    for cause in stats[0].gaps if stats else ():
        by_cause["failures"].add_metric([cause], sum(s.failures[cause] for s in stats))
        by_cause["gaps"].add_metric([cause], sum(s.gaps[cause] for s in stats))
        by_cause["missing_packets"].add_metric([cause], sum(s.missing[cause] for s in stats))
    totals = (
        ("packets", "Packets taken from the media threads.", sum(s.packets for s in stats)),
        ("bytes", "Their bytes.", sum(s.bytes for s in stats)),
        (
            "dropped_packets",
            "Packets a slow disk left no memory for.",
            sum(s.dropped for s in stats),
        ),
        ("written_packets", "Packets written into files.", sum(s.written_packets for s in stats)),
        ("written_bytes", "Bytes of files.", sum(s.written_bytes for s in stats)),
        ("segments", "Files finished and synced.", sum(s.segments for s in stats)),
    )
    for name, text, value in totals:
        yield CounterMetricFamily(f"witness_capture_{name}", text, value)
    yield from by_cause.values()
    gauges = (
        ("tracks", "Tracks being recorded.", float(sum(s.tracks for s in stats))),
        (
            "failing_tracks",
            "Tracks that can't be written now.",
            float(sum(s.failing for s in stats)),
        ),
        ("lag_seconds", "Age of what is written.", max((s.lag_s for s in stats), default=0.0)),
    )
    for name, text, gauge in gauges:
        yield GaugeMetricFamily(f"witness_capture_{name}", text, gauge)


def _forward_delay(counters: Sequence[Counters]) -> Metric:
    """Cumulative buckets, as Prometheus wants them."""
    totals = [
        sum(column) for column in zip(*(c.forward_delay_buckets for c in counters), strict=True)
    ]
    totals = totals or [0] * (len(FORWARD_DELAY_BOUNDS_S) + 1)
    buckets: list[tuple[str, float]] = []
    running = 0
    for bound, count in zip([*map(str, FORWARD_DELAY_BOUNDS_S), "+Inf"], totals, strict=True):
        running += count
        buckets.append((bound, running))
    return HistogramMetricFamily(
        "witness_forward_latency_seconds",
        "From a packet's arrival to its last copy being handed to the kernel.",
        buckets=buckets,
        sum_value=sum(c.forward_delay_sum_s for c in counters),
    )
