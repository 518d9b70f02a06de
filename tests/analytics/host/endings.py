"""What is left when something ends, and ends that are cancelled at every turn."""

import asyncio
import gc
from pathlib import Path
from typing import Any

__all__ = ["cancel_to_the_end", "descriptors", "is_known"]


def descriptors() -> int:
    """Open in this process."""
    # What others left to be collected is nobody's leak here.
    gc.collect()
    return len(list(Path("/proc/self/fd").iterdir()))


def is_known(pid: int | None) -> bool:
    """Whether the system knows the process: it runs, or was not waited for."""
    return Path(f"/proc/{pid}").exists()


async def cancel_to_the_end(task: asyncio.Task[Any]) -> None:
    """Cancels it at every turn of the loop until it is done; it has to take more than one."""
    turns = 0
    while not task.done():
        task.cancel()
        turns += 1
        await asyncio.sleep(0)
    assert turns > 1, "it was stopped while it ended"
