"""Starts the process under test and reads what it uses."""

import asyncio
import contextlib
import json
import os
import re
import secrets
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from witness.errors import BenchError
from witness.i18n import t

__all__ = ["ServerProcess", "Usage", "server_process"]

_START_S = 30.0
_REPLY_S = 120.0
_STOP_S = 15.0
_MEDIA_THREAD = re.compile(r"media-\d+")


@dataclass(frozen=True, slots=True)
class Usage:
    """CPU time so far, user and kernel: of all threads, and of each media thread."""

    total_s: float
    by_engine_s: tuple[float, ...]

    @property
    def engines_s(self) -> float:
        """Of all media threads."""
        return sum(self.by_engine_s)

    def since(self, before: "Usage") -> "Usage":
        """What was used in between."""
        pairs = zip(self.by_engine_s, before.by_engine_s, strict=True)
        return Usage(self.total_s - before.total_s, tuple(now - then for now, then in pairs))


class ServerProcess:
    """A server in a process of its own.

    Attributes:
        url: where it serves.
        scheduling: of its media threads.
    """

    def __init__(self, process: asyncio.subprocess.Process, secret: str) -> None:
        self.secret = secret
        self.url = ""
        self.scheduling: list[str | None] = []
        self._process = process
        self._lock = asyncio.Lock()

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    async def ask(self, do: str, **arguments: float) -> dict[str, Any]:
        """Has the server do something; see ``witness.bench.server``.

        Raises:
            BenchError: it does not answer.
        """
        async with self._lock:
            return await self.exchange({"do": do, **arguments}, _REPLY_S)

    async def exchange(self, message: dict[str, Any], timeout_s: float) -> dict[str, Any]:
        """Sends one line and reads one."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(json.dumps(message).encode() + b"\n")
        try:
            async with asyncio.timeout(timeout_s):
                line = await stdout.readline()
        except TimeoutError as error:
            raise BenchError(t("the server under test does not answer")) from error
        if not line:
            raise BenchError(t("the server under test has ended"))
        reply: dict[str, Any] = json.loads(line)
        return reply

    def usage(self) -> Usage:
        """CPU time of all threads, by the scheduler's own count (nanoseconds)."""
        used_s: dict[int, float] = {}
        for task in self._tasks():
            # A thread may end meanwhile.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                used_s[int(task.name)] = int((task / "schedstat").read_text().split()[0]) / 1e9
        engines = tuple(used_s[thread_id] for thread_id in self._media_threads())
        return Usage(sum(used_s.values()), engines)

    def threads(self, prefix: str) -> dict[str, tuple[float, float, bool]]:
        """Seconds that threads ran, that they waited for a processor, and whether they do now.

        A wait is counted when it is over only. By name.
        """
        found: dict[str, tuple[float, float, bool]] = {}
        for task in self._tasks():
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                name = (task / "comm").read_text().strip()
                if name.startswith(prefix):
                    ran, waited, _ = (task / "schedstat").read_text().split()
                    state = (task / "stat").read_text().rpartition(")")[2].split()[0]
                    found[name] = int(ran) / 1e9, int(waited) / 1e9, state == "R"
        return found

    def memory_bytes(self) -> int:
        """Resident memory."""
        for line in Path(f"/proc/{self.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
        return 0

    def pin_engines(self, cpus: Sequence[int]) -> None:
        """Binds each media thread to one CPU."""
        for thread_id, cpu in zip(self._media_threads(), cpus, strict=False):
            os.sched_setaffinity(thread_id, {cpu})

    def _media_threads(self) -> list[int]:
        """Thread ids, in the order of the engines."""
        named = [((task / "comm").read_text().strip(), int(task.name)) for task in self._tasks()]
        found = [item for item in named if _MEDIA_THREAD.fullmatch(item[0])]
        return [number for _, number in sorted(found, key=lambda item: (len(item[0]), item[0]))]

    def _tasks(self) -> list[Path]:
        return list(Path(f"/proc/{self.pid}/task").iterdir())


@contextlib.asynccontextmanager
async def server_process(
    *, cpus: Sequence[int], engines: int, settings: Mapping[str, float | str] | None = None
) -> AsyncIterator[ServerProcess]:
    """Runs a server on loopback for as long as the block lasts.

    Args:
        cpus: all its threads are bound to these; empty for any.
        engines: media threads.
        settings: resume_window_s and heartbeat_s, where they are not the defaults; with
            wide_links an estimate has no upper bound; recording: a directory for it; segment_s of
            its files.

    Raises:
        BenchError: it does not start.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "witness.bench.server",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    secret = secrets.token_hex(32)
    server = ServerProcess(process, secret)
    try:
        options = {"secret": secret, "engines": engines, "cpus": list(cpus), **(settings or {})}
        hello = await server.exchange(options, _START_S)
        server.url, server.scheduling = hello["url"], hello["scheduling"]
        yield server
    finally:
        await _stop(process)


async def _stop(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(_STOP_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
