"""A finding as the event log, an RM, and a webhook have it."""

import re
from collections.abc import Mapping
from typing import Any, Final

from analytics.detector import Card, Text
from analytics.link import Found, Unknown
from recorder.findings import fill
from signaling.notices import FindingNotice, FindingText

__all__ = ["about", "card_event", "finding_event", "notice_of", "severity_of", "unknown_event"]

_TEXT_MAX: Final = 2_000
_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")


def card_event(name: str, version: str, card: Card | None) -> dict[str, Any]:
    """Payload of ``detector.used``."""
    if card is None:
        title = {"zh": name, "en": name}
        return {"detector": name, "version": version, "title": title, "kinds": {}}
    kinds = {
        one.kind: {
            "severity": one.severity.value,
            "title": _both(one.title),
            "explanation": _both(one.explanation),
        }
        for one in card.kinds
    }
    return {
        "detector": name,
        "version": version,
        "title": _both(card.title),
        "scope": card.scope.value,
        "permissions": sorted(card.permissions),
        "unknown_when": _both(card.unknown_when),
        "limits": _both(card.limits),
        "kinds": kinds,
    }


def finding_event(found: Found) -> dict[str, Any]:
    """Payload of ``finding``: fractions as decimals, boxes in thousandths, words as times."""
    return {
        "finding": found.finding_id,
        "detector": found.detector,
        "version": found.detector_version,
        "kind": found.kind,
        "outcome": found.outcome,
        "participant": found.participant_id,
        "track": found.track_id,
        "from_us": found.start_us,
        "to_us": found.end_us,
        "open": found.is_open,
        "score": None if found.score is None else _decimal(found.score),
        "values": shown_values(found.values),
        "frames": [
            {
                "track": frame.track_id,
                "at_us": frame.at_us,
                "box": None if frame.box is None else [round(edge * 1000) for edge in frame.box],
                "label": frame.label,
            }
            for frame in found.frames
        ],
        "words": [[word.start_us, word.end_us] for word in found.words],
        "models": dict(found.models),
    }


def unknown_event(unknown: Unknown) -> dict[str, Any]:
    """Payload of ``analytics.unknown``."""
    return {
        "finding": unknown.finding_id,
        "detector": unknown.detector,
        "cause": unknown.cause.value,
        "participant": unknown.participant_id,
        "track": unknown.track_id,
        "from_us": unknown.start_us,
        "to_us": unknown.end_us,
        "open": unknown.is_open,
    }


def shown_values(values: Mapping[str, float | int | str]) -> dict[str, int | str]:
    """Values as people read them; a number that is whole stays one."""
    return {
        name: value if isinstance(value, str) else _whole(value) for name, value in values.items()
    }


def severity_of(card: Card | None, kind: str) -> Any:
    """Of a kind; a warning where the card doesn't know it."""
    kinds = () if card is None else card.kinds
    return next((one.severity.value for one in kinds if one.kind == kind), "warning")


def notice_of(found: Found, card: Card | None, acknowledged_by: str | None) -> FindingNotice:
    """What an RM is told."""
    kinds = () if card is None else card.kinds
    declared = next((one for one in kinds if one.kind == found.kind), None)
    title = Text(found.kind, found.kind) if declared is None else declared.title
    explanation = title if declared is None else declared.explanation
    values = shown_values(found.values)
    return FindingNotice(
        finding_id=found.finding_id,
        session_id=found.session_id,
        detector=found.detector,
        kind=found.kind,
        outcome=found.outcome,
        severity=severity_of(card, found.kind),
        state="open" if found.is_open else "over",
        participant_id=_identifier(found.participant_id),
        track_id=_identifier(found.track_id),
        from_us=found.start_us,
        to_us=found.end_us,
        title=FindingText(zh=title.zh[:_TEXT_MAX], en=title.en[:_TEXT_MAX]),
        text=FindingText(
            zh=fill(explanation.zh, values)[:_TEXT_MAX], en=fill(explanation.en, values)[:_TEXT_MAX]
        ),
        acknowledged_by=acknowledged_by,
    )


def about(notice: FindingNotice) -> dict[str, Any]:
    """As webhooks have it."""
    return notice.model_dump(mode="json", exclude={"session_id", "acknowledged_by"})


def _identifier(text: str) -> str | None:
    return text if _IDENTIFIER.fullmatch(text) else None


def _both(text: Text) -> dict[str, str]:
    return {"zh": text.zh, "en": text.en}


def _decimal(value: float) -> str:
    return f"{value:.4g}"


def _whole(value: float) -> int | str:
    return int(value) if value == int(value) and abs(value) < 2**53 else _decimal(value)
