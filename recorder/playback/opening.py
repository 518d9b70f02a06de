"""Opens the directory of a recorded session for playing."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from recorder.backfill.errors import BodyError
from recorder.backfill.store import read_stored
from recorder.envelope import MasterKeys
from recorder.errors import RecorderError
from recorder.intervals import Range
from recorder.log import Event, read_events
from recorder.playback.errors import DamagedError, RecordingError
from recorder.playback.pcapng import read_segment
from recorder.playback.recording import Line, Recording
from recorder.playback.source import Damage, Item, TrackInfo
from recorder.playback.uploads import SaidRange, UploadedFrame, Uploads
from recorder.regular import open_regular, read_regular
from recorder.session_file import read_session
from recorder.timeline import TrackTimeline, derive_timeline
from recorder.transcript import TRANSCRIPT_FILE
from rtp.assembly import FORMATS

__all__ = ["CapturedTrack", "open_recording", "read_transcript"]

_SEGMENT: Final = re.compile(r"\d{6,}\.pcapng(\.enc)?")
_RATES: Final = {"audio": 48_000, "video": 90_000}
_KNOWN_RATES: Final = range(8_000, 192_001)
_LATEST_US: Final = 10**13
"""No session lasts four months."""
_DOCUMENTS: Final = frozenset({"screen", "document"})


@dataclass(frozen=True, slots=True)
class CapturedTrack:
    """The capture files of one track.

    Attributes:
        spans: the time each file answers for, by its name, as the log says.
        damage: what could not be read.
    """

    info: TrackInfo
    segments: tuple[Path, ...]
    uploads: Uploads = field(default_factory=Uploads)
    keys: MasterKeys | None = None
    spans: Mapping[str, Range] = field(default_factory=dict)
    damage: list[Damage] = field(default_factory=list)

    def read(self) -> Iterator[Item]:
        """All of it, segment by segment; of a damaged one what comes before the damage."""
        for path in self.segments:
            last_us, to_us = self.spans.get(path.name, (0, 0))
            try:
                for item in read_segment(path, self.keys):
                    last_us = max(last_us, item.arrival_us)
                    yield item
            except DamagedError as error:
                file = f"tracks/{self.info.track}/{path.name}"
                span = last_us, max(last_us, to_us)
                note_damage(self.damage, Damage(self.info.track, file, *span, error))


def note_damage(known: list[Damage], found: Damage) -> None:
    """Tracks are read more than once."""
    if all(one.file != found.file for one in known):
        known.append(found)


def open_recording(place: Path, language: str = "zh", keys: MasterKeys | None = None) -> Recording:
    """Reads all about a session but its media.

    Args:
        place: directory of the session.
        language: of node titles that are there in several.
        keys: of encrypted files.

    Raises:
        RecorderError: files are missing, or are not what was written.
        OSError: a file can't be read.
    """
    place = place.resolve()
    session = read_session(place)
    ranges = _Ranges()
    timeline = derive_timeline(ranges.watch(read_events(place, session)))
    folder = place / "tracks"
    tracks = sorted(folder.iterdir()) if folder.is_dir() else []
    sources = [
        _track(track, ranges.of(track.name), timeline.tracks.get(track.name), keys)
        for track in tracks
        if (track / "track.json").is_file()
    ]
    return Recording(
        session.session,
        session.started_ns,
        timeline,
        sources,
        titles=_titles(place / "flow.json", language),
        transcript=read_transcript(place),
    )


def _track(
    folder: Path,
    said: Sequence[SaidRange],
    known: TrackTimeline | None,
    keys: MasterKeys | None,
) -> CapturedTrack:
    path = folder / "track.json"
    about = _object(path)
    try:
        formats = _formats(about)
        kind = str(about["kind"])
        source = str(about.get("source", kind))
        kind = "video" if kind in _DOCUMENTS else kind
        participant = str(about["participant"])
        info = TrackInfo(
            track=folder.name,
            participant=participant,
            name=str(about.get("name") or participant),
            role=str(about.get("role", "")),
            kind=kind,
            codec=next(iter(formats.values()), str(about.get("codec") or "").lower()),
            clock_rate=_rate(about, kind),
            is_document=source in _DOCUMENTS,
            formats=formats,
        )
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
        raise RecordingError("{path} does not describe a track", path=path) from None
    if info.codec not in FORMATS:
        raise RecordingError(
            "track {track} is of the codec {codec}, which can't be played",
            track=info.track,
            codec=info.codec or "unknown",
        )
    segments = [file for file in folder.iterdir() if _SEGMENT.fullmatch(file.name)]
    segments.sort(key=_number)
    there = {_number(file) for file in segments}
    spans, damage = {}, list[Damage]()
    for item in [] if known is None else known.segments:
        spans[Path(item.file).name] = item.from_us, item.to_us
        if item.segment not in there:
            file = f"tracks/{info.track}/{Path(item.file).name}"
            why = RecordingError("{path} is not there", path=file)
            damage.append(Damage(info.track, file, item.from_us, item.to_us, why))

    def uploaded(item: SaidRange) -> list[UploadedFrame]:
        return _uploaded(folder.parents[1], info, item, keys, damage)

    return CapturedTrack(info, tuple(segments), Uploads(said, uploaded), keys, spans, damage)


def _number(segment: Path) -> int:
    return int(segment.name.partition(".")[0])


class _Ranges:
    """What the log says of digests, of chunks that proved complete, and of uploads."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, int], tuple[int, int, int, int]] = {}
        self._complete: dict[tuple[str, int], tuple[int, str | None]] = {}

    def watch(self, events: Iterable[Event]) -> Iterator[Event]:
        """Passes events on."""
        for event in events:
            payload = event.payload
            match event.type:
                case "digest.batch":
                    for place, row in enumerate(payload["chunks"]):
                        ssrc, first_ts, last_ts, _, size, _ = row
                        key = payload["track"], payload["from_seq"] + place
                        self._said[key] = ssrc, first_ts, last_ts, size
                case "chunk.verified":
                    for seq in payload["chunks"]:
                        self._complete.setdefault((payload["track"], seq), (0, None))
                case "chunk.backfilled":
                    key = payload["track"], payload["chunk"]
                    self._complete[key] = payload["from_us"], payload["file"]
            yield event

    def of(self, track: str) -> list[SaidRange]:
        """Those of one track."""
        out: list[SaidRange] = []
        for (name, seq), (ssrc, first_ts, last_ts, size) in self._said.items():
            if name == track:
                is_complete = (name, seq) in self._complete
                from_us, file = self._complete.get((name, seq), (0, None))
                known = (is_complete, from_us, file, size)
                out.append(SaidRange(ssrc, seq, first_ts, last_ts, *known))
        return out


