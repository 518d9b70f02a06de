"""Memory for pictures that the host shares with its workers."""

import contextlib
import os
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from analytics.host.memory import shared_memory

__all__ = ["Frames"]

_UNIT: Final = 1 << 16

Image = NDArray[np.uint8]


class Frames:
    """Pictures, each written once and read by several workers.

    The place of one is free when nobody holds it any more. Where there is none, nothing is written:
    the caller drops what is older, or the picture.

    Args:
        size: bytes in all.
    """

    def __init__(self, size: int) -> None:
        units = max(1, size // _UNIT)
        self.size = units * _UNIT
        self.fd, self._map = shared_memory("witness-frames", self.size, is_read_only=True)
        self._memory: Any = np.frombuffer(self._map, np.uint8)
        self._used = bytearray(units)
        self._held: dict[int, tuple[int, int]] = {}

    @property
    def held(self) -> int:
        """Pictures that somebody holds."""
        return len(self._held)

    def put(self, image: Image) -> int | None:
        """Writes a picture, held once, and says where; ``None``: there is no place for it."""
        flat = np.ascontiguousarray(image).reshape(-1)
        units = -(-len(flat) // _UNIT)
        first = self._used.find(bytes(units))
        if first < 0:
            return None
        self._used[first : first + units] = b"\1" * units
        offset = first * _UNIT
        self._memory[offset : offset + len(flat)] = flat
        self._held[offset] = 1, units
        return offset

    def hold(self, offset: int) -> None:
        """One more holds it."""
        count, units = self._held[offset]
        self._held[offset] = count + 1, units

    def release(self, offset: int) -> None:
        """One holds it no longer."""
        count, units = self._held[offset]
        if count > 1:
            self._held[offset] = count - 1, units
            return
        del self._held[offset]
        first = offset // _UNIT
        self._used[first : first + units] = bytes(units)

    def close(self) -> None:
        """Gives the memory back; workers that still have it keep theirs."""
        self._memory = None
        # An array made elsewhere may still point to it; it goes with the process then.
        with contextlib.suppress(BufferError):
            self._map.close()
        os.close(self.fd)
