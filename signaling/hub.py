"""All participations of a process: who joins, comes back, leaves, and when.

Does no I/O and reads no clock: the server hands in text and time, takes frames, and calls
:meth:`Hub.handle_timeout` at :attr:`Hub.next_timeout`.
"""

import logging
import math
import secrets
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from sfu.errors import SfuError
from sfu.model import MediaState
from signaling.admission import Admission
from signaling.advice import AudioAdvice
from signaling.announcer import Announcer
from signaling.auth import TokenVerifier
from signaling.clock import Deadlines, Instant
from signaling.config import SignalingConfig
from signaling.connection import Connection, Remote
from signaling.consents import Consents
from signaling.deadlines import Due, DueKey
from signaling.errors import ErrorCode, RefusedError, UnauthorizedError
from signaling.findings import Findings
from signaling.http_member import HttpMember
from signaling.ice import IceServers
from signaling.member import Member
from signaling.messages import (
    ConsentGive,
    ConsentWithdraw,
    DeviceKey,
    DigestBatch,
    FindingAcknowledge,
    Join,
    Leave,
    Request,
    Resume,
)
from signaling.muting import MuteQuestion, MuteQuestions
from signaling.notices import Draining, LeftReason, MuteResult, Ok, ServerData
from signaling.quality import QualityNotices
from signaling.recording import Recordings
from signaling.requests import Requests
from signaling.resume import ResumeTokens
from signaling.roster import Roster
from signaling.stats import Stats
from signaling.whip import HttpSessions

if TYPE_CHECKING:
    from sfu import Sfu, SfuListener

__all__ = ["Hub"]

log = logging.getLogger(__name__)

_QUALITY_GRID_S = 0.1

_FAREWELLS = {
    LeftReason.TIMEOUT: (ErrorCode.TIMEOUT, "the resume window is over"),
    LeftReason.EXPIRED: (ErrorCode.TOKEN_EXPIRED, "the token of this participation expired"),
    LeftReason.ROOM_CLOSED: (ErrorCode.ROOM_CLOSED, "the room was closed"),
    LeftReason.REMOVED: (ErrorCode.FORBIDDEN, "removed from the room"),
    LeftReason.LEFT: (ErrorCode.ROOM_CLOSED, "the participation ended"),
}


def _random_id() -> str:
    return secrets.token_hex(6)


