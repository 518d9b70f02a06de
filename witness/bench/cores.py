"""``witness bench cores``: whether two engines do twice the work of one."""

from dataclasses import dataclass
from typing import Any

from witness.bench import machine
from witness.bench.load import VIDEO_BYTES, Interval, Probe, Spread, packets
from witness.bench.process import server_process
from witness.bench.progress import Progress
from witness.bench.rooms import Rooms, swarm_of
from witness.errors import BenchError
from witness.i18n import t

__all__ = ["CoresOptions", "CoresResult", "measure_cores"]

_BUSY = 0.3
"""Cores one engine uses: the second CPU must carry an engine and the load generator."""


@dataclass(frozen=True, slots=True)
class CoresOptions:
    """Command line of ``witness bench cores``."""

    rooms: int = 60
    rounds: int = 4
    seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class CoresResult:
    """Cost of a packet with one engine and with two, at the same load for each engine.

    The load generator needs a core as well and shares one with the second engine. So what is
    compared is CPU time per packet, which does not contain the generator's: an engine that pays
    the same for a packet while another works beside it forwards as much on a core of its own.
    """

    us_one: Spread
    us_two: Spread
    packets_one: float
    packets_two: float
    rooms_per_engine: tuple[int, ...]

    @property
    def scaling(self) -> float:
        """What two engines forward in terms of one: 2 if the second costs the first nothing."""
        return 2 * self.us_one.median / self.us_two.median

    def json(self) -> dict[str, Any]:
        """Documented in ``docs/performance.md``."""
        return {
            "us_per_packet_one": round(self.us_one.median, 3),
            "us_per_packet_two": round(self.us_two.median, 3),
            "pps_capacity_one": round(1e6 / self.us_one.median),
            "pps_capacity_two": round(2e6 / self.us_two.median),
            "scaling": round(self.scaling, 2),
            "packets_per_s_one": round(self.packets_one),
            "packets_per_s_two": round(self.packets_two),
            "rooms_per_engine": list(self.rooms_per_engine),
            "spread": {
                "us_per_packet_one": [round(self.us_one.least, 3), round(self.us_one.most, 3)],
                "us_per_packet_two": [round(self.us_two.least, 3), round(self.us_two.most, 3)],
            },
        }


async def measure_cores(options: CoresOptions, progress: Progress) -> CoresResult:
    """Measures one engine, then two with twice the rooms.

    Raises:
        BenchError: there is only one CPU, or the server or the generator did not do its part.
    """
    cpus = machine.cpus()
    if len(cpus) < 2:
        raise BenchError(t("two engines need two CPUs"))
    machine.prefer()
    one, _, rate = await _measure(1, options, cpus, None, progress)
    two, rooms, _ = await _measure(2, options, cpus, rate, progress)
    return CoresResult(
        us_one=Spread.of([item.engine_us_per_packet for item in one]),
        us_two=Spread.of([item.engine_us_per_packet for item in two]),
        packets_one=Spread.of([item.packets_per_s for item in one]).median,
        packets_two=Spread.of([item.packets_per_s for item in two]).median,
        rooms_per_engine=rooms,
    )


async def _measure(
    engines: int,
    options: CoresOptions,
    cpus: list[int],
    rate: float | None,
    progress: Progress,
) -> tuple[list[Interval], tuple[int, ...], float]:
    progress.say(t("engines: {count}").format(count=engines))
    # With more CPUs than two the generator has one of its own.
    swarm_cpu = cpus[min(engines, len(cpus) - 1)]
    async with (
        server_process(cpus=cpus, engines=engines) as server,
        swarm_of(cpu=swarm_cpu) as swarm,
        Rooms(server, swarm, progress.rooms) as rooms,
    ):
        server.pin_engines(cpus)
        await rooms.grow(options.rooms * engines)
        probe = Probe(server, swarm, cpus[0])
        load = packets(VIDEO_BYTES)
        if rate is None:
            rate = await probe.find_rate(load, _BUSY, min(options.seconds, 1.0))
        found = [
            await probe.measure(load.times(rate), options.seconds) for _ in range(options.rounds)
        ]
        await probe.rest()
        counters = (await server.ask("counters"))["engines"]
    return found, tuple(item["rooms"] for item in counters), rate
