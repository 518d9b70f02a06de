"""What becomes of findings: the event log, the RM's page, webhooks, the transcript, metrics.

A host is believed to be alive, not to be right: what it says is bounded in rate and number, and
whatever is not taken is counted by reason.

| what | bound | beyond it |
|---|---|---|
| new findings of a session | 20/s, bursts of 200 | ``flood``: counted, and declared in the log |
| findings of a session that are open | :data:`MAX_OPEN` | ``too_many`` |
| unknown times of a session that are open | :data:`MAX_UNKNOWN` | ``too_many`` |
| hints on an RM's page | :data:`MAX_HINTS` at once, one a second, bursts of 10 | not shown |
| webhooks of a session's findings | one a second, bursts of 10 | suppressed |
| lines of a transcript that wait for the disk | :data:`MAX_LINES` | ``flood`` |
| sessions that have ended | for :data:`GRACE_S` what is open may end | ``session_ended`` |
"""

import asyncio
import contextlib
import logging
import secrets
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from pydantic import ValidationError

from analytics.detector import Card, Permission
from analytics.link import (
    NO_HOST_PREFIX,
    Found,
    Hello,
    Said,
    Status,
    Unknown,
    UnknownCause,
)
from recorder.errors import RecorderError
from recorder.log_writer import LogWriter
from recorder.transcript import Spoken, Transcript
from signaling.clock import TokenBucket
from signaling.notices import FindingNotice
from witness.finding_grades import Cooldown, FindingGrade, FindingGrades
from witness.finding_views import (
    about,
    card_event,
    finding_event,
    notice_of,
    severity_of,
    unknown_event,
)

__all__ = [
    "GRACE_S",
    "LOST",
    "MAX_HINTS",
    "MAX_LINES",
    "MAX_OPEN",
    "MAX_UNKNOWN",
    "FindingsDesk",
    "SessionLogLike",
]

_LOG = logging.getLogger(__name__)
MAX_OPEN: Final = 256
MAX_UNKNOWN: Final = 1_024
MAX_HINTS: Final = 16
MAX_LINES: Final = 1_000
GRACE_S: Final = 5.0
_MAX_OVER: Final = 4_096
"""Findings that are over and remembered, of a session, so that none is noted twice."""
_RATE_PER_S, _BURST = 20.0, 200.0
_HINTS_PER_S, _HINTS_BURST = 1.0, 10.0
_POSTS_PER_S, _POSTS_BURST = 1.0, 10.0
_TICK_S: Final = 1.0
_WRITE_S: Final = 5.0
"""Between two writes of what was said in a session: each is synced, beside the event logs."""
_CONTROLS: Final = dict.fromkeys([*range(32), 127, 0x2028, 0x2029], " ")

LOST: Final = (
    "unknown_session", "session_ended", "no_consent", "malformed", "flood", "too_many", "repeated",
    "disk",
)  # fmt: skip
"""Why a finding or what somebody said was not taken."""

ANSWERS: Final = frozenset({"challenge_seen", "challenge_missed", "id_match", "id_mismatch"})
"""Kinds that answer an RM's question: told whatever came of it."""
_ACTIONS: Final = {FindingGrade.CALLBACK: "call_back", FindingGrade.DISPATCH: "step_in"}


class SessionLogLike(Protocol):
    """The log of a session that runs; :class:`recorder.log_writer.SessionLog` is one."""

    def append(self, type: str, payload: dict[str, Any], *, actor: str = "system") -> object:  # noqa: A002
        """Has an event written."""
        ...

    def now_us(self) -> int:
        """The session clock, µs."""
        ...

    def release(self) -> None:
        """Nothing more is appended for now."""
        ...


@dataclass(slots=True)
class _Open:
    """A finding that goes on.

    Attributes:
        is_own: the server says it, not a host.
    """

    item: Found | Unknown
    is_own: bool = False
    grade: FindingGrade = FindingGrade.LOG
    is_told: bool = False
    is_hinted: bool = False
    acknowledged_by: str | None = None


@dataclass(slots=True)
class _Session:
    room_id: str
    session_id: str
    place: Path
    log: SessionLogLike
    bucket: TokenBucket
    hints: TokenBucket
    posts: TokenBucket
    transcript: Transcript
    written_s: float
    """When what was said was last handed to the disk."""
    open: dict[str, _Open] = field(default_factory=dict)
    over: "OrderedDict[str, None]" = field(default_factory=OrderedDict)
    described: set[str] = field(default_factory=set)
    acknowledged: set[str] = field(default_factory=set)
    lines: deque[Spoken] = field(default_factory=deque)
    lost: int = 0
    ended_s: float | None = None
    ended_us: int | None = None
    writing: bool = False


