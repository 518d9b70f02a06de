"""Who watched a recording, why, and what of it: a chained log of its own for each session.

``views.jsonl`` has the form of the event log (:mod:`recorder.log`) and begins at the digests of the
session's ``session.json``. It grows after the session was sealed, so it is no part of a package;
it lies apart from the session's directory and outlives it.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from recorder.durable import sync_directory
from recorder.errors import LogDamagedError
from recorder.log import Event, EventLog, read_events
from recorder.session_file import SessionFile, read_session

__all__ = ["PLAYBACK_FOLDER", "VIEWS_FILE", "View", "open_views", "playback_place", "read_views"]

PLAYBACK_FOLDER: Final = "_playback"
"""Where films and logs of views lie in a recording directory; no session can have this name."""

VIEWS_FILE: Final = "views.jsonl"
_SESSION_COPY: Final = "session.json"


@dataclass(slots=True)
class View:
    """One person watching one recording for one purpose.

    Attributes:
        opened_at: RFC 3339.
        fetched: bytes asked for, by what: ``film``, ``package``.
        requests: how many there were.
    """

    view: str
    who: str
    role: str
    purpose: str
    note: str
    opened_at: str
    fetched: dict[str, int] = field(default_factory=dict)
    requests: int = 0

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            "view": self.view,
            "who": self.who,
            "role": self.role,
            "purpose": self.purpose,
            "note": self.note,
            "opened_at": self.opened_at,
            "requests": self.requests,
            "fetched_bytes": dict(self.fetched),
        }


def playback_place(directory: Path, session_id: str) -> Path:
    """Where films and views of a session lie."""
    return directory / session_id


def open_views(place: Path, session_place: Path) -> EventLog:
    """Opens or begins the log of a session's views; keeps what its chain begins at beside it.

    Args:
        place: :func:`playback_place`, made if need be.
        session_place: the session's directory.

    Raises:
        SessionFileError: there is no such session.
        LogDamagedError: the log was changed.
        LogBusyError: another process writes it.
        OSError: the disk refused.
    """
    copy = place / _SESSION_COPY
    if not copy.exists():
        session = read_session(session_place)
        if not place.exists():
            place.mkdir(mode=0o700, parents=True)
            sync_directory(place.parent)
        new = place / f"{_SESSION_COPY}.new"
        with new.open("wb") as file:
            file.write((session_place / _SESSION_COPY).read_bytes())
            file.flush()
            os.fsync(file.fileno())
        new.replace(copy)
        sync_directory(place)
        assert read_session(place).digests == session.digests
    return EventLog.open(place, name=VIEWS_FILE)


def read_views(
    place: Path, heads: Mapping[int, str] | None = None
) -> tuple[SessionFile, list[View], Event | None]:
    """Reads and checks the log of a session's views.

    Args:
        place: :func:`playback_place`.
        heads: digests that its lines have to have (:func:`recorder.view_heads.read_heads`).

    Returns:
        The session, its views in order, and the last line of the log, whose digests are to be
        compared with those kept elsewhere.

    Raises:
        SessionFileError: nobody ever watched it, or the directory is none of a session.
        LogDamagedError: the log was changed, or its end was cut off.
        OSError: it can't be read.
    """
    session = read_session(place)
    missing = dict(heads or {})
    views: dict[str, View] = {}
    last: Event | None = None
    for event in _events(place, session):
        last = event
        if missing.pop(event.seq, event.digest.sha256) != event.digest.sha256:
            raise LogDamagedError(
                "the log of views of {session} was begun anew or changed", session=session.session
            )
        payload = event.payload
        if event.type == "view.opened":
            views[payload["view"]] = View(
                payload["view"],
                event.actor,
                payload["role"],
                payload["purpose"],
                payload["note"],
                event.ts_server,
            )
        elif event.type == "view.fetched" and payload["view"] in views:
            view = views[payload["view"]]
            view.requests += 1
            size = max(0, payload["to"] - payload["from"])
            view.fetched[payload["what"]] = view.fetched.get(payload["what"], 0) + size
    if missing:
        raise LogDamagedError(
            "the log of views of {session} was cut off: line {seq} is missing",
            session=session.session,
            seq=min(missing),
        )
    return session, list(views.values()), last


def _events(place: Path, session: SessionFile) -> Iterator[Event]:
    if (place / VIEWS_FILE).exists():
        yield from read_events(place, session, VIEWS_FILE)
