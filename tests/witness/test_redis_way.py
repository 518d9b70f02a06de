"""What a way to hosts by Redis keeps while Redis can't be reached; no Redis is needed."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from witness import analytics_ways
from witness.analytics_ways import RedisWay


class Flaky:
    """Streams of which so many writes fail, from when on one likes."""

    def __init__(self) -> None:
        self.failing = 0
        self.told: list[bytes] = []

    async def tell(self, line: bytes) -> None:
        if self.failing:
            self.failing -= 1
            raise OSError("down")
        self.told.append(line)

    async def findings(self) -> AsyncIterator[bytes]:
        await asyncio.Event().wait()
        yield b""

    async def close(self) -> None:
        pass


class Desk:
    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(analytics_ways, "_LOOK_S", 0.0)
        self.streams: Any = Flaky()
        self.way = RedisWay(self.streams, [])
        self.events: list[str] = []

    def came(self) -> None:
        self.events.append("came")
        self.way.say(b"greet")

    async def run(self, *, until: int) -> None:
        """Hands lines over until so many are told."""
        way = self.way._hand_over(self.came, lambda: self.events.append("gone"))
        task = asyncio.create_task(way)
        for _ in range(1_000):
            await asyncio.sleep(0)
            if len(self.streams.told) >= until:
                break
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_line_whose_write_failed_is_said_again_and_in_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk(monkeypatch)
    desk.streams.failing = 3
    for line in (b"1", b"2"):
        desk.way.say(line)
    await desk.run(until=2)
    assert desk.streams.told == [b"1", b"2"]
    assert desk.events == []


async def test_when_lines_are_lost_the_host_is_told_all_anew(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(analytics_ways, "_LINES", 4)
    desk = Desk(monkeypatch)
    for number in range(6):
        desk.way.say(str(number).encode())
    await desk.run(until=1)
    assert desk.events == ["gone", "came"]
    assert desk.streams.told == [b"greet"], "lines for a host that counts as gone are none"
    assert desk.way.dropped["redis_full"] == 4
