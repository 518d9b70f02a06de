"""A recording as somebody looks at it afterwards: found in a list, laid out along its time."""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from recorder.backfill.ledger import Ledger
from recorder.errors import FlowError, RecorderError
from recorder.findings import FindingBook
from recorder.flow import read_flow
from recorder.intervals import Range, intersect, length, normalised
from recorder.log import Event, read_events
from recorder.playback.opening import read_transcript
from recorder.session_file import SessionFile, read_session, rfc3339
from recorder.summary import Summary, session_places, summarise
from recorder.timeline import Timeline, TrackTimeline, derive_timeline
from recorder.track_file import read_track

__all__ = ["Catalogue", "Criteria", "describe_recording", "state_of_recording"]

MAX_GAPS: Final = 2_000
"""Gaps of a track that are told one by one; beyond it the largest are."""

MAX_LINES: Final = 10_000
MAX_FINDINGS: Final = 5_000
_JOIN_US: Final = 200_000
"""Gaps of one cause that are nearer to each other are shown as one."""

_KEPT: Final = 20_000
MAX_READ: Final = 16 * 2**20
"""Bytes of logs that one search reads at most: some seconds. What is known isn't read again."""


@dataclass(frozen=True, slots=True)
class Criteria:
    """What recordings are looked for. What is ``None`` or empty doesn't matter.

    Attributes:
        text: the beginning of a session's id or its room; an order or customer reference.
        from_day, to_day: ``YYYY-MM-DD``, UTC, both included.
        state: of the recording.
        before: the id of the last one that was told, to go on after it.
        after: when that one began (RFC 3339) and its id, if it may not be in the directory.
        allowed: whether a room's recordings may be told of.
    """

    text: str = ""
    from_day: str | None = None
    to_day: str | None = None
    state: str | None = None
    before: str | None = None
    after: tuple[str, str] | None = None
    limit: int = 50
    allowed: Callable[[str], bool] = lambda _: True


