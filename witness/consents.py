"""Consents of the sessions that run: kept in their logs, told to whoever watches.

A consent is one of a session. Given before the session of a room has begun it waits for it; when
the session is over it holds no longer. What is given and withdrawn is an event of the session's
log, and held again when a server goes on with a session after its end.
"""

import logging
import secrets
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from analytics.detector import Permission
from recorder.consents import ConsentBook
from recorder.errors import LogBusyError, RecorderError, SessionFileError
from recorder.log import Event, EventLog, read_events
from recorder.log_confirmed import CONFIRM_S, Confirmations
from recorder.log_writer import LogWriter, SessionLog
from recorder.session_file import is_session_id, read_session, rfc3339
from sfu.model import Role
from signaling.asker import Asker
from signaling.consents import AskedFor, ConsentPermission, Given, Subject
from signaling.errors import ErrorCode, HttpCode, RefusedError, SessionRefusedError
from witness.consent_texts import texts_json

__all__ = ["ConsentService", "LogOfSession", "Permitted"]

_LOG = logging.getLogger(__name__)
_MAX_WAITING: Final = 4_096
"""Rooms without a session whose consents are kept; the oldest are forgotten, and counted."""
_MAX_CHANGES: Final = 64
"""Consents one participant may give in a session, however often they are withdrawn."""
_MAX_PEOPLE: Final = 256
"""People of a session whose consents are noted: who may tell of others' must not fill a log."""

Permitted = Callable[[str, str, frozenset[Permission]], None]
"""Is told ``(session_id, participant_id, permissions)``: what may be done from now on."""


class LogOfSession(Protocol):
    """The log of a session that runs; :class:`recorder.log_writer.SessionLog` is one."""

    def append(self, type: str, payload: dict[str, Any], *, actor: str = "system") -> object:  # noqa: A002
        """Has an event written."""
        ...

    def write_durably(self) -> bool:
        """Writes what waits and has the disk confirm it; on the writer's thread."""
        ...


@dataclass(frozen=True, slots=True)
class _Note:
    """An event of consents: what a log tells, or will."""

    type: str
    payload: dict[str, Any]
    actor: str


@dataclass(slots=True)
class _Room:
    session_id: str = ""
    log: LogOfSession | None = None
    book: ConsentBook = field(default_factory=ConsentBook)
    waiting: list[_Note] = field(default_factory=list)
    changes: dict[str, int] = field(default_factory=dict)


