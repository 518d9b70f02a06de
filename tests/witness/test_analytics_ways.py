"""A host beside the server: real processes, real sockets, tiny detectors."""

import asyncio
import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from analytics.host.config import HostConfig
from analytics.link import (
    Found,
    Greet,
    Hello,
    Status,
    TrackStarted,
    Unknown,
    from_host,
)
from tests.analytics.host.endings import cancel_to_the_end, descriptors, is_known
from tests.analytics.host.media import Camera
from tests.analytics.host.scene import HERE, config, detectors
from witness import analytics_ways
from witness.analytics_ways import EmbeddedWay, HostWay
from witness.config import LogConfig, LogFormat

pytestmark = [pytest.mark.net, pytest.mark.timeout(120)]

PATIENCE_S = 60.0


class Tap:
    """An engine that hands out what the test gives it."""

    def __init__(self) -> None:
        self.socket: socket.socket | None = None

    def set_tap_reader(self, *, socket: int | None) -> None:
        if self.socket is not None:
            self.socket.close()
        self.socket = None if socket is None else _copied(socket)

    def send(self, message: bytes) -> None:
        assert self.socket is not None
        with contextlib.suppress(OSError):
            self.socket.send(message, socket.MSG_DONTWAIT)


def _copied(descriptor: int) -> socket.socket:
    return socket.socket(fileno=os.dup(descriptor))


class Server:
    """The server's end of a way."""

    def __init__(self, way: HostWay, tap: Tap) -> None:
        self.way, self.tap = way, tap
        self.heard: list[Any] = []
        self.came = self.gone = 0
        self.camera = Camera(keyframes_every=5)
        self.at_us = 0

    def _came(self) -> None:
        self.came += 1
        self.say(Greet())

    def _gone(self) -> None:
        self.gone += 1

    def say(self, message: Any) -> None:
        self.way.say(message.model_dump_json().encode())

    def of(self, kind: type[Any]) -> list[Any]:
        return [item for item in self.heard if isinstance(item, kind)]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator["Server"]:
        task = asyncio.create_task(
            self.way.run(self._came, lambda line: self.heard.append(from_host(line)), self._gone)
        )
        try:
            yield self
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def until(self, condition: Callable[[], object]) -> None:
        end_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end_s, self.heard[-5:]
            await asyncio.sleep(0.02)

    async def ready(self, name: str) -> None:
        await self.until(lambda: self.of(Hello) and f"{HERE}{name}" in self.of(Hello)[-1].detectors)

    def start(self) -> None:
        self.say(
            TrackStarted(
                session_id="s",
                room_id="r",
                participant_id="a",
                role="customer",
                track_id="t",
                kind="video",
                source="camera",
                codec="vp8",
                clock_rate_hz=90_000,
                tap=1,
                at_us=self.at_us,
            )
        )

    async def show(self, condition: Callable[[], object]) -> None:
        """Shows pictures until it is so."""
        end_s = time.monotonic() + PATIENCE_S
        while not condition():
            assert time.monotonic() < end_s, self.heard[-5:]
            self.at_us += 40_000
            self.tap.send(self.camera.message(self.at_us))
            await asyncio.sleep(0.01)


async def test_settings_may_be_longer_than_a_pipe_holds() -> None:
    tap = Tap()
    models = {f"model-{number}": Path(f"/models/{number:060}.onnx") for number in range(1_500)}
    settings = config(detectors(Counter={})).model_copy(update={"own_models": models})
    assert len(settings.model_dump_json()) > 100_000
    async with Server(EmbeddedWay(settings, [tap]), tap).running() as server:
        await server.until(lambda: server.of(Hello))


async def test_a_host_finds_is_killed_and_comes_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(analytics_ways, "_BACKOFF_S", 0.1)
    tap = Tap()
    way = EmbeddedWay(config(detectors(Counter={})), [tap])
    async with Server(way, tap).running() as server:
        await server.ready("Counter")
        wants = server.of(Hello)[-1].wants[f"{HERE}Counter"]
        assert wants.video_height == 90
        server.start()
        await server.show(lambda: len(server.of(Found)) > 5)
        await server.until(lambda: server.of(Status))
        first = server.of(Hello)[-1].run
        assert way.pid is not None
        os.kill(way.pid, signal.SIGKILL)
        await server.until(lambda: server.gone == 1)
        assert tap.socket is None, "nothing is handed out to nobody"
        await server.until(lambda: server.of(Hello)[-1].run != first)
        await server.ready("Counter")
        assert (server.came, way.restarts) == (2, 1)
        count = len(server.of(Found))
        server.start()
        await server.show(lambda: len(server.of(Found)) > count + 3)
    assert tap.socket is None
    assert way.pid is None


