"""Films and verifications, one at a time, each in a process of its own."""

import asyncio
import contextlib
import json
import logging
import shutil
import sys
from collections import OrderedDict, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from witness.playback_films import MAKING

__all__ = ["Job", "Jobs", "JobsFullError"]

_LOG = logging.getLogger(__name__)
_KEPT: Final = 512
"""Results that are remembered; beyond it the oldest are forgotten."""

_LINE: Final = 1 << 20
SILENCE_S: Final = 900.0
"""A percent of a long film may take minutes; nothing takes longer than this."""

_COMMAND: Final = (sys.executable, "-m", "witness.playback_worker")


class JobsFullError(Exception):
    """As many wait as may."""


@dataclass(slots=True)
class Job:
    """One piece of work.

    Attributes:
        state: ``queued``, ``running``, ``done``, ``failed``.
        share: of it that is done.
    """

    key: str
    task: Mapping[str, Any] = field(repr=False)
    state: str = "queued"
    share: float = 0.0
    error: str = ""


class Jobs:
    """A bounded queue in front of one worker.

    Args:
        limit: jobs that may wait; further ones are refused.
        silence_s: without a word for so long, a worker is killed.
        command: starts a worker.

    Attributes:
        refused, failed, done: totals.
    """

    def __init__(
        self, limit: int, *, silence_s: float = SILENCE_S, command: Sequence[str] = _COMMAND
    ) -> None:
        self._limit = limit
        self._silence_s = silence_s
        self._command = command
        self._waiting: deque[Job] = deque()
        self._known: OrderedDict[str, Job] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self.refused = self.failed = self.done = 0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

    @property
    def sessions(self) -> set[str]:
        """Sessions of what waits or runs."""
        going = (job for job in self._known.values() if job.state in {"queued", "running"})
        return {job.key.rpartition(":")[2] for job in going}

    def get(self, key: str) -> Job | None:
        """What is known of a piece of work."""
        return self._known.get(key)

    def place(self, job: Job) -> int:
        """How many are before it."""
        ahead = self._waiting.index(job) if job in self._waiting else -1
        return ahead + 1

    def ask(self, key: str, task: Mapping[str, Any]) -> Job:
        """Has something done, unless it is already under way.

        Raises:
            JobsFullError: too many wait.
        """
        known = self._known.get(key)
        if known is not None and known.state in {"queued", "running"}:
            return known
        if len(self._waiting) >= self._limit:
            self.refused += 1
            raise JobsFullError
        job = self._known[key] = Job(key, task)
        self._known.move_to_end(key)
        while len(self._known) > _KEPT + self._limit:
            oldest = next(iter(self._known))
            if self._known[oldest].state in {"queued", "running"}:
                break
            del self._known[oldest]
        self._waiting.append(job)
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._run())
        return job

    async def close(self) -> None:
        """Ends what runs; nothing that waits is begun."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _run(self) -> None:
        while self._waiting:
            job = self._waiting.popleft()
            job.state = "running"
            try:
                await self._work(job)
            except TimeoutError:
                job.error = f"the worker said nothing for {self._silence_s:.0f} s"
            except Exception as error:  # noqa: BLE001 - whatever it was, the next job is to run
                job.error = f"{type(error).__name__}: {error}"
            if job.error:
                job.state, self.failed = "failed", self.failed + 1
                _LOG.warning("work on a recording failed", extra={"reason": job.error})
            else:
                job.state, job.share, self.done = "done", 1.0, self.done + 1

    async def _work(self, job: Job) -> None:
        process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=_LINE,
        )
        assert process.stdin is not None
        assert process.stdout is not None
        job.error = "the worker ended without a word"
        try:
            process.stdin.write(json.dumps(job.task).encode())
            process.stdin.close()
            while line := await self._heard(process.stdout):
                told = json.loads(line)
                if not isinstance(told, dict):
                    raise TypeError("a line of the worker is no object")
                job.share = told.get("share", job.share)
                if "done" in told:
                    job.error = ""
                elif "error" in told:
                    job.error = str(told["error"])
            async with asyncio.timeout(self._silence_s):
                await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
                await asyncio.to_thread(_clear, job.task)

    async def _heard(self, stdout: asyncio.StreamReader) -> bytes:
        async with asyncio.timeout(self._silence_s):
            return await stdout.readline()


def _clear(task: Mapping[str, Any]) -> None:
    """Removes what a worker that was killed could not: half a film."""
    if "film" in task:
        shutil.rmtree(Path(task["film"]).with_suffix(MAKING), ignore_errors=True)
