"""What there is to say of recorded sessions in a line each, from their logs alone."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from recorder.backfill.ledger import Ledger
from recorder.errors import RecorderError
from recorder.intervals import length
from recorder.log import Event, read_events
from recorder.session_file import read_session, rfc3339
from recorder.timeline import derive_timeline

__all__ = ["Summary", "session_places", "summarise"]


@dataclass(frozen=True, slots=True)
class Summary:
    """One session.

    Attributes:
        state: of the recording; ``damaged`` where the log can't be trusted.
        length_us: from its start to its end so far, pauses included.
        tracks: how many.
        captured: share of the tracks' time that was captured live, pauses left out and outages
            not; ``None`` without tracks.
        filled: share of it that was missing and is there by uploads.
        open_gaps: gaps of which uploads did not bring all, and outages.
        audio, video: shares of the frames that clients said they sent which the recording has,
            uploads included; ``None`` where nobody said.
        packages: identifiers of the packages that were made, oldest first.
        problem: why it is damaged.
        outage_us: how long the server was away while it should have been recorded.
    """

    session: str
    room: str
    started_at: str
    state: str
    length_us: int = 0
    tracks: int = 0
    captured: float | None = None
    filled: float | None = None
    open_gaps: int = 0
    audio: float | None = None
    video: float | None = None
    packages: tuple[str, ...] = ()
    problem: RecorderError | None = None
    outage_us: int = 0

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "session": self.session,
            "room": self.room,
            "started_at": self.started_at,
            "state": self.state,
            "length_us": self.length_us,
            "tracks": self.tracks,
            "captured": self.captured,
            "filled": self.filled,
            "open_gaps": self.open_gaps,
            "outage_us": self.outage_us,
            "completeness": {"audio": self.audio, "video": self.video},
            "sealed": bool(self.packages),
            "packages": list(self.packages),
            "problem": None if self.problem is None else str(self.problem),
        }


def session_places(directory: Path) -> list[Path]:
    """Directories of the sessions in a recording directory, by name.

    Raises:
        OSError: it can't be read.
    """
    return sorted(item for item in directory.iterdir() if (item / "session.json").is_file())


def summarise(place: Path) -> Summary:
    """Reads a session's log. One that is being written is read as far as it is.

    Raises:
        SessionFileError: the directory holds no session.
        OSError: a file can't be read.
    """
    session = read_session(place)
    started_at = rfc3339(session.started_ns)
    facts = _Facts()
    try:
        timeline = derive_timeline(facts.watch(read_events(place, session)))
    except FileNotFoundError:
        return Summary(session.session, session.room, started_at, "ready")
    except (RecorderError, KeyError, TypeError, ValueError) as error:
        found = error if isinstance(error, RecorderError) else None
        return Summary(session.session, session.room, started_at, "damaged", problem=found)
    tracks = timeline.tracks.values()
    totals = timeline.totals()
    counts = facts.ledger.completeness()
    return Summary(
        session.session,
        session.room,
        started_at,
        timeline.state.value,
        0 if timeline.from_us is None else timeline.to_us - timeline.from_us,
        len(timeline.tracks),
        totals.captured,
        totals.filled,
        sum(not gap.is_filled for track in tracks for gap in track.gaps) + len(timeline.outages),
        counts["audio"].ratio,
        counts["video"].ratio,
        tuple(facts.packages),
        outage_us=length(timeline.outages),
    )


class _Facts:
    """What the timeline leaves out."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.packages: list[str] = []

    def watch(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            self.ledger.apply(event.type, event.payload, event.at_us, event.actor)
            if event.type == "recording.sealed":
                self.packages.append(str(event.payload["package"]))
            yield event
