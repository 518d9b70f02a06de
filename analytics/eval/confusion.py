"""What is taken for what at the ear: what is true of each clip against what was said of it."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from analytics.eval.labels import Clip
from analytics.eval.score import AFTER_US, BEFORE_US, Judged, is_alarm, wilson

__all__ = ["AT_EAR", "NEITHER", "NOTHING", "Row", "confusion"]

AT_EAR: Final = ("phone_at_ear", "hand_at_ear")
"""What is there or is said; where both are, the first counts."""
NEITHER: Final = "neither"
NOTHING: Final = "nothing"


@dataclass(slots=True)
class Row:
    """Clips of which one thing is true.

    Attributes:
        truth: one of :data:`AT_EAR`, or :data:`NEITHER`.
        story: how such clips were made; empty: all of them.
        said: number of clips by what was said of them: one of :data:`AT_EAR`, or :data:`NOTHING`.
    """

    truth: str
    story: str = ""
    said: dict[str, int] = field(default_factory=lambda: dict.fromkeys((*AT_EAR, NOTHING), 0))

    @property
    def clips(self) -> int:
        """How many there are."""
        return sum(self.said.values())

    def interval(self, said: str) -> tuple[float, float]:
        """95 % interval of the share of clips of which that was said."""
        return wilson(self.said[said], self.clips)


def confusion(clips: Iterable[Judged]) -> list[Row]:
    """A row for each truth that clips have; those of ``neither`` by their story as well.

    Clips whose labels aren't complete for all of :data:`AT_EAR` don't count.
    """
    rows: dict[tuple[str, str], Row] = {}
    for judged in clips:
        clip = judged.run.clip
        if not clip.scored.issuperset(AT_EAR):
            continue
        truth = _truth(clip)
        stories = {"", clip.tags.get("story", "")} if truth == NEITHER else {""}
        for story in stories:
            row = rows.setdefault((truth, story), Row(truth, story))
            row.said[_said(judged, truth)] += 1
    order = (*AT_EAR, NEITHER)
    return sorted(rows.values(), key=lambda row: (order.index(row.truth), row.story))


def _truth(clip: Clip) -> str:
    there = {event.kind for event in clip.events if not event.optional}
    return next((kind for kind in AT_EAR if kind in there), NEITHER)


def _said(judged: Judged, truth: str) -> str:
    """What was said while it was true."""
    clip = judged.run.clip
    spans = [
        (event.start_us - BEFORE_US, event.end_us + AFTER_US)
        for event in clip.events
        if event.kind == truth and not event.optional
    ] or [(0, clip.duration_us)]
    said = {
        one.finding.kind
        for one in judged.run.said
        if is_alarm(one.finding)
        and any(one.finding.start_us <= end and one.finding.end_us >= at for at, end in spans)
    }
    return next((kind for kind in AT_EAR if kind in said), NOTHING)
