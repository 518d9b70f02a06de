"""A recorded session as it is played: its clock, its tracks, its nodes and what was said."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from recorder.playback.source import TrackSource
from recorder.timeline import Timeline

__all__ = ["Line", "Recording"]


@dataclass(frozen=True, slots=True)
class Line:
    """Something that was said, µs on the session clock."""

    from_us: int
    to_us: int
    speaker: str
    text: str


@dataclass(frozen=True, slots=True)
class Recording:
    """All that is needed to play a session.

    Attributes:
        started_ns: when the session clock was zero, ns since 1970.
        sources: the captured tracks.
        titles: of nodes, by code; a node without one is shown by its code.
        transcript: in order of time; empty if there is none.
    """

    session: str
    started_ns: int
    timeline: Timeline
    sources: Sequence[TrackSource]
    titles: Mapping[str, str] = field(default_factory=dict)
    transcript: Sequence[Line] = ()
