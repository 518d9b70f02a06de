"""Coming and going leaves nothing behind in a server process."""

import asyncio
from pathlib import Path

import pytest

from loadtest.browser.server import Server
from tests.e2e.scene import Scene, scene_at, until

pytestmark = [pytest.mark.net, pytest.mark.load, pytest.mark.timeout(300)]

_WARM_UP = 60
_VISITS = 200
_SNAPSHOT_S = 1.5
"""The plane publishes its counters once a second."""


async def test_two_hundred_joins_and_leaves_leave_nothing_behind() -> None:
    with Server.start(settings={"WITNESS_MEDIA__ENGINES": "1"}) as server:
        async with scene_at(server) as call:
            await call.join("rm", sends="a", auto_subscribe=False)
            for _ in range(_WARM_UP):
                await _visit(call)
            await asyncio.sleep(_SNAPSHOT_S)
            pid = server.process.pid
            resident, descriptors = _resident_bytes(pid), _descriptors(pid)
            for _ in range(_VISITS):
                await _visit(call)
            await asyncio.sleep(_SNAPSHOT_S)
            seen = await call.metrics()
            assert seen['witness_participants{role="customer"}'] == 0
            assert seen['sfu_transport_transports{state="connected"}'] == 1
            assert sum(v for k, v in seen.items() if k.startswith("sfu_transport_transports")) == 1
            assert seen["sfu_signaling_connections"] == 1
            assert _descriptors(pid) <= descriptors + 2
            # An allocator keeps some; 200 leaked participants would be 30 MiB and more.
            assert _resident_bytes(pid) - resident < 4 << 20


async def _visit(call: Scene) -> None:
    guest = await call.join("customer", sends="a")
    await until(lambda: guest.connection_state == "connected", "connection")
    await until(lambda: len(guest.received) >= 1, "subscription")
    await guest.leave()
    call.people.remove(guest)


def _resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) * 1024


def _descriptors(pid: int) -> int:
    return sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
