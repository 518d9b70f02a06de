"""A server and the swarm that loads it, each on a CPU of its own."""

import contextlib
from collections.abc import AsyncIterator, Sequence

from witness.bench import machine
from witness.bench.load import Probe
from witness.bench.process import server_process
from witness.bench.progress import Progress
from witness.bench.rooms import Rooms, swarm_of

__all__ = ["stage"]


@contextlib.asynccontextmanager
async def stage(
    progress: Progress, cpus: Sequence[int], *, wide_links: bool = False
) -> AsyncIterator[tuple[Probe, Rooms, int | None]]:
    """A server on one CPU and a swarm on another, if there are two: the CPU of the server last.

    Args:
        progress: is told of rooms that open.
        cpus: those of the machine.
        wide_links: links are believed to take whatever is sent.
    """
    server_cpu, swarm_cpu = (cpus[0], cpus[1]) if len(cpus) > 1 else (None, None)
    async with contextlib.AsyncExitStack() as stack:
        pinned = [] if server_cpu is None else [server_cpu]
        server = await stack.enter_async_context(
            server_process(cpus=pinned, engines=1, settings={"wide_links": wide_links})
        )
        swarm = await stack.enter_async_context(swarm_of(cpu=swarm_cpu))
        # Signaling of the participants too keeps away from the server's CPU.
        machine.bind(swarm_cpu)
        rooms = await stack.enter_async_context(Rooms(server, swarm, progress.rooms))
        yield Probe(server, swarm, server_cpu), rooms, server_cpu
