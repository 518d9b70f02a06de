"""What was recorded when, what is missing and why: derived from the event log alone.

For every track: what was captured live, what uploads filled and what is declared missing don't
overlap, and together they cover its time in the recording. Whatever they don't cover is
``undeclared`` and a fault.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, Final

from recorder.intervals import Range, intersect, joined, length, normalised, subtract, union
from recorder.session import Attempt, Played, RecordingSession, State

__all__ = [
    "BORDER_US",
    "Gap",
    "SegmentRange",
    "Timeline",
    "Totals",
    "TrackTimeline",
    "derive_timeline",
]

BORDER_US: Final = 100_000
"""Undeclared holes up to this are the distance between two packets, not something missing."""

PART_ABSENT: Final = 1_000
"""All of them together are at most one part in so many, and :data:`BORDER_US` at both ends."""


@dataclass(frozen=True, slots=True)
class SegmentRange:
    """A closed file of a track."""

    segment: int
    file: str
    from_us: int
    to_us: int


@dataclass(slots=True)
class Gap:
    """A declared absence of media.

    Attributes:
        is_final: a chunk that was said won't come, or is awaited, or events were lost: uploads of
            others don't fill it.
        filled_us: how much of it is in the recording by now.
    """

    track: str
    from_us: int
    to_us: int
    cause: str
    is_final: bool = False
    filled_us: int = 0

    @property
    def is_filled(self) -> bool:
        """Whether uploads brought all of it."""
        return 0 < self.filled_us == self.to_us - self.from_us

    def to_json(self) -> dict[str, Any]:
        """As in ``gaps.json``."""
        times = {"from_us": self.from_us, "to_us": self.to_us}
        return {**times, "cause": self.cause, "filled_us": self.filled_us}


@dataclass(slots=True)
class TrackTimeline:
    """One track's part of the recording.

    Attributes:
        expected: when it was open and the recording ran, pauses included.
        captured: what is in files and in no gap.
        uploaded: when chunks were sent of which frames were uploaded, and everything is there.
        arrived: when chunks were sent that arrived whole: they are there where files are.
        filled: what did not arrive live, and is there by now.
        missing: what is declared to be missing, and is.
        undeclared: what is in none of these.
    """

    track: str
    opened_us: int
    closed_us: int | None = None
    segments: list[SegmentRange] = field(default_factory=list)
    gaps: list[Gap] = field(default_factory=list)
    expected: list[Range] = field(default_factory=list)
    captured: list[Range] = field(default_factory=list)
    uploaded: list[Range] = field(default_factory=list)
    arrived: list[Range] = field(default_factory=list)
    filled: list[Range] = field(default_factory=list)
    missing: list[Range] = field(default_factory=list)
    undeclared: list[Range] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Totals:
    """Time of all tracks together, µs."""

    expected_us: int
    captured_us: int
    filled_us: int
    missing_us: int

    @property
    def captured(self) -> float | None:
        """Share that was captured live; ``None``: there was nothing to record."""
        return self.captured_us / self.expected_us if self.expected_us else None

    @property
    def filled(self) -> float | None:
        """Share that was missing and is there by uploads."""
        return self.filled_us / self.expected_us if self.expected_us else None

    @property
    def there(self) -> float | None:
        """Share that nobody declared missing."""
        return 1 - self.missing_us / self.expected_us if self.expected_us else None


@dataclass(slots=True)
class Timeline:
    """The recording of one session.

    Attributes:
        from_us: its start, ``None`` before it.
        to_us: its end so far.
        pauses: when it was paused on purpose.
        outages: when nothing was recorded of anybody, from a crash until it was resumed.
    """

    state: State
    from_us: int | None
    to_us: int
    tracks: dict[str, TrackTimeline]
    attempts: list[Attempt]
    marks: list[tuple[int, str]]
    pauses: list[Range]
    outages: list[Range] = field(default_factory=list)

    def totals(self) -> "Totals":
        """What there is of all tracks together, but for pauses.

        An outage is missing of each track that broke off with it: who comes back has new ones. One
        in which no track was open counts as one: nobody knows who would have come.
        """
        expected = captured = filled = missing = 0
        for track in self.tracks.values():
            expected += length(subtract(track.expected, self.pauses))
            captured += length(subtract(track.captured, self.pauses))
            filled += length(subtract(track.filled, self.pauses))
            missing += length(subtract(track.missing, self.pauses))
        went_on_us = 0
        for start, end in self.outages:
            broken = sum(
                track.closed_us is not None
                and went_on_us <= track.closed_us <= start
                and any((gap.cause, gap.to_us) == ("crash", track.closed_us) for gap in track.gaps)
                for track in self.tracks.values()
            )
            out = (end - start) * max(1, broken)
            expected, missing, went_on_us = expected + out, missing + out, end
        return Totals(expected, captured, filled, missing)

    def to_json(self) -> dict[str, Any]:
        """As ``GET /v1/sessions/{id}/timeline`` answers; times are µs on the session clock."""
        return {
            "state": self.state.value,
            "from_us": self.from_us,
            "to_us": self.to_us,
            "pauses": [list(item) for item in self.pauses],
            "outages": [
                {"from_us": start, "to_us": end, "cause": "crash"} for start, end in self.outages
            ],
            "marks": [{"at_us": at_us, "label": label} for at_us, label in self.marks],
            "attempts": [
                {
                    "node": attempt.node,
                    "attempt": attempt.attempt,
                    "supersedes": attempt.supersedes,
                    "superseded_by": attempt.superseded_by,
                    "from_us": attempt.from_us,
                    "to_us": attempt.to_us,
                }
                for attempt in self.attempts
            ],
            "tracks": [_track_json(track) for track in self.tracks.values()],
        }


class _Outages:
    """From a crash until the recording goes on nobody is recorded, unless it was paused."""

    def __init__(self) -> None:
        self.ranges: list[Range] = []
        self._broken_us: int | None = None

    def note(self, event: Played, state: State, last_us: int, *, is_paused: bool) -> None:
        """An event; ``last_us`` is the time of those before, which recovery tells of files."""
        if state is State.INTERRUPTED and self._broken_us is None:
            self._broken_us = None if is_paused else last_us
        elif event.type in {"recording.resumed", "recording.stopped"}:
            broken_us, self._broken_us = self._broken_us, None
            # Who sealed it where it broke off did not go on.
            if broken_us is not None and not event.payload.get("interrupted"):
                self.ranges += [(broken_us, event.at_us)] if broken_us < event.at_us else []


def derive_timeline(events: Iterable[Played], now_us: int | None = None) -> Timeline:
    """Plays a log.

    Args:
        events: all of it, in order.
        now_us: the end of what still runs; the last event's time if left out.
    """
    session = RecordingSession()
    tracks: dict[str, TrackTimeline] = {}
    marks: list[tuple[int, str]] = []
    pauses: list[Range] = []
    lost: list[Range] = []
    from_us: int | None = None
    paused_us: int | None = None
    outages = _Outages()
    to_us = 0
    for event in events:
        session.apply(event)
        outages.note(event, session.state, to_us, is_paused=paused_us is not None)
        # What is logged after a crash, or after the end, makes a recording no longer.
        is_over = session.state in {State.INTERRUPTED, State.STOPPED}
        if not is_over or event.type == "recording.stopped":
            to_us = max(to_us, event.at_us)
        match event.type:
            case "recording.started":
                from_us = event.at_us
            case "recording.paused":
                paused_us = event.at_us
            case "recording.resumed" | "recording.stopped" if paused_us is not None:
                pauses.append((paused_us, event.at_us))
                paused_us = None
            case "log.lost":
                lost.append((event.payload["from_us"], event.payload["to_us"]))
            case "mark":
                marks.append((event.at_us, str(event.payload.get("label", ""))))
            case "track.opened":
                name = event.payload["track"]
                tracks.setdefault(name, TrackTimeline(name, event.at_us))
            case (
                "track.closed" | "segment.closed" | "gap.declared"
                | "chunk.backfilled" | "chunk.verified"
            ):  # fmt: skip
                _note(tracks, event)
    if now_us is not None and session.state not in {State.INTERRUPTED, State.STOPPED}:
        to_us = max(to_us, now_us)
    pauses += [] if paused_us is None else [(paused_us, to_us)]
    for track in tracks.values():
        _lack(track, lost)
        _cover(track, from_us, to_us, pauses)
    return Timeline(
        session.state, from_us, to_us, tracks, session.attempts, marks, pauses, outages.ranges
    )


def _note(tracks: dict[str, TrackTimeline], event: Played) -> None:
    payload = event.payload
    # A gap may begin before the first packet opened the track; what is uploaded needs none.
    track = tracks.setdefault(payload["track"], TrackTimeline(payload["track"], event.at_us))
    match event.type:
        case "track.closed":
            track.closed_us = event.at_us
        case "chunk.backfilled":
            # Without a file nothing was uploaded: all of it had arrived meanwhile.
            there = track.arrived if payload.get("file", "") is None else track.uploaded
            there.append((payload["from_us"], payload["to_us"]))
        case "chunk.verified":
            track.arrived += [(low, high) for low, high in payload.get("spans", ())]
        case "segment.closed":
            track.segments.append(
                SegmentRange(
                    payload["segment"], payload["file"], payload["from_us"], payload["to_us"]
                )
            )
        case _:
            times = payload["from_us"], payload["to_us"]
            is_final = "chunk" in payload or "chunks" in payload
            track.gaps.append(Gap(track.track, *times, payload["cause"], is_final))


def _lack(track: TrackTimeline, lost: Iterable[Range]) -> None:
    # Any of the events may have told that something of this track is missing.
    track.gaps += [Gap(track.track, *times, "log_lost", is_final=True) for times in lost]


def _cover(track: TrackTimeline, from_us: int | None, to_us: int, pauses: list[Range]) -> None:
    if from_us is None:
        return
    closed_us = to_us if track.closed_us is None else min(track.closed_us, to_us)
    track.expected = normalised([(max(track.opened_us, from_us), closed_us)])
    files = normalised((item.from_us, item.to_us) for item in track.segments)
    gaps = normalised((gap.from_us, gap.to_us) for gap in track.gaps)
    paused = subtract(pauses, files)
    final = [(gap.from_us, gap.to_us) for gap in track.gaps if gap.is_final]
    there = [*track.uploaded, *intersect(track.arrived, joined(files, BORDER_US))]
    for start, end in track.expected:
        # Before the first frame and after the last nothing was sent: chunks end with their frames.
        there += [(last, end) for _, last in there if end - BORDER_US <= last < end]
        there += [(start, first) for first, _ in there if start < first <= start + BORDER_US]
    filled = subtract(joined(there, BORDER_US), union(final, paused))
    declared = union(gaps, paused)
    track.filled = intersect(intersect(gaps, filled), track.expected)
    track.missing = subtract(intersect(declared, track.expected), track.filled)
    track.captured = subtract(intersect(files, track.expected), gaps)
    holes = subtract(subtract(track.expected, files), declared)
    is_little = length(holes) <= 2 * BORDER_US + length(track.expected) // PART_ABSENT
    near = BORDER_US if is_little else 0
    track.undeclared = [(start, end) for start, end in holes if end - start > near]
    _fill(track.gaps, filled)


def _fill(gaps: Sequence[Gap], filled: Sequence[Range]) -> None:
    """How much of each gap lies in these ranges, which are in order and apart."""
    starts = [start for start, _ in filled]
    sums = [0, *accumulate(end - start for start, end in filled)]

    def before(at_us: int) -> int:
        index = bisect_right(starts, at_us)
        behind = max(0, filled[index - 1][1] - at_us) if index else 0
        return sums[index] - behind

    for gap in gaps:
        gap.filled_us = before(gap.to_us) - before(gap.from_us)


def _track_json(track: TrackTimeline) -> dict[str, Any]:
    return {
        "track": track.track,
        "opened_us": track.opened_us,
        "closed_us": track.closed_us,
        "segments": [
            {
                "segment": item.segment,
                "file": item.file,
                "from_us": item.from_us,
                "to_us": item.to_us,
            }
            for item in track.segments
        ],
        "gaps": [gap.to_json() for gap in track.gaps],
        "expected_us": length(track.expected),
        "captured_us": length(track.captured),
        "filled_us": length(track.filled),
        "missing_us": length(track.missing),
        "missing": [list(item) for item in track.missing],
        "undeclared": [list(item) for item in track.undeclared],
    }
