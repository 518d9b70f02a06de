"""What stands in each place at each moment: a picture, or a slate that says why there is none."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from recorder.compose.canvas import Rect
from recorder.compose.layout import Tile
from recorder.compose.pictures import Picture, PictureTrack
from recorder.compose.texts import say
from recorder.intervals import Range
from recorder.timeline import Gap

__all__ = ["HOLD_US", "Slate", "TileTrack", "TileView", "View"]

HOLD_US: Final = 500_000
"""A picture stays for shorter gaps than this; for longer ones a slate stands from their start."""

_STAYS_US: Final = 100_000
_STILL_US: Final = 2_000_000


@dataclass(frozen=True, slots=True)
class Slate:
    """Why there is no picture.

    Attributes:
        key: of :mod:`recorder.compose.texts`.
        cause: of a gap, as it was declared; ``unknown`` where nobody declared one.
        from_us: when it began.
        to_us: when it ends, ``None`` if nothing more comes.
    """

    key: str
    cause: str = ""
    from_us: int = 0
    to_us: int | None = None

    def texts(self, language: str) -> tuple[str, ...]:
        """Lines without the times."""
        if self.cause:
            return say(self.key, language), say(f"cause.{self.cause}", language)
        return (say(self.key, language),)


@dataclass(frozen=True, slots=True)
class View:
    """A picture, or a slate, of one tile."""

    picture: Picture | None
    slate: Slate | None


class TileTrack:
    """One video track, with what is known of its absences."""

    def __init__(
        self,
        pictures: PictureTrack,
        *,
        opened_us: int,
        closed_us: int,
        gaps: Sequence[Gap],
        is_document: bool,
    ) -> None:
        self.pictures = pictures
        self.opened_us = opened_us
        self.closed_us = closed_us
        self._gaps = sorted(gaps, key=lambda gap: gap.from_us)
        self._starts = [gap.from_us for gap in self._gaps]
        self._is_document = is_document
        self._found_for: Range | None = None
        self._found: Gap | None = None

    def is_open(self, time_us: int) -> bool:
        """Whether it is published then."""
        return self.opened_us <= time_us < self.closed_us

    def view(self, time_us: int) -> View:
        """What it shows.

        Raises:
            RecorderError: the track can't be read.
        """
        self.pictures.seek(time_us)
        now, upcoming = self.pictures.now, self.pictures.upcoming
        from_us = self.opened_us if now is None else now.time_us
        to_us = self.closed_us if upcoming is None else upcoming.time_us
        slate = self._slate(from_us, to_us, upcoming is not None and upcoming.after_gap)
        if slate is None or (now is not None and time_us < from_us + _STAYS_US):
            return View(now, None)
        return View(None, slate)

    def _slate(self, from_us: int, to_us: int, has_gap: bool) -> Slate | None:
        if to_us - from_us < HOLD_US:
            return None
        gap = self._declared(from_us, to_us)
        if gap is not None:
            if gap.cause == "paused":
                # Muted; a pause of the whole recording is known to the tile.
                return Slate("no_camera", from_us=from_us, to_us=to_us)
            return Slate("gap", gap.cause, from_us, to_us)
        if has_gap:
            return Slate("gap", "unknown", from_us, to_us)
        if to_us - from_us >= _STILL_US and not self._is_document:
            return Slate("no_camera", from_us=from_us, to_us=to_us)
        return None

    def _declared(self, from_us: int, to_us: int) -> Gap | None:
        """The longest declared gap that covers some of the time."""
        if self._found_for != (from_us, to_us):
            self._found_for, self._found = (from_us, to_us), self._longest(from_us, to_us)
        return self._found

    def _longest(self, from_us: int, to_us: int) -> Gap | None:
        last = bisect_right(self._starts, to_us)
        found = [gap for gap in self._gaps[:last] if gap.to_us > from_us]
        return max(found, key=lambda gap: gap.to_us - gap.from_us, default=None)


class TileView:
    """A person's camera, or the documents a person shows: one track after the other."""

    def __init__(
        self,
        tile: Tile,
        tracks: Sequence[TileTrack],
        pauses: Sequence[Range],
        outages: Sequence[Range] = (),
    ) -> None:
        self.tile = tile
        self._tracks = sorted(tracks, key=lambda track: track.opened_us)
        self._absences = [
            *(("paused", start, end) for start, end in pauses),
            *(("outage", start, end) for start, end in outages),
        ]

    def is_visible(self, time_us: int) -> bool:
        """People always are; documents while one is open."""
        if not self.tile.is_document:
            return True
        return any(track.is_open(time_us) for track in self._tracks)

    def resize(self, place: Rect) -> None:
        """The tile's size has changed."""
        for track in self._tracks:
            track.pictures.area = place

    def view(self, time_us: int) -> View:
        """What stands in the tile.

        Raises:
            RecorderError: a track can't be read.
        """
        current = None
        for track in self._tracks:
            if track.is_open(time_us):
                current = track
            elif track.closed_us <= time_us:
                track.pictures.close()
        shown = View(None, Slate("no_camera")) if current is None else current.view(time_us)
        if shown.picture is None or shown.slate is not None:
            for key, start, end in self._absences:
                if start <= time_us < end:
                    return View(None, Slate(key, from_us=start, to_us=end))
        return shown
