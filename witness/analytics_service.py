"""Detectors beside the server: what goes to their host, and what comes back.

The server gives the host media and says what may be done with it; what the host finds goes to a
:class:`FindingSink`. What the server knows of a call comes in through :class:`AnalyticsCalls`.
"""

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

from pydantic import BaseModel, ValidationError

from analytics.detector import Permission
from analytics.link import (
    MAX_LINE_BYTES,
    MAX_US,
    NO_HOST_PREFIX,
    Consents,
    Found,
    FromHost,
    Greet,
    Hello,
    IdPhoto,
    IdPhotoDone,
    KeyframeWanted,
    Marked,
    Said,
    Status,
    TrackEnded,
    TrackStarted,
    Unknown,
    UnknownCause,
    Wants,
    from_host,
)
from sfu import Room, RoomTaps, TappedTrack
from sfu.errors import SfuError
from sfu.model import Kind
from witness.analytics_limits import Rate
from witness.analytics_totals import Totals
from witness.analytics_ways import HostWay

__all__ = ["FOR_PHOTOS", "AnalyticsCalls", "AnalyticsService", "FindingSink", "PhotoDone"]

_LOG = logging.getLogger(__name__)
_MORE_HELLOS: Final = 4
_MOST_MALFORMED: Final = 100
"""Lines in a second that are no messages; with more, the host is ended."""
_MAX_EARLY: Final = 1_024
"""Sessions whose consents are kept before they begin."""


FOR_PHOTOS: Final = frozenset({Permission.FACE, Permission.IDENTITY})
"""What somebody allows whose photo may be compared."""


class PhotoDone(Protocol):
    """Is told that a photo is needed no more."""

    def __call__(self, session_id: str, participant_id: str, *, is_readable: bool) -> None:
        """Whose, and whether it could be decoded."""


class FindingSink(Protocol):
    """Takes what detectors say; validated, but not yet believed.

    Called on the event loop's thread; must neither block nor raise. An open finding or unknown
    time comes again under the same ``finding_id`` when it grows and when it is over.
    """

    def found(self, found: Found) -> None:
        """A finding, or the next state of one."""

    def said(self, said: Said) -> None:
        """What somebody said; a partial result is replaced by the next of the same start."""

    def unknown(self, unknown: Unknown) -> None:
        """A time for which a detector can't say anything."""

    def status(self, status: Status) -> None:
        """How the host is, about every second."""

    def host(self, hello: Hello | None) -> None:
        """A host is there with these detectors; ``None``: there is none any more."""


class AnalyticsCalls(Protocol):
    """What has to be told of a call, by whoever knows it. Called on the event loop's thread."""

    def session_started(self, session_id: str, room_id: str, zero_ns: int) -> None:
        """A session of a room has begun; its clock was zero at this ``CLOCK_MONOTONIC``."""

    def session_paused(self, session_id: str, paused: bool) -> None:
        """Its recording pauses, or goes on: nothing is looked at meanwhile."""

    def session_ended(self, session_id: str) -> None:
        """Nothing more of this session is watched."""

    def consents(
        self, session_id: str, participant_id: str, permissions: frozenset[Permission]
    ) -> None:
        """What a participant allows from now on; nothing until told.

        Withdrawal closes what needs the consent before this returns, on the server's side, and
        within a second in the host.
        """

    def id_photo(self, session_id: str, participant_id: str, photo: bytes) -> None:
        """The photo on somebody's identity document; empty: there is none any more."""

    def marked(
        self,
        session_id: str,
        kind: str,
        participant_id: str = "",
        data: Mapping[str, Any] | None = None,
        at_us: int | None = None,
    ) -> None:
        """Something happened in a session (:class:`analytics.detector.Mark`); now, by default."""


