"""Runs the event loop of the process: uvloop where there is one."""

import asyncio
import gc
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["freeze_heap", "run_until_complete"]

T = TypeVar("T")


def run_until_complete(main: Coroutine[Any, Any, T]) -> T:
    """Like ``asyncio.run``, on uvloop if it is installed."""
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(main)


def _loop_factory() -> Any:
    try:
        import uvloop
    except ImportError:  # not made for Windows
        return None
    return uvloop.new_event_loop


def freeze_heap() -> None:
    """Exempts what exists now, modules and settings, from garbage collections.

    They stay until the process ends; walking over them with every full collection would make up a
    good part of the time for which the event loop stands still.
    """
    gc.collect()
    gc.freeze()
