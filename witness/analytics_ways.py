"""Ways to the host of detectors: a process beside the server, or Redis."""

import asyncio
import contextlib
import itertools
import logging
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, Final, Protocol

from analytics.host.config import HostConfig
from analytics.host.ending import to_its_end
from analytics.link import MAX_LINE_BYTES
from analytics.streams import Streams
from witness.config import LogConfig, LogFormat

__all__ = ["EmbeddedWay", "EngineTap", "HostWay", "RedisWay"]

_LOG = logging.getLogger(__name__)

_SILENT_S: Final = 15.0
"""A host says how it is every second."""
_START_S: Final = 60.0
_LOOK_S: Final = 0.5
_BACKOFF_S: Final = 1.0
_BACKOFF_MOST_S: Final = 60.0
_CALM_S: Final = 60.0
_BACKLOG_BYTES: Final = 64 << 20
"""A host that has come is told all that is under way at once: some KiB for each participant."""
_SEND_BUFFER: Final = 1 << 20
_MESSAGE_BYTES: Final = 65_536
_LINES: Final = 200_000
_MESSAGES: Final = 256
_AT_ONCE: Final = 32
_LINES_A_TURN: Final = 64
_STDERR: Final = 2

Heard = Callable[[bytes], None]


class EngineTap(Protocol):
    """The part of an engine that hands out media."""

    def set_tap_reader(self, *, socket: int | None) -> None:
        """Says where tapped packets go."""


class HostWay(Protocol):
    """A way to a host.

    Attributes:
        restarts: how often a host had to be started again.
        dropped: what was not handed over, by reason.
    """

    restarts: int
    dropped: dict[str, int]

    def say(self, line: bytes) -> None:
        """Says a line, without its end; never waits."""

    def end(self) -> None:
        """Has nothing more to do with the present host: it misbehaves."""

    async def run(self, came: Callable[[], None], heard: Heard, gone: Callable[[], None]) -> None:
        """Keeps the way open until it is cancelled.

        Args:
            came: a host can be spoken to.
            heard: told of its lines.
            gone: there is none any more.
        """


