"""Paints tiles, labels, slates and the bar with time and node; only what has changed."""

from collections.abc import Callable

import av
from av.video.reformatter import VideoReformatter

from recorder.compose.canvas import BLACK, GREY, WHITE, YELLOW, Canvas, Rect, fit
from recorder.compose.fonts import Lettering
from recorder.compose.pictures import Picture
from recorder.compose.texts import say
from recorder.compose.tiles import Slate, View

__all__ = ["Painter"]

_WATERMARK_OPACITY = 56
_SHADE = 150


class Painter:
    """One canvas that lives as long as the film.

    Attributes:
        area: where tiles may stand, below the bar.
    """

    def __init__(
        self, lettering: Lettering, width: int, height: int, language: str, watermark: str
    ) -> None:
        self._canvas = Canvas(width, height)
        self._lettering = lettering
        self._language = language
        self._watermark = watermark
        self._size = max(10, height // 34)
        bar = (self._size * 2) // 2 * 2
        self.area = Rect(0, bar, width, (height - bar) // 2 * 2)
        self._bar = Rect(0, 0, width, bar)
        self._bar_shown: tuple[str, str] | None = None
        self._shown: dict[Rect, tuple[Picture | Slate | None, bool]] = {}
        self._reformatter = VideoReformatter()

    def clear(self) -> None:
        """The arrangement has changed."""
        self._canvas.fill(self.area, BLACK)
        self._shown.clear()

    def frame(self) -> av.VideoFrame:
        """The picture as it is now."""
        return self._canvas.frame()

    def bar(self, clock: str, title: str) -> None:
        """Time on the left, node on the right."""
        if self._bar_shown == (clock, title):
            return
        self._bar_shown = (clock, title)
        self._canvas.fill(self._bar, BLACK)
        left = self._lettering.line(clock, self._size)
        top = (self._bar.height - left.shape[0]) // 4 * 2
        self._canvas.blend(left, self._size // 2 * 2, max(0, top), WHITE)
        if title:
            room = self._bar.width - left.shape[1] - 3 * self._size
            right = self._lettering.line(title, self._size, room)
            at = self._bar.width - right.shape[1] - self._size // 2 * 2
            self._canvas.blend(right, at // 2 * 2, max(0, top), YELLOW)

    def tile(
        self,
        place: Rect,
        view: View,
        label: str,
        *,
        sound_missing: bool,
        clock: Callable[[int], str],
    ) -> None:
        """A picture or a slate, with the label; nothing if it stands there already.

        Args:
            place: of the tile.
            view: what it shows.
            label: name and role.
            sound_missing: said beside the label.
            clock: writes a moment of the session as wall-clock time.
        """
        subject = view.picture if view.slate is None else view.slate
        before = self._shown.get(place)
        if before is not None and before[1] == sound_missing and _is_same(before[0], subject):
            return
        self._shown[place] = (subject, sound_missing)
        if isinstance(subject, Picture):
            self._picture(place, subject)
        else:
            self._canvas.fill(place, GREY)
            if subject is not None:
                self._slate(place, subject, clock)
        self._label(place, label, sound_missing)

    def _picture(self, place: Rect, picture: Picture) -> None:
        scaled = picture.scaled
        inner = fit(picture.original.width, picture.original.height, place)
        if (scaled.width, scaled.height) != (inner.width, inner.height):
            scaled = self._reformatter.reformat(
                picture.original, inner.width, inner.height, "yuv420p", interpolation="BILINEAR"
            )
        if inner != place:
            self._canvas.fill(place, BLACK)
        self._canvas.put(scaled, inner)
        mark = self._lettering.line(self._watermark, self._size, place.width * 9 // 10)
        left = place.left + (place.width - mark.shape[1]) // 4 * 2
        # Where it hides no face.
        top = inner.top + inner.height // 20 * 2
        self._canvas.blend(mark, left, top, WHITE, _WATERMARK_OPACITY)

    def _slate(self, place: Rect, slate: Slate, clock: Callable[[int], str]) -> None:
        lines = list(slate.texts(self._language))
        if slate.to_us is not None and slate.key != "no_camera":
            start, end = clock(slate.from_us), clock(slate.to_us)
            lines.append(f"{start.split(' ')[1]}–{end.split(' ')[1]}")
        mask = self._lettering.lines(tuple(lines), self._size, place.width * 9 // 10)
        left = place.left + (place.width - mask.shape[1]) // 4 * 2
        top = place.top + max(0, (place.height - mask.shape[0]) // 4 * 2)
        self._canvas.blend(mask, left, top, WHITE)

    def _label(self, place: Rect, label: str, sound_missing: bool) -> None:
        text = label
        if sound_missing:
            text = f"{label} · {say('sound_gap', self._language)}"
        mask = self._lettering.line(text, self._size, place.width - 2 * self._size)
        height, width = mask.shape
        top = place.top + place.height - height
        box = Rect(
            place.left, top, min(place.width, width + 2 * (self._size // 2)) // 2 * 2, height
        )
        self._canvas.shade(box, _SHADE)
        colour = YELLOW if sound_missing else WHITE
        self._canvas.blend(mask, place.left + self._size // 4 * 2, top, colour)


def _is_same(one: Picture | Slate | None, other: Picture | Slate | None) -> bool:
    """Pictures are compared by identity, slates by what they say."""
    return one is other or (isinstance(one, Slate) and one == other)
