"""Films and verifications, one at a time, each in a process of its own."""

import asyncio
import contextlib
import json
import logging
import sys
from collections import OrderedDict, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ["Job", "Jobs", "JobsFullError"]

_LOG = logging.getLogger(__name__)
_KEPT: Final = 512
"""Results that are remembered; beyond it the oldest are forgotten."""

_LINE: Final = 1 << 20


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

    Attributes:
        refused, failed, done: totals.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._waiting: deque[Job] = deque()
        self._known: OrderedDict[str, Job] = OrderedDict()
        self._task: asyncio.Task[None] | None = None
        self._process: asyncio.subprocess.Process | None = None
        self.refused = self.failed = self.done = 0

    @property
    def waiting(self) -> int:
        """How many wait."""
        return len(self._waiting)

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
            except (OSError, ValueError) as error:
                job.error = str(error)
            if job.error:
                job.state, self.failed = "failed", self.failed + 1
                _LOG.warning("work on a recording failed", extra={"reason": job.error})
            else:
                job.state, job.share, self.done = "done", 1.0, self.done + 1

    async def _work(self, job: Job) -> None:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "witness.playback_worker",
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
            async for line in process.stdout:
                told = json.loads(line)
                job.share = told.get("share", job.share)
                if "done" in told:
                    job.error = ""
                elif "error" in told:
                    job.error = str(told["error"])
            await process.wait()
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