class EmbeddedWay:
    """A host that is a child of this process: started again when it ends, or says nothing.

    Args:
        config: of the host.
        engines: whose packets it gets.
        command: in place of this very Python with ``-m analytics.host``.
        log: what its log lines look like.
    """

    def __init__(
        self,
        config: HostConfig,
        engines: Sequence[EngineTap],
        command: Sequence[str] = (),
        *,
        log: LogConfig | None = None,
    ) -> None:
        self.restarts = 0
        self.dropped: dict[str, int] = {}
        self._config = config
        self._engines = engines
        self._log = log or LogConfig()
        self._command = list(command) or [sys.executable, "-m", "analytics.host"]
        self._writer: asyncio.StreamWriter | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._last_s = 0.0
        self._has_spoken = False

    @property
    def pid(self) -> int | None:
        """Of the host, while there is one."""
        return None if self._process is None else self._process.pid

    def say(self, line: bytes) -> None:
        """Says a line; a host that takes none for long is ended."""
        writer = self._writer
        if writer is None:
            return
        writer.write(line + b"\n")
        if writer.transport.get_write_buffer_size() > _BACKLOG_BYTES and self._process is not None:
            self._process.kill()

    def end(self) -> None:
        """Kills it; the next is started after a while."""
        if self._process is not None:
            self._process.kill()

    async def run(self, came: Callable[[], None], heard: Heard, gone: Callable[[], None]) -> None:
        """Starts hosts, one after the other."""
        faults = 0
        while True:
            began_s = time.monotonic()
            try:
                await self._once(came, heard)
            except OSError as error:
                _LOG.error("the host of detectors can't be started", extra={"reason": str(error)})
            finally:
                gone()
            faults = 1 if time.monotonic() - began_s > _CALM_S else faults + 1
            self.restarts += 1
            wait_s = min(_BACKOFF_MOST_S, _BACKOFF_S * 2 ** min(faults - 1, 20))
            _LOG.warning("the host of detectors has ended", extra={"again_in_s": wait_s})
            await asyncio.sleep(wait_s)

    async def _once(self, came: Callable[[], None], heard: Heard) -> None:
        pairs: list[socket.socket] = []
        tasks: list[asyncio.Task[None]] = []
        try:
            near, far = _pair(pairs, socket.SOCK_STREAM)
            tap, far_tap = _pair(pairs, socket.SOCK_SEQPACKET)
            tap.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
            fds = (far.fileno(), far_tap.fileno())
            # Its lines are as many as this process's.
            level = max(logging.DEBUG, logging.getLogger("analytics.host").getEffectiveLevel())
            arguments = ["--config", "-", "--control", str(fds[0]), "--tap", str(fds[1])]
            arguments += ["--level", logging.getLevelName(level)]
            arguments += ["--json-lines"] if self._log.format is LogFormat.JSON else []
            arguments += ["--pii"] if self._log.pii else []
            # What detectors print is no result of this program: it goes to where log lines go.
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603 - as configured
                [*self._command, *arguments],
                pass_fds=fds, stdin=subprocess.PIPE, stdout=_STDERR,
            )  # fmt: skip
            # One that reads nothing is killed; then the thread ends, too.
            async with asyncio.timeout(_START_S):
                await asyncio.to_thread(_give, self._process, self._config.model_dump_json())
            far.close()
            far_tap.close()
            reader, self._writer = await asyncio.open_connection(sock=near, limit=MAX_LINE_BYTES)
            self._set_reader(tap.fileno())
            self._last_s, self._has_spoken = time.monotonic(), False
            came()
            tasks = [
                asyncio.create_task(way) for way in (self._listen(reader, heard), self._watch())
            ]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            self.end()
            self._set_reader(None)
            await to_its_end(self._ended(tasks, pairs))

    async def _ended(self, tasks: list[asyncio.Task[None]], pairs: list[socket.socket]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._writer is not None:
            self._writer.transport.abort()
        self._writer = None
        for item in pairs:
            item.close()
        process, self._process = self._process, None
        if process is not None:
            # Its workers end with it: their sockets are closed.
            await asyncio.to_thread(process.wait)

    def _set_reader(self, descriptor: int | None) -> None:
        for engine in self._engines:
            engine.set_tap_reader(socket=descriptor)

    async def _listen(self, reader: asyncio.StreamReader, heard: Heard) -> None:
        for number in itertools.count(1):
            if number % _LINES_A_TURN == 0:
                # Lines that are there already don't wait: the calls get their turn.
                await asyncio.sleep(0)
            try:
                line = await reader.readline()
            except ValueError:
                # Too long: nothing after it can be trusted.
                heard(b"")
                return
            except ConnectionError:
                return
            if not line:
                return
            self._last_s, self._has_spoken = time.monotonic(), True
            heard(line)

    async def _watch(self) -> None:
        limit_s = _START_S
        while time.monotonic() - self._last_s < limit_s:
            await asyncio.sleep(_LOOK_S)
            limit_s = _SILENT_S if self._has_spoken else _START_S
        _LOG.warning("the host of detectors says nothing")


def _pair(kept: list[socket.socket], kind: socket.SocketKind) -> list[socket.socket]:
    """Two ends of a local socket, which are among those that are kept."""
    pair = list(socket.socketpair(socket.AF_UNIX, kind))
    kept += pair
    return pair


def _give(process: subprocess.Popen[bytes], settings: str) -> None:
    """Writes settings to a process, which may wait: a pipe holds 64 KiB, word lists are longer."""
    assert process.stdin is not None
    with contextlib.suppress(BrokenPipeError), process.stdin as stdin:
        stdin.write(settings.encode())


class RedisWay:
    """Hosts on other machines, by Redis. While that can't be reached, no media are kept.

    Lines are: a withdrawal that a host doesn't hear of is none. Where they are too many, the host
    counts as gone, and is told all anew.

    Args:
        streams: of this node.
        engines: whose packets they get.
    """

    def __init__(self, streams: Streams, engines: Sequence[EngineTap]) -> None:
        self.restarts = 0
        self.dropped: dict[str, int] = {"redis_full": 0, "redis_down": 0}
        self._streams = streams
        self._engines = engines
        self._lines: deque[bytes] = deque()
        self._messages: deque[bytes] = deque()
        self._wake = asyncio.Event()
        self._last_s: float | None = None
        self._has_lost = False
        self._is_ended = False

    def say(self, line: bytes) -> None:
        """Has a line said; with too many waiting, all go, and the host is told all anew."""
        if len(self._lines) >= _LINES:
            self.dropped["redis_full"] += len(self._lines)
            self._lines.clear()
            self._has_lost = True
        self._lines.append(line)
        self._wake.set()

    def end(self) -> None:
        """Doesn't listen to anybody for a while."""
        self._is_ended = True

    async def run(self, came: Callable[[], None], heard: Heard, gone: Callable[[], None]) -> None:
        """Reads what hosts say, and hands them what there is."""
        tap, near = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        near.setblocking(False)
        loop = asyncio.get_running_loop()
        tasks: list[asyncio.Task[None]] = []
        try:
            for engine in self._engines:
                engine.set_tap_reader(socket=tap.fileno())
            loop.add_reader(near, self._take, near)
            came()
            ways: list[Any] = [
                self._listen(came, heard, gone),
                self._hand_over(came, gone),
                self._watch(gone),
            ]
            tasks = [asyncio.create_task(way) for way in ways]
            await asyncio.gather(*tasks)
        finally:
            loop.remove_reader(near)
            for engine in self._engines:
                engine.set_tap_reader(socket=None)
            tap.close()
            near.close()
            gone()
            await to_its_end(self._ended(tasks))

    async def _ended(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._streams.close()

    def _take(self, near: socket.socket) -> None:
        for _ in range(_AT_ONCE):
            try:
                message = near.recv(_MESSAGE_BYTES)
            except OSError:
                break
            if len(self._messages) >= _MESSAGES:
                self._messages.popleft()
                self.dropped["redis_full"] += 1
            self._messages.append(message)
        self._wake.set()

    async def _hand_over(self, came: Callable[[], None], gone: Callable[[], None]) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._lines or self._messages:
                if self._has_lost:
                    self._has_lost = False
                    self._lines.clear()
                    gone()
                    came()
                try:
                    await self._hand_over_one()
                except OSError:
                    self.dropped["redis_down"] += len(self._messages)
                    self._messages.clear()
                    await asyncio.sleep(_LOOK_S)

    async def _hand_over_one(self) -> None:
        if not self._lines:
            message = self._messages.popleft()
            try:
                await self._streams.send(message)
            except OSError:
                self.dropped["redis_down"] += 1
                raise
            return
        line = self._lines.popleft()
        try:
            await self._streams.tell(line)
        except OSError:
            # Said twice does no harm.
            self._lines.appendleft(line)
            raise

    async def _listen(
        self, came: Callable[[], None], heard: Heard, gone: Callable[[], None]
    ) -> None:
        number = 0
        async for line in self._streams.findings():
            number += 1
            if number % _LINES_A_TURN == 0:
                await asyncio.sleep(0)
            if self._is_ended:
                self._is_ended, self._last_s = False, None
                self.restarts += 1
                gone()
                await asyncio.sleep(_SILENT_S)
            is_back = self._last_s is None
            self._last_s = time.monotonic()
            if is_back:
                came()
            heard(line if len(line) <= MAX_LINE_BYTES else b"")

    async def _watch(self, gone: Callable[[], None]) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            if self._last_s is not None and time.monotonic() - self._last_s > _SILENT_S:
                self._last_s = None
                self.restarts += 1
                gone()