@pytest.mark.parametrize(
    "program",
    [
        "import time; time.sleep(600)",
        "import socket, sys; c = socket.socket(fileno=int(sys.argv[4])); c.sendall(b'x' * 100_000)",
        "raise SystemExit(3)",
    ],
)
async def test_a_host_that_says_nothing_or_rubbish_is_ended_and_tried_again(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(analytics_ways, "_BACKOFF_S", 0.1)
    monkeypatch.setattr(analytics_ways, "_START_S", 2.0)
    tap = Tap()
    way = EmbeddedWay(HostConfig(), [tap], [sys.executable, "-c", program])
    refused: list[bytes] = []
    came = []
    task = asyncio.create_task(way.run(lambda: came.append(1), refused.append, lambda: None))
    end_s = time.monotonic() + PATIENCE_S
    while way.restarts < 2:
        assert time.monotonic() < end_s
        # It takes nothing either; that must not be kept without end.
        for _ in range(100):
            way.say(b"x" * 10_000)
        await asyncio.sleep(0.05)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert way.pid is None
    assert all(line == b"" for line in refused)


async def test_a_host_logs_as_its_server_does_and_nothing_of_it_is_output(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    tap = Tap()
    names = detectors(Harm={"harm": "raise", "lives": str(tmp_path / "life")})
    way = EmbeddedWay(config(names), [tap], log=LogConfig(format=LogFormat.JSON))
    async with Server(way, tap).running() as server:
        await server.ready("Harm")
        server.start()
        await server.show(lambda: server.of(Unknown))
    output, errors = capfd.readouterr()
    assert output == ""
    lines = errors.splitlines()
    assert "aloud" in lines
    records = [json.loads(line) for line in lines if line != "aloud"]
    about = {"logger": "analytics.host.pool", "level": "warning", "cause": "raised"}
    assert any(about.items() <= one.items() for one in records)
    assert "on purpose" not in errors


async def test_a_host_that_is_killed_takes_its_workers_along_even_one_that_hangs() -> None:
    tap = Tap()
    names = detectors(Counter={}, Harm={"harm": "hang"})
    way = EmbeddedWay(config(names, hang_after_s=100.0), [tap])
    async with Server(way, tap).running() as server:
        await server.ready("Counter")
        await server.ready("Harm")
        server.start()
        of_harm = f"{HERE}Harm"
        await server.show(
            lambda: sum(item.detector == of_harm and item.kind == "picture"
                        for item in server.of(Found)) >= 2
        )  # fmt: skip
        await server.show(lambda: len(server.of(Found)) > 30)
        assert way.pid is not None
        children = _descendants(way.pid)
        assert children
    end_s = time.monotonic() + PATIENCE_S
    while any(_is_alive(pid) for pid in children):
        assert time.monotonic() < end_s
        await asyncio.sleep(0.05)


def _descendants(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text("ascii")
    return [int(word) for word in text.split()]


def _is_alive(pid: int) -> bool:
    try:
        text = Path(f"/proc/{pid}/stat").read_text("ascii")
    except FileNotFoundError:
        return False
    return text.rpartition(")")[2].split()[0] != "Z"


async def test_a_way_that_is_ended_impatiently_leaves_no_host() -> None:
    before = descriptors()
    tap = Tap()
    way = EmbeddedWay(config(detectors(Counter={})), [tap])
    came = asyncio.Event()
    task = asyncio.create_task(way.run(came.set, lambda _: None, lambda: None))
    await came.wait()
    pid = way.pid
    await cancel_to_the_end(task)
    assert task.cancelled()
    assert not is_known(pid), "it has been waited for"
    assert tap.socket is None, "no engine writes to it any more"
    await asyncio.sleep(0)
    assert descriptors() <= before
