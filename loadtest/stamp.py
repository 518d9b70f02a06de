"""A time stamp burnt into the picture, so that the far side measures the real delay.

A strip along the bottom of the picture holds 32 bits of milliseconds and their CRC-8, as blocks of
8 × 16 pixels: whole transform blocks, so that it survives strong compression, in two dark greys, so
that people who look at the picture hardly see it. Both sides must read the same clock.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLACK", "MIN_WIDTH", "STRIP_HEIGHT", "elapsed_ms", "read_stamp", "write_stamp"]

_TIME_BITS = 32
_BITS = _TIME_BITS + 8
_BLOCK_WIDTH = 8
STRIP_HEIGHT = 16
MIN_WIDTH = _BLOCK_WIDTH * _BITS
BLACK, _GREY = 16, 72
_TOLERANCE = 20
"""A block's mean luma may be this far from what was written."""

Luma = NDArray[np.uint8]


def write_stamp(luma: Luma, time_ms: int) -> None:
    """Overwrites the bottom left of ``luma``.

    Args:
        luma: ``(height, width)``, at least ``STRIP_HEIGHT`` × ``MIN_WIDTH``; changed in place.
        time_ms: taken modulo 2³².
    """
    value = time_ms % (1 << _TIME_BITS)
    word = (value << 8) | _crc8(value)
    bits = np.array([(word >> (_BITS - 1 - i)) & 1 for i in range(_BITS)], dtype=bool)
    luma[-STRIP_HEIGHT:, :MIN_WIDTH] = np.where(bits, _GREY, BLACK).repeat(_BLOCK_WIDTH)


def read_stamp(luma: Luma) -> int | None:
    """The time in ms, modulo 2³²; ``None`` if the strip is unreadable or its CRC is wrong.

    Args:
        luma: ``(height, width)``.
    """
    if luma.shape[0] < STRIP_HEIGHT or luma.shape[1] < MIN_WIDTH:
        return None
    strip = luma[-STRIP_HEIGHT:, :MIN_WIDTH].reshape(STRIP_HEIGHT, _BITS, _BLOCK_WIDTH)
    # The outer pixels of a block take on something of their neighbours.
    means = strip[4:-2, :, 2:-2].mean(axis=(0, 2))
    bits = means > (BLACK + _GREY) / 2
    if np.abs(means - np.where(bits, _GREY, BLACK)).max() > _TOLERANCE:
        return None
    word = 0
    for bit in bits:
        word = (word << 1) | int(bit)
    value, check = word >> 8, word & 0xFF
    return value if _crc8(value) == check else None


def elapsed_ms(sent_ms: int, now_ms: int) -> int:
    """Difference of two stamps, modulo 2³²."""
    return (now_ms - sent_ms) % (1 << _TIME_BITS)


def _crc8(value: int) -> int:
    """CRC-8 with polynomial x⁸ + x² + x + 1 over four bytes; non-zero for zero."""
    crc = 0xFF
    for byte in value.to_bytes(4, "big"):
        crc ^= byte
        for _ in range(8):
            crc = ((crc << 1) ^ 0x07) & 0xFF if crc & 0x80 else crc << 1
    return crc
