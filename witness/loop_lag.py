"""How late the event loop is: everything Python decides waits that long."""

import asyncio
import contextlib
from collections.abc import Callable

__all__ = ["LoopLag"]


class LoopLag:
    """Sleeps again and again and reports by how much it overslept.

    Args:
        observe: called with each lateness in seconds.
        interval_s: pause between two measurements.
    """

    def __init__(self, observe: Callable[[float], None], interval_s: float = 0.25) -> None:
        self._observe = observe
        self._interval_s = interval_s
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begins; needs a running loop."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """Ends it. Idempotent."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + self._interval_s
            await asyncio.sleep(self._interval_s)
            self._observe(max(0.0, loop.time() - due))
