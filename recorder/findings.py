"""Findings of detectors: what an event log says of them, and ``checks.jsonl`` made of it.

| event | payload |
|---|---|
| ``detector.used`` | its card: kinds with severity and texts, so that a log explains itself |
| ``finding`` | when it begins (``open``) and, under the same ``finding``, when it is over |
| ``analytics.unknown`` | likewise, for a time of which a detector can't say anything |
| ``finding.acknowledged`` | somebody has seen it |
| ``findings.lost`` | how many were not taken, and why |

No event holds what was said: words are times, and the transcript alone says which they were.
"""

import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final, Protocol

from recorder.canonical import canonical
from recorder.digests import digests_of
from recorder.durable import sync_directory
from recorder.log import EventLog, read_events

__all__ = ["CHECKS_FILE", "CLOSED", "FindingBook", "fill", "write_checks"]

CHECKS_FILE: Final = "checks.jsonl"
CLOSED: Final = "checks.closed"
MAX_SEGMENTS: Final = 64
"""Segments that one check names; more are counted."""

_NAME: Final = re.compile(r"\{(\w{1,64})\}")
_ABOUT: Final = ("finding", "detector", "participant", "track", "from_us", "to_us")


class _Told(Protocol):
    @property
    def type(self) -> str: ...

    @property
    def at_us(self) -> int: ...

    @property
    def actor(self) -> str: ...

    @property
    def payload(self) -> dict[str, Any]: ...


def fill(template: str, values: Mapping[str, object]) -> str:
    """A sentence with its values; a name without one stays as it is."""
    return _NAME.sub(lambda match: str(values.get(match[1], match[0])), template)


class FindingBook:
    """All findings of a session, the latest state of each.

    Attributes:
        detectors: cards of those that found something, by name.
        lost: findings that were not taken.
    """

    def __init__(self) -> None:
        self.detectors: dict[str, dict[str, Any]] = {}
        self.lost = 0
        self._found: dict[str, dict[str, Any]] = {}

    def apply(self, event: _Told) -> None:
        """Takes an event of the log; types that don't concern findings pass."""
        payload = event.payload
        match event.type:
            case "detector.used":
                self.detectors[payload["detector"]] = payload
            case "finding":
                self._put(payload, {key: payload[key] for key in ("outcome", "kind", "version")})
            case "analytics.unknown":
                self._put(payload, {"outcome": "unknown", "kind": "unknown", "version": None})
            case "finding.acknowledged":
                found = self._found.get(payload["finding"])
                if found is not None and found["acknowledged"] is None:
                    found["acknowledged"] = {"by": event.actor, "at_us": event.at_us}
            case "findings.lost":
                self.lost += payload["count"]

    def _put(self, payload: dict[str, Any], what: dict[str, Any]) -> None:
        known = self._found.get(payload["finding"])
        self._found[payload["finding"]] = {
            **{key: payload[key] for key in _ABOUT},
            **what,
            "is_open": payload["open"],
            "cause": payload.get("cause"),
            "score": payload.get("score"),
            "values": payload.get("values", {}),
            "frames": payload.get("frames", []),
            "words": payload.get("words", []),
            "models": payload.get("models", {}),
            "acknowledged": None if known is None else known["acknowledged"],
        }

    def findings(self) -> list[dict[str, Any]]:
        """Each with severity, title and text, in order of time."""
        ordered = sorted(self._found.values(), key=lambda one: (one["from_us"], one["finding"]))
        return [{**one, **self._explained(one)} for one in ordered]

    def _explained(self, found: Mapping[str, Any]) -> dict[str, Any]:
        card = self.detectors.get(found["detector"], {})
        kind = card.get("kinds", {}).get(found["kind"])
        if kind is None:
            title = card.get("title", {"zh": found["detector"], "en": found["detector"]})
            return {"severity": "info", "title": title, "text": title}
        values = found["values"]
        text = {key: fill(kind["explanation"][key], values) for key in ("zh", "en")}
        return {"severity": kind["severity"], "title": kind["title"], "text": text}


def write_checks(place: Path, log: EventLog) -> bool:
    """Writes ``checks.jsonl`` from a session's log, and enters its digests (``checks.closed``).

    Each line is a check: what was looked at, by which version of which models, and what came of it.
    Said again only where later events changed it.

    Returns:
        Whether there are any.

    Raises:
        OSError, LogWriteError: the disk refused.
    """
    lines, known = _check_lines(read_events(place, log.session))
    if not lines:
        return False
    data = b"".join(canonical(line) + b"\n" for line in lines)
    digests = digests_of(data)
    path = place / CHECKS_FILE
    if known != digests.to_json() or not path.is_file():
        new = path.with_suffix(".new")
        with new.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        new.replace(path)
        sync_directory(place)
    if known != digests.to_json():
        about = {"file": CHECKS_FILE, "lines": len(lines), "bytes": len(data)}
        log.append(CLOSED, {**about, **digests.to_json()}, durable=True)
    return True


def _check_lines(events: Iterable[_Told]) -> tuple[list[dict[str, Any]], dict[str, str] | None]:
    book, segments = FindingBook(), dict[str, list[dict[str, Any]]]()
    known: dict[str, str] | None = None
    for event in events:
        book.apply(event)
        if event.type == "segment.closed":
            segments.setdefault(event.payload["track"], []).append(event.payload)
        elif event.type == CLOSED:
            known = {key: event.payload[key] for key in ("sha256", "sm3")}
    return [_check(found, segments.get(found["track"], [])) for found in book.findings()], known


def _check(found: Mapping[str, Any], segments: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    span = (found["from_us"], found["to_us"])
    under = [
        {"file": one["file"], "sha256": one["sha256"], "sm3": one["sm3"]}
        for one in segments
        if one["from_us"] < span[1] and span[0] < one["to_us"]
    ]
    inputs = {
        "participant": found["participant"],
        "track": found["track"],
        "from_us": span[0],
        "to_us": span[1],
        "segments": under[:MAX_SEGMENTS],
        "segments_left_out": max(0, len(under) - MAX_SEGMENTS),
    }
    told = ("detector", "version", "kind", "outcome", "severity", "cause", "score", "is_open")
    signals = {key: found[key] for key in ("values", "frames", "words")}
    return {
        "check": found["finding"],
        **{key: found[key] for key in told},
        "models": found["models"],
        "inputs": inputs,
        "signals": signals,
        "title": found["title"],
        "acknowledged": found["acknowledged"],
    }
