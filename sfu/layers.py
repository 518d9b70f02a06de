"""Which layer of a track is of use to a subscriber, and how much each track matters."""

from collections.abc import Sequence
from typing import Final

from sfu.model import Role, Size, Source

__all__ = ["ALL_TEMPORAL", "HIGHEST_SPATIAL", "priority_of", "spatial_for"]

ALL_TEMPORAL: Final = 7
"""No frame is left out."""

HIGHEST_SPATIAL: Final = 255
"""The largest encoding, however many there are."""

_UPSCALED_UNSEEN: Final = 1.2
"""Nobody sees whether a picture was enlarged by this much."""

_ASSUMED_LARGEST: Final = Size(1280, 720)
"""Of the largest encoding where the publisher does not say; each smaller one is half of it."""


def spatial_for(shown: Size, encodings: Sequence[Size | None]) -> int | None:
    """Index of the smallest encoding that looks as good as a larger one would.

    Args:
        shown: device pixels of the element the track is shown in; its picture fits inside.
        encodings: sizes as announced, smallest first; ``None`` where not announced.

    Returns:
        ``None`` where nothing is shown.
    """
    if shown.width <= 0 or shown.height <= 0:
        return None
    for index, size in enumerate(_sizes(encodings)):
        scale = min(shown.width / size.width, shown.height / size.height)
        # A camera that is turned swaps the sides without saying so.
        turned = min(shown.width / size.height, shown.height / size.width)
        if max(scale, turned) <= _UPSCALED_UNSEEN:
            return index
    return max(0, len(encodings) - 1)


def priority_of(role: Role, source: Source, *, screen_first: bool) -> int:
    """Class of a track when a subscriber's link can't carry all: 0 is served first.

    Args:
        role: of the publisher.
        source: what the track shows.
        screen_first: a room where what is shared matters more than who speaks.
    """
    if source is Source.SCREEN:
        return 0 if screen_first else 2
    face = 0 if role in (Role.RM, Role.CUSTOMER) else 1
    return face + int(screen_first)


def _sizes(encodings: Sequence[Size | None]) -> list[Size]:
    count = len(encodings)
    assumed = [
        Size(
            max(1, _ASSUMED_LARGEST.width >> (count - 1 - index)),
            max(1, _ASSUMED_LARGEST.height >> (count - 1 - index)),
        )
        for index in range(count)
    ]
    return [size or guess for size, guess in zip(encodings, assumed, strict=True)]
