"""Who is there, what may be done with whom, and so which watches there are. No I/O, no clock."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from analytics.detector import Mark, Permission, Subject
from analytics.host.photos import Image
from analytics.host.wire import Loaded
from analytics.link import TrackStarted

__all__ = ["Board", "Key", "Person"]


@dataclass(frozen=True, slots=True)
class Key:
    """What a watch is of; fields beyond the scope are empty."""

    detector: str
    session_id: str
    participant_id: str = ""
    track_id: str = ""


@dataclass(slots=True)
class Person:
    """A participant of a session."""

    role: str = ""
    permissions: frozenset[str] = frozenset()


@dataclass(slots=True)
class _Session:
    people: dict[str, Person] = field(default_factory=dict)
    tracks: dict[str, TrackStarted] = field(default_factory=dict)
    node: Mark | None = None
    """Which runs now."""


class Board:
    """Sessions with their people and tracks, and the loaded detectors."""

    def __init__(self) -> None:
        self.detectors: dict[str, Loaded] = {}
        self._sessions: dict[str, _Session] = {}

    @property
    def sessions(self) -> Iterator[str]:
        """All there are."""
        return iter(list(self._sessions))

    def __contains__(self, session_id: object) -> bool:
        return session_id in self._sessions

    def session(self, session_id: str) -> _Session:
        """A session; begun with the first word of it."""
        return self._sessions.setdefault(session_id, _Session())

    def end_session(self, session_id: str) -> None:
        """It is over with all that was in it."""
        self._sessions.pop(session_id, None)

    def person(self, session_id: str, participant_id: str) -> Person:
        """A participant; known from the first word of him."""
        return self.session(session_id).people.setdefault(participant_id, Person())

    def leave(self, session_id: str, participant_id: str) -> None:
        """He is there no longer."""
        self.session(session_id).people.pop(participant_id, None)

    def may(self, detector: str, session_id: str, participant_id: str) -> bool:
        """Whether a detector may look at a participant."""
        loaded = self.detectors.get(detector)
        session = self._sessions.get(session_id)
        person = session.people.get(participant_id) if session else None
        if loaded is None or person is None:
            return False
        return _asked(loaded) <= person.permissions

    def feeds(self, detector: str, track: TrackStarted) -> bool:
        """Whether a detector needs the media of a track, and may have it."""
        loaded = self.detectors.get(detector)
        if loaded is None or not _is_for(loaded, track.role):
            return False
        needs = loaded.needs
        need = needs.video if track.kind == "video" else needs.audio
        if need is None or track.source not in need.sources:
            return False
        return self.may(detector, track.session_id, track.participant_id)

    def wanted(self, session_id: str) -> set[Key]:
        """Watches there should be."""
        session = self._sessions.get(session_id)
        if session is None:
            return set()
        found: set[Key] = set()
        for name, loaded in self.detectors.items():
            fed = [track for track in session.tracks.values() if self.feeds(name, track)]
            if loaded.scope == "track":
                found |= {Key(name, session_id, t.participant_id, t.track_id) for t in fed}
                continue
            people = {
                participant_id
                for participant_id, person in session.people.items()
                if _is_for(loaded, person.role) and self.may(name, session_id, participant_id)
            }
            if loaded.needs.video is not None or loaded.needs.audio is not None:
                people &= {track.participant_id for track in fed}
            if loaded.scope == "participant":
                found |= {Key(name, session_id, participant_id) for participant_id in people}
            elif people:
                found.add(Key(name, session_id))
        return found

    def forbidden(self, session_id: str) -> set[Key]:
        """What nobody knows for want of consent."""
        session = self._sessions.get(session_id)
        if session is None:
            return set()
        found: set[Key] = set()
        for name, loaded in self.detectors.items():
            people = [
                participant_id
                for participant_id, person in session.people.items()
                if _is_for(loaded, person.role)
            ]
            refusing = [one for one in people if not self.may(name, session_id, one)]
            if loaded.scope == "session" and people and len(refusing) == len(people):
                found.add(Key(name, session_id))
            else:
                found |= {Key(name, session_id, participant_id) for participant_id in refusing}
        return found

    def subject(self, key: Key, id_photo: Image | None = None) -> Subject:
        """What a watch is told of what it looks at."""
        people: Mapping[str, Person] = self.session(key.session_id).people
        person = people.get(key.participant_id)
        return Subject(
            key.session_id,
            key.participant_id,
            key.track_id,
            person.role if person else "",
            {participant_id: item.role for participant_id, item in people.items()},
            id_photo,
        )


def _asked(loaded: Loaded) -> frozenset[str]:
    return loaded.permissions - {Permission.PICTURE.value}


def _is_for(loaded: Loaded, role: str) -> bool:
    return not loaded.needs.roles or role in loaded.needs.roles
