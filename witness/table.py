"""Tables on a terminal."""

import unicodedata
from collections.abc import Container, Sequence

__all__ = ["render"]


def render(rows: Sequence[Sequence[str]], *, left: Container[int]) -> str:
    """Aligned columns, two spaces apart; wide characters count as two.

    Args:
        rows: all with the same number of cells.
        left: columns aligned to the left.
    """
    widths = [max(_width(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(
            _pad(cell, width, left=i in left)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    )


def _width(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(c) in "WF" else 1 for c in text)


def _pad(text: str, width: int, *, left: bool) -> str:
    space = " " * (width - _width(text))
    return text + space if left else space + text
