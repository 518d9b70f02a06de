"""``witness bench capture``: what recording costs the media thread, and whether calls notice."""

import asyncio
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any, Final

from witness.bench import machine
from witness.bench.load import Interval, Probe, Spread, calls
from witness.bench.process import ServerProcess, server_process
from witness.bench.progress import Progress
from witness.bench.rooms import Rooms, swarm_of
from witness.errors import BenchError
from witness.i18n import marked, t
from witness.table import render

_STAGES: Final = {"write": "recorder-write", "hash": "recorder-hash", "close": "recorder-close"}
"""Threads of a recorder."""
_MEDIA: Final = "media-0"
_NAMES: Final = {
    "write": marked("thread that writes, per packet"),
    "hash": marked("thread that hashes, per packet"),
    "close": marked("thread that syncs, per packet"),
    "processor": marked("the processors: other work had them"),
    "disk": marked("the disk"),
}
_FULL: Final = 0.8
"""A thread that ran or wanted to run for so much of the time is what falls behind."""
_BEGIN_S: Final = 120.0
_END_S: Final = 120.0
_SNAPSHOT_S: Final = 1.2
"""Longer than the time between two snapshots of an engine."""

__all__ = ["CaptureOptions", "CaptureResult", "capture_text", "measure_capture"]


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """Command line of ``witness bench capture``."""

    rooms: int = 100
    seconds: float = 6.0
    """Of one measurement."""
    rounds: int = 5

    @property
    def segment_s(self) -> int:
        """Files end while they are measured: to sync hundreds of them is part of recording."""
        return max(1, int(2 * self.seconds / 3))

    @classmethod
    def quick(cls) -> "CaptureOptions":
        """In about half a minute."""
        return cls(rooms=30, seconds=2.0, rounds=3)


@dataclass(frozen=True, slots=True)
class Stage:
    """What one thread of the recorder did while rooms were recorded.

    Attributes:
        ran_s: on a processor.
        waited_s: for one.
        waits: it did at the end.
    """

    ran_s: float = 0.0
    waited_s: float = 0.0
    waits: bool = False


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """The same calls, recorded and not, in turns.

    Attributes:
        dropped: packets that found no memory.
        mib_per_s: written to the disk.
        written: packets, in ``seconds``.
        stages: threads of the recorder in that time.
        lag_s: age of what was written, the worst seen.
        media_waited: share of the time for which the media thread had work and no processor, in
            each interval without and with recording.
        scheduling: of the media thread.
    """

    rooms: int
    off: tuple[Interval, ...]
    on: tuple[Interval, ...]
    dropped: int
    mib_per_s: float
    preferred: bool
    written: int = 0
    seconds: float = 0.0
    stages: dict[str, Stage] = field(default_factory=dict)
    lag_s: float = 0.0
    media_waited: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    scheduling: str | None = None

    @property
    def us_per_packet(self) -> dict[str, float]:
        """CPU time of each thread of the recorder for each packet that was written."""
        count = max(self.written, 1)
        return {name: round(1e6 * one.ran_s / count, 2) for name, one in self.stages.items()}

    @property
    def fell_behind(self) -> str | None:
        """What did not keep up: ``write``, ``hash``, ``close``, ``processor`` or ``disk``."""
        if not self.dropped and self.lag_s < 1:
            return None
        seconds = max(self.seconds, 0.001)
        name, one = max(
            self.stages.items(),
            key=lambda item: item[1].ran_s + item[1].waited_s,
            default=("disk", Stage()),
        )
        if (one.ran_s + one.waited_s) / seconds < _FULL:
            return "processor" if any(one.waits for one in self.stages.values()) else "disk"
        return name if one.ran_s >= one.waited_s else "processor"

    @property
    def us_per_captured_packet(self) -> float:
        """CPU time of the media thread for each packet that is recorded, on top of the rest."""
        costs = [
            _engine_us(on) - _engine_us(off) for off, on in zip(self.off, self.on, strict=True)
        ]
        return Spread.of(costs).median

    def json(self) -> dict[str, Any]:
        """Documented in ``docs/recording.md``."""
        return {
            "us_per_captured_packet": round(self.us_per_captured_packet, 3),
            "forward_delay_p99_ms_off": _p99_ms(self.off),
            "forward_delay_p99_ms_on": _p99_ms(self.on),
            "media_waited_off": _share(self.media_waited[0]),
            "media_waited_on": _share(self.media_waited[1]),
            "rooms": self.rooms,
            "mib_per_s": round(self.mib_per_s, 1),
            "dropped_packets": self.dropped,
            "captured_packets_per_s": round(
                sum(item.sent for item in self.on) / sum(item.seconds for item in self.on)
            ),
            "us_per_packet": self.us_per_packet,
            "busy": {
                name: round(one.ran_s / max(self.seconds, 0.001), 3)
                for name, one in self.stages.items()
            },
            "lag_s": round(self.lag_s, 3),
            "fell_behind": self.fell_behind,
            "preferred": self.preferred,
            "scheduling": self.scheduling,
        }


def _engine_us(interval: Interval) -> float:
    return 1e6 * interval.engines_s / max(interval.sent, 1)


def _p99_ms(intervals: tuple[Interval, ...]) -> float | None:
    known = [item.delays_s[1] for item in intervals if item.delays_s[1] is not None]
    return round(1_000 * Spread.of(known).median, 3) if known else None


def _share(waited: tuple[float, ...]) -> float | None:
    return round(Spread.of(waited).median, 4) if waited else None


