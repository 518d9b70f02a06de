"""``witness bench isolation``: whether work in Python delays packets."""

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass, replace
from typing import Any

from witness.bench import machine
from witness.bench.load import VIDEO_BYTES, Interval, Probe, calls, packets
from witness.bench.process import server_process
from witness.bench.progress import Progress
from witness.bench.rooms import Rooms, swarm_of
from witness.errors import BenchError
from witness.i18n import marked, t

__all__ = ["PHASES", "IsolationOptions", "IsolationResult", "Phase", "measure_isolation"]

_BUSY = 0.4
_PAUSE_S = 0.5
_HOST_S = 90.0
_LOOK_S = 0.1


@dataclass(frozen=True, slots=True)
class IsolationOptions:
    """Command line of ``witness bench isolation``."""

    rooms: int = 40
    seconds: float = 6.0
    """Of each phase."""
    joining: int = 30
    """Rooms that are filled during the storm of joins. They stay silent, for the load to stay."""


@dataclass(frozen=True, slots=True)
class Phase:
    """Delays while the event loop was kept from working in one way."""

    name: str
    delay_p50_ms: float | None
    delay_p99_ms: float | None
    delay_p999_ms: float | None
    packets: int
    lost: int
    python_share: float
    """Of one core, used by everything but the media threads."""
    findings_per_s: float
    """Of detectors in the host, taken in and validated."""
    unknown: int
    """Times for which a detector can't say anything, while there is a host; since it came."""
    restarts: int
    """Detectors that were stopped and started again; since the host came."""


@dataclass(frozen=True, slots=True)
class IsolationResult:
    """One phase after the other; the first and the last are calm."""

    phases: tuple[Phase, ...]
    preferred: bool
    scheduling: str | None
    """Of the media thread."""

    @property
    def worst_over_calm(self) -> float | None:
        """The worst 99th percentile, in terms of the calm ones' mean."""
        calm = [p.delay_p99_ms for p in self.phases if p.name.startswith("calm")]
        other = [p.delay_p99_ms for p in self.phases if not p.name.startswith("calm")]
        known_calm = [value for value in calm if value is not None]
        known_other = [value for value in other if value is not None]
        if not known_calm or not known_other:
            return None
        return max(known_other) / (sum(known_calm) / len(known_calm))

    def json(self) -> dict[str, Any]:
        """Documented in ``docs/performance.md``."""
        worst = self.worst_over_calm
        return {
            "phases": [asdict(phase) for phase in self.phases],
            "worst_over_calm": None if worst is None else round(worst, 2),
            "preferred": self.preferred,
            "scheduling": self.scheduling,
        }


async def measure_isolation(options: IsolationOptions, progress: Progress) -> IsolationResult:
    """Runs all phases at the same load, with Python on the same CPU as the media thread.

    Raises:
        BenchError: the server or the load generator did not do its part.
    """
    preferred = machine.prefer()
    cpus = machine.cpus()
    server_cpu, swarm_cpu = (cpus[0], cpus[1]) if len(cpus) > 1 else (None, None)
    pinned = [] if server_cpu is None else [server_cpu]
    async with (
        server_process(cpus=pinned, engines=1) as server,
        swarm_of(cpu=swarm_cpu, sample=8) as swarm,
    ):
        machine.bind(swarm_cpu)
        async with Rooms(server, swarm, progress.rooms) as rooms:
            await rooms.grow(options.rooms)
            probe = Probe(server, swarm, server_cpu, senders=rooms.participants)
            pictures = packets(VIDEO_BYTES)
            rate = await probe.find_rate(pictures, _BUSY, min(options.seconds, 1.0))
            # Sound keeps the pace of a call: somebody decodes it.
            probe.set_load(replace(calls(), video=pictures.times(rate).video))
            phases = [
                await _phase(name, make(probe, rooms, options), probe, options, progress)
                for name, make in PHASES
            ]
    return IsolationResult(tuple(phases), preferred, server.scheduling[0])


_MakeWork = Callable[[Probe, Rooms, IsolationOptions], contextlib.AbstractAsyncContextManager[None]]


