"""Opens the directory of a recorded session for playing."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from recorder.log import read_events
from recorder.playback.errors import RecordingError
from recorder.playback.pcapng import read_segment
from recorder.playback.recording import Line, Recording
from recorder.playback.source import Item, TrackInfo
from recorder.rtp.assembly import FORMATS
from recorder.session_file import read_session
from recorder.timeline import derive_timeline

__all__ = ["CapturedTrack", "open_recording"]

_SEGMENT: Final = re.compile(r"\d{6,}\.pcapng(\.enc)?")
_RATES: Final = {"audio": 48_000, "video": 90_000}
_DOCUMENTS: Final = frozenset({"screen", "document"})


@dataclass(frozen=True, slots=True)
class CapturedTrack:
    """The capture files of one track."""

    info: TrackInfo
    segments: tuple[Path, ...]

    def read(self) -> Iterator[Item]:
        """All of it, segment by segment."""
        for path in self.segments:
            yield from read_segment(path)


def open_recording(place: Path, language: str = "zh") -> Recording:
    """Reads all about a session but its media.

    Args:
        place: directory of the session.
        language: of node titles that are there in several.

    Raises:
        RecorderError: files are missing, or are not what was written.
        OSError: a file can't be read.
    """
    place = place.resolve()
    session = read_session(place)
    timeline = derive_timeline(read_events(place, session))
    folder = place / "tracks"
    tracks = sorted(folder.iterdir()) if folder.is_dir() else []
    sources = [_track(track) for track in tracks if (track / "track.json").is_file()]
    return Recording(
        session.session,
        session.started_ns,
        timeline,
        sources,
        titles=_titles(place / "flow.json", language),
        transcript=_transcript(place / "transcript.jsonl"),
    )


def _track(folder: Path) -> CapturedTrack:
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
            codec=next(iter(formats.values()), str(about.get("codec", "")).lower()),
            clock_rate=int(about.get("clock_rate") or _RATES[kind]),
            is_document=source in _DOCUMENTS,
            formats=formats,
        )
    except (KeyError, TypeError, ValueError):
        raise RecordingError("{path} does not describe a track", path=path) from None
    if info.codec not in FORMATS:
        raise RecordingError(
            "track {track} is of the codec {codec}, which can't be played",
            track=info.track,
            codec=info.codec or "unknown",
        )
    segments = [file for file in folder.iterdir() if _SEGMENT.fullmatch(file.name)]
    return CapturedTrack(
        info, tuple(sorted(segments, key=lambda file: int(file.name[:-7].split(".")[0])))
    )


def _formats(about: Mapping[str, Any]) -> dict[int, str]:
    """Codecs by payload type, those that can be played."""
    listed = about.get("formats", [])
    found = {int(item["payload_type"]): str(item["codec"]).lower() for item in listed}
    return {number: codec for number, codec in found.items() if codec in FORMATS}


def _object(path: Path) -> Mapping[str, Any]:
    try:
        value = json.loads(path.read_bytes())
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


def _transcript(path: Path) -> list[Line]:
    """What was said, one JSON object a line: ``from_us``, ``to_us``, ``speaker``, ``text``."""
    if not path.is_file():
        return []
    lines: list[Line] = []
    with path.open(encoding="utf-8") as file:
        for number, text in enumerate(file, 1):
            try:
                item = json.loads(text)
                line = Line(
                    int(item["from_us"]),
                    int(item["to_us"]),
                    str(item.get("speaker", "")),
                    str(item["text"]),
                )
            except (ValueError, KeyError, TypeError, RecursionError, AttributeError):
                raise RecordingError(
                    "line {line} of {path} is no line of a transcript", line=number, path=path
                ) from None
            if line.from_us < line.to_us:
                lines.append(line)
    return sorted(lines, key=lambda line: line.from_us)
