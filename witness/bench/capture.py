"""``witness bench capture``: what recording costs the media thread, and whether calls notice."""

import tempfile
from dataclasses import dataclass
from typing import Any

from witness.bench import machine
from witness.bench.load import Interval, Probe, Spread, calls
from witness.bench.process import server_process
from witness.bench.progress import Progress
from witness.bench.rooms import Rooms, swarm_of
from witness.i18n import t
from witness.table import render

__all__ = ["CaptureOptions", "CaptureResult", "capture_text", "measure_capture"]


@dataclass(frozen=True, slots=True)
class CaptureOptions:
    """Command line of ``witness bench capture``."""

    rooms: int = 100
    seconds: float = 6.0
    """Of one measurement."""
    rounds: int = 5

    @classmethod
    def quick(cls) -> "CaptureOptions":
        """In about half a minute."""
        return cls(rooms=30, seconds=2.0, rounds=3)


@dataclass(frozen=True, slots=True)
class CaptureResult:
    """The same calls, recorded and not, in turns.

    Attributes:
        dropped: packets that found no memory.
        mib_per_s: written to the disk.
    """

    rooms: int
    off: tuple[Interval, ...]
    on: tuple[Interval, ...]
    dropped: int
    mib_per_s: float
    preferred: bool

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
            "rooms": self.rooms,
            "mib_per_s": round(self.mib_per_s, 1),
            "dropped_packets": self.dropped,
            "captured_packets_per_s": round(
                sum(item.sent for item in self.on) / sum(item.seconds for item in self.on)
            ),
            "preferred": self.preferred,
        }


def _engine_us(interval: Interval) -> float:
    return 1e6 * interval.engines_s / max(interval.sent, 1)


def _p99_ms(intervals: tuple[Interval, ...]) -> float | None:
    known = [item.delays_s[1] for item in intervals if item.delays_s[1] is not None]
    return round(1_000 * Spread.of(known).median, 3) if known else None


async def measure_capture(options: CaptureOptions, progress: Progress) -> CaptureResult:
    """Measures the same load with and without recording, in turns.

    Raises:
        BenchError: the server or the load generator did not do its part.
    """
    preferred = machine.prefer()
    cpus = machine.cpus()
    swarm_cpu = cpus[1] if len(cpus) > 1 else None
    off: list[Interval] = []
    on: list[Interval] = []
    written = seconds = 0.0
    dropped = 0
    with tempfile.TemporaryDirectory(prefix="witness-bench-") as directory:
        async with (
            server_process(cpus=[], engines=1, settings={"recording": directory}) as server,
            swarm_of(cpu=swarm_cpu) as swarm,
        ):
            machine.bind(swarm_cpu)
            if cpus:
                server.pin_engines([cpus[0]])
            async with Rooms(server, swarm, progress.rooms) as rooms:
                await rooms.grow(options.rooms)
                probe = Probe(server, swarm, cpus[0] if cpus else None)
                await probe.warm(calls())
                for number in range(options.rounds):
                    progress.say(t("phase: {name}").format(name=f"{number + 1}/{options.rounds}"))
                    off.append(await probe.measure(calls(), options.seconds))
                    await server.ask("record")
                    before = await server.ask("captured")
                    on.append(await probe.measure(calls(), options.seconds))
                    after = await server.ask("captured")
                    written += after["bytes"] - before["bytes"]
                    seconds += after["at_s"] - before["at_s"]
                    dropped = after["dropped"]
                    await server.ask("unrecord")
    return CaptureResult(
        rooms=options.rooms,
        off=tuple(off),
        on=tuple(on),
        dropped=dropped,
        mib_per_s=written / 2**20 / max(seconds, 0.001),
        preferred=preferred,
    )


def capture_text(result: CaptureResult) -> str:
    """The figures beside what they should be."""
    data = result.json()
    rows = [
        [t("figure"), t("measured"), t("target")],
        [t("media thread per recorded packet"), f"{data['us_per_captured_packet']} µs", "≤ 0.5 µs"],
        [t("added delay p99, not recorded"), f"{data['forward_delay_p99_ms_off']} ms", ""],
        [t("added delay p99, recorded"), f"{data['forward_delay_p99_ms_on']} ms", ""],
        [t("written to the disk"), f"{data['mib_per_s']} MiB/s", ""],
        [t("packets dropped for want of memory"), str(data["dropped_packets"]), "0"],
    ]
    return render(rows, left={0})
