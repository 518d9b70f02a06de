"""The host itself: what the server says, who is watched, and what watches say. No sockets in here.

Packets, pictures and sound are the business of :mod:`analytics.host.media`.
"""

import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from analytics.detector import (
    AudioChunk,
    Mark,
    Portrait,
)
from analytics.host.board import Board, Key
from analytics.host.config import HostConfig
from analytics.host.frames import Frames
from analytics.host.ledger import FindingIds, UnknownTimes
from analytics.host.media import Media
from analytics.host.outputs import (
    finding_of,
    found_of,
    heard_of,
    said_of,
    wants_of,
)
from analytics.host.photos import PhotoError, Photos, decoded
from analytics.host.pool import Pool
from analytics.host.session_clock import SessionClocks
from analytics.host.tap import TapFormatError, parse_message
from analytics.host.watches import Watches, Watching
from analytics.host.wire import FrameAt, Loaded, Order, Out, Show, Unwatch, WatchThis
from analytics.link import (
    Consents,
    Greet,
    Hello,
    IdPhoto,
    IdPhotoDone,
    Marked,
    Status,
    ToHost,
    TrackEnded,
    TrackStarted,
    UnknownCause,
    to_host,
)
from analytics.pacing import Pace

__all__ = ["Host"]

log = logging.getLogger(__name__)

_OVERLOADED_TICKS: Final = 3
"""Seconds in a row in which inputs had to go, or none had to."""
_MEDIA_CAUSES: Final = (
    UnknownCause.NO_MEDIA,
    UnknownCause.UNDECODABLE,
    UnknownCause.OVERLOADED,
)
_FOR_PHOTOS: Final = frozenset({"face", "identity"})
"""What somebody allows who may be compared with a photo."""
_Say = Callable[[BaseModel], None]


