"""What has to be done to its end, whoever gives up waiting for it."""

import asyncio
from collections.abc import Coroutine

__all__ = ["to_its_end"]


async def to_its_end(work: Coroutine[None, None, None]) -> None:
    """Waits until it is done, however often the waiting is cancelled meanwhile.

    Raises:
        asyncio.CancelledError: it was; the work is done.
    """
    task = asyncio.ensure_future(work)
    cancelled: asyncio.CancelledError | None = None
    while not task.done():
        try:
            await asyncio.shield(task)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled
    task.result()
