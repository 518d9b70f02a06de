"""How often a host of detectors may say what costs the server something."""

from typing import Final

__all__ = ["Rate"]

_SECOND_NS: Final = 1_000_000_000


class Rate:
    """Counts what happens within a second.

    Args:
        most: more are too many.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._count = 0
        self._since_ns: int | None = None

    def allows(self, now_ns: int) -> bool:
        """Notes that it happens now; says whether it may."""
        if self._since_ns is None or now_ns - self._since_ns >= _SECOND_NS:
            self._since_ns, self._count = now_ns, 0
        self._count += 1
        return self._count <= self._most