class Host:
    """Detectors, and what they watch.

    Args:
        say: takes messages for the server.
        clock: seconds; only differences count.
        shares_clock: the server reads the same clock.

    Attributes:
        unsaid: what the way to the server had no room for, as it tells.
    """

    def __init__(
        self,
        config: HostConfig,
        say: _Say,
        *,
        name: str = "host",
        clock: Callable[[], float] = time.monotonic,
        shares_clock: bool = True,
    ) -> None:
        self.config = config
        self.board = Board()
        self.run = secrets.token_hex(4)
        self.unsaid = 0
        self._say = say
        self._name = name
        self._clock = clock
        self._numbers = 0
        self._photos = Photos()
        self._watches = Watches(self.board)
        self._clocks = SessionClocks(clock, is_shared=shares_clock)
        self._frames = Frames(config.frames_mib << 20)
        self.pool = Pool(config, self._frames, self)
        self._media = Media(self.board, self._watches, self._clocks, self._frames, self.pool, say)
        self._unknown = UnknownTimes(self._new_id, say)
        self._seconds: Counter[str] = Counter()
        self._lag_ms: dict[str, float] = {}
        self._down = dict.fromkeys(config.detectors, UnknownCause.NO_HOST)
        self._refused = 0
        self._overload: dict[str, tuple[int, int]] = {}
        """Inputs dropped so far, and for how many ticks that has, or hasn't, grown."""
        self._overloaded: set[str] = set()
        """Detectors that don't get through what they are given."""

    def start(self) -> None:
        """Starts the workers and says hello."""
        self.pool.start()
        self._hello()

    async def stop(self) -> None:
        """Ends the workers."""
        try:
            await self.pool.stop()
        finally:
            self._frames.close()

    # What the server says.

    def take_line(self, line: bytes) -> None:
        """Takes a line of the server; one that is no message is counted."""
        try:
            message = to_host(line)
        except ValidationError:
            self._refused += 1
            return
        try:
            self.take(message)
        except Exception:
            # A withdrawal that isn't carried out must not be passed over.
            if isinstance(message, Consents):
                raise
            self._refused += 1
            log.exception("a line of the server can't be taken")

    def take(self, message: ToHost) -> None:
        """Takes what the server says."""
        match message:
            case Greet():
                for session_id in self.board.sessions:
                    self._end_session(session_id, self._clocks.now_us(session_id))
                self._clocks.end_all()
                self._hello()
            case TrackStarted():
                self._track_started(message)
            case TrackEnded(track_id=track_id, at_us=at_us):
                self._track_ended(track_id, at_us)
            case Consents():
                self._consents(message)
            case Marked():
                self._marked(message)
            case IdPhoto():
                self._id_photo(message)

    def take_tap(self, message: bytes) -> None:
        """Takes a message of the tap; one that is none is counted."""
        try:
            packets = parse_message(message)
        except TapFormatError:
            self._refused += 1
            return
        self._media.take(packets)

    def tick(self) -> Status:
        """Once a second: looks what is overloaded, and says how all this is."""
        self._look_at_detectors()
        self._forget_lags()
        if not self._watches:
            self.pool.rest()
        self._media.tick()
        self._look_at_media()
        return self.status()

    def _look_at_detectors(self) -> None:
        dropped = self.pool.dropped()
        for name in self.board.detectors:
            reasons = dropped.get(name, Counter())
            count = reasons["queue_full"] + reasons["no_memory"] + self._media.no_memory[name]
            before, ticks = self._overload.get(name, (0, 0))
            ticks = (max(ticks, 0) + 1) if count > before else (min(ticks, 0) - 1)
            self._overload[name] = count, ticks
            if ticks == _OVERLOADED_TICKS:
                self._overloaded.add(name)
            elif ticks == -_OVERLOADED_TICKS:
                self._overloaded.discard(name)

    def _forget_lags(self) -> None:
        """Who watches nobody is not late."""
        busy = {watching.key.detector for _, watching in self._watches}
        self._lag_ms = {name: lag_ms for name, lag_ms in self._lag_ms.items() if name in busy}

    def _look_at_media(self) -> None:
        troubles = self._media.troubles()
        for key, number in self._watches.by_key:
            if key.detector in self._overloaded:
                done_us = self._watches[number].done_us
                troubles.setdefault(key, (UnknownCause.OVERLOADED, done_us))
            cause, since_us = troubles.get(key, (None, 0))
            causes = [one for one in _MEDIA_CAUSES if one is not cause]
            self._unknown.end(key, self._clocks.now_us(key.session_id), *causes)
            if cause is not None:
                self._unknown.begin(key, cause, since_us)

    def status(self) -> Status:
        """How all this is."""
        names = list(self.config.detectors)
        dropped = {name: dict(reasons) for name, reasons in self.pool.dropped().items()}
        for name, count in self._media.no_memory.items():
            reasons = dropped.setdefault(name, {})
            reasons["no_memory"] = reasons.get("no_memory", 0) + count
        return Status(
            seconds={name: round(value, 6) for name, value in self._seconds.items()},
            restarts={name: self.pool.restarts[name] for name in names},
            dropped=dropped,
            queue_depth={name: self.pool.depth(name) for name in names},
            lag_ms=dict(self._lag_ms),
            decode_seconds=round(self._media.decode_s, 6),
            refused=self._refused + self._media.failed,
            shed_tracks=self._media.shed_tracks,
            shed_packets=self._media.shed_packets,
            unsaid=self.unsaid,
        )

    # What workers say.

    def loaded(self, detector: str, loaded: Loaded) -> None:
        """A detector can be given watches."""
        self.board.detectors[detector] = loaded
        self._down.pop(detector, None)
        for session_id in self.board.sessions:
            # Nothing was known of what it watches.
            self._unknown.end(Key(detector, session_id), self._clocks.now_us(session_id))
            self._settle(session_id)
        self._media.fit_all()
        self._hello()

    def down(self, detector: str, cause: UnknownCause) -> None:
        """A detector is gone, with all that its watches knew."""
        self._down[detector] = cause
        for session_id in self.board.sessions:
            # It still loaded; now it is known why nobody watches.
            whole = Key(detector, session_id)
            self._unknown.end(whole, self._clocks.now_us(session_id), UnknownCause.NO_HOST)
        for number, watching in self._watches:
            key = watching.key
            if key.detector != detector:
                continue
            self._forget(number)
            if self._watches.by_key.get(key) == number:
                self._watches.by_key.drop(key)
                self._unknown.begin(key, cause, watching.done_us)
        for session_id in self.board.sessions:
            self._settle(session_id)

    def _forget(self, number: int) -> None:
        """A watch says nothing more; what it left open is over."""
        watching = self._watches.forget(number)
        if watching is not None:
            for found in watching.ids.close_all():
                self._say(found)

    def out(self, out: Out) -> str | None:
        """A watch said something; what can't be is refused, and its detector's fault."""
        watching = self._watches.get(out.watch)
        if watching is None:
            return None  # it was withdrawn meanwhile
        if watching.is_flooding(self._clock()):
            log.warning("a watch floods", extra={"detector": watching.key.detector})
            return watching.key.detector
        try:
            match out.kind:
                case "finding":
                    self._found(watching, out.data)
                case "said":
                    self._said(watching, out.data)
                case "heard":
                    self._heard(watching, out.data)
        except (ArithmeticError, LookupError, TypeError, ValueError):
            return watching.key.detector
        return None

    def done(self, orders: list[Order], seconds: dict[str, float]) -> None:
        """A batch was done."""
        self._seconds.update(seconds)
        for order in orders:
            if isinstance(order, Unwatch):
                self._forget(order.watch)
            elif isinstance(order, tuple):
                item, numbers = order
                if not isinstance(item, FrameAt | AudioChunk):
                    continue
                names = set()
                for number in numbers:
                    if (watching := self._watches.get(number)) is not None:
                        watching.done_us = max(watching.done_us, item.pts_us)
                        names.add((watching.key.detector, watching.key.session_id))
                for name, session_id in names:
                    lag_us = self._clocks.now_us(session_id) - item.pts_us
                    self._lag_ms[name] = max(0.0, round(lag_us / 1e3, 1))

    # People, tracks and watches.

    def _track_started(self, message: TrackStarted) -> None:
        self._media.start(message)
        self._clocks.note(message.session_id, message.at_us)
        person = self.board.person(message.session_id, message.participant_id)
        is_news, person.role = person.role != message.role, message.role
        if is_news:
            # Nobody told which part he plays; watches that are there have to know.
            who, data = message.participant_id, {"role": message.role}
            mark = Mark("participant.joined", message.at_us, who, data)
            self._give(mark, message.session_id, who, "marks")
        self._settle(message.session_id)
        self._media.fit([message.track_id])

    def _consents(self, message: Consents) -> None:
        session_id, who = message.session_id, message.participant_id
        person = self.board.person(session_id, who)
        before = {name for name in self.board.detectors if self.board.may(name, session_id, who)}
        person.permissions = frozenset(message.permissions)
        lost = {name for name in before if not self.board.may(name, session_id, who)}
        for key, number in self._watches.by_key.of(session_id):
            # Also what is of the whole session: it has seen this person, and begins anew.
            if key.participant_id in ("", who) and key.detector in lost:
                self._watches.by_key.drop(key)
                self._forget(number)
                self.pool.withdraw(key.detector, number)
        if not person.permissions >= _FOR_PHOTOS:
            self._photos.drop(session_id, who)
        if lost:
            self.pool.forget(self._is_allowed)
        self._settle(session_id)
        self._media.fit(self.board.session(session_id).tracks)

    def _track_ended(self, track_id: str, at_us: int) -> None:
        if track_id not in self._media:
            return
        started = self._media[track_id].started
        session_id = started.session_id
        self._clocks.note(session_id, at_us)
        self._media.flush(track_id, at_us)
        of_all = [Key(name, session_id) for name in self._media.feeding(started)]
        self._media.drop(track_id)
        for key in of_all:
            # Whose media end leaves nothing behind: no face, no voice.
            number = self._watches.by_key.drop(key)
            if number is not None:
                self._unwatch(key, number, at_us)
        self._settle(session_id)

    def _marked(self, message: Marked) -> None:
        session_id = message.session_id
        self._clocks.note(session_id, message.at_us)
        if message.kind == "session.ended":
            self._end_session(session_id, message.at_us)
            return
        if message.kind == "participant.joined":
            person = self.board.person(session_id, message.participant_id)
            person.role = str(message.data.get("role", person.role))
        mark = Mark(message.kind, message.at_us, message.participant_id, message.data)
        if message.kind == "participant.joined":
            self._settle(session_id)
        if message.kind == "node.started":
            self.board.session(session_id).node = mark
        elif message.kind == "node.ended":
            self.board.session(session_id).node = None
        self._give(mark, session_id, message.participant_id, "marks")
        if message.kind == "participant.left":
            self.board.leave(session_id, message.participant_id)
            self._settle(session_id)
        if message.kind in {"track.muted", "track.unmuted"}:
            track_id, muted = str(message.data.get("track_id", "")), message.kind == "track.muted"
            self._media.mute(track_id, message.at_us, muted=muted)

    def _id_photo(self, message: IdPhoto) -> None:
        """Somebody's document was photographed: watches that need it are given the photo."""
        session_id, who = message.session_id, message.participant_id
        if not self.board.person(session_id, who).permissions >= _FOR_PHOTOS:
            self._refused += 1
            return
        self._photos.drop(session_id, who)
        if not message.data:
            return
        try:
            self._photos.put(session_id, who, decoded(message.data))
        except PhotoError:
            self._say(IdPhotoDone(session_id=session_id, participant_id=who, is_readable=False))
            return
        for key, number in self._watches.by_key.of(session_id):
            photo = self._photo_for(key) if key.participant_id == who else None
            if photo is not None:
                self.pool.order(key.detector, Show(number, Portrait(who, photo)))

    def _photo_for(self, key: Key) -> NDArray[np.uint8] | None:
        """The photo of whom a watch is about, if it needs one."""
        loaded = self.board.detectors[key.detector]
        is_meant = bool(loaded.needs.id_photo) and "identity" in loaded.permissions
        return self._photos.get(key.session_id, key.participant_id) if is_meant else None

    def _end_session(self, session_id: str, at_us: int) -> None:
        for track_id in list(self.board.session(session_id).tracks):
            self._track_ended(track_id, at_us)
        self.board.end_session(session_id)
        self._photos.end_session(session_id)
        self._settle(session_id)
        for key in self._unknown.keys(session_id):
            self._unknown.end(key, at_us)
        self._clocks.end(session_id)

    def _settle(self, session_id: str) -> None:
        """Begins and ends watches as things are now."""
        wanted = self.board.wanted(session_id)
        present = dict(self._watches.by_key.of(session_id))
        now_us = self._clocks.now_us(session_id)
        for key in present.keys() - wanted:
            self._watches.by_key.drop(key)
            self._unwatch(key, present[key], now_us)
        for key in wanted - present.keys():
            if key.detector in self._down:
                self._unknown.begin(key, self._down[key.detector], now_us)
                continue
            self._unknown.end(key, now_us)
            self._begin(key)
        forbidden = self.board.forbidden(session_id)
        unloaded = {
            Key(name, session_id): cause
            for name, cause in self._down.items()
            if name not in self.board.detectors and session_id in self.board
        }
        for key, cause in unloaded.items():
            self._unknown.begin(key, cause, now_us)
        for key in self._unknown.keys(session_id) - forbidden - wanted - unloaded.keys():
            self._unknown.end(key, now_us)
        for key in forbidden:
            self._unknown.begin(key, UnknownCause.NO_CONSENT, now_us)

    def _unwatch(self, key: Key, number: int, at_us: int) -> None:
        """Ends a watch; its last words are still heard."""
        if not self.pool.order(key.detector, Unwatch(number, at_us)):
            self._forget(number)

    def _begin(self, key: Key) -> None:
        self._numbers += 1
        number = self._numbers
        now_us = self._clocks.now_us(key.session_id)
        pace = Pace(self.board.detectors[key.detector].needs.video)
        watching = Watching(key, FindingIds(self._new_id), pace, done_us=now_us)
        self._watches.begin(number, watching)
        subject = self.board.subject(key, self._photo_for(key))
        self.pool.order(key.detector, WatchThis(number, key.detector, subject))
        node = self.board.session(key.session_id).node
        is_meant = node is not None and key.participant_id in ("", node.participant_id)
        is_for_all = node is not None and not node.participant_id
        if self.board.detectors[key.detector].needs.marks and (is_meant or is_for_all):
            # It runs already, and was said before this watch began.
            self.pool.put(node, {key.detector: [number]})

    def _is_allowed(self, item: Any, number: int) -> bool:
        watching = self._watches.get(number)
        if watching is None or watching.key not in self._watches.by_key:
            return False
        who = getattr(item, "participant_id", "")
        key = watching.key
        return not who or self.board.may(key.detector, key.session_id, who)

    # What watches say.

    def _found(self, watching: Watching, data: dict[str, Any]) -> None:
        key, loaded = watching.key, self.board.detectors[watching.key.detector]
        name = watching.ids.name(str(data.get("kind", "")), int(data["start_us"]))
        found = found_of(key, loaded, name, data)
        surplus = watching.ids.note(found)
        if surplus is not None:
            self._say(surplus)
        self._say(found)
        is_of_photo = found.kind in loaded.needs.id_photo
        if is_of_photo and self._photos.drop(key.session_id, key.participant_id):
            self._say(IdPhotoDone(session_id=key.session_id, participant_id=key.participant_id))
        self._give(finding_of(found), key.session_id, found.participant_id, found.kind)

    def _said(self, watching: Watching, data: dict[str, Any]) -> None:
        key = watching.key
        said, utterance = said_of(key, self.board.detectors[key.detector], data)
        self._say(said)
        self._give(utterance, key.session_id, said.participant_id, "words")

    def _heard(self, watching: Watching, data: dict[str, Any]) -> None:
        heard = heard_of(data)
        self._give(heard, watching.key.session_id, heard.participant_id, "words")

    def _give(self, item: Any, session_id: str, participant_id: str, what: str) -> None:
        """Gives an input that is no media to all watches that need it."""
        due: dict[str, list[int]] = {}
        for key, number in self._watches.by_key.of(session_id):
            needs = self.board.detectors[key.detector].needs
            is_needed = {"words": needs.words, "marks": needs.marks}.get(
                what, what in needs.findings
            )
            is_meant = not key.participant_id or key.participant_id == participant_id
            is_for_all = what == "marks" and not participant_id
            if is_needed and (is_meant or is_for_all) and self._is_allowed_to(key, item, what):
                due.setdefault(key.detector, []).append(number)
        if due:
            self.pool.put(item, due)
        if what == "marks":
            numbers = [number for found in due.values() for number in found]
            if sum(self._watches[number].pace.note(item) for number in numbers):
                self._media.burst(session_id)

    def _is_allowed_to(self, key: Key, item: Any, what: str) -> bool:
        who = item.participant_id
        return what == "marks" or not who or self.board.may(key.detector, key.session_id, who)

    # Time and names.

    def _new_id(self) -> str:
        self._numbers += 1
        return f"{self.run}-{self._numbers}"

    def _hello(self) -> None:
        loaded = self.board.detectors
        self._say(
            Hello(
                host=self._name,
                run=self.run,
                detectors={name: item.version for name, item in loaded.items()},
                wants={name: wants_of(item) for name, item in loaded.items()},
            )
        )
