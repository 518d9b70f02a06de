"""What a film of a session is made of, before anything is decoded."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from recorder.compose.layout import Tile
from recorder.compose.texts import say
from recorder.playback.recording import Recording
from recorder.playback.source import TrackInfo
from recorder.playback.survey import TrackSurvey
from recorder.session import Attempt
from recorder.timeline import Timeline

__all__ = [
    "Chapter",
    "chapters",
    "film_range",
    "node_title",
    "person_label",
    "tiles_of",
    "title_at",
]

_ROLES: Final = ("rm", "customer", "expert", "supervisor")


@dataclass(frozen=True, slots=True)
class Chapter:
    """A part of the film, µs on the session clock."""

    from_us: int
    to_us: int
    title: str


def film_range(timeline: Timeline, surveys: Iterable[TrackSurvey]) -> tuple[int, int] | None:
    """From the start of the recording to its end; by what was captured where no event says it."""
    surveys = list(surveys)
    starts = [found.first_us for found in surveys if found.first_us is not None]
    ends = [found.last_us for found in surveys if found.last_us is not None]
    from_us = timeline.from_us if timeline.from_us is not None else min(starts, default=None)
    to_us = max([timeline.to_us, *ends]) if timeline.from_us is None else timeline.to_us
    if from_us is None or to_us <= from_us:
        return None
    return from_us, to_us


def tiles_of(tracks: Iterable[TrackInfo]) -> list[Tile]:
    """A tile for everybody, and one for everybody's documents; by role, then by id."""
    tracks = list(tracks)

    def rank(info: TrackInfo) -> tuple[int, str]:
        return (_ROLES.index(info.role) if info.role in _ROLES else len(_ROLES), info.participant)

    people = {info.participant: rank(info) for info in tracks}
    shown = {info.participant for info in tracks if info.is_document and info.kind == "video"}
    order = sorted(people, key=lambda name: people[name])
    documents = [Tile(name, is_document=True) for name in order if name in shown]
    return [*documents, *(Tile(name) for name in order)]


def person_label(tile: Tile, tracks: Iterable[TrackInfo], language: str) -> str:
    """Name and role, as written into the tile."""
    info = next(info for info in tracks if info.participant == tile.participant)
    parts = [info.name, say(f"role.{info.role}", language)]
    if tile.is_document:
        parts.append(say("document", language))
    return " · ".join(part for part in parts if part)


def node_title(attempt: Attempt, titles: Mapping[str, str], language: str) -> str:
    """What an attempt is called."""
    node = titles.get(attempt.node, attempt.node)
    if attempt.attempt == 1:
        return say("node", language, node=node)
    return say("attempt", language, node=node, attempt=attempt.attempt)


def chapters(recording: Recording, start_us: int, end_us: int, language: str) -> list[Chapter]:
    """One for every attempt and mark, and for the time between; they cover the film.

    A superseded attempt keeps its chapter, which says that it was recorded again.
    """
    points: dict[int, str] = {start_us: say("between", language)}
    timeline = recording.timeline
    for at_us, label in timeline.marks:
        points[at_us] = say("mark", language, label=label)
    for attempt in timeline.attempts:
        if attempt.to_us is not None:
            points.setdefault(attempt.to_us, say("between", language))
    for attempt in timeline.attempts:
        title = node_title(attempt, recording.titles, language)
        if attempt.superseded_by is not None:
            title = say("superseded", language, title=title)
        points[attempt.from_us] = title
    inside = sorted((at_us, title) for at_us, title in points.items() if start_us <= at_us < end_us)
    ends = [at_us for at_us, _ in inside[1:]] + [end_us]
    return [Chapter(at, to, title) for (at, title), to in zip(inside, ends, strict=True)]


def title_at(attempts: Sequence[Attempt], time_us: int) -> Attempt | None:
    """The attempt that runs at a moment."""
    found = None
    for attempt in attempts:
        if attempt.from_us <= time_us and (attempt.to_us is None or time_us < attempt.to_us):
            found = attempt
    return found
