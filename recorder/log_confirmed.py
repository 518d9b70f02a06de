"""Answers that wait until what was told to a log is on the disk.

Of each log one piece of work is with the writer's thread at a time, however many wait for it: who
comes while it is under way waits for the next. Nobody waits longer than a while; a disk that hangs
is told as such, and what was told to the log is written when it answers.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Protocol

from recorder.errors import LogStalledError
from recorder.log_writer import LogWriter

__all__ = ["CONFIRM_S", "Confirmations", "DurableLog"]

CONFIRM_S: Final = 5.0
"""How long anybody waits."""


class DurableLog(Protocol):
    """A log as :class:`recorder.log_writer.SessionLog` is one."""

    def write_durably(self) -> bool:
        """Writes what waits and has the disk confirm it; on the writer's thread."""
        ...


@dataclass(eq=False, slots=True)
class _Wait:
    then: Callable[[bool], None] | None
    timer: asyncio.TimerHandle | None = None

    def settle(self, is_written: bool) -> None:
        """Tells, once."""
        then, self.then = self.then, None
        if self.timer is not None:
            self.timer.cancel()
        if then is not None:
            then(is_written)


class Confirmations:
    """Tells when what logs were told is on the disk.

    Args:
        writer: whose thread writes.
        timeout_s: how long anybody waits.
    """

    def __init__(self, writer: LogWriter, timeout_s: float = CONFIRM_S) -> None:
        self._writer = writer
        self._timeout_s = timeout_s
        self._waiting: dict[DurableLog, list[_Wait]] = {}
        self._tasks: dict[DurableLog, asyncio.Task[None]] = {}

    def when_written(self, log: DurableLog, then: Callable[[bool], None]) -> None:
        """Has it told, later and once, whether all that the log was told so far is on the disk.

        Args:
            log: open or not.
            then: false where the disk refused, or didn't answer in time.
        """
        loop = asyncio.get_running_loop()
        wait = _Wait(then)
        wait.timer = loop.call_later(self._timeout_s, wait.settle, False)
        self._waiting.setdefault(log, []).append(wait)
        if log not in self._tasks:
            self._tasks[log] = loop.create_task(self._confirm(log))

    async def written(self, log: DurableLog) -> bool:
        """Waits for the same."""
        told: asyncio.Future[bool] = asyncio.get_running_loop().create_future()

        def tell(is_written: bool) -> None:
            if not told.done():
                told.set_result(is_written)

        self.when_written(log, tell)
        return await told

    async def _confirm(self, log: DurableLog) -> None:
        try:
            while waits := self._waiting.pop(log, None):
                is_written = False
                try:
                    with contextlib.suppress(LogStalledError):
                        is_written = await self._writer.run_late(log.write_durably)
                finally:
                    for wait in waits:
                        wait.settle(is_written)
        finally:
            del self._tasks[log]
            for wait in self._waiting.pop(log, ()):
                wait.settle(False)

    async def settle(self) -> None:
        """Returns when whoever waits was told; a disk that hangs is not waited for any longer."""
        if self._tasks:
            await asyncio.wait(set(self._tasks.values()), timeout=self._timeout_s)
        for task in (late := list(self._tasks.values())):
            task.cancel()
        await asyncio.gather(*late, return_exceptions=True)
