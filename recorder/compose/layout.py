"""Where everybody stands in the picture."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from recorder.compose.canvas import Rect

__all__ = ["Layout", "Tile", "arrange"]


class Layout(StrEnum):
    """How tiles are arranged.

    ``document`` shows documents large and people small beside them; while no document is open, it
    is side by side.
    """

    SIDE_BY_SIDE = "side-by-side"
    SPEAKER = "speaker"
    DOCUMENT = "document"


@dataclass(frozen=True, slots=True)
class Tile:
    """What a place is for: a person, or a document a person shows."""

    participant: str
    is_document: bool = False


def arrange(
    layout: Layout, tiles: Sequence[Tile], area: Rect, *, speaker: str | None = None
) -> Mapping[Tile, Rect]:
    """Places for all tiles, without overlap.

    Args:
        layout: the wish.
        tiles: in the order of their places.
        area: what there is.
        speaker: participant who stands large in ``speaker``; the first tile if nobody does.
    """
    documents = [tile for tile in tiles if tile.is_document]
    people = [tile for tile in tiles if not tile.is_document]
    if layout is Layout.DOCUMENT and documents and people:
        return _large_and_strip(documents, people, area)
    if layout is Layout.SPEAKER and len(tiles) > 1:
        large = next((tile for tile in people if tile.participant == speaker), tiles[0])
        return _large_and_strip([large], [tile for tile in tiles if tile != large], area)
    return _grid(tiles, area)


def _large_and_strip(large: Sequence[Tile], small: Sequence[Tile], area: Rect) -> dict[Tile, Rect]:
    strip = _even(area.width / 4)
    main = Rect(area.left, area.top, area.width - strip, area.height)
    side = Rect(area.left + main.width, area.top, strip, area.height)
    height = min(_even(side.height / len(small)), _even(strip * 0.75))
    places = {
        tile: Rect(side.left, side.top + index * height, strip, height)
        for index, tile in enumerate(small)
    }
    return {**_grid(large, main), **places}


def _grid(tiles: Sequence[Tile], area: Rect) -> dict[Tile, Rect]:
    """The number of columns that makes pictures of 16:9 largest."""
    if not tiles:
        return {}
    count = len(tiles)

    def size(columns: int) -> float:
        rows = math.ceil(count / columns)
        return min(area.width / columns / 16, area.height / rows / 9)

    columns = max(range(1, count + 1), key=size)
    rows = math.ceil(count / columns)
    width, height = _even(area.width / columns), _even(area.height / rows)
    out = {}
    for index, tile in enumerate(tiles):
        row, column = divmod(index, columns)
        in_row = min(columns, count - row * columns)
        left = area.left + _even((area.width - in_row * width) / 2) + column * width
        out[tile] = Rect(left, area.top + row * height, width, height)
    return out


def _even(value: float) -> int:
    return int(value) // 2 * 2
