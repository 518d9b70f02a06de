"""Photos of identity documents on their way to detectors: in memory, and no longer than needed.

A photo waits here until the session of its room has begun and its owner's consents are known; then
the detectors have it, and only what became of it is known here.
"""

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from analytics.detector import Permission
from signaling.consents import ConsentPermission, Subject
from signaling.errors import ErrorCode, HttpCode, SessionRefusedError
from signaling.notices import rfc3339
from witness.analytics_service import FOR_PHOTOS, AnalyticsCalls

__all__ = ["KEPT_S", "IdPhotos"]

KEPT_S: Final = 1_800.0
"""How long a photo waits for a session."""
_MOST_WAITING: Final = 256
_MOST: Final = 4_096


@dataclass(slots=True)
class _Photo:
    """A photo, or what became of it.

    Attributes:
        data: empty once the detectors have it.
        origin: which it is and where it came from, for the session's log.
        by: who gave it.
    """

    state: str
    data: bytes = field(repr=False)
    given_s: float
    origin: dict[str, Any]
    by: str


class IdPhotos:
    """Implements :class:`signaling.id_photo_endpoint.IdPhotoDesk`.

    Args:
        held: consents that somebody has given and not withdrawn.
        clock: seconds; only differences count.

    Attributes:
        calls: whoever has calls watched; ``None``: nobody.
        noted: told which photo the detectors of a session were given, by whom, and where it came
            from; never the photo.
    """

    def __init__(
        self,
        held: Callable[[Subject], Mapping[ConsentPermission, str]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.calls: AnalyticsCalls | None = None
        self.noted: Callable[[str, dict[str, Any], str], None] = lambda _session, _origin, _by: None
        self._held = held
        self._clock = clock
        self._photos: dict[Subject, _Photo] = {}
        self._sessions: dict[str, str] = {}
        self._allowed: set[Subject] = set()
        """Whose consents the detectors know of."""

    @property
    def waiting_bytes(self) -> int:
        """Bytes of photos that are kept here."""
        return sum(len(photo.data) for photo in self._photos.values())

    # What people do.

    def give(self, subject: Subject, photo: bytes, by: str) -> dict[str, Any]:
        """Takes somebody's photo, in place of one that waits."""
        self._expire()
        if self.calls is None:
            detail = "this server runs no detectors that could compare it"
            raise SessionRefusedError(409, HttpCode.WRONG_STATE, detail)
        missing = {one.value for one in FOR_PHOTOS} - self._held(subject).keys()
        if missing:
            detail = f"the participant has not given: {', '.join(sorted(missing))}"
            raise SessionRefusedError(409, HttpCode.NO_CONSENT, detail)
        self._photos.pop(subject, None)
        waiting = sum(bool(one.data) for one in self._photos.values())
        if waiting >= _MOST_WAITING or len(self._photos) >= _MOST:
            detail = "too many photos wait: give it again when the session has begun"
            raise SessionRefusedError(429, ErrorCode.RATE_LIMITED, detail)
        origin = {
            "participant": subject.participant_id,
            "origin": "upload",
            "bytes": len(photo),
            "sha256": hashlib.sha256(photo).hexdigest(),
            "given_at": rfc3339(time.time()),
        }
        self._photos[subject] = _Photo("waiting", photo, self._clock(), origin, by)
        self._hand_over(subject)
        if self._photos[subject].data:
            asyncio.get_running_loop().call_later(KEPT_S + 1, self._expire)
        return self.state(subject)

    def state(self, subject: Subject) -> dict[str, Any]:
        """What has become of somebody's photo."""
        self._expire()
        photo = self._photos.get(subject)
        return {
            "room": subject.room_id,
            "participant_id": subject.participant_id,
            "session_id": self._sessions.get(subject.room_id),
            "state": "none" if photo is None else photo.state,
        }

    def take_back(self, subject: Subject) -> None:
        """Deletes somebody's photo, wherever it is."""
        photo = self._photos.pop(subject, None)
        session_id = self._sessions.get(subject.room_id)
        if photo is None or photo.data or session_id is None or self.calls is None:
            return
        self.calls.id_photo(session_id, subject.participant_id, b"")

    # What happens to sessions.

    def began(self, room_id: str, session_id: str) -> None:
        """A session of a room begins; :meth:`permitted` follows."""
        self._sessions[room_id] = session_id

    def permitted(
        self, session_id: str, participant_id: str, permissions: frozenset[Permission]
    ) -> None:
        """What the detectors were told that somebody allows."""
        for room_id, one in self._sessions.items():
            if one != session_id:
                continue
            subject = Subject(room_id, participant_id)
            if permissions >= FOR_PHOTOS:
                self._allowed.add(subject)
                self._hand_over(subject)
            else:
                self._allowed.discard(subject)
                self._photos.pop(subject, None)

    def changed(self, subject: Subject) -> None:
        """Somebody's consents changed, perhaps before a session began."""
        if not self._held(subject).keys() >= {one.value for one in FOR_PHOTOS}:
            self.take_back(subject)

    def done(self, session_id: str, participant_id: str, *, is_readable: bool) -> None:
        """The detectors need it no more."""
        for room_id, one in self._sessions.items():
            photo = self._photos.get(Subject(room_id, participant_id))
            if one == session_id and photo is not None:
                photo.state = "compared" if is_readable else "unreadable"

    def forget_room(self, room_id: str) -> None:
        """The room is closed; a session that goes on is not over."""
        if room_id not in self._sessions:
            self.ended(room_id)

    def ended(self, room_id: str) -> None:
        """The session of a room is over: nothing of it is kept."""
        self._sessions.pop(room_id, None)
        for subject in [one for one in self._photos if one.room_id == room_id]:
            del self._photos[subject]
        self._allowed = {one for one in self._allowed if one.room_id != room_id}

    def _hand_over(self, subject: Subject) -> None:
        photo, session_id = self._photos.get(subject), self._sessions.get(subject.room_id)
        if photo is None or not photo.data or session_id is None or self.calls is None:
            return
        if subject in self._allowed:
            data, photo.data = photo.data, b""
            # Before anything can be found of it.
            self.noted(session_id, photo.origin, photo.by)
            self.calls.id_photo(session_id, subject.participant_id, data)

    def _expire(self) -> None:
        """Deletes what has waited too long."""
        now_s = self._clock()
        for subject, photo in list(self._photos.items()):
            if photo.data and now_s - photo.given_s >= KEPT_S:
                del self._photos[subject]
