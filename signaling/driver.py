"""Runs the hub's deadlines on the event loop."""

import asyncio

from signaling.clock import Clock
from signaling.hub import Hub

__all__ = ["HubDriver"]


class HubDriver:
    """One timer, for the earliest deadline."""

    def __init__(self, hub: Hub, clock: Clock) -> None:
        self._hub = hub
        self._clock = clock
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Begins on ``loop``."""
        self._loop = loop
        self._hub.on_timer = self._arm
        self._arm()

    def stop(self) -> None:
        """Ends; deadlines are no longer carried out."""
        self._loop = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def tick(self) -> None:
        """Does what is due and sets the timer anew."""
        try:
            self._hub.handle_timeout(self._clock())
        finally:
            # A fault in one deadline must not stop those of all others.
            self._arm()

    def _arm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        at_s = self._hub.next_timeout
        if self._loop is not None and at_s is not None:
            delay_s = max(0.0, at_s - self._clock().steady_s)
            self._timer = self._loop.call_later(delay_s, self.tick)
