"""Commands that may be asked for again because no answer came: known by a key, done once."""

import asyncio
from collections import OrderedDict
from typing import Any, Final

from recorder.errors import LogStalledError, RepeatedKeyError
from recorder.session import Command

__all__ = ["Repeats"]

_KEPT: Final = 1_024
"""Answers that are remembered; the oldest are forgotten first, those that are awaited never."""

Name = tuple[str, str, str]
"""Session, who asked, and their key."""


class Repeats:
    """What was asked for by key."""

    def __init__(self) -> None:
        self._known: OrderedDict[Name, tuple[Command, asyncio.Task[dict[str, Any]]]] = OrderedDict()

    def find(self, name: Name, command: Command) -> asyncio.Task[dict[str, Any]] | None:
        """What carries the command out, or did; ``None`` if it is to be begun.

        Raises:
            RepeatedKeyError: the key was given to another command.
        """
        known = self._known.get(name)
        if known is None:
            return None
        if known[0] != command:
            raise RepeatedKeyError("the idempotency key was used for another command")
        return known[1]

    def keep(self, name: Name, command: Command, task: asyncio.Task[dict[str, Any]]) -> None:
        """Remembers what carries a command out."""
        self._known[name] = command, task
        task.add_done_callback(lambda _: self._done(name, task))

    def _done(self, name: Name, task: asyncio.Task[dict[str, Any]]) -> None:
        if task.cancelled() or isinstance(task.exception(), LogStalledError):
            # Nothing was done: asked for again, it may be.
            self._known.pop(name, None)
        finished = [key for key, (_, one) in self._known.items() if one.done()]
        for key in finished[: max(0, len(finished) - _KEPT)]:
            del self._known[key]