class Hub:
    """Signaling between any number of connections and one :class:`sfu.Sfu`.

    Attributes:
        http: those who take part without a connection.
        quality: what rooms were told of the quality of connections.
        recordings: which rooms are recorded.
        consents: what participants allow.
        findings: what RMs are told of detectors.

    Args:
        config: limits, windows, rules.
        verifier: decides whose tokens are good.
        make_sfu: makes the media scope that reports to the given listener.
        on_timer: called when :attr:`next_timeout` moved to an earlier time.
        make_id: source of fresh identifiers for messages and requests.

    Raises:
        KeyMaterialError: the secret shared with the TURN server can't be read.
    """

    def __init__(
        self,
        config: SignalingConfig,
        verifier: TokenVerifier,
        make_sfu: "Callable[[SfuListener], Sfu]",
        *,
        on_timer: Callable[[], None] = lambda: None,
        make_id: Callable[[], str] = _random_id,
    ) -> None:
        self.config = config
        self.verifier = verifier
        self.stats = Stats()
        self.roster = Roster()
        self.on_timer = on_timer
        self._deadlines: Deadlines[DueKey] = Deadlines(self._timer_moved)
        self._questions = MuteQuestions(make_id)
        self._advice = AudioAdvice(self._deadlines)
        self.quality = QualityNotices(self.roster, config.quality_interval_s)
        self.recordings = Recordings(self.roster)
        self.consents = Consents(self.roster)
        self.findings = Findings(self.roster)
        self._announcer = Announcer(
            self.roster,
            on_left=self._member_left,
            on_track_gone=self._track_gone,
            on_media=self._media_changed,
            advice=self._advice,
        )
        self.sfu = make_sfu(self._announcer)
        self._requests = Requests(
            config,
            self.roster,
            self._questions,
            self._deadlines,
            self.stats,
            make_id,
        )
        self._tokens: ResumeTokens[Member] = ResumeTokens()
        self._admission = Admission(
            config,
            verifier,
            self.sfu,
            self.roster,
            self._tokens,
            self._deadlines,
            self.stats,
            self._announcer,
            self.dismiss,
            self._questions,
            IceServers(config.ice),
            self.recordings,
            self.consents,
            self.findings,
        )
        self._awaiting: set[Connection] = set()
        self.http = HttpSessions(
            config,
            verifier,
            self.sfu,
            self.roster,
            self._deadlines,
            self.stats,
            self._admission,
            self._announcer,
        )

    def _timer_moved(self) -> None:
        self.on_timer()

    # Facts.

    @property
    def next_timeout(self) -> float | None:
        """When :meth:`handle_timeout` is due, steady clock."""
        return self._deadlines.next()

    @property
    def is_draining(self) -> bool:
        """Newcomers are refused."""
        return self._admission.draining

    @property
    def is_idle(self) -> bool:
        """Nobody takes part."""
        return len(self.roster) == 0

    @property
    def outbox_bytes(self) -> int:
        """Unacknowledged bytes of all members."""
        return sum(member.outbox.bytes for member in self.roster)

    def describe(self) -> list[dict[str, Any]]:
        """Rooms and members for an administrator; no names."""
        return [
            {
                "room_id": room_id,
                "participants": [_describe(member) for member in self.roster.in_room(room_id)],
            }
            for room_id in list(self.roster.rooms)
        ]

    # The server's calls.

    def open(self, remote: Remote, wake: Callable[[], None], now: Instant) -> Connection:
        """A socket was opened; ``wake`` is called when it has to send or to be closed."""
        connection = Connection(self, self.config.limits, self.stats, remote, wake, now)
        return self._opened(connection, now)

    def visit(self, lines: Sequence[str], remote: Remote, now: Instant) -> list[str]:
        """Takes a hello and what follows it at once, without a socket.

        The participation has no socket afterwards, unless it had one: the client opens one.

        Args:
            lines: messages, ``join`` first.
            remote: the other end.
            now: the present time.

        Returns:
            What a socket would have been sent: after a hello that was good, all messages of the
            participation from the first on.
        """
        connection = self._opened(Connection(
            self, self.config.limits, self.stats, remote, lambda: None, now, passing=True
        ), now)  # fmt: skip
        for line in lines:
            connection.receive_text(line, now)
        frames = list(iter(connection.next_frame, None))
        connection.lost(now)
        return frames

    def _opened(self, connection: Connection, now: Instant) -> Connection:
        self._awaiting.add(connection)
        log.info("socket opened", extra=connection.remote.log_extra)
        self._deadlines.set(
            (Due.HELLO, connection), now.steady_s + self.config.limits.hello_timeout_s
        )
        return connection

    def handle_timeout(self, now: Instant) -> None:
        """Does what is due."""
        while (key := self._deadlines.pop_due(now.steady_s)) is not None:
            match key:
                case (Due.HELLO, Connection() as connection):
                    connection.end(ErrorCode.TIMEOUT, "no join or resume in time", now)
                case (Due.OVERDUE, Member() as member):
                    member.overdue = True
                    self._announcer.refresh_reach(member)
                case (Due.WINDOW, Member() as member):
                    self._end_window(member, now)
                case (Due.EXPIRY | Due.SILENCE as due, Member() as member):
                    expired = due is Due.EXPIRY
                    self.dismiss(member, LeftReason.EXPIRED if expired else LeftReason.TIMEOUT)
                case (Due.OVERFLOW, Member() as member):
                    self._end_slow(member, now)
                case (Due.QUESTION, str() as request_id):
                    self._close_question(self._questions.take(request_id), "expired")
                case (Due.QUALITY, str() as room_id):
                    self._send_quality(room_id, now)
                case (Due.MEDIA, HttpMember() as member):
                    self.http.follow_media(member, now)
                case (Due.ADVICE, Member() as member):
                    self._advice.send(member, now)
                case (Due.DRAIN, _):
                    self.end_all(now)

    def drain(self, deadline_s: float, now: Instant) -> None:
        """Refuses newcomers; ends all participations after ``deadline_s`` seconds."""
        self.sfu.refuse_new_rooms()
        self._deadlines.set((Due.DRAIN, None), now.steady_s + deadline_s)
        if not self._admission.draining:
            log.info("draining", extra={"deadline_s": deadline_s, "participants": len(self.roster)})
        self._admission.draining = True
        for member in self.roster:
            member.notify(Draining(deadline_s=deadline_s))

    def end_all(self, now: Instant) -> None:
        """Ends all participations and sockets now, code ``draining``."""
        farewell = (ErrorCode.DRAINING, "the server is shutting down")
        self._admission.draining = True
        for member in self.roster:
            self.dismiss(member, LeftReason.ROOM_CLOSED, farewell)
        for connection in list(self._awaiting):
            connection.end(*farewell, now)

    def dismiss(
        self,
        member: Member,
        reason: LeftReason,
        farewell: tuple[ErrorCode, str] | None = None,
    ) -> None:
        """Ends a participation; ``farewell`` is the ``bye``, by default that of ``reason``."""
        member.farewell = farewell
        member.participant.leave(reason.value)

    # What connections report.

    def hello(self, connection: Connection, message: Join | Resume, now: Instant) -> None:
        """Admits a newcomer or brings somebody back."""
        try:
            self._admission.hello(connection, message, now)
        except RefusedError as refused:
            cause = refused.cause if isinstance(refused, UnauthorizedError) else refused.code.value
            self.stats.hellos_refused[cause] += 1
            log.info("hello refused", extra={"code": refused.code.value, "cause": cause})
            raise
        self._awaiting.discard(connection)

    def request(self, member: Member, message: Request, now: Instant) -> None:
        """Carries out a request, or answers a repeated one as before."""
        if member.repeat_reply(message.id):
            self.stats.repeated += 1
            return
        if isinstance(message, Leave):
            member.reply(message.id, Ok())
            member.leaving = True
            self.dismiss(member, LeftReason.LEFT)
            return
        try:
            reply = self._carry_out(member, message, now)
        except SfuError as error:
            raise RefusedError(ErrorCode(error.code), str(error)) from error
        if reply is not None:
            member.reply(message.id, reply)

    def _carry_out(self, member: Member, message: Request, now: Instant) -> ServerData | None:
        """Returns the reply; ``None``: it follows when what was asked for is on the disk."""
        match message:
            case DigestBatch():
                return self.recordings.accept(member, message.data)
            case DeviceKey():
                self.recordings.take_key(member, message.data)
                return Ok()
            case ConsentGive() | ConsentWithdraw():
                self.consents.accept(member, message, now)
                return None
            case FindingAcknowledge():
                return self.findings.acknowledge(member, message.data.finding_id)
            case _:
                return self._requests.carry_out(member, message, now)

    def follows(self, member: Member) -> None:
        """The client has its newest resume token."""
        self._tokens.confirm(member)

    def gone(self, connection: Connection, now: Instant) -> None:
        """A socket ended; its member is waited for."""
        self._awaiting.discard(connection)
        self._deadlines.cancel((Due.HELLO, connection))
        member = connection.member
        if member is None or member.connection is not connection:
            return
        member.connection = None
        member.alone_since_s, member.media_flowed = now.steady_s, _has_media(member)
        self._deadlines.cancel((Due.OVERFLOW, member))
        self._deadlines.set((Due.WINDOW, member), now.steady_s + self.config.resume_window_s)
        self._deadlines.set((Due.OVERDUE, member), now.steady_s + self.config.reconnecting_after_s)
        log.info("socket lost", extra=member.log_extra)

    # What the announcer reports.

    def _member_left(self, member: Member, reason: LeftReason) -> None:
        self.stats.left[reason.value] += 1
        for due in (
            Due.WINDOW, Due.OVERDUE, Due.EXPIRY, Due.OVERFLOW, Due.MEDIA, Due.SILENCE, Due.ADVICE
        ):  # fmt: skip
            self._deadlines.cancel((due, member))
        if isinstance(member, HttpMember):
            self.http.ended(member, reason)
        self._tokens.revoke(member)
        for question in self._questions.take_all(member=member):
            self._close_question(question, "left")
        if member.room_id not in self.roster.rooms:
            self._deadlines.cancel((Due.QUALITY, member.room_id))
            self.quality.forget(member.room_id)
            self.recordings.forget_room(member.room_id)
            self.consents.forget_room(member.room_id)
        connection, member.connection = member.connection, None
        if connection is None:
            return
        if member.leaving:
            connection.finish()
        else:
            connection.end(*(member.farewell or _FAREWELLS[reason]))

    def _media_changed(self, member: Member, reason: str) -> None:
        if isinstance(member, HttpMember):
            self.http.media_changed(member, reason)

    def _track_gone(self, track_id: str) -> None:
        for question in self._questions.take_all(track_id=track_id):
            self._close_question(question, "left")

    # Deadlines.

    def _close_question(self, question: MuteQuestion | None, reason: Any) -> None:
        if question is None:
            return
        self._deadlines.cancel((Due.QUESTION, question.request_id))
        question.by.notify(
            MuteResult(
                request_id=question.request_id,
                track_id=question.track_id,
                accepted=False,
                reason=reason,
            )
        )

    def _end_window(self, member: Member, now: Instant) -> None:
        """People who hear each other are not parted because one of them has no socket."""
        # Media that ended since the last look leave a whole window.
        flowed, member.media_flowed = member.media_flowed, _has_media(member)
        until_s = member.alone_since_s + self.config.media_window_s
        if not (flowed or member.media_flowed) or now.steady_s >= until_s:
            self.dismiss(member, LeftReason.TIMEOUT)
            return
        again_s = min(until_s, now.steady_s + self.config.resume_window_s)
        self._deadlines.set((Due.WINDOW, member), again_s)

    def _end_slow(self, member: Member, now: Instant) -> None:
        if member.connection is None:
            return
        log.warning("slow consumer", extra=member.log_extra)
        farewell = (ErrorCode.SLOW_CONSUMER, "too much is not acknowledged")
        if member.outbox.acknowledged:
            member.connection.end(*farewell, now)
        else:
            self.dismiss(member, LeftReason.REMOVED, farewell)

    def _send_quality(self, room_id: str, now: Instant) -> None:
        if room_id in self.roster.rooms:
            self.quality.send(room_id, now.steady_s)
            due_s = now.steady_s + self.config.quality_interval_s
            # Rooms that are due at about the same time are looked at together: each look alone
            # would interrupt the media thread, where they share a CPU.
            due_s = math.ceil(due_s / _QUALITY_GRID_S) * _QUALITY_GRID_S
            self._deadlines.set((Due.QUALITY, room_id), due_s)


def _has_media(member: Member) -> bool:
    return member.participant.media is MediaState.CONNECTED


def _describe(member: Member) -> dict[str, Any]:
    report = member.report
    return {
        "participant_id": member.participant_id,
        "role": member.grant.role.value,
        "hidden": member.grant.hidden,
        "signaling": member.signaling,
        "socket": member.connection is not None,
        "connection": member.shown.value,
        "media": member.participant.media.value,
        "tracks": sorted(member.participant.published),
        "outbox_messages": len(member.outbox),
        "outbox_bytes": member.outbox.bytes,
        "latest_seq": member.outbox.latest_seq,
        "quality_report": report.model_dump(mode="json") if report else None,
    }
