"""A time stamp burnt into the picture, so that the far side measures the real delay.

A strip of black and white blocks, 16 × 16 pixels each (one macroblock, so that it survives strong
compression), holds 32 bits of milliseconds and their CRC-8. Both sides must read the same clock.
"""

import numpy as np
from numpy.typing import NDArray

__all__ = ["BLOCK", "MIN_WIDTH", "STRIP_HEIGHT", "elapsed_ms", "read_stamp", "write_stamp"]

BLOCK = 16
_TIME_BITS = 32
_BITS = _TIME_BITS + 8
_ROWS = 2
_COLUMNS = _BITS // _ROWS
STRIP_HEIGHT = BLOCK * _ROWS
MIN_WIDTH = BLOCK * _COLUMNS
_BLACK, _WHITE = 16, 235
_MARGIN = 40
"""A block's mean luma must be this far from mid-grey to count."""

Luma = NDArray[np.uint8]


def write_stamp(luma: Luma, time_ms: int) -> None:
    """Overwrites the top left of ``luma``.

    Args:
        luma: ``(height, width)``, at least ``STRIP_HEIGHT`` × ``MIN_WIDTH``; changed in place.
        time_ms: taken modulo 2³².
    """
    value = time_ms % (1 << _TIME_BITS)
    word = (value << 8) | _crc8(value)
    bits = np.array([(word >> (_BITS - 1 - i)) & 1 for i in range(_BITS)], dtype=bool)
    blocks = np.where(bits, _WHITE, _BLACK).astype(np.uint8).reshape(_ROWS, _COLUMNS)
    luma[:STRIP_HEIGHT, :MIN_WIDTH] = blocks.repeat(BLOCK, axis=0).repeat(BLOCK, axis=1)


def read_stamp(luma: Luma) -> int | None:
    """The time in ms, modulo 2³²; ``None`` if the strip is unreadable or its CRC is wrong.

    Args:
        luma: ``(height, width)``.
    """
    if luma.shape[0] < STRIP_HEIGHT or luma.shape[1] < MIN_WIDTH:
        return None
    strip = luma[:STRIP_HEIGHT, :MIN_WIDTH].reshape(_ROWS, BLOCK, _COLUMNS, BLOCK)
    # The outer pixels of a block take on something of their neighbours.
    means = strip[:, 4:12, :, 4:12].mean(axis=(1, 3)).ravel() - (_BLACK + _WHITE) / 2
    if np.abs(means).min() < _MARGIN:
        return None
    word = 0
    for bit in means > 0:
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
