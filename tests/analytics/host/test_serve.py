"""What waits for the server at a host."""

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest

from analytics.host import serve
from analytics.host.serve import Outgoing
from analytics.link import Found, KeyframeWanted, Status
from tests.witness.test_findings import found


async def test_what_waits_is_bounded_in_bytes_and_what_matters_least_goes_first() -> None:
    outgoing = Outgoing()
    big: Found = found(1, values={f"v{number}": "x" * 64 for number in range(16)})
    most = (32 << 20) // len(big.model_dump_json())
    outgoing.say(Status())
    for _ in range(most + 1):
        outgoing.say(big)
    lines = await outgoing.take()
    assert (outgoing.dropped, len(lines)) == (2, most)
    assert not [line for line in lines if b'"status"' in line], "the next says the same"
    outgoing.say(Status())
    assert len(await outgoing.take()) == 1, "what was taken counts no longer"
    outgoing.say(KeyframeWanted(tap=1))
    outgoing.clear()
    for _ in range(most):
        outgoing.say(big)
    assert outgoing.dropped == 2


class Closed:
    """A Redis that turns away whoever asks."""

    def __init__(self) -> None:
        self.asked = 0

    async def claim(self, host: str) -> bool:
        self.asked += 1
        raise OSError("invalid username-password pair or user is disabled.")


async def test_a_host_that_redis_turns_away_says_so_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(serve, "PLACE_S", 0)
    redis: Any = Closed()
    host: Any = SimpleNamespace(run="a")
    task = asyncio.create_task(serve.keep_place(redis, host, Outgoing(), asyncio.Event()))
    while redis.asked < 5:
        await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "invalid username-password" in vars(record)["reason"]
