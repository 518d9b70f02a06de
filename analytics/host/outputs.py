"""What watches say, as messages for the server and as inputs of other watches; checked."""

from typing import Any

from analytics.detector import Finding, Heard, Outcome, Utterance, Word
from analytics.host.board import Key
from analytics.host.wire import Loaded, likely_of
from analytics.link import Found, Said, Wants

__all__ = ["finding_of", "found_of", "heard_of", "said_of", "wants_of"]


def found_of(key: Key, loaded: Loaded, finding_id: str, data: dict[str, Any]) -> Found:
    """A finding of a watch.

    Raises:
        ValueError: it is none, or none of its detector.
    """
    kind = str(data.get("kind", ""))
    if kind not in loaded.kinds or int(data["end_us"]) < int(data["start_us"]):
        raise ValueError(kind)
    return Found.model_validate(
        {
            **data,
            "finding_id": finding_id,
            "session_id": key.session_id,
            "detector": key.detector,
            "detector_version": loaded.version,
            "participant_id": data.get("participant_id") or key.participant_id,
            "track_id": data.get("track_id") or key.track_id,
            "models": loaded.models,
        }
    )


def finding_of(found: Found) -> Finding:
    """A finding, for watches that need it; without what it rests on."""
    return Finding(
        found.kind,
        found.start_us,
        found.end_us,
        Outcome(found.outcome),
        found.score,
        found.participant_id,
        found.track_id,
        found.is_open,
        dict(found.values),
    )


def said_of(key: Key, loaded: Loaded, data: dict[str, Any]) -> tuple[Said, Utterance]:
    """What a recogniser heard, for the server and for watches that need words.

    What else it may have been is for watches alone: nobody's to keep.

    Raises:
        ValueError: it is no such thing.
    """
    likely = likely_of(data.pop("likely", ()))
    about = {"session_id": key.session_id, "detector": key.detector}
    said = Said.model_validate({**data, **about, "detector_version": loaded.version})
    words = tuple(Word(word.text, word.start_us, word.end_us) for word in said.words)
    return said, Utterance(
        said.participant_id,
        said.track_id,
        said.start_us,
        said.end_us,
        said.text,
        words,
        said.confidence,
        said.language,
        said.is_final,
        likely,
    )


def heard_of(data: dict[str, Any]) -> Heard:
    """How far a recogniser has got."""
    return Heard(
        str(data["participant_id"]),
        str(data["track_id"]),
        int(data["start_us"]),
        int(data["end_us"]),
        bool(data["is_known"]),
    )


def wants_of(loaded: Loaded) -> Wants:
    """Which media a detector needs, for the server."""
    video, audio = loaded.needs.video, loaded.needs.audio
    return Wants(
        permissions=loaded.permissions,
        video_height=None if video is None else video.height,
        video_sources=frozenset() if video is None else video.sources,
        audio_sources=frozenset() if audio is None else audio.sources,
        roles=loaded.needs.roles,
    )