class ConsentService:
    """Implements :class:`signaling.consents.ConsentDesk` and
    :class:`signaling.consent_endpoint.ConsentRecords`.

    Args:
        asked: what everybody who publishes is asked for.
        directory: of recordings.
        writer: whose thread writes logs.
        wall_ns: ns since 1970.
        confirm_s: how long answers wait for the disk.

    Attributes:
        permitted: told what detectors may do, at once when that changes.
        changed: told whose consents changed.
        room_changed: told the room whose session began or ended.
        withdrawn: told what was withdrawn, as webhooks have it.
        room_forgotten: told the room that is closed.
        forgotten: rooms whose consents were forgotten because there were too many.
    """

    def __init__(
        self,
        asked: Sequence[AskedFor],
        directory: Path,
        writer: LogWriter,
        *,
        wall_ns: Callable[[], int] = time.time_ns,
        confirm_s: float = CONFIRM_S,
    ) -> None:
        self._asked = tuple(asked)
        self._directory = directory
        self._writer = writer
        self._wall_ns = wall_ns
        self._confirmations = Confirmations(writer, confirm_s)
        self._rooms: dict[str, _Room] = {}
        self._loading: dict[str, str] = {}
        """Sessions whose logs are being read, by room."""
        self.permitted: Permitted = lambda *_: None
        self.changed: Callable[[Subject], None] = lambda _: None
        self.room_changed: Callable[[str], None] = lambda _: None
        self.withdrawn: Callable[[dict[str, Any]], None] = lambda _: None
        self.room_forgotten: Callable[[str], None] = lambda _: None
        self.forgotten = 0

    # What happens to sessions.

    def began(
        self, room_id: str, session_id: str, log: LogOfSession, events: Iterable[Event] = ()
    ) -> None:
        """A session of a room begins, or goes on after the server was gone.

        Args:
            room_id: whose media.
            session_id: which session.
            log: takes its events.
            events: what its log says already.
        """
        before = self._rooms.pop(room_id, _Room())
        room = _Room(session_id, log, changes=before.changes)
        for event in events:
            room.book.apply(event)
        self._rooms[room_id] = room
        texts = texts_json(self._asked)
        if texts and room.book.texts != texts:
            self._note(room, _Note("consent.asked", {"texts": texts}, "system"))
        for note in before.waiting:
            self._catch_up(room, note)
        for participant in room.book.holders:
            self._tell(room, participant)
        self.room_changed(room_id)

    async def load(self, room_id: str, session_id: str, place: Path, log: SessionLog) -> None:
        """A session of a room begins, or goes on: what its log says already is read aside.

        Until it is read nobody is watched; what is given and withdrawn meanwhile counts after it.
        Of a log that can't be read no consent is held.
        """
        self._loading[room_id] = session_id
        events: Iterable[Event] = ()
        try:
            events = await self._writer.run_late(_events_of, place, log)
        except (RecorderError, OSError) as error:
            extra = {"session_id": session_id, "reason": type(error).__name__}
            _LOG.error("consents can't be read: none are held", extra=extra)
        if self._loading.get(room_id) == session_id:
            del self._loading[room_id]
            self.began(room_id, session_id, log, events)

    def _catch_up(self, room: _Room, note: _Note) -> None:
        """Notes what was given or withdrawn before the session began."""
        payload = note.payload
        known = room.book.consents.get(payload["consent"])
        if note.type == "consent.given":
            held = room.book.held_by(payload["participant"])
            if payload["permission"] not in held:
                self._note(room, note)
        elif known is not None and known["withdrawn_at"] is None:
            self._note(room, note)
        else:
            held = room.book.held_by(payload["participant"])
            consent_id = held.get(payload["permission"])
            if consent_id is not None:
                self._note(room, _Note(note.type, {**payload, "consent": consent_id}, note.actor))

    def ended(self, room_id: str, session_id: str) -> None:
        """The session is over: what was agreed to was agreed for it."""
        if self._loading.get(room_id) == session_id:
            del self._loading[room_id]
            # What was said meanwhile was said of this session.
            self._rooms.pop(room_id, None)
        room = self._rooms.get(room_id)
        if room is None or room.session_id != session_id:
            return
        del self._rooms[room_id]
        for participant in room.book.holders:
            self.permitted(session_id, participant, frozenset())
        self.room_changed(room_id)

    def is_known(self, room_id: str, session_id: str) -> bool:
        """Whether it began, or is being read."""
        room = self._rooms.get(room_id)
        is_begun = room is not None and room.session_id == session_id
        return is_begun or self._loading.get(room_id) == session_id

    def forget_room(self, room_id: str) -> None:
        """The room is closed; its session's end is told by :meth:`ended`."""
        room = self._rooms.get(room_id)
        if room is not None and room.log is None and room_id not in self._loading:
            del self._rooms[room_id]
        self.room_forgotten(room_id)

    # What people do.

    def asked(self, role: Role) -> Sequence[AskedFor]:
        """What somebody of that role is asked for."""
        return () if role is Role.SUPERVISOR else self._asked

    def held(self, subject: Subject) -> Mapping[ConsentPermission, str]:
        """Consents that somebody has given and not withdrawn."""
        room = self._rooms.get(subject.room_id)
        return (
            {} if room is None else room.book.held_by(subject.participant_id)  # type: ignore[return-value]
        )

    def give(self, subject: Subject, given: Given) -> str:
        """Notes a consent; one that is held already stays as it was."""
        if given.how == "click":
            self._expect_text(given)
        room = self._room(subject.room_id)
        held = room.book.held_by(subject.participant_id).get(given.permission)
        if held is not None:
            return held
        changes = room.changes.get(subject.participant_id, 0)
        if changes >= _MAX_CHANGES:
            raise RefusedError(
                ErrorCode.RATE_LIMITED, "consents were given and withdrawn too often"
            )
        if not changes and len(room.changes) >= _MAX_PEOPLE:
            raise RefusedError(ErrorCode.RATE_LIMITED, "consents of too many people")
        room.changes[subject.participant_id] = changes + 1
        consent_id = f"c-{secrets.token_hex(12)}"
        payload = {
            "consent": consent_id,
            "participant": subject.participant_id,
            "permission": given.permission,
            "how": given.how,
            "text_sha256": given.text_sha256,
            "given_at": rfc3339(self._wall_ns()),
        }
        self._note(room, _Note("consent.given", payload, given.by))
        self._tell(room, subject.participant_id)
        self.changed(subject)
        return consent_id

    def withdraw(self, subject: Subject, permission: ConsentPermission, by: str) -> str | None:
        """Ends a consent: whatever watches by it is told before this returns."""
        room = self._rooms.get(subject.room_id)
        held = {} if room is None else room.book.held_by(subject.participant_id)
        consent_id = held.get(permission)
        if consent_id is None and subject.room_id in self._loading:
            # The log may hold it: it ends as soon as that is read.
            note = self._withdrawn("", subject.participant_id, permission, by)
            self._room(subject.room_id).waiting.append(note)
        if room is None or consent_id is None:
            return None
        note = self._withdrawn(consent_id, subject.participant_id, permission, by)
        room.book.apply(note)
        self._tell(room, subject.participant_id)
        self._log(room, note)
        about = {"participant": subject.participant_id, "permission": permission}
        where = {"session": room.session_id or None, "room": subject.room_id}
        self.withdrawn({**where, **about, "consent": consent_id})
        self.changed(subject)
        return consent_id

    def when_written(self, subject: Subject, then: Callable[[bool], None]) -> None:
        """Has it told whether all that was noted of somebody is on the disk."""
        room = self._rooms.get(subject.room_id)
        if room is None or room.log is None:
            then(room is None)
        else:
            self._confirmations.when_written(room.log, then)

    async def settle(self) -> None:
        """Returns when whoever waits for the disk was answered."""
        await self._confirmations.settle()

    def permissions_of(self, session_id: str, participant_id: str) -> frozenset[Permission]:
        """What may be done with somebody's media now; nothing outside of a session that runs."""
        room = next((one for one in self._rooms.values() if one.session_id == session_id), None)
        return frozenset() if room is None else _allowed(room, participant_id)

    def allows(
        self, session_id: str, participant_id: str, permissions: frozenset[Permission]
    ) -> bool:
        """Whether somebody in a session that runs allows all of these; "": whether anybody does."""
        needed = permissions - {Permission.PICTURE}
        if participant_id or not needed:
            return not needed or needed <= self.permissions_of(session_id, participant_id)
        room = next((one for one in self._rooms.values() if one.session_id == session_id), None)
        return room is not None and any(needed <= _allowed(room, who) for who in room.book.holders)

    def _withdrawn(self, consent_id: str, participant: str, permission: str, by: str) -> _Note:
        payload = {
            "consent": consent_id,
            "participant": participant,
            "permission": permission,
            "withdrawn_at": rfc3339(self._wall_ns()),
        }
        return _Note("consent.withdrawn", payload, by)

    def _expect_text(self, given: Given) -> None:
        texts = [one for one in self._asked if one.permission == given.permission]
        if not any(given.text_sha256 in {one.zh.sha256, one.en.sha256} for one in texts):
            raise RefusedError(
                ErrorCode.BAD_MESSAGE,
                "not the digest of the text that is asked: show the newest consents",
                field="data.text_sha256",
            )

    def _room(self, room_id: str) -> _Room:
        room = self._rooms.get(room_id)
        if room is None:
            waiting = [name for name, one in self._rooms.items() if one.log is None]
            if len(waiting) >= _MAX_WAITING:
                del self._rooms[waiting[0]]
                self.forgotten += 1
            room = self._rooms[room_id] = _Room()
        return room

    def _note(self, room: _Room, note: _Note) -> None:
        room.book.apply(note)
        self._log(room, note)

    def _log(self, room: _Room, note: _Note) -> None:
        if room.log is None:
            room.waiting.append(note)
        else:
            room.log.append(note.type, note.payload, actor=note.actor)

    def _tell(self, room: _Room, participant: str) -> None:
        if room.session_id:
            self.permitted(room.session_id, participant, _allowed(room, participant))

    # Over HTTP.

    async def record(self, subject: Subject, given: Given) -> dict[str, Any]:
        """Notes a consent that was clicked, said or signed elsewhere."""
        try:
            consent_id = self.give(subject, given)
        except RefusedError as refused:
            status = 429 if refused.code is ErrorCode.RATE_LIMITED else 400
            raise SessionRefusedError(status, refused.code, refused.message) from None
        room = self._rooms[subject.room_id]
        told = dict(room.book.consents[consent_id])
        is_written = await self._written(room)
        return {**_view(told, room.session_id, subject.room_id), "written": is_written}

    async def revoke(self, consent_id: str, asker: Asker, session_id: str | None) -> dict[str, Any]:
        """Ends a consent; noted even if its session has ended."""
        for room_id, room in self._rooms.items():
            consent = room.book.consents.get(consent_id)
            if consent is None:
                continue
            subject = Subject(room_id, consent["participant"])
            if not asker.may_speak_for(subject):
                break
            if consent["withdrawn_at"] is None:
                self.withdraw(subject, consent["permission"], asker.name)
            told = dict(room.book.consents[consent_id])
            is_written = await self._written(room)
            return {**_view(told, room.session_id, room_id), "written": is_written}
        else:
            if session_id is not None and is_session_id(session_id):
                return await self._revoke_late(consent_id, asker, session_id)
        detail = "no such consent; for a session that has ended, say its session_id"
        raise SessionRefusedError(404, HttpCode.UNKNOWN_CONSENT, detail)

    async def _revoke_late(self, consent_id: str, asker: Asker, session_id: str) -> dict[str, Any]:
        try:
            return await self._writer.run(self._write_late, consent_id, asker, session_id)
        except SessionFileError:
            raise _unknown() from None
        except LogBusyError:
            detail = "the session's log is being written: try again in a moment"
            raise SessionRefusedError(409, HttpCode.WRONG_STATE, detail) from None
        except (RecorderError, OSError) as error:
            _LOG.error("withdrawal can't be noted", extra={"session_id": session_id})
            detail = "the recorder failed; see the server's log"
            raise SessionRefusedError(503, ErrorCode.INTERNAL, detail) from error

    def _write_late(self, consent_id: str, asker: Asker, session_id: str) -> dict[str, Any]:
        """On the writer's thread."""
        place = self._directory / session_id
        session, book = read_session(place), ConsentBook()
        for event in read_events(place, session):
            book.apply(event)
        consent = book.consents.get(consent_id)
        if consent is None or not asker.may_speak_for(
            Subject(session.room, consent["participant"])
        ):
            raise _unknown()
        is_written = True
        if consent["withdrawn_at"] is None:
            who, what = consent["participant"], consent["permission"]
            note = self._withdrawn(consent_id, who, what, asker.name)
            with EventLog.open(place) as log:
                book.apply(log.append(note.type, note.payload, actor=note.actor, durable=True))
                is_written = log.refused is None
        told = _view(book.consents[consent_id], session_id, session.room)
        return {**told, "written": is_written}

    async def _written(self, room: _Room) -> bool:
        """Whether what was noted is on the disk; waits for that, for a while."""
        return room.log is not None and await self._confirmations.written(room.log)


def _events_of(place: Path, log: SessionLog) -> tuple[Event, ...]:
    """What a log says already; on the writer's thread."""
    is_begun = (place / "events.jsonl").exists()
    return tuple(read_events(place, log.session)) if is_begun else ()


def _allowed(room: _Room, participant: str) -> frozenset[Permission]:
    """What looks for nobody needs no consent."""
    return frozenset({Permission.PICTURE, *map(Permission, room.book.held_by(participant))})


def _unknown() -> SessionRefusedError:
    return SessionRefusedError(404, HttpCode.UNKNOWN_CONSENT, "no such consent")


def _view(consent: Mapping[str, Any], session_id: str, room_id: str) -> dict[str, Any]:
    """As REST tells it."""
    told = {key: value for key, value in consent.items() if key not in {"consent", "participant"}}
    about = {"consent_id": consent["consent"], "participant_id": consent["participant"]}
    return {**about, "room": room_id, "session_id": session_id or None, **told}
