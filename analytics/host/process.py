"""One worker process, from its start to its end."""

import asyncio
import contextlib
import logging
import mmap
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from analytics.host.config import HostConfig, WorkerLimits
from analytics.host.ending import to_its_end
from analytics.host.memory import shared_memory
from analytics.host.wire import (
    MAX_LINE_BYTES,
    Alive,
    Batch,
    Done,
    FromWorker,
    Order,
    Raised,
    Ready,
    Setup,
    Withdraw,
    from_worker,
    pack,
)

__all__ = ["Fault", "WorkerProcess"]

log = logging.getLogger(__name__)

_LOOK_S: Final = 0.25
_IDLE_MARK: Final = 255
_PAGE_KIB: Final = os.sysconf("SC_PAGE_SIZE") // 1_024


class Fault(Exception):
    """A worker was ended, or has ended.

    Attributes:
        cause: hung, memory, killed, raised, rubbish, or refused: nothing could be loaded.
        culprit: the detector that was at work; ``None``: not known.
    """

    def __init__(self, cause: str, culprit: str | None) -> None:
        super().__init__(f"{cause}: {culprit}")
        self.cause = cause
        self.culprit = culprit


class WorkerProcess:
    """A process that runs detectors.

    Args:
        names: its detectors, in the order in which the marker numbers them.
        heard: told of everything it says but signs of life.
    """

    def __init__(
        self, names: tuple[str, ...], limits: WorkerLimits, heard: Callable[[FromWorker], None]
    ) -> None:
        self.names = names
        self.is_ready = False
        self.in_flight: list[Order] | None = None
        self._limits = limits
        self._heard = heard
        self._number = 0
        self._last_s = self._given_s = time.monotonic()
        self._work_s = 0.0
        self._process: subprocess.Popen[bytes] | None = None
        self._writer: asyncio.StreamWriter | None = None
        self._marker_fd, self._marker = shared_memory(
            "witness-marker", mmap.PAGESIZE, is_read_only=False
        )
        self._marker[0] = self._marker[1] = _IDLE_MARK

    @property
    def pid(self) -> int | None:
        """Of the process."""
        return None if self._process is None else self._process.pid

    def kill(self) -> None:
        """Ends it at once, with whatever its detectors have started."""
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    async def run(self, config: HostConfig, frames: tuple[int, int]) -> None:
        """Starts it and listens until it is over.

        Args:
            config: of the host.
            frames: descriptor and size of the memory with pictures.

        Raises:
            Fault: it has ended, or did what it must not and was ended.
        """
        try:
            near, far = socket.socketpair()
        except OSError:
            self._forget_marker()
            raise
        names = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
        environment = {**os.environ, **dict.fromkeys(names, str(config.threads))}
        tasks: list[asyncio.Task[None]] = []
        try:
            fds = (far.fileno(), frames[0], self._marker_fd)
            # Without asyncio's own waiting: it can't be cancelled half-way.
            self._process = subprocess.Popen(  # noqa: ASYNC220, S603 - this very program
                [sys.executable, "-m", "analytics.host.worker", str(far.fileno())],
                pass_fds=fds, env=environment, stdin=subprocess.DEVNULL, process_group=0,
            )  # fmt: skip
            far.close()
            reader, self._writer = await asyncio.open_connection(sock=near, limit=MAX_LINE_BYTES)
            self._last_s = time.monotonic()
            settings = {name: config.detectors[name] for name in self.names}
            models = config.models_directory, config.own_models
            setup = Setup(settings, frames[0], frames[1], self._marker_fd, *models)
            self._writer.write(pack(setup))
            tasks = [asyncio.create_task(way) for way in (self._listen(reader), self._watch())]
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            # Killed first: whoever gives up waiting leaves nothing that runs.
            self.kill()
            await to_its_end(self._end(tasks))
            near.close()
            far.close()

    def give(self, orders: list[Order]) -> None:
        """Hands a batch over; there must be none under way."""
        assert self._writer is not None
        assert self.in_flight is None
        self._number += 1
        self.in_flight = orders
        self._last_s = self._given_s = time.monotonic()
        self._writer.write(pack(Batch(self._number, tuple(orders))))

    def withdraw(self, watch: int) -> None:
        """Has a watch look at nothing more of the batch that is under way."""
        if self._writer is not None and self.is_ready:
            self._writer.write(pack(Withdraw(watch)))

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await reader.readline()
            except (ValueError, ConnectionError):
                raise Fault("rubbish", self._culprit()) from None
            if not line:
                raise Fault("killed", self._culprit())
            try:
                message = from_worker(line)
            except ValidationError:
                raise Fault("rubbish", self._culprit()) from None
            self._last_s = time.monotonic()
            match message:
                case Alive(work_s=work_s):
                    self._work_s = work_s
                    continue
                case Ready():
                    self.is_ready = True
                case Done(batch=number):
                    if number != self._number or self.in_flight is None:
                        raise Fault("rubbish", self._culprit())
                case Raised(detector=name) if name not in self.names:
                    raise Fault("rubbish", self._culprit())
            self._heard(message)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(_LOOK_S)
            # Whatever it says meanwhile: a batch has to be done within the time.
            since_s = self._last_s if self.in_flight is None else self._given_s
            silent_s = time.monotonic() - since_s
            limit_s = self._limits.hang_after_s if self.is_ready else self._limits.start_s
            if silent_s > limit_s or self._work_s > self._limits.work_after_s:
                raise Fault("hung", self._culprit())
            if self._resident_mib() > self._limits.memory_mib:
                raise Fault("memory", self._culprit())

    def _culprit(self) -> str | None:
        if len(self.names) == 1:
            return self.names[0]
        for mark in (self._marker[0], self._marker[1]):
            if mark < len(self.names):
                return self.names[mark]
        return None

    def _resident_mib(self) -> int:
        try:
            fields = Path(f"/proc/{self.pid}/statm").read_text("ascii").split()
        except OSError:
            return 0
        # Pictures that are shared are nobody's fault.
        return (int(fields[1]) - int(fields[2])) * _PAGE_KIB // 1_024

    async def _end(self, tasks: list[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if self._writer is not None:
            self._writer.transport.abort()
        if self._process is not None:
            # Killed, it ends as soon as the kernel has taken back what it had.
            await asyncio.to_thread(self._process.wait)
        self._forget_marker()

    def _forget_marker(self) -> None:
        self._marker.close()
        os.close(self._marker_fd)
