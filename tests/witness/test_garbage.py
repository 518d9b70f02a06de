"""Who left is forgotten at once: nothing of them waits for the garbage collector.

Its full collections become rare as a server gets larger. What only they can free looks like a leak
for half an hour, and makes each of them longer, for which the event loop stands still.
"""

import asyncio
import contextlib
import gc
from collections import Counter
from collections.abc import Iterator

import aiohttp
import pytest

from loadtest.signal import SignalConfig
from loadtest.swarm import SwarmParticipant
from sfu._media import Swarm
from sfu.config import SfuConfig
from signaling.config import AuthConfig, SignalingConfig
from witness.config import MediaConfig, ServerConfig, Settings
from witness.server import WitnessServer

pytestmark = [pytest.mark.net, pytest.mark.timeout(60)]

_OURS = ("sfu.", "signaling.", "witness.", "aiohttp.web_ws.", "aiohttp.web_request.")


@contextlib.contextmanager
def garbage() -> Iterator[Counter[str]]:
    """What of ours only the collector could have freed in the block, by type."""
    found: Counter[str] = Counter()
    gc.collect()
    gc.disable()
    try:
        yield found
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        names = [f"{type(item).__module__}.{type(item).__qualname__}" for item in gc.garbage]
        found.update(name for name in names if name.startswith(_OURS))
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def settings() -> Settings:
    return Settings(
        server=ServerConfig(port=0, drain_s=0),
        media=MediaConfig(engines=1, listen=("127.0.0.1",)),
        sfu=SfuConfig(),
        signaling=SignalingConfig(auth=AuthConfig(demo_key=True)),
    )


async def join(
    server: WitnessServer, session: aiohttp.ClientSession, swarm: Swarm, role: str, ssrc: int
) -> SwarmParticipant:
    body = {"room": "r1", "role": role, "name": role}
    async with session.post(f"{server.url}/v1/demo/tokens", json=body) as response:
        token = (await response.json())["token"]
    joined = SwarmParticipant(SignalConfig(server.url, token), session, swarm, ssrc)
    await joined.start()
    return joined


async def call(server: WitnessServer, swarm: Swarm) -> None:
    """Two people see each other; one says that it leaves, the other resumes and is thrown out."""
    async with aiohttp.ClientSession() as session:
        first = await join(server, session, swarm, "rm", 1_000)
        second = await join(server, session, swarm, "customer", 2_000)
        async with asyncio.timeout(10):
            while first.subscribed < 2 or second.subscribed < 2:
                await asyncio.sleep(0.02)
        async with session.get(f"{server.url}/metrics") as response:
            assert "witness_rooms 1.0" in await response.text()
        await second.signal.drop_socket()
        await second.signal.request("quality.report", {"tracks": []})
        await first.close()
        await second.close()
    async with asyncio.timeout(10):
        while server.hub.stats.connections:
            await asyncio.sleep(0.02)


async def test_who_left_leaves_no_garbage() -> None:
    server = WitnessServer(settings())
    await server.start()
    swarm = Swarm(sockets=1, sample=0)
    try:
        # What is made once is there after the first.
        await call(server, swarm)
        with garbage() as found:
            await call(server, swarm)
        assert not found
    finally:
        swarm.close()
        await server.stop()


def test_garbage_is_found() -> None:
    with garbage() as found:
        config = {"self": SfuConfig()}
        config["config"] = config  # type: ignore[assignment]
        del config
    assert found == Counter({"sfu.config.SfuConfig": 1})
