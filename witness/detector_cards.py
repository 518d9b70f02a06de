"""Cards of detectors as this server has set them, made off the event loop and kept."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

__all__ = ["KeptCards"]


class KeptCards:
    """Implements :class:`signaling.detectors.DetectorCards`.

    Making cards imports detectors and reads their models for digests: it is done once, when
    somebody asks for the first time.

    Args:
        make: ``{"detectors": [card, …]}``; runs on another thread.
    """

    def __init__(self, make: Callable[[], dict[str, Any]]) -> None:
        self._make = make
        self._made: asyncio.Task[dict[str, Any]] | None = None

    async def cards(self) -> Sequence[dict[str, Any]]:
        """A card of each, in the order of their names."""
        if self._made is None or (self._made.done() and self._made.exception() is not None):
            self._made = asyncio.get_running_loop().create_task(asyncio.to_thread(self._make))
        # Whoever goes away meanwhile doesn't end it for others.
        made = await asyncio.shield(self._made)
        return sorted(made["detectors"], key=lambda card: str(card["name"]))

    async def card(self, name: str) -> dict[str, Any] | None:
        """The card of one; ``None`` where there is none of that name."""
        return next((card for card in await self.cards() if card["name"] == name), None)