@dataclass(frozen=True, slots=True)
class Outlets:
    """Where findings go.

    Attributes:
        tell: an RM's page, by room.
        webhook: takes kind and data; ``None``: nobody is told.
        may: whether a participant of a session allows all of these now; without a participant,
            whether anybody in it does.
    """

    tell: Callable[[str, FindingNotice], None] = lambda *_: None
    webhook: Callable[[str, dict[str, Any]], None] | None = None
    may: Callable[[str, str, frozenset[Permission]], bool] = lambda *_: True


class FindingsDesk:
    """Implements :class:`witness.analytics_service.FindingSink` and
    :class:`signaling.findings.FindingDesk`.

    Args:
        cards: of the detectors there are, by name.
        grades: what findings set off.
        outlets: where they go.
        writer: whose thread writes transcripts.
        steady_s: a clock that only goes forward.

    Attributes:
        counts: findings by detector, kind and outcome, of closed sets.
        graded: alerts by grade; ``suppressed`` those that came again too soon.
        lost: what was not taken, by reason.
        lines: of transcripts.
        ready: detectors that the host has loaded; empty without one.
    """

    def __init__(
        self,
        cards: Mapping[str, Card],
        grades: FindingGrades,
        outlets: Outlets,
        writer: LogWriter,
        steady_s: Callable[[], float],
    ) -> None:
        self.cards = dict(cards)
        self._grades = grades
        self._outlets = outlets
        self._writer = writer
        self._steady_s = steady_s
        self._cooldown = Cooldown(grades.cooldown_s)
        self._sessions: dict[str, _Session] = {}
        self._rooms: dict[str, str] = {}
        self._writes: set[asyncio.Task[None]] = set()
        self._task: asyncio.Task[None] | None = None
        self.counts: Counter[tuple[str, str, str]] = Counter()
        self.graded: Counter[FindingGrade] = Counter()
        self.suppressed = 0
        self.unshown = 0
        self.lines = 0
        self.ready: frozenset[str] = frozenset()
        self._host_run: str | None = None
        self.lost: Counter[str] = Counter()

    @property
    def open_count(self) -> int:
        """Findings that go on, of all sessions."""
        return sum(len(session.open) for session in self._sessions.values())

    # What happens to sessions.

    def began(self, room_id: str, session_id: str, place: Path, log: SessionLogLike) -> None:
        """A session of a room begins or goes on."""
        if session_id in self._sessions:
            return
        now_s = self._steady_s()
        self._sessions[session_id] = _Session(
            room_id,
            session_id,
            place,
            log,
            TokenBucket(_RATE_PER_S, _BURST, now_s),
            TokenBucket(_HINTS_PER_S, _HINTS_BURST, now_s),
            TokenBucket(_POSTS_PER_S, _POSTS_BURST, now_s),
            Transcript(place),
            now_s,
        )
        self._rooms[room_id] = session_id

    def is_known(self, session_id: str) -> bool:
        """Whether findings of a session are taken."""
        return session_id in self._sessions

    def ended(self, room_id: str, session_id: str) -> None:
        """A session is over; what is open may end for a while still."""
        session = self._sessions.get(session_id)
        if session is None or session.ended_s is not None:
            return
        session.ended_s = self._steady_s()
        session.ended_us = session.log.now_us()
        if self._rooms.get(room_id) == session_id:
            del self._rooms[room_id]

    def paused(self, session_id: str, is_paused: bool) -> None:
        """A recording pauses, or goes on: what is not recorded is not watched."""
        session = self._sessions.get(session_id)
        if session is None or session.ended_s is not None:
            return
        pauses = [
            entry
            for entry in session.open.values()
            if entry.is_own
            and isinstance(entry.item, Unknown)
            and entry.item.cause is UnknownCause.PAUSED
        ]
        now_us = session.log.now_us()
        if is_paused and not pauses:
            for detector in sorted(self.cards):
                self._begin(session, _pause(session_id, detector, now_us), is_own=True)
        elif not is_paused:
            for entry in pauses:
                self._cut(session, entry, now_us)

    def start(self) -> None:
        """Has what waits written, and sessions that ended forgotten, from time to time."""
        self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        """The server ends: what is open ends as far as it was seen, transcripts are written."""
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        for session in list(self._sessions.values()):
            self._finish(session)
        if self._writes:
            await asyncio.wait(self._writes)

    async def _run(self) -> None:
        while True:
            await asyncio.sleep(_TICK_S)
            self.tick()

    def tick(self) -> None:
        """Does what is due."""
        now_s = self._steady_s()
        for session in list(self._sessions.values()):
            self._declare_lost(session)
            if session.ended_s is not None and now_s - session.ended_s >= GRACE_S:
                self._finish(session)
            elif now_s - session.written_s >= _WRITE_S:
                session.written_s = now_s
                self._write_lines(session)

    def _finish(self, session: _Session) -> None:
        over_us = session.log.now_us() if session.ended_us is None else session.ended_us
        for entry in list(session.open.values()):
            # Of a finding, how far it was seen; nobody knew anything until the very end.
            until_us = over_us if isinstance(entry.item, Unknown) else entry.item.end_us
            self._cut(session, entry, until_us)
        self._declare_lost(session)
        self._write_lines(session)
        del self._sessions[session.session_id]
        if self._rooms.get(session.room_id) == session.session_id:
            del self._rooms[session.room_id]
        self._cooldown.forget(session.session_id)
        if session.ended_s is not None:
            session.log.release()

    # What a host says.

    def host(self, hello: Hello | None) -> None:
        """Which detectors there are; what is unknown without them is told by :meth:`unknown`.

        What a host that is gone has left open is over: nobody will ever say so.
        """
        run = None if hello is None else hello.run
        if run != self._host_run:
            for session in self._sessions.values():
                self._end_hosts(session)
        self._host_run = run
        self.ready = frozenset() if hello is None else frozenset(hello.detectors)

    def _end_hosts(self, session: _Session) -> None:
        now_us = session.log.now_us() if session.ended_us is None else session.ended_us
        for entry in list(session.open.values()):
            if not entry.is_own and not entry.item.finding_id.startswith(NO_HOST_PREFIX):
                self._cut(session, entry, now_us)

    def status(self, status: Status) -> None:
        """Counters of the host are shown by whoever runs it."""

    def found(self, found: Found) -> None:
        """A finding, or the next state of one."""
        session = self._taken(found)
        if session is None:
            return
        entry = session.open.get(found.finding_id)
        if entry is not None:
            self._goes_on(session, entry, found)
        elif self._is_allowed(found) and self._has_room(session, found):
            self._begin(session, found)

    def unknown(self, unknown: Unknown) -> None:
        """A time for which a detector can't say anything."""
        session = self._taken(unknown)
        if session is None:
            return
        entry = session.open.get(unknown.finding_id)
        if entry is not None:
            self._goes_on(session, entry, unknown)
        elif self._has_room(session, unknown):
            self._begin(session, unknown)

    def said(self, said: Said) -> None:
        """What somebody said; partial results are not kept."""
        if not said.is_final:
            return
        session = self._sessions.get(said.session_id)
        if session is None:
            self._lose("unknown_session")
        elif not self._may(said.session_id, said.participant_id, {Permission.SPEECH}):
            self._lose("no_consent", session)
        elif len(session.lines) >= MAX_LINES:
            self._lose("flood", session)
        else:
            try:
                session.lines.append(_line(said))
            except ValidationError:
                self._lose("malformed", session)

    def _taken(self, item: Found | Unknown) -> _Session | None:
        session = self._sessions.get(item.session_id)
        if session is None:
            self._lose("unknown_session")
        elif not self._is_sound(item):
            self._lose("malformed", session)
        elif item.finding_id in session.over:
            self._lose("repeated")
        elif session.ended_s is not None and item.finding_id not in session.open:
            self._lose("session_ended")
        else:
            return session
        return None

    def _is_sound(self, item: Found | Unknown) -> bool:
        """Whether there is such a detector, and it may find that."""
        card = self.cards.get(item.detector)
        if card is None or item.end_us < item.start_us or not item.finding_id:
            return False
        return isinstance(item, Unknown) or any(one.kind == item.kind for one in card.kinds)

    def _is_allowed(self, found: Found) -> bool:
        """Whether it may be looked for at all: the host may not have heard of a withdrawal."""
        card = self.cards.get(found.detector)
        permissions = frozenset() if card is None else card.permissions - {Permission.PICTURE}
        if self._may(found.session_id, found.participant_id, permissions):
            return True
        self._lose("no_consent", self._sessions[found.session_id])
        return False

    def _may(self, session_id: str, participant_id: str, permissions: Iterable[Permission]) -> bool:
        return self._outlets.may(session_id, participant_id, frozenset(permissions))

    def _has_room(self, session: _Session, item: Found | Unknown) -> bool:
        present = sum(type(one.item) is type(item) for one in session.open.values())
        if present >= (MAX_OPEN if isinstance(item, Found) else MAX_UNKNOWN):
            self._lose("too_many", session)
            return False
        if session.bucket.take(1, self._steady_s()):
            self._lose("flood", session)
            return False
        return True

    def _lose(self, reason: str, session: _Session | None = None) -> None:
        self.lost[reason] += 1
        if session is not None:
            session.lost += 1

    def _begin(self, session: _Session, item: Found | Unknown, *, is_own: bool = False) -> None:
        self._describe(session, item)
        self._count(item)
        entry = _Open(item, is_own)
        self._note(session, item)
        if isinstance(item, Found):
            self._alert(session, entry, item)
            self._hint(session, entry, item)
        if item.is_open:
            session.open[item.finding_id] = entry
        else:
            self._end(session, entry)

    def _goes_on(self, session: _Session, entry: _Open, item: Found | Unknown) -> None:
        if type(item) is not type(entry.item) or item.detector != entry.item.detector:
            self._lose("malformed", session)
        elif isinstance(item, Found) and not self._is_allowed(item):
            # What was seen since is nobody's business: it ends as it was known before.
            self._cut(session, entry, entry.item.end_us)
        elif item.is_open:
            entry.item = item
        else:
            self._close(session, entry, item)

    def _cut(self, session: _Session, entry: _Open, until_us: int) -> None:
        """Ends what nobody will end, as it was known."""
        end_us = max(entry.item.end_us, until_us)
        self._close(
            session, entry, entry.item.model_copy(update={"end_us": end_us, "is_open": False})
        )

    def _close(self, session: _Session, entry: _Open, item: Found | Unknown) -> None:
        entry.item = item
        self._note(session, item)
        self._end(session, entry)

    def _end(self, session: _Session, entry: _Open) -> None:
        """It is over: whoever was told of it hears so."""
        item = entry.item
        session.open.pop(item.finding_id, None)
        session.over[item.finding_id] = None
        if len(session.over) > _MAX_OVER:
            session.over.popitem(last=False)
        if not isinstance(item, Found):
            return
        if entry.is_hinted:
            self._outlets.tell(session.room_id, self._notice(entry, item))
        if entry.is_told:
            self._post(session, entry, item, "ended")

    # Where it goes.

    def _describe(self, session: _Session, item: Found | Unknown) -> None:
        """A log explains itself: the card of whoever found something comes first, once."""
        if item.detector in session.described or len(session.described) >= MAX_OPEN:
            return
        session.described.add(item.detector)
        card = self.cards.get(item.detector)
        version = item.detector_version if isinstance(item, Found) else ""
        session.log.append("detector.used", card_event(item.detector, version, card))

    def _note(self, session: _Session, item: Found | Unknown) -> None:
        if isinstance(item, Found):
            session.log.append("finding", finding_event(item), actor="analytics")
        else:
            session.log.append("analytics.unknown", unknown_event(item), actor="analytics")

    def _count(self, item: Found | Unknown) -> None:
        """Labels are of closed sets: detectors and kinds that nobody knows are not taken."""
        if isinstance(item, Unknown):
            self.counts[item.detector, "unknown", "unknown"] += 1
        else:
            self.counts[item.detector, item.kind, item.outcome] += 1

    def _alert(self, session: _Session, entry: _Open, found: Found) -> None:
        severity = severity_of(self.cards.get(found.detector), found.kind)
        entry.grade = self._grades.grade_of(found.kind, severity, found.outcome)
        if found.outcome not in {"warn", "fail"}:
            return
        key = (session.session_id, found.detector, found.kind, found.participant_id)
        now_s = self._steady_s()
        if entry.grade is not FindingGrade.LOG and (
            not self._cooldown.passes(key, now_s) or session.posts.take(1, now_s)
        ):
            self.suppressed += 1
            return
        self.graded[entry.grade] += 1
        if entry.grade is not FindingGrade.LOG:
            entry.is_told = True
            self._post(session, entry, found, "raised")

    def _post(self, session: _Session, entry: _Open, found: Found, state: str) -> None:
        if self._outlets.webhook is None:
            return
        data = {
            "session": session.session_id,
            "room": session.room_id,
            "grade": entry.grade.value,
            "action": _ACTIONS[entry.grade],
            "state": state,
            "finding": about(self._notice(entry, found)),
        }
        self._outlets.webhook(f"finding.{entry.grade.value}", data)

    def _hint(self, session: _Session, entry: _Open, found: Found) -> None:
        """Discreetly on the RM's page, where it warns; never what flaps or floods."""
        if found.kind in ANSWERS and not found.is_open:
            # Somebody asked, two a second at most, and waits for it.
            if session.hints.take(1, self._steady_s()):
                self.unshown += 1
            else:
                self._outlets.tell(session.room_id, self._notice(entry, found))
            return
        severity = severity_of(self.cards.get(found.detector), found.kind)
        if found.outcome not in {"warn", "fail"} or severity == "info":
            return
        now_s = self._steady_s()
        key = (session.session_id, "hint", found.detector, found.kind, found.participant_id)
        hinted = sum(one.is_hinted for one in session.open.values())
        if (
            hinted >= MAX_HINTS
            or not self._cooldown.passes(key, now_s)
            or session.hints.take(1, now_s)
        ):
            self.unshown += 1
            return
        entry.is_hinted = True
        if found.is_open:
            self._outlets.tell(session.room_id, self._notice(entry, found))

    def _notice(self, entry: _Open, found: Found) -> FindingNotice:
        return notice_of(found, self.cards.get(found.detector), entry.acknowledged_by)

    def _declare_lost(self, session: _Session) -> None:
        if session.lost:
            session.log.append("findings.lost", {"count": session.lost})
            session.lost = 0

    def photo_given(self, session_id: str, origin: Mapping[str, Any], by: str) -> None:
        """Detectors were given the photo of a document: which one is in the log, not the photo."""
        session = self._sessions.get(session_id)
        if session is not None and session.ended_s is None:
            session.log.append("id_photo.given", dict(origin), actor=by)

    # What RMs do.

    def open_hints(self, room_id: str) -> Sequence[FindingNotice]:
        """What the RMs of a room were told that is not over yet."""
        session = self._sessions.get(self._rooms.get(room_id, ""))
        entries = () if session is None else session.open.values()
        return [
            self._notice(entry, entry.item)
            for entry in entries
            if entry.is_hinted and isinstance(entry.item, Found)
        ]

    def acknowledge(self, room_id: str, finding_id: str, by: str) -> bool:
        """Notes that an RM has seen a finding; false where there is none of that id."""
        session = self._sessions.get(self._rooms.get(room_id, ""))
        if session is None:
            return False
        entry = session.open.get(finding_id)
        if entry is None and finding_id not in session.over:
            return False
        if finding_id in session.acknowledged:
            return True
        session.acknowledged.add(finding_id)
        session.log.append("finding.acknowledged", {"finding": finding_id}, actor=by)
        if entry is not None:
            entry.acknowledged_by = by
            if entry.is_hinted and isinstance(entry.item, Found):
                self._outlets.tell(room_id, self._notice(entry, entry.item))
        return True

    # Transcripts.

    def _write_lines(self, session: _Session) -> None:
        if not session.lines or session.writing:
            return
        session.writing = True
        task = asyncio.get_running_loop().create_task(self._write(session))
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _write(self, session: _Session) -> None:
        lines = list(session.lines)
        session.lines.clear()
        try:
            await self._writer.run(session.transcript.append, lines)
            self.lines += len(lines)
        except (RecorderError, OSError) as error:
            self.lost["disk"] += len(lines)
            session.lost += len(lines)
            extra = {"session_id": session.session_id, "reason": type(error).__name__}
            _LOG.error("transcript can't be written", extra=extra)
        finally:
            session.writing = False


def _pause(session_id: str, detector: str, now_us: int) -> Unknown:
    return Unknown(
        finding_id=f"pause-{secrets.token_hex(8)}",
        session_id=session_id,
        detector=detector,
        cause=UnknownCause.PAUSED,
        start_us=now_us,
        end_us=now_us,
        is_open=True,
    )


def _line(said: Said) -> Spoken:
    return Spoken(
        from_us=said.start_us,
        to_us=max(said.end_us, said.start_us + 1),
        text=said.text.translate(_CONTROLS).strip(),
        speaker=said.participant_id,
        source=f"{said.detector}@{said.detector_version}"[:64],
    )