async def measure_capture(options: CaptureOptions, progress: Progress) -> CaptureResult:
    """Measures the same load with and without recording, in turns.

    All the server does is done on the media thread's CPU, and the load generator has the other one
    for itself: it is what sees delays, and must not wait for a recorder.

    Raises:
        BenchError: the server or the load generator did not do its part.
    """
    preferred = machine.prefer()
    cpus = machine.cpus()
    swarm_cpu = cpus[1] if len(cpus) > 1 else None
    off: list[Interval] = []
    on: list[Interval] = []
    written = seconds = lag_s = 0.0
    waited: tuple[list[float], list[float]] = ([], [])
    dropped = packets = 0
    stages = dict.fromkeys(_STAGES, Stage())
    with tempfile.TemporaryDirectory(prefix="witness-bench-") as directory:
        async with (
            server_process(
                cpus=cpus[:1] if swarm_cpu is not None else [],
                engines=1,
                settings={"recording": directory, "segment_s": options.segment_s},
            ) as server,
            swarm_of(cpu=swarm_cpu) as swarm,
        ):
            machine.bind(swarm_cpu)
            async with Rooms(server, swarm, progress.rooms) as rooms:
                await rooms.grow(options.rooms)
                probe = Probe(server, swarm, cpus[0] if cpus else None)
                await probe.warm(calls())
                for number in range(options.rounds):
                    progress.say(t("phase: {name}").format(name=f"{number + 1}/{options.rounds}"))
                    off.append(await _measured(probe, options, waited[0]))
                    before = await _recorded(server, options.rooms)
                    threads = server.threads("recorder-")
                    on.append(await _measured(probe, options, waited[1]))
                    stages = _used(stages, threads, server.threads("recorder-"))
                    after = await server.ask("captured")
                    packets += after["packets"] - before["packets"]
                    lag_s = max(lag_s, after["lag_s"])
                    written += after["bytes"] - before["bytes"]
                    seconds += after["at_s"] - before["at_s"]
                    dropped = after["dropped"]
                    await _ended(server)
    return CaptureResult(
        rooms=options.rooms,
        off=tuple(off),
        on=tuple(on),
        dropped=dropped,
        mib_per_s=written / 2**20 / max(seconds, 0.001),
        preferred=preferred,
        written=packets,
        seconds=seconds,
        stages=stages,
        lag_s=lag_s,
        media_waited=(tuple(waited[0]), tuple(waited[1])),
        scheduling=server.scheduling[0],
    )


async def _measured(probe: Probe, options: CaptureOptions, waited: list[float]) -> Interval:
    before = probe.server.threads(_MEDIA)[_MEDIA]
    started_s = time.monotonic()
    interval = await probe.measure(calls(), options.seconds)
    after = probe.server.threads(_MEDIA)[_MEDIA]
    waited.append((after[1] - before[1]) / (time.monotonic() - started_s))
    return interval


async def _recorded(server: ServerProcess, rooms: int) -> dict[str, Any]:
    """All rooms are recorded when this returns.

    Raises:
        BenchError: the disk does not take their sessions.
    """
    await server.ask("record")
    end_s = time.monotonic() + _BEGIN_S
    while (found := await server.ask("captured"))["rooms"] < rooms:
        if time.monotonic() > end_s:
            raise BenchError(t("the disk does not take the sessions of the rooms"))
        await asyncio.sleep(0.05)
    return found


async def _ended(server: ServerProcess) -> None:
    """Nothing is recorded any more, and all files are on the disk when this returns.

    Raises:
        BenchError: the disk does not take them.
    """
    await server.ask("unrecord")
    end_s = time.monotonic() + _END_S
    known = -1
    while True:
        await asyncio.sleep(_SNAPSHOT_S)
        found = await server.ask("captured")
        if found["tracks"] == 0 and found["segments"] == known:
            return
        known = found["segments"]
        if time.monotonic() > end_s:
            raise BenchError(t("the disk does not take the files that were recorded"))


def _used(
    stages: dict[str, Stage],
    before: dict[str, tuple[float, float, bool]],
    after: dict[str, tuple[float, float, bool]],
) -> dict[str, Stage]:
    added = {}
    for name, thread in _STAGES.items():
        (ran, waited, waits), (ran_0, waited_0, _) = after[thread], before[thread]
        known = stages[name]
        added[name] = Stage(
            known.ran_s + ran - ran_0, known.waited_s + waited - waited_0, known.waits or waits
        )
    return added


def capture_text(result: CaptureResult) -> str:
    """The figures beside what they should be."""
    data = result.json()
    rows = [
        [t("figure"), t("measured"), t("target")],
        [t("media thread per recorded packet"), f"{data['us_per_captured_packet']} µs", "≤ 0.5 µs"],
        [t("added delay p99, not recorded"), f"{data['forward_delay_p99_ms_off']} ms", ""],
        [t("added delay p99, recorded"), f"{data['forward_delay_p99_ms_on']} ms", ""],
        [
            t("media thread waited for a processor, not recorded and recorded"),
            f"{data['media_waited_off']:.2%}, {data['media_waited_on']:.2%}",
            "",
        ],
        [t("written to the disk"), f"{data['mib_per_s']} MiB/s", ""],
        [t("packets dropped for want of memory"), str(data["dropped_packets"]), "0"],
        *(
            [t(_NAMES[name]), f"{cost} µs ({data['busy'][name]:.0%})", ""]
            for name, cost in data["us_per_packet"].items()
        ),
        [t("age of what was written, at most"), f"{data['lag_s']} s", "< 1 s"],
    ]
    if result.fell_behind is not None:
        rows.append([t("what fell behind"), t(_NAMES[result.fell_behind]), t("nothing")])
    return render(rows, left={0})