@dataclass(slots=True, eq=False)
class _Session:
    """A watched session; what its room tells is told on."""

    service: "AnalyticsService"
    session_id: str
    room_id: str
    zero_ns: int
    taps: RoomTaps | None = None
    people: dict[str, dict[str, Any]] = field(default_factory=dict)
    known: set[str] = field(default_factory=set)
    permissions: dict[str, frozenset[Permission]] = field(default_factory=dict)
    tracks: dict[str, TappedTrack] = field(default_factory=dict)
    photos: dict[str, bytes] = field(default_factory=dict, repr=False)
    """Of identity documents, until they were compared."""
    muted: set[str] = field(default_factory=set)
    paused: bool = False
    is_refused: bool = False
    """Its room hands out no media: nothing will be known of it."""
    node: Marked | None = None
    """Which runs now."""
    open: dict[str, tuple[int, int | None]] = field(default_factory=dict)
    """Number and picture height of each tap, by track."""

    @property
    def now_us(self) -> int:
        """Its clock."""
        return min(MAX_US, max(0, (self.service.clock_ns() - self.zero_ns) // 1_000))

    def participant_joined(self, participant_id: str, role: str) -> None:
        """Somebody is in the room: detectors learn who plays which part."""
        self.service.marked(self.session_id, "participant.joined", participant_id, {"role": role})

    def participant_left(self, participant_id: str) -> None:
        """Somebody is gone."""
        self.service.marked(self.session_id, "participant.left", participant_id)

    def track_started(self, track: TappedTrack) -> None:
        """There is a track."""
        self.tracks[track.track.track_id] = track
        self._mark("track.started", track)
        self.service.fit(self)

    def track_muted(self, track_id: str, muted: bool) -> None:
        """It brings nothing for now, or does so again."""
        (self.muted.add if muted else self.muted.discard)(track_id)
        self._mark("track.muted" if muted else "track.unmuted", self.tracks[track_id])

    def track_ended(self, track_id: str) -> None:
        """There is none any more."""
        self.muted.discard(track_id)
        track = self.tracks.pop(track_id)
        self.service.untap(self, track_id)
        self._mark("track.ended", track)

    def finished(self) -> None:
        """The room is closed."""
        self.taps = None

    def _mark(self, kind: str, track: TappedTrack) -> None:
        data = {"track_id": track.track.track_id, "source": track.track.source.value}
        self.service.say_mark(self, kind, track.track.participant_id, data)


class AnalyticsService:
    """Implements :class:`AnalyticsCalls`: tells a host of calls, and a sink of findings.

    A track is tapped while a detector needs it, and its owner allows what that detector does;
    nothing is tapped while there is no host.

    Args:
        rooms: those that are open.
        way: to the host.
        detectors: that should run, by name.
        sink: takes what they find.
        permissions: what each detector does with people, as this server knows it; a host may ask
            for more, never for less.
        clock_ns: ``CLOCK_MONOTONIC``.

    Attributes:
        refused: lines of the host that were not taken, by reason.
        latest: how the host said it was; ``None`` while there is none.
        totals: counters of all hosts so far.
        photo_done: told whose photo was compared, or can't be.
    """

    def __init__(
        self,
        rooms: Mapping[str, Room],
        way: HostWay,
        detectors: Collection[str],
        sink: FindingSink,
        *,
        permissions: Mapping[str, frozenset[Permission]] | None = None,
        clock_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.clock_ns = clock_ns
        self.way = way
        self.detectors = frozenset(detectors)
        self.refused: Counter[str] = Counter()
        self.latest: Status | None = None
        self.totals = Totals(self.detectors)
        self.photo_done: PhotoDone = lambda *_, **__: None
        self._permissions = permissions or {}
        self._keyframes: dict[int, Rate] = {}
        # A host says hello as each of its detectors is there.
        self._hellos = Rate(len(self.detectors) + _MORE_HELLOS)
        self._malformed = Rate(_MOST_MALFORMED)
        self._rooms = rooms
        self._sink = sink
        self._sessions: dict[str, _Session] = {}
        self._consents: dict[str, dict[str, frozenset[Permission]]] = {}
        self._taps: dict[int, tuple[_Session, str]] = {}
        self._hello: Hello | None = None
        self._unknown: dict[tuple[str, str], Unknown] = {}
        self._task: asyncio.Task[None] | None = None

    @property
    def has_host(self) -> bool:
        """Whether a host has said hello."""
        return self._hello is not None

    @property
    def tap_count(self) -> int:
        """Tracks whose media go to the host."""
        return len(self._taps)

    def start(self) -> None:
        """Opens the way to the host, and keeps it open."""
        way = self.way.run(self._came, self._heard, self._gone)
        self._task = asyncio.get_running_loop().create_task(way)

    async def stop(self) -> None:
        """Ends all."""
        for session_id in list(self._sessions):
            self.session_ended(session_id)
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            try:
                await task
            except asyncio.CancelledError:
                pass
            except Exception:  # noqa: BLE001 - told, and the server goes on stopping
                _LOG.exception("the way to the host of detectors had ended")

    # What happens in calls.

    def session_started(self, session_id: str, room_id: str, zero_ns: int) -> None:
        """A session of a room has begun."""
        if session_id in self._sessions:
            return
        session = _Session(self, session_id, room_id, zero_ns)
        session.permissions = self._consents.pop(session_id, {})
        self._sessions[session_id] = session
        room = self._rooms.get(room_id)
        reason = "its room is not there"
        try:
            session.taps = None if room is None else room.start_taps(session, zero_ns)
        except SfuError as error:
            reason = str(error)
        session.is_refused = session.taps is None
        if session.is_refused:
            extra = {"session_id": session_id, "reason": reason}
            _LOG.warning("a session can't be watched", extra=extra)
        self._begin_unknown(session)
        self._say_all_consents(session)
        self.fit(session)

    def session_paused(self, session_id: str, paused: bool) -> None:
        """Nothing is looked at while nothing is recorded."""
        session = self._sessions.get(session_id)
        if session is not None and session.paused != paused:
            session.paused = paused
            self.say_mark(session, "session.paused" if paused else "session.resumed")
            self.fit(session)

    def session_ended(self, session_id: str) -> None:
        """Nothing more of this session is watched."""
        session = self._sessions.pop(session_id, None)
        self._consents.pop(session_id, None)
        if session is None:
            return
        for track_id in list(session.open):
            self.untap(session, track_id)
        self.say_mark(session, "session.ended")
        for place in [place for place in self._unknown if place[0] == session_id]:
            self._end_unknown(place, session)
        room = self._rooms.get(session.room_id)
        if room is not None and session.taps is not None and room.taps is session.taps:
            room.stop_taps()

    def consents(
        self, session_id: str, participant_id: str, permissions: frozenset[Permission]
    ) -> None:
        """What a participant allows from now on."""
        session = self._sessions.get(session_id)
        if session is None:
            # Told before the session itself, or after its end: then it is never asked for.
            waiting = self._consents.setdefault(session_id, {})
            waiting[participant_id] = permissions
            while len(self._consents) > _MAX_EARLY:
                del self._consents[next(iter(self._consents))]
            return
        session.permissions[participant_id] = permissions
        if not permissions >= FOR_PHOTOS:
            session.photos.pop(participant_id, None)
        self._say_consents(session, participant_id)
        self.fit(session)

    def id_photo(self, session_id: str, participant_id: str, photo: bytes) -> None:
        """The photo on somebody's identity document; without the consents for it, nothing."""
        session = self._sessions.get(session_id)
        if session is None:
            return
        if not photo:
            session.photos.pop(participant_id, None)
            self._say_photo(session, participant_id, photo)
        elif session.permissions.get(participant_id, frozenset()) >= FOR_PHOTOS:
            session.photos[participant_id] = photo
            self._say_photo(session, participant_id, photo)

    def marked(
        self,
        session_id: str,
        kind: str,
        participant_id: str = "",
        data: Mapping[str, Any] | None = None,
        at_us: int | None = None,
    ) -> None:
        """Something happened in a session."""
        session = self._sessions.get(session_id)
        if session is None:
            return
        if kind == "participant.joined":
            session.people[participant_id] = dict(data or {})
            session.known.add(participant_id)
        elif kind == "participant.left":
            session.people.pop(participant_id, None)
        self.say_mark(session, kind, participant_id, data, at_us)
        if kind == "participant.joined" and participant_id in session.permissions:
            # The host forgets those who leave; what they allow holds for the session.
            self._say_consents(session, participant_id)

    def say_mark(
        self,
        session: _Session,
        kind: str,
        participant_id: str = "",
        data: Mapping[str, Any] | None = None,
        at_us: int | None = None,
    ) -> None:
        """Tells the host that something happened."""
        mark = Marked(
            session_id=session.session_id,
            kind=kind,
            at_us=session.now_us if at_us is None else at_us,
            participant_id=participant_id,
            data=dict(data or {}),
        )
        if kind in ("node.started", "node.ended"):
            session.node = mark if kind == "node.started" else None
        self._say(mark)

    def fit(self, session: _Session) -> None:
        """Opens, changes and closes taps as they are needed and allowed now."""
        if session.taps is None:
            return
        for track_id, track in session.tracks.items():
            is_wanted, height = self._wanted(session, track)
            present = session.open.get(track_id)
            if not is_wanted:
                self.untap(session, track_id)
            elif present is None or present[1] != height:
                number = session.taps.open(track_id, height)
                if number is not None:
                    session.open[track_id] = number, height
                if number is not None and present is None:
                    self._taps[number] = session, track_id
                    self._say_started(session, track, number)

    def untap(self, session: _Session, track_id: str) -> None:
        """Hands out nothing more of a track."""
        present = session.open.pop(track_id, None)
        if present is None:
            return
        self._taps.pop(present[0], None)
        self._keyframes.pop(present[0], None)
        if session.taps is not None:
            session.taps.close(track_id)
        self._say(TrackEnded(track_id=track_id, at_us=session.now_us))

    def _wanted(self, session: _Session, track: TappedTrack) -> tuple[bool, int | None]:
        """Whether anybody needs a track and may have it; and of video, how high."""
        if self._hello is None or session.paused:
            return False, None
        held = session.permissions.get(track.track.participant_id, frozenset())
        wants = [
            want
            for want in self._hello.wants.values()
            if _is_of_use(want, track) and _asked(want) <= held
        ]
        if track.track.kind is Kind.AUDIO:
            return bool(wants), None
        return bool(wants), max((want.video_height or 0 for want in wants), default=None)

    # What the host is told.

    def _say(self, message: BaseModel) -> None:
        if self._hello is None and not isinstance(message, Greet):
            return
        line = message.model_dump_json().encode()
        if len(line) < MAX_LINE_BYTES:
            self.way.say(line)
        else:
            self.refused["long_for_host"] += 1

    def _say_started(self, session: _Session, track: TappedTrack, number: int) -> None:
        about = track.track
        self._say(
            TrackStarted(
                session_id=session.session_id,
                room_id=session.room_id,
                participant_id=about.participant_id,
                role=track.role,
                track_id=about.track_id,
                kind=about.kind.value,
                source=about.source.value,
                codec=track.codec,
                clock_rate_hz=track.clock_rate_hz,
                tap=number,
                at_us=session.now_us,
            )
        )
        if about.track_id in session.muted:
            data = {"track_id": about.track_id, "source": about.source.value}
            self.say_mark(session, "track.muted", about.participant_id, data)

    def _say_consents(self, session: _Session, participant_id: str) -> None:
        held = session.permissions.get(participant_id, frozenset())
        self._say(
            Consents(
                session_id=session.session_id,
                participant_id=participant_id,
                permissions=frozenset(one.value for one in held),
            )
        )

    def _say_photo(self, session: _Session, participant_id: str, photo: bytes) -> None:
        session_id = session.session_id
        self._say(IdPhoto(session_id=session_id, participant_id=participant_id, data=photo))

    def _say_all_consents(self, session: _Session) -> None:
        for participant_id in session.permissions:
            self._say_consents(session, participant_id)

    def _say_all(self) -> None:
        """Tells a host that has just come what is under way."""
        for session in self._sessions.values():
            for participant_id, data in session.people.items():
                self.say_mark(session, "participant.joined", participant_id, data)
            self._say_all_consents(session)
            for participant_id, photo in session.photos.items():
                self._say_photo(session, participant_id, photo)
            if session.node is not None:
                self._say(session.node)
            self.fit(session)

    # What the host says.

    def _came(self) -> None:
        self._say(Greet())

    def _gone(self) -> None:
        if self._hello is None:
            return
        self._hello = None
        self.latest = None
        self._sink.host(None)
        for session in self._sessions.values():
            for track_id in list(session.open):
                self.untap(session, track_id)
            self._begin_unknown(session)

    def _heard(self, line: bytes) -> None:
        try:
            message = from_host(line)
        except ValidationError:
            self.refused["malformed"] += 1
            if not self._malformed.allows(self.clock_ns()):
                self._end_host("malformed")
            return
        try:
            self._take(message)
        except Exception:  # noqa: BLE001 - whatever it is, it is counted
            # A line that passed must not end the way to the host.
            self.refused["failed"] += 1
            _LOG.exception("a line of the host can't be taken")

    def _end_host(self, reason: str) -> None:
        _LOG.warning("the host of detectors misbehaves", extra={"reason": reason})
        self.way.end()

    def _take(self, message: FromHost) -> None:
        match message:
            case Hello():
                if self._hellos.allows(self.clock_ns()):
                    self._take_hello(self._checked(message))
                else:
                    self.refused["too_often"] += 1
                    self._end_host("hello")
            case KeyframeWanted(tap=tap):
                self._refresh(tap)
            case Status():
                self.latest = message
                self.totals.add(message)
                self._sink.status(message)
            case Found() | Said() | Unknown():
                self._take_finding(message)
            case IdPhotoDone():
                self._take_photo_done(message)

    def _take_photo_done(self, message: IdPhotoDone) -> None:
        session = self._sessions.get(message.session_id)
        if session is not None and session.photos.pop(message.participant_id, None) is not None:
            about = message.session_id, message.participant_id
            self.photo_done(*about, is_readable=message.is_readable)

    def _refresh(self, tap: int) -> None:
        session, track_id = self._taps.get(tap, (None, ""))
        if session is None or session.taps is None:
            return
        if self._keyframes.setdefault(tap, Rate(1)).allows(self.clock_ns()):
            session.taps.refresh(track_id)
        else:
            self.refused["too_often"] += 1

    def _checked(self, hello: Hello) -> Hello:
        """What a host may have of what it wants: nothing for strangers, nothing without consent."""
        wants = {}
        for name, want in hello.wants.items():
            own = frozenset(one.value for one in self._permissions.get(name, frozenset()))
            if name in self.detectors:
                wants[name] = want.model_copy(update={"permissions": want.permissions | own})
        there = {name: v for name, v in hello.detectors.items() if name in self.detectors}
        return hello.model_copy(update={"detectors": there, "wants": wants})

    def _take_finding(self, message: Found | Said | Unknown) -> None:
        if message.detector not in self.detectors:
            self.refused["unknown_detector"] += 1
        elif message.end_us < message.start_us or _is_named_as_ours(message):
            self.refused["malformed"] += 1
        elif not self._is_of_anybody(message):
            self.refused["unknown_participant"] += 1
        else:
            # Sessions that are over are the sink's business: a last word may come late.
            match message:
                case Found():
                    self._sink.found(message)
                case Said():
                    self._sink.said(message)
                case Unknown():
                    self._sink.unknown(message)
                    if not message.participant_id and not message.track_id:
                        self._leave_to_host(message.session_id, message.detector)

    def _is_of_anybody(self, message: Found | Said | Unknown) -> bool:
        """Whether it is about somebody who is or was in the session, or about nobody."""
        session = self._sessions.get(message.session_id)
        return session is None or message.participant_id in {"", *session.known}

    def _take_hello(self, hello: Hello) -> None:
        before, self._hello = self._hello, hello
        self._sink.host(hello)
        if before is None or before.run != hello.run:
            self.totals.renew()
            self._say_all()
        else:
            for session in self._sessions.values():
                self.fit(session)
        for session_id, detector in list(self._unknown):
            if detector in hello.detectors:
                self._leave_to_host(session_id, detector)

    # Times without a host.

    def _leave_to_host(self, session_id: str, detector: str) -> None:
        """A detector is there, or the host itself says that it isn't."""
        session = self._sessions.get(session_id)
        is_open = session is not None and (session_id, detector) in self._unknown
        if is_open and session is not None and not session.is_refused:
            self._end_unknown((session_id, detector), session)

    def _begin_unknown(self, session: _Session) -> None:
        there = set() if self._hello is None or session.is_refused else set(self._hello.detectors)
        cause = UnknownCause.NO_MEDIA if session.is_refused else UnknownCause.NO_HOST
        for detector in sorted(self.detectors - there):
            place = session.session_id, detector
            if place in self._unknown:
                continue
            now_us = session.now_us
            unknown = self._unknown[place] = Unknown(
                finding_id=f"{NO_HOST_PREFIX}{secrets.token_hex(8)}",
                session_id=session.session_id,
                detector=detector,
                cause=cause,
                start_us=now_us,
                end_us=now_us,
                is_open=True,
            )
            self._sink.unknown(unknown)

    def _end_unknown(self, place: tuple[str, str], session: _Session) -> None:
        unknown = self._unknown.pop(place)
        end_us = max(unknown.start_us, session.now_us)
        self._sink.unknown(unknown.model_copy(update={"end_us": end_us, "is_open": False}))


def _is_named_as_ours(message: Found | Said | Unknown) -> bool:
    """Times without a host are the server's own word; no host may say, or end, one."""
    return not isinstance(message, Said) and message.finding_id.startswith(NO_HOST_PREFIX)


def _asked(want: Wants) -> frozenset[str]:
    return want.permissions - {Permission.PICTURE.value}


def _is_of_use(want: Wants, track: TappedTrack) -> bool:
    if want.roles and track.role not in want.roles:
        return False
    if track.track.kind is Kind.VIDEO:
        return want.video_height is not None and track.track.source.value in want.video_sources
    return track.track.source.value in want.audio_sources
