"""A host that is given media by Redis, with a real one; a call doesn't need it."""

import asyncio
import contextlib
import json
import subprocess
import sys
from pathlib import Path

import pytest

from analytics.link import Found, Hello, Status
from analytics.streams import TAP_MESSAGES, Streams
from tests.analytics.host.media import record
from tests.analytics.host.redis_server import RedisServer, running, why_missing
from tests.analytics.host.scene import HERE, config, detectors
from tests.witness.test_analytics_ways import Server, Tap
from witness import analytics_ways
from witness.analytics_ways import RedisWay

pytestmark = [
    pytest.mark.net,
    pytest.mark.timeout(150),
    pytest.mark.skipif(why_missing() is not None, reason=why_missing() or ""),
]


class RemoteHost:
    """A host as on another machine: it knows nothing but the address of Redis."""

    def __init__(self, folder: Path, redis: RedisServer, name: str = "far") -> None:
        self._name = name
        self._settings = folder / "host.json"
        self._settings.write_text(config(detectors(Counter={})).model_dump_json())
        self._redis = redis
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "analytics.host", "--config", str(self._settings),
             "--name", self._name, "--redis", self._redis.url, "--node", "n1"],
        )  # fmt: skip

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            assert self._process.wait(30) == 0


async def test_findings_come_back_by_redis_whoever_is_there_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analytics_ways, "_SILENT_S", 5.0)
    with running(tmp_path) as redis:
        host = RemoteHost(tmp_path, redis)
        host.start()
        tap = Tap()
        way = RedisWay(Streams.connect(redis.url, "n1"), [tap])
        try:
            async with Server(way, tap).running() as server:
                await server.ready("Counter")
                assert server.of(Hello)[-1].host == "far"
                server.start()
                await server.show(lambda: len(server.of(Found)) > 5)
                assert server.of(Found)[0].detector == f"{HERE}Counter"
                # Redis goes away: nothing waits for it, and it is noticed.
                redis.stop()
                await server.show(lambda: server.gone)
                redis.start()
                came, count = server.came, len(server.of(Found))
                await server.until(lambda: server.came > came)
                server.start()
                await server.show(lambda: len(server.of(Found)) > count + 3)
                assert way.dropped["redis_down"] > 0
        finally:
            host.stop()


async def test_without_redis_media_are_dropped_and_counted_and_nothing_waits(
    tmp_path: Path,
) -> None:
    tap = Tap()
    way = RedisWay(Streams.connect(f"unix://{tmp_path}/nothing", "n1"), [tap])
    async with Server(way, tap).running() as server:
        await server.until(lambda: tap.socket)
        for number in range(2_000):
            tap.send(record(b"x" * 1_000, number=number))
            way.say(b"{}")
            if number % 100 == 0:
                await asyncio.sleep(0)
        await server.until(lambda: way.dropped["redis_full"] and way.dropped["redis_down"])
        assert server.heard == []


async def test_streams_are_kept_to_a_length(tmp_path: Path) -> None:
    with running(tmp_path) as redis:
        streams = Streams.connect(redis.url, "n1")
        for number in range(TAP_MESSAGES + 500):
            while True:
                with contextlib.suppress(OSError):
                    await streams.send(json.dumps(number).encode())
                    break
                await asyncio.sleep(0.05)
        length = await streams._client.xlen("witness:n1:tap")
        assert TAP_MESSAGES <= length < TAP_MESSAGES + 500
        await streams.close()


async def test_of_two_hosts_one_works_and_the_other_takes_over(tmp_path: Path) -> None:
    with running(tmp_path) as redis:
        first, second = RemoteHost(tmp_path, redis), RemoteHost(tmp_path, redis, "second")
        tap = Tap()
        way = RedisWay(Streams.connect(redis.url, "n1"), [tap])
        first.start()
        try:
            async with Server(way, tap).running() as server:
                await server.ready("Counter")
                second.start()
                server.start()
                await server.show(lambda: len(server.of(Found)) > 20)
                assert {hello.host for hello in server.of(Hello)} == {"far"}
                ids = [found.finding_id for found in server.of(Found) if found.kind == "picture"]
                assert len(ids) == len(set(ids))
                first.stop()
                await server.until(lambda: server.of(Hello)[-1].host == "second")
        finally:
            second.stop()


async def reached(streams: Streams) -> None:
    """Redis is there; the place is a's."""
    has_place = False
    while not has_place:
        with contextlib.suppress(OSError):
            has_place = await streams.claim("a")
        await asyncio.sleep(0.05)


async def test_a_place_is_held_by_one_and_kept_by_asking_again(tmp_path: Path) -> None:
    with running(tmp_path) as redis:
        streams = Streams.connect(redis.url, "n1")
        await reached(streams)
        assert not await streams.claim("b")
        assert await streams.claim("a")
        await streams.leave("b")
        assert not await streams.claim("b"), "not his to leave"
        await streams.leave("a")
        assert await streams.claim("b")
        redis.stop()
        with pytest.raises(OSError, match=r"[Cc]onnect"):
            await streams.claim("b")
        await streams.close()


RUBBISH = [
    b"", b"\x00\xff" * 500, b"{", b"[" * 60_000, b'{"type":"greet","x":1}', b"1" * 200_000,
    b'{"type":"mark","session_id":"s","kind":"k","at_us":' + b"9" * 5_000 + b"}",
    b'{"type":"track.ended","track_id":"' + b"a" * 300_000 + b'","at_us":0}',
    record(b"x" * 100)[:60], record(b"x" * 60_000) + record(b"y" * 60_000),
]  # fmt: skip


async def test_rubbish_in_redis_is_counted_and_the_host_goes_on(tmp_path: Path) -> None:
    with running(tmp_path) as redis:
        host = RemoteHost(tmp_path, redis)
        host.start()
        tap = Tap()
        way = RedisWay(Streams.connect(redis.url, "n1"), [tap])
        try:
            async with Server(way, tap).running() as server:
                await server.ready("Counter")
                run = server.of(Hello)[-1].run
                stranger = Streams.connect(redis.url, "n1")
                for item in RUBBISH:
                    await stranger.tell(item)
                    await stranger.send(item)
                for kind in ("control", "tap"):
                    await stranger._client.xadd(f"witness:n1:{kind}", {"no": b"field"})
                await stranger.close()
                # Empty messages of the tap have no packets, and that is all.
                wrong = 2 * len(RUBBISH) - 1
                await server.until(
                    lambda: server.of(Status) and server.of(Status)[-1].refused >= wrong
                )
                assert server.of(Status)[-1].refused == wrong
                server.start()
                await server.show(lambda: len(server.of(Found)) > 3)
                assert {hello.run for hello in server.of(Hello)} == {run}, "it is the same host"
        finally:
            host.stop()


@pytest.mark.parametrize("way", ["tell", "claim", "read"])
async def test_whoever_is_cancelled_ends_at_whatever_turn_it_comes(
    way: str, tmp_path: Path
) -> None:
    """The client's own waiting loses a cancellation that comes when a write has just been done."""
    with running(tmp_path) as redis:
        streams = Streams.connect(redis.url, "n1")

        async def at_work() -> None:
            lines = streams.control()
            while True:
                match way:
                    case "tell":
                        await streams.tell(b"{}")
                    case "claim":
                        await streams.claim("a")
                    case "read":
                        await streams.tell(b"{}")
                        await anext(lines)

        await reached(streams)
        for turns in range(60):
            task = asyncio.create_task(at_work())
            for _ in range(turns):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task], timeout=10)
            assert task.cancelled(), f"lost after {turns} turns"
        await streams.close()
