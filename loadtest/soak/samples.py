"""What is seen of the server from outside: its metrics, memory, descriptors and threads."""

import contextlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from loadtest.errors import LoadtestError

__all__ = ["Metrics", "ProcessState", "Sample", "parse_metrics", "process_state"]

_NEEDED = (
    "sfu_consumer_layer_switches_total",
    "sfu_engine_dropped_events_total",
    "sfu_engine_receive_overflow_packets_total",
    "sfu_engine_waiting_commands",
    "sfu_room_panics_total",
    "sfu_signaling_connections",
    "sfu_stage_dropped_packets_total",
    "sfu_stage_packets_total",
    "sfu_stage_unaccounted_packets",
    "sfu_stage_waiting_packets",
    "sfu_transport_transports",
    "witness_participants",
    "witness_rooms",
    "witness_rtp_packets_total",
)
"""What is judged. A sum over nothing would be 0, and hold."""

_LINE = re.compile(r"^(?P<name>[a-zA-Z_:][\w:]*)(\{(?P<labels>.*)\})? (?P<value>\S+)$")
_STATUS = re.compile(r"^(\w+):\s+(\d+) kB$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


class Metrics:
    """One scrape."""

    def __init__(self, values: Mapping[tuple[str, frozenset[tuple[str, str]]], float]) -> None:
        self._values = values

    def sum(self, name: str, **labels: str) -> float:
        """Over all series of the name that have these labels."""
        wanted = set(labels.items())
        return sum(v for (n, found), v in self._values.items() if n == name and wanted <= found)

    def require(self, names: Iterable[str]) -> None:
        """Looks whether there is at least one series of each name.

        Raises:
            LoadtestError: there is none of some; the text names them.
        """
        missing = sorted(set(names) - {name for name, _ in self._values})
        if missing:
            raise LoadtestError(f"the server's metrics lack {', '.join(missing)}")

    def by(self, name: str, label: str) -> dict[str, float]:
        """Sums by one label."""
        sums: dict[str, float] = {}
        for (found, labels), value in self._values.items():
            if found == name:
                key = dict(labels).get(label, "")
                sums[key] = sums.get(key, 0.0) + value
        return sums


def parse_metrics(text: str) -> Metrics:
    """Reads the text format of Prometheus."""
    values = {}
    for line in text.splitlines():
        match = _LINE.match(line)
        if match is not None:
            labels = frozenset(_LABEL.findall(match["labels"] or ""))
            with contextlib.suppress(ValueError):
                values[match["name"], labels] = float(match["value"])
    return Metrics(values)


@dataclass(frozen=True, slots=True)
class Sample:
    """The server at one moment."""

    at_s: float
    rss_bytes: int
    """Resident, with what is mapped from files."""
    own_bytes: int
    """Resident and not from files: what can leak. Pages of programs come as they are used, and go
    when the machine needs the memory."""
    descriptors: int
    threads: int
    rooms: int
    participants: int
    transports: int
    connections: int
    """WebSockets."""
    waiting_packets: int
    waiting_commands: int
    lag_s: float
    """Mean lateness of the event loop since the sample before."""
    packets_in: int
    packets_out: int
    dropped: int
    unaccounted: Mapping[str, int] = field(default_factory=dict)
    """By stage, as far as it is not 0: by the server's own sum, or by ours of what it shows."""


@dataclass(frozen=True, slots=True)
class ProcessState:
    """What the kernel says of a process; bytes as in :class:`Sample`."""

    rss_bytes: int
    own_bytes: int
    descriptors: int
    threads: int


def process_state(pid: int) -> ProcessState:
    """Memory, descriptors and threads of a process.

    Raises:
        FileNotFoundError: it is gone.
    """
    root = Path(f"/proc/{pid}")
    status = dict(_STATUS.findall((root / "status").read_text()))
    own_kib = int(status.get("RssAnon", 0)) + int(status.get("RssShmem", 0))
    return ProcessState(
        rss_bytes=1_024 * int(status.get("VmRSS", 0)),
        own_bytes=1_024 * own_kib,
        descriptors=len(list((root / "fd").iterdir())),
        threads=len(list((root / "task").iterdir())),
    )


def unaccounted(metrics: Metrics) -> dict[str, int]:
    """Stages whose packets don't add up, see ``docs/operations.md``."""
    found = {
        stage: int(count)
        for stage, count in metrics.by("sfu_stage_unaccounted_packets", "stage").items()
        if count
    }
    waiting = metrics.by("sfu_stage_waiting_packets", "stage")
    dropped = metrics.by("sfu_stage_dropped_packets_total", "stage")
    stages = {*waiting, *dropped, *metrics.by("sfu_stage_packets_total", "stage")}
    for stage in stages:
        entered = metrics.sum("sfu_stage_packets_total", stage=stage, result="entered")
        passed = metrics.sum("sfu_stage_packets_total", stage=stage, result="passed")
        missing = int(entered - passed - waiting.get(stage, 0) - dropped.get(stage, 0))
        if missing:
            found[stage] = missing
    return found


def sample_of(metrics: Metrics, pid: int, at_s: float, before: Metrics | None) -> Sample:
    """Puts a scrape and what the kernel knows together.

    Raises:
        LoadtestError: something that is judged is not among the metrics.
        FileNotFoundError: the process is gone.
    """
    metrics.require(_NEEDED)
    process = process_state(pid)

    def since(name: str) -> float:
        return metrics.sum(name) - (before.sum(name) if before is not None else 0.0)

    lags = since("sfu_event_loop_lag_seconds_count")
    return Sample(
        at_s=at_s,
        rss_bytes=process.rss_bytes,
        own_bytes=process.own_bytes,
        descriptors=process.descriptors,
        threads=process.threads,
        rooms=int(metrics.sum("witness_rooms")),
        participants=int(metrics.sum("witness_participants")),
        transports=int(metrics.sum("sfu_transport_transports")),
        connections=int(metrics.sum("sfu_signaling_connections")),
        waiting_packets=int(metrics.sum("sfu_stage_waiting_packets")),
        waiting_commands=int(metrics.sum("sfu_engine_waiting_commands")),
        lag_s=since("sfu_event_loop_lag_seconds_sum") / lags if lags else 0.0,
        packets_in=int(metrics.sum("witness_rtp_packets_total", dir="in")),
        packets_out=int(metrics.sum("witness_rtp_packets_total", dir="out")),
        dropped=int(metrics.sum("sfu_forward_dropped_packets_total")),
        unaccounted=unaccounted(metrics),
    )