class Catalogue:
    """The recordings in a directory. What was read is kept until a log grows."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._sessions: dict[str, SessionFile] = {}
        self._unread = MAX_READ
        self._summaries: OrderedDict[str, tuple[tuple[int, int], Summary]] = OrderedDict()

    def find(self, criteria: Criteria) -> tuple[list[dict[str, Any]], str | None]:
        """Newest first.

        Returns:
            At most ``limit`` recordings, and the ``before`` with which to go on, if there may be
            more: also after none, when as many logs were read as one search may.

        Raises:
            OSError: the directory can't be read.
        """
        sessions = sorted(self._all(), key=lambda item: (item.started_ns, item.session))
        wanted = [item for item in reversed(sessions) if _fits(item, criteria)]
        if criteria.after is not None:
            end = criteria.after
            wanted = [one for one in wanted if (rfc3339(one.started_ns), one.session) < end]
        elif criteria.before is not None:
            names = [item.session for item in wanted]
            after = names.index(criteria.before) + 1 if criteria.before in names else len(names)
            wanted = wanted[after:]
        found: list[dict[str, Any]] = []
        self._unread = MAX_READ
        last = None
        for session in wanted:
            if last is not None and (len(found) == criteria.limit or self._unread <= 0):
                return found, last
            last = session.session
            told = self._told(session)
            if told is not None and criteria.state in {None, told["state"]}:
                found.append(told)
        return found, None

    def _all(self) -> Iterator[SessionFile]:
        for place in session_places(self._directory):
            session = self._sessions.get(place.name)
            if session is None:
                try:
                    session = read_session(place)
                except RecorderError:
                    continue
                self._sessions[place.name] = session
            yield session

    def _told(self, session: SessionFile) -> dict[str, Any] | None:
        place = self._directory / session.session
        try:
            summary = self._summary(place)
        except (RecorderError, OSError):
            return None
        return {**summary.to_json(), **session.sale.to_json()}

    def _summary(self, place: Path) -> Summary:
        try:
            known = (place / "events.jsonl").stat()
            signature = (known.st_mtime_ns, known.st_size)
        except FileNotFoundError:
            signature = (0, 0)
        kept = self._summaries.get(place.name)
        if kept is not None and kept[0] == signature:
            self._summaries.move_to_end(place.name)
            return kept[1]
        self._unread -= signature[1]
        summary = summarise(place)
        self._summaries[place.name] = (signature, summary)
        while len(self._summaries) > _KEPT:
            self._summaries.popitem(last=False)
        return summary


def _fits(session: SessionFile, criteria: Criteria) -> bool:
    day = rfc3339(session.started_ns)[:10]
    text = criteria.text
    sale = session.sale
    return (
        criteria.allowed(session.room)
        and (criteria.from_day is None or day >= criteria.from_day)
        and (criteria.to_day is None or day <= criteria.to_day)
        and (
            not text
            or session.session.startswith(text)
            or session.room.startswith(text)
            or text in {sale.order_no, sale.customer}
        )
    )


def state_of_recording(place: Path) -> dict[str, Any]:
    """How complete a session is so far, and what went wrong, from its log alone.

    Returns:
        ``completeness``: shares of tracks' time, outages included (``captured``), and of frames
        that were sent (``audio``, ``video``), ``None``: unknown; ``alerts``.

    Raises:
        RecorderError: the log is not what was written.
        OSError: it can't be read.
    """
    session = read_session(place)
    facts = _Facts()
    if not (place / "events.jsonl").exists():
        return {"completeness": dict.fromkeys(("captured", "audio", "video")), "alerts": []}
    timeline = derive_timeline(facts.watch(read_events(place, session)))
    counts = facts.ledger.completeness()
    share = timeline.totals().there
    shares = {"captured": share, "audio": counts["audio"].ratio, "video": counts["video"].ratio}
    return {"completeness": shares, "alerts": facts.alerts}


def describe_recording(place: Path) -> dict[str, Any]:
    """Everything that is drawn beside a film; times are µs on the session clock.

    Raises:
        RecorderError: the directory holds no session, or its files are not what was written.
        OSError: a file can't be read.
    """
    session = read_session(place)
    facts = _Facts()
    timeline = derive_timeline(facts.watch(read_events(place, session)))
    abouts = {
        track: read_track(place / "tracks" / track / "track.json") for track in timeline.tracks
    }
    lines = [
        {"from_us": one.from_us, "to_us": one.to_us, "speaker": one.speaker, "text": one.text}
        for one in read_transcript(place)[:MAX_LINES]
    ]
    whole = timeline.to_json()
    counts = facts.ledger.completeness()
    return {
        "session_id": session.session,
        "room": session.room,
        "started_at": rfc3339(session.started_ns),
        **session.sale.to_json(),
        **{key: whole[key] for key in _OF_RECORDING},
        "flow": _flow(place),
        "people": _people(timeline, abouts, lines),
        "tracks": [_track(track, abouts[name]) for name, track in timeline.tracks.items()],
        "completeness": {"audio": counts["audio"].ratio, "video": counts["video"].ratio},
        "alerts": facts.alerts,
        "findings": facts.findings.findings()[:MAX_FINDINGS],
        "transcript": lines,
        "packages": facts.packages,
        "uploads": facts.uploads,
    }


_OF_RECORDING = ("state", "from_us", "to_us", "pauses", "outages", "marks", "attempts")


class _Facts:
    """What the timeline leaves out."""

    def __init__(self) -> None:
        self.ledger = Ledger()
        self.findings = FindingBook()
        self.packages: list[dict[str, Any]] = []
        self.alerts: list[dict[str, Any]] = []
        self.uploads = 0

    def watch(self, events: Iterable[Event]) -> Iterator[Event]:
        for event in events:
            payload = event.payload
            self.ledger.apply(event.type, payload, event.at_us, event.actor)
            self.findings.apply(event)
            match event.type:
                case "recording.sealed":
                    about = {"package": payload["package"], "manifest": payload["manifest"]}
                    self.packages.append({**about, "sealed_at": event.ts_server})
                case "alert.raised":
                    self.alerts.append(
                        {
                            "alert": payload.get("alert", "capture"),
                            "severity": payload.get("severity", "critical"),
                            "cause": payload.get("cause"),
                            "track": payload.get("track"),
                            "from_us": event.at_us,
                            "to_us": None,
                        }
                    )
                case "alert.ended":
                    self._end_alert(event)
                case "chunk.backfilled":
                    self.uploads += 1
                case "chunk.rejected":
                    self._refuse(event)
            yield event

    def _refuse(self, event: Event) -> None:
        """One alert for each track and cause, however often."""
        about = {
            "alert": "upload",
            "severity": "warning",
            "cause": event.payload["cause"],
            "track": event.payload["track"],
        }
        if all(about.items() - alert.items() for alert in self.alerts):
            self.alerts.append({**about, "from_us": event.at_us, "to_us": None})

    def _end_alert(self, event: Event) -> None:
        key = (event.payload.get("alert", "capture"), event.payload.get("track"))
        for alert in self.alerts:
            if (alert["alert"], alert["track"]) == key and alert["to_us"] is None:
                alert["to_us"] = event.at_us


def _flow(place: Path) -> dict[str, Any] | None:
    try:
        flow = read_flow(place)
    except FlowError:
        return None
    return None if flow is None else flow.to_json()


def _people(
    timeline: Timeline, abouts: Mapping[str, Mapping[str, Any]], lines: Iterable[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """When everybody was there; when they spoke, where a transcript says so."""
    ranges: dict[str, list[Range]] = {}
    about: dict[str, Mapping[str, Any]] = {}
    for name, track in timeline.tracks.items():
        participant = str(abouts[name].get("participant", "unknown"))
        ranges.setdefault(participant, []).extend(track.expected)
        about.setdefault(participant, abouts[name])
    spoken: dict[str, list[Range]] = {}
    for line in lines:
        spoken.setdefault(line["speaker"], []).append((line["from_us"], line["to_us"]))
    return [
        {
            "participant": participant,
            "name": about[participant].get("name") or participant,
            "role": about[participant].get("role", "unknown"),
            "present": [list(item) for item in normalised(present)],
            "speech": [list(item) for item in normalised(spoken[participant])]
            if participant in spoken
            else None,
        }
        for participant, present in ranges.items()
    ]


def _track(track: TrackTimeline, about: Mapping[str, Any]) -> dict[str, Any]:
    expected, missing = length(track.expected), length(track.missing)
    gaps = _gaps(track)
    return {
        "track": track.track,
        "participant": about.get("participant", "unknown"),
        "kind": about.get("kind", "unknown"),
        "source": about.get("source", "unknown"),
        "codec": about.get("codec"),
        "present": [list(item) for item in track.expected],
        "expected_us": expected,
        "captured_us": length(track.captured),
        "missing_us": missing,
        "filled_us": length(track.filled),
        "undeclared": [list(item) for item in track.undeclared],
        "gaps": gaps[:MAX_GAPS],
        "gaps_left_out": max(0, len(gaps) - MAX_GAPS),
    }


def _gaps(track: TrackTimeline) -> list[dict[str, Any]]:
    """In order of time, or by length where there are too many; near ones of a cause joined."""
    by_cause: dict[str, list[Range]] = {}
    for gap in track.gaps:
        by_cause.setdefault(gap.cause, []).append((gap.from_us, gap.to_us))
    found: list[dict[str, Any]] = []
    for cause, ranges in by_cause.items():
        for from_us, to_us in _joined(normalised(ranges)):
            whole = [(from_us, to_us)]
            is_filled = bool(intersect(whole, track.filled)) and not intersect(whole, track.missing)
            span = {"from_us": from_us, "to_us": to_us, "cause": cause}
            found.append({**span, "filled": is_filled})
    if len(found) > MAX_GAPS:
        found.sort(key=lambda gap: gap["from_us"] - gap["to_us"])
    else:
        found.sort(key=lambda gap: gap["from_us"])
    return found


def _joined(ranges: Iterable[Range]) -> list[Range]:
    out: list[Range] = []
    for start, end in ranges:
        if out and start - out[-1][1] < _JOIN_US:
            out[-1] = (out[-1][0], end)
        else:
            out.append((start, end))
    return out
