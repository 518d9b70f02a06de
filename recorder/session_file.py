"""``session.json``: what a session is and when its clock began. Written once, never changed."""

import json
import os
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from recorder.canonical import canonical
from recorder.digests import Digests, digests_of
from recorder.durable import sync_directory
from recorder.errors import SessionFileError
from recorder.regular import read_regular
from recorder.sale import Sale

__all__ = ["SESSION_ID", "SessionFile", "is_session_id", "read_session", "rfc3339", "write_session"]

SESSION_ID: Final = r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
"""Safe as the name of a directory, and in a URL."""

_NAME: Final = "session.json"


@dataclass(frozen=True, slots=True)
class SessionFile:
    """What ``session.json`` says.

    Attributes:
        session: its id, which is the name of its directory.
        room: the room that is recorded.
        started_ns: when the session clock was zero, ns since 1970 by the server's clock.
        digests: of the file, where the event log's chain begins.
        sale: order and customer, as far as they were told.
    """

    session: str
    room: str
    started_ns: int
    digests: Digests
    sale: Sale = field(default_factory=Sale)


def is_session_id(text: str) -> bool:
    """Whether a text may name a session."""
    return re.fullmatch(SESSION_ID[1:-1], text) is not None


def rfc3339(at_ns: int) -> str:
    """A moment as RFC 3339 text, UTC, to the millisecond."""
    moment = datetime.fromtimestamp(at_ns // 1_000_000_000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{at_ns // 1_000_000 % 1000:03}Z"


def write_session(
    directory: Path, *, session: str, room: str, started_ns: int, sale: Sale | None = None
) -> SessionFile:
    """Makes the directory of a session (mode 0700) with its ``session.json``, both synced.

    Raises:
        SessionFileError: the id can't name a directory, or the session exists already.
        OSError: the disk refused.
    """
    if not is_session_id(session):
        raise SessionFileError("{session} is no session id", session=repr(session))
    place, about = directory / session, sale or Sale()
    try:
        place.mkdir(mode=0o700, parents=True)
    except FileExistsError:
        raise SessionFileError("session {session} exists already", session=session) from None
    data = canonical(
        {
            "clock": {"unix_ns": str(started_ns), "unit": "us"},
            "room": room,
            "session": session,
            "started_at": rfc3339(started_ns),
            "version": 1,
            **about.to_json(),
        }
    )
    with (place / _NAME).open("xb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    for parent in (place, directory):
        sync_directory(parent)
    return SessionFile(session, room, started_ns, digests_of(data), about)


def read_session(place: Path) -> SessionFile:
    """Reads the ``session.json`` of a session's directory.

    Raises:
        SessionFileError: there is none, or it is not of the form :func:`write_session` gives it.
    """
    path = place / _NAME
    try:
        data = read_regular(path)
    except OSError as error:
        raise SessionFileError(
            "{path} can't be read: {reason}", path=path, reason=error.strerror
        ) from None
    try:
        value = json.loads(data)
        if value["version"] != 1:
            raise SessionFileError("{path} is of an unknown version", path=path)
        found = SessionFile(
            str(value["session"]),
            str(value["room"]),
            int(value["clock"]["unix_ns"]),
            digests_of(data),
            Sale.from_json(value),
        )
    except (ValueError, KeyError, TypeError, RecursionError):
        raise SessionFileError("{path} does not describe a session", path=path) from None
    if found.session != place.name:
        raise SessionFileError(
            "{path} belongs to session {session}", path=path, session=found.session
        )
    return found