def _nothing(
    probe: Probe, rooms: Rooms, options: IsolationOptions
) -> contextlib.AbstractAsyncContextManager[None]:
    del probe, rooms, options
    return contextlib.nullcontext()


def _asked(what: str) -> _MakeWork:
    """Has the server do something over and over, with as long a rest in between."""

    def make(
        probe: Probe, rooms: Rooms, options: IsolationOptions
    ) -> contextlib.AbstractAsyncContextManager[None]:
        del rooms, options

        async def ask() -> None:
            while True:
                await probe.server.ask(what, seconds=_PAUSE_S)
                await asyncio.sleep(_PAUSE_S)

        return _beside(ask)

    return make


def _joins(
    probe: Probe, rooms: Rooms, options: IsolationOptions
) -> contextlib.AbstractAsyncContextManager[None]:
    del probe
    return _beside(lambda: rooms.grow(rooms.count + options.joining))


def _watched(*, hanging: bool = False, flooding: bool = False) -> _MakeWork:
    """Has the host watch some of the calls."""

    def make(
        probe: Probe, rooms: Rooms, options: IsolationOptions
    ) -> contextlib.AbstractAsyncContextManager[None]:
        del rooms, options
        return _watching(probe, hanging=hanging, flooding=flooding)

    return make


PHASES: tuple[tuple[str, _MakeWork], ...] = (
    (marked("calm"), _nothing),
    (marked("blocked handler"), _asked("block")),
    (marked("garbage collection"), _asked("collect")),
    (marked("joins"), _joins),
    (marked("detectors"), _watched()),
    (marked("findings at full rate"), _watched(flooding=True)),
    (marked("hung detector"), _watched(hanging=True)),
    (marked("calm again"), _nothing),
)
"""Names, and what is done meanwhile."""


@contextlib.asynccontextmanager
async def _watching(probe: Probe, *, hanging: bool, flooding: bool) -> AsyncIterator[None]:
    """The host is there, has said something and has caught what hangs before it is measured."""
    before = Counter(await probe.server.ask("findings"))
    await probe.server.ask("watch", hanging=float(hanging), flooding=float(flooding))
    try:
        async with asyncio.timeout(_HOST_S):
            while True:
                now = Counter(await probe.server.ask("findings"))
                is_settled = _troubles(now) > _troubles(before) if hanging else now["ready"]
                if now["findings"] > before["findings"] and is_settled:
                    break
                await asyncio.sleep(_LOOK_S)
    except TimeoutError as error:
        raise BenchError(t("the host of detectors says nothing")) from error
    try:
        yield
    finally:
        await probe.server.ask("unwatch")


def _troubles(counts: Counter[str]) -> int:
    return _unknown(counts) + counts["restarts"]


def _unknown(counts: Counter[str]) -> int:
    causes = [name for name in counts if name.startswith("unknown:")]
    return sum(counts[name] for name in causes if name != "unknown:no_host")


@contextlib.asynccontextmanager
async def _beside(work: Callable[[], Any]) -> AsyncIterator[None]:
    task = asyncio.create_task(work())
    try:
        yield
    finally:
        if task.done():
            task.result()
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def _phase(
    name: str,
    work: contextlib.AbstractAsyncContextManager[None],
    probe: Probe,
    options: IsolationOptions,
    progress: Progress,
) -> Phase:
    progress.say(t("phase: {name}").format(name=t(name)))
    probe.swarm.report(Probe.QUANTILES)
    began = Counter(await probe.server.ask("findings"))
    async with work:
        before = Counter(await probe.server.ask("findings"))
        interval: Interval = await probe.watch(options.seconds)
        after = Counter(await probe.server.ask("findings"))
    p50, p99, p999 = (
        None if delay is None else round(1_000 * delay, 3) for delay in interval.delays_s
    )
    return Phase(
        name=name,
        delay_p50_ms=p50,
        delay_p99_ms=p99,
        delay_p999_ms=p999,
        packets=interval.forwarded,
        lost=interval.lost,
        findings_per_s=round((after["findings"] - before["findings"]) / interval.seconds, 1),
        unknown=_unknown(after) - _unknown(began),
        restarts=after["restarts"] - began["restarts"],
        python_share=round((interval.cpu_s - interval.engines_s) / interval.seconds, 3),
    )
