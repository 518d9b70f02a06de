"""The host's ways to the server: two local sockets, or Redis."""

import asyncio
import contextlib
import logging
import signal
import socket
import time
from collections import deque
from typing import Final

from pydantic import BaseModel

from analytics.errors import HostError
from analytics.host.config import HostConfig
from analytics.host.core import Host
from analytics.host.ending import to_its_end
from analytics.host.tap import MAX_MESSAGE_BYTES
from analytics.link import MAX_LINE_BYTES, Found, Greet, Hello, Said, Unknown
from analytics.streams import PLACE_S, Streams

__all__ = ["Outgoing", "keep_place", "serve_redis", "serve_sockets"]

log = logging.getLogger(__name__)

_WAITING: Final = 100_000
_WAITING_BYTES: Final = 32 << 20
_TICK_S: Final = 1.0
_TURN_S: Final = 0.02
_LOOKED_AT: Final = 256


class Outgoing:
    """Lines for the server; bounded: of status and keyframe requests the oldest go first.

    Attributes:
        dropped: lines that had to go.
    """

    def __init__(self) -> None:
        self.dropped = 0
        self._lines: deque[tuple[bool, bytes]] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()

    def say(self, message: BaseModel) -> None:
        """Adds a message; one that is too long for a line is dropped."""
        line = message.model_dump_json().encode()
        if len(line) >= MAX_LINE_BYTES:
            self.dropped += 1
            return
        matters = isinstance(message, Found | Said | Unknown | Hello)
        self._lines.append((matters, line))
        self._bytes += len(line)
        while len(self._lines) > _WAITING or self._bytes > _WAITING_BYTES:
            self._drop()
        self._wake.set()

    async def take(self) -> list[bytes]:
        """All that waits, as soon as there is something."""
        await self._wake.wait()
        self._wake.clear()
        lines = [line for _, line in self._lines]
        self.clear()
        return lines

    def clear(self) -> None:
        """Nothing of it is said."""
        self._lines.clear()
        self._bytes = 0

    def _drop(self) -> None:
        self.dropped += 1
        # One of those that don't matter comes each second: the oldest lines have some, or none do.
        for place, (matters, line) in enumerate(self._lines):
            if not matters:
                del self._lines[place]
                self._bytes -= len(line)
                return
            if place >= _LOOKED_AT:
                break
        _, line = self._lines.popleft()
        self._bytes -= len(line)


async def serve_sockets(config: HostConfig, name: str, control_fd: int, tap_fd: int) -> None:
    """Runs a host beside the server, until the server is gone.

    Args:
        config: settings.
        name: of this host.
        control_fd: a stream socket with lines.
        tap_fd: a ``SOCK_SEQPACKET`` socket with media.
    """
    control = socket.socket(fileno=control_fd)
    tap = socket.socket(fileno=tap_fd)
    tap.setblocking(False)
    loop = asyncio.get_running_loop()
    try:
        reader, writer = await asyncio.open_connection(sock=control, limit=MAX_LINE_BYTES)
        outgoing = Outgoing()
        host = Host(config, outgoing.say, name=name)
    except BaseException:
        control.close()
        tap.close()
        raise

    def readable() -> None:
        # A bounded share: the server and the workers get their turn in between, however much media
        # there is. What is left too long is dropped by who sends it.
        end_s = time.monotonic() + _TURN_S
        while time.monotonic() < end_s:
            try:
                message = tap.recv(MAX_MESSAGE_BYTES)
            except (BlockingIOError, InterruptedError):
                return
            except OSError:
                message = b""
            if not message:
                loop.remove_reader(tap)
                return
            host.take_tap(message)

    async def listen() -> None:
        while line := await reader.readline():
            host.take_line(line)

    async def speak() -> None:
        while True:
            lines = await outgoing.take()
            writer.write(b"\n".join(lines) + b"\n")
            await writer.drain()

    loop.add_reader(tap, readable)
    try:
        await _run(host, outgoing, listen(), speak())
    finally:
        loop.remove_reader(tap)
        tap.close()
        writer.close()


async def serve_redis(config: HostConfig, name: str, url: str, node: str) -> None:
    """Runs a host on another machine than the server, until it is told to end.

    Of several hosts of one node one works; the others have their models loaded, and wait.

    Raises:
        HostError: there is no client for Redis, or another host has taken over.
    """
    outgoing = Outgoing()
    streams = Streams.connect(url, node)
    host = Host(config, outgoing.say, name=name, shares_clock=False)
    placed = asyncio.Event()

    async def listen() -> None:
        await placed.wait()
        async for line in streams.control():
            host.take_line(line if len(line) <= MAX_LINE_BYTES else b"")

    async def watch() -> None:
        await placed.wait()
        async for message in streams.tap():
            host.take_tap(message)

    async def speak() -> None:
        await placed.wait()
        while True:
            for line in await outgoing.take():
                await streams.say(line)

    try:
        await _run(
            host, outgoing, keep_place(streams, host, outgoing, placed), listen(), watch(), speak()
        )
    finally:
        await to_its_end(_left(streams, host.run))


async def keep_place(
    streams: Streams, host: Host, outgoing: Outgoing, placed: asyncio.Event
) -> None:
    """Waits for the place of the node's host, and keeps it; ``placed`` is set once it is ours.

    Raises:
        HostError: another host has taken over.
    """
    has_failed = False
    while True:
        try:
            is_mine = await streams.claim(host.run)
        except OSError as error:
            # Told once: a host that waits for its place asks for nothing else.
            if not has_failed:
                log.warning("redis can't be asked for a place", extra={"reason": str(error)})
            has_failed = True
        else:
            has_failed = False
            if is_mine and not placed.is_set():
                # What it said while it waited was nobody's business.
                outgoing.clear()
                host.take(Greet())
                placed.set()
            if placed.is_set() and not is_mine:
                raise HostError("another host has taken this one's place")
        await asyncio.sleep(PLACE_S / 5)


async def _left(streams: Streams, run: str) -> None:
    try:
        with contextlib.suppress(OSError):
            await streams.leave(run)
    finally:
        await streams.close()


async def _run(host: Host, outgoing: Outgoing, *ways: "asyncio.Future[None] | object") -> None:
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)

    async def tick() -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            host.unsaid = outgoing.dropped
            outgoing.say(host.tick())

    host.start()
    tasks = [asyncio.ensure_future(way) for way in (*ways, tick(), ended.wait())]  # type: ignore[call-overload]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            with contextlib.suppress(ConnectionError, ValueError):
                task.result()
    except HostError:
        log.exception("the host ends")
        raise
    finally:
        for task in tasks:
            task.cancel()
        try:
            await asyncio.gather(*tasks, return_exceptions=True)
        finally:
            await host.stop()
