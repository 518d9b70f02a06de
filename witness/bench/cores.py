"""``witness bench cores``: whether two engines do twice the work of one."""

from dataclasses import dataclass
from typing import Any

from witness.bench import machine
from witness.bench.load import VIDEO_BYTES, Probe, Spread, packets
from witness.bench.process import server_process
from witness.bench.progress import Progress
from witness.bench.rooms import Rooms, swarm_of
from witness.errors import BenchError
from witness.i18n import t

__all__ = ["CoresOptions", "CoresResult", "measure_cores"]

_BUSY = 0.45
"""Of its CPU the first engine uses: the second CPU must carry an engine and the generator."""


@dataclass(frozen=True, slots=True)
class CoresOptions:
    """Command line of ``witness bench cores``."""

    rooms: int = 60
    """For each engine."""
    rounds: int = 4
    seconds: float = 2.0


@dataclass(frozen=True, slots=True)
class _Round:
    """Of each engine: packets forwarded, and CPU time for one of them."""

    packets: tuple[int, ...]
    us: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class CoresResult:
    """Cost of a packet on the first engine, alone and while a second one works beside it.

    The first engine has a CPU of its own both times. The load generator needs one as well, and
    with two CPUs shares it with the second engine; so neither its CPU time nor the second
    engine's is in the figure. What the second engine takes from the first one is: caches, memory,
    locks of the kernel and the interpreter.
    """

    alone: tuple[_Round, ...]
    beside: tuple[_Round, ...]
    rooms_per_engine: tuple[int, ...]

    @property
    def us_alone(self) -> Spread:
        """With one engine in the process."""
        return Spread.of([item.us[0] for item in self.alone])

    @property
    def us_beside(self) -> Spread:
        """With two."""
        return Spread.of([item.us[0] for item in self.beside])

    @property
    def us_second(self) -> Spread:
        """Of the second engine, beside the generator if there are only two CPUs."""
        return Spread.of([item.us[1] for item in self.beside])

    @property
    def scaling(self) -> float:
        """What two engines forward in terms of one: 2 if the second costs the first nothing."""
        return 2 * self.us_alone.median / self.us_beside.median

    def json(self) -> dict[str, Any]:
        """Documented in ``docs/performance.md``."""
        alone, beside, second = self.us_alone, self.us_beside, self.us_second
        return {
            "us_per_packet_alone": round(alone.median, 3),
            "us_per_packet_beside": round(beside.median, 3),
            "us_per_packet_second": round(second.median, 3),
            "scaling": round(self.scaling, 2),
            "packets_one": sum(sum(item.packets) for item in self.alone),
            "packets_two": sum(sum(item.packets) for item in self.beside),
            "rooms_per_engine": list(self.rooms_per_engine),
            "spread": {
                "us_per_packet_alone": [round(alone.least, 3), round(alone.most, 3)],
                "us_per_packet_beside": [round(beside.least, 3), round(beside.most, 3)],
                "us_per_packet_second": [round(second.least, 3), round(second.most, 3)],
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
    alone, _, rate = await _measure(1, options, cpus, None, progress)
    beside, rooms, _ = await _measure(2, options, cpus, rate, progress)
    return CoresResult(alone=alone, beside=beside, rooms_per_engine=rooms)


async def _measure(
    engines: int,
    options: CoresOptions,
    cpus: list[int],
    rate: float | None,
    progress: Progress,
) -> tuple[tuple[_Round, ...], tuple[int, ...], float]:
    progress.say(t("engines: {count}").format(count=engines))
    # With more CPUs than two the generator has one of its own.
    swarm_cpu = cpus[min(engines, len(cpus) - 1)]
    async with (
        # What engines do for each other is asked, whatever the links of few participants take.
        server_process(cpus=cpus, engines=engines, settings={"wide_links": True}) as server,
        swarm_of(cpu=swarm_cpu) as swarm,
        Rooms(server, swarm, progress.rooms) as rooms,
    ):
        server.pin_engines(cpus)
        await rooms.grow(options.rooms * engines)
        probe = Probe(server, swarm, cpus[0])
        load = packets(VIDEO_BYTES)
        if rate is None:
            rate = await probe.find_rate(load, _BUSY, min(options.seconds, 1.0))
        await probe.ramp(load.times(rate))
        found = []
        for number in range(options.rounds):
            progress.say(
                t("round {number} of {count}").format(number=number + 1, count=options.rounds)
            )
            await probe.rest()
            before, used = await probe.packets_by_engine(), server.usage()
            await probe.measure(load.times(rate), options.seconds)
            await probe.rest()
            cpu_s = server.usage().since(used).by_engine_s
            after = await probe.packets_by_engine()
            counts = tuple(now - then for now, then in zip(after, before, strict=True))
            us = tuple(
                1e6 * used_s / max(count, 1) for used_s, count in zip(cpu_s, counts, strict=True)
            )
            found.append(_Round(counts, us))
        counters = (await server.ask("counters"))["engines"]
    return tuple(found), tuple(item["rooms"] for item in counters), rate