def _uploaded(
    place: Path, info: TrackInfo, item: SaidRange, keys: MasterKeys | None, damage: list[Damage]
) -> list[UploadedFrame]:
    if item.file is None:
        return []
    why: RecorderError
    try:
        frames = read_stored(place, item.file, keys)
    except (BodyError, DamagedError) as error:
        why = error
    except FileNotFoundError:
        why = RecordingError("{path} is not there", path=item.file)
    else:
        return [UploadedFrame(item.ssrc, frame.timestamp, frame.data) for frame in frames]
    length_us = (item.last_ts - item.first_ts) % 2**32 * 1_000_000 // info.clock_rate
    times = item.from_us, item.from_us + length_us
    note_damage(damage, Damage(info.track, item.file, *times, why))
    return []


def _rate(about: Mapping[str, Any], kind: str) -> int:
    rate = int(about.get("clock_rate") or _RATES[kind])
    if rate not in _KNOWN_RATES:
        raise ValueError(rate)
    return rate


def _formats(about: Mapping[str, Any]) -> dict[int, str]:
    """Codecs by payload type, those that can be played."""
    listed = about.get("formats", [])
    found = {int(item["payload_type"]): str(item["codec"]).lower() for item in listed}
    return {number: codec for number, codec in found.items() if codec in FORMATS}


def _object(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(read_regular(path))
    except (ValueError, RecursionError):
        raise RecordingError("{path} is no JSON", path=path) from None
    if not isinstance(value, dict):
        raise RecordingError("{path} is no JSON", path=path)
    return value


def _titles(path: Path, language: str) -> dict[str, str]:
    """Titles of nodes in the flow the session followed, if there is one."""
    if not path.is_file():
        return {}
    titles: dict[str, str] = {}
    nodes = _object(path).get("nodes", [])
    for node in nodes if isinstance(nodes, list) else []:
        title = node.get("title") if isinstance(node, dict) else None
        if isinstance(title, dict):
            title = title.get(language) or next(iter(title.values()), None)
        if isinstance(title, str):
            titles[str(node.get("code", ""))] = title
    return titles


def read_transcript(place: Path) -> list[Line]:
    """What was said in a session, in order of time; empty without a transcript.

    Raises:
        RecordingError: a line is none of a transcript.
        OSError: the file can't be read.
    """
    path = place / TRANSCRIPT_FILE
    if not path.is_file():
        return []
    lines: list[Line] = []
    with open_regular(path) as file:
        for number, text in enumerate(file, 1):
            try:
                line = _line(text)
            except (
                ValueError,
                KeyError,
                TypeError,
                RecursionError,
                AttributeError,
                OverflowError,
            ):
                raise RecordingError(
                    "line {line} of {path} is no line of a transcript", line=number, path=path
                ) from None
            if line.from_us < line.to_us:
                lines.append(line)
    return sorted(lines, key=lambda line: line.from_us)


def _line(text: bytes) -> Line:
    item = json.loads(text)
    times = int(item["from_us"]), int(item["to_us"])
    if times[0] < 0 or times[1] > _LATEST_US:
        raise ValueError(times)
    return Line(*times, str(item.get("speaker", "")), str(item["text"]))
