"""``track.json``: who sends a track, as it was when the track was opened."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from recorder.regular import read_regular

__all__ = ["read_track", "sender_of", "who_sends"]

_WHO: Final = ("participant", "role", "kind", "source", "codec", "ssrc")


def read_track(path: Path) -> Mapping[str, Any]:
    """What the file says; nothing where it isn't there (yet), or is no JSON object."""
    try:
        value = json.loads(read_regular(path))
    except (OSError, ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def who_sends(about: Mapping[str, Any]) -> dict[str, Any]:
    """What the log says of a track (``track.described``): all but the name of who speaks."""
    return {key: about[key] for key in _WHO if key in about}


def sender_of(place: Path, track: str, default: str) -> str:
    """Whose a recorded track is.

    Args:
        place: the session's directory.
        track: a sound id.
        default: who it is where nothing is written of the track (yet).
    """
    return str(read_track(place / "tracks" / track / "track.json").get("participant", default))
