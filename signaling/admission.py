"""The hello: joining, taking over, resuming."""

import logging
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from sfu.errors import SfuError
from signaling.announcer import Announcer
from signaling.auth import Identity, TokenVerifier
from signaling.clock import Allowance, Deadlines, Instant
from signaling.config import SignalingConfig
from signaling.connection import Connection
from signaling.consents import Consents
from signaling.deadlines import Due, DueKey
from signaling.errors import ErrorCode, RefusedError
from signaling.findings import Findings
from signaling.http_member import HttpMember
from signaling.ice import IceServers
from signaling.member import Member, track_info
from signaling.messages import Join, JoinData, Resume
from signaling.muting import MuteQuestions
from signaling.notices import (
    ANALYTICS,
    FEATURES,
    RECORDING,
    Draining,
    GrantInfo,
    Joined,
    LeftReason,
    LimitsInfo,
    LineCounts,
    MuteAsked,
    Resumed,
    TrackInfo,
    rfc3339,
)
from signaling.recording import Recordings
from signaling.resume import ResumeTokens
from signaling.roster import Roster
from signaling.stats import Stats

if TYPE_CHECKING:
    from sfu import Sfu

__all__ = ["Admission"]

log = logging.getLogger(__name__)

_RETRY_FULL_S = 5.0
_KEPT_ALLOWANCES = 4_096
"""Participants whose allowance is remembered after they left; the oldest is forgotten."""
_KEPT_HELLOS = 16_384
"""The oldest is forgotten: one that comes later still is taken for a new one."""
_SUPERSEDED = (ErrorCode.RESUME_SUPERSEDED, "another socket took this participation over")


@dataclass(slots=True)
class Admission:
    """Decides about hellos and attaches connections to members.

    Attributes:
        dismiss: ends a participation, with a farewell.
        draining: newcomers are refused.
    """

    config: SignalingConfig
    verifier: TokenVerifier
    sfu: "Sfu"
    roster: Roster
    tokens: ResumeTokens[Member]
    deadlines: Deadlines[DueKey]
    stats: Stats
    announcer: Announcer
    dismiss: Callable[[Member, LeftReason, tuple[ErrorCode, str]], None]
    questions: MuteQuestions
    ice_servers: IceServers
    recordings: Recordings
    consents: Consents
    findings: Findings
    draining: bool = field(default=False)
    _allowances: OrderedDict[tuple[str, str], Allowance] = field(default_factory=OrderedDict)
    _heard: OrderedDict[tuple[str, str, str], None] = field(default_factory=OrderedDict)
    """Hellos that began or took over something: room, participant, id."""

    def hello(self, connection: Connection, message: Join | Resume, now: Instant) -> None:
        """Lets in or refuses.

        Raises:
            RefusedError: not let in; the connection may try again.
        """
        if isinstance(message, Resume):
            self._resume(connection, message, now)
            return
        identity = self.verifier.verify(
            message.data.token, now_unix_s=now.unix_s, local=connection.remote.local
        )
        present = self.roster.get(identity.room_id, identity.participant_id)
        resumable = present is not None and not isinstance(present, HttpMember)
        again = present is not None and resumable and _same_rights(present, identity, message.data)
        if present is not None and again and _is_its_hello(present, message):
            self._repeat(present, connection)
            return
        hello = (identity.room_id, identity.participant_id, message.id)
        if connection.passing and hello in self._heard:
            # Late, on a way that was given up: what it was said for goes on, or is over.
            raise RefusedError(ErrorCode.ALREADY_JOINED, "this hello was answered before")
        if present is not None and again:
            self._take_over(present, connection, message, identity, now)
        else:
            self._join(present, connection, message, identity, now)
        self._heard[hello] = None
        if len(self._heard) > _KEPT_HELLOS:
            self._heard.popitem(last=False)

    def _repeat(self, member: Member, connection: Connection) -> None:
        """The same hello by another way: all that was said since then is said there."""
        self.stats.joins["repeated"] += 1
        if connection.passing:
            connection.attach(member, after_seq=0)
            self._hand_on_allowance(member, connection)
        else:
            self._attach(member, connection, after_seq=0)
            self.announcer.remind_advice(member)

    def _join(
        self,
        present: Member | None,
        connection: Connection,
        message: Join,
        identity: Identity,
        now: Instant,
    ) -> None:
        if self.draining:
            # Before anything ends: who is in stays as they are.
            raise RefusedError(ErrorCode.DRAINING, "the server is shutting down")
        if present is not None:
            self.dismiss(present, LeftReason.REMOVED, _SUPERSEDED)
        member = self._admit(identity, auto_subscribe=message.data.auto_subscribe)
        self.roster.add(member)
        self.stats.joins["new"] += 1
        self._begin(member, connection, message, now)

    def _admit(self, identity: Identity, *, auto_subscribe: bool) -> Member:
        try:
            room = self.sfu.open_room(identity.room_id)
            participant = room.admit(
                identity.participant_id,
                identity.grant,
                name=identity.name,
                auto_subscribe=auto_subscribe,
            )
        except SfuError as error:
            code = ErrorCode(error.code)
            retry_s = _RETRY_FULL_S if code is ErrorCode.SERVER_FULL else None
            raise RefusedError(code, str(error), retry_after_s=retry_s) from error
        return Member(
            identity,
            participant,
            limits=self.config.limits,
            stats=self.stats,
            auto_subscribe=auto_subscribe,
            on_overflow=self._overflowed,
        )

    def _take_over(
        self,
        member: Member,
        connection: Connection,
        message: Join,
        identity: Identity,
        now: Instant,
    ) -> None:
        member.identity = identity
        member.start_over()
        self.stats.joins["takeover"] += 1
        log.info("participant taken over", extra=member.log_extra)
        self._begin(member, connection, message, now)

    def _begin(self, member: Member, connection: Connection, message: Join, now: Instant) -> None:
        self._attach(member, connection, after_seq=0)
        self.set_deadlines(member, now)
        token = self.tokens.issue(member)
        member.welcome(message.id, Joined(**self._state(member, token, now)))
        self._remind(member, now)

    def set_deadlines(self, member: Member, now: Instant) -> None:
        """What is due for a member that just came: the end of its grant, and news of its room."""
        expires_in_s = member.grant.expires_at - now.unix_s + self.config.auth.clock_skew_s
        self.deadlines.set((Due.EXPIRY, member), now.steady_s + expires_in_s)
        quality: DueKey = (Due.QUALITY, member.room_id)
        if quality not in self.deadlines:
            self.deadlines.set(quality, now.steady_s + self.config.quality_interval_s)

    def _resume(self, connection: Connection, message: Resume, now: Instant) -> None:
        used, last_seq = message.data.resume_token, message.data.last_seq
        member = self.tokens.find(used)
        if member is None:
            self.stats.resumes["unknown"] += 1
            raise RefusedError(ErrorCode.RESUME_UNKNOWN, "no such resume token")
        replay = last_seq is not None and member.outbox.covers(last_seq)
        if last_seq is not None and replay:
            member.outbox.acknowledge(last_seq)
        else:
            member.outbox.discard()
        if last_seq is None:
            member.forget_replies()
        self._attach(member, connection, after_seq=member.outbox.base_seq)
        self.stats.resumes["replay" if replay else "snapshot"] += 1
        log.info("participant resumed", extra={**member.log_extra, "replay": replay})
        state = self._state(member, self.tokens.rotate(member, used), now)
        resumed = Resumed(**state, replay=replay, latest_seq=member.outbox.latest_seq)
        connection.send_now(resumed, re=message.id)
        self.announcer.remind_advice(member)
        if not replay:
            self._remind(member, now)

    def _hand_on_allowance(self, member: Member, connection: Connection) -> None:
        """A new socket brings no new burst: else reconnecting would get around every rate."""
        key = (member.room_id, member.participant_id)
        connection.allowance = self._allowances.setdefault(key, connection.allowance)
        self._allowances.move_to_end(key)
        if len(self._allowances) > _KEPT_ALLOWANCES:
            self._allowances.popitem(last=False)

    def _attach(self, member: Member, connection: Connection, *, after_seq: int) -> None:
        old = member.connection
        connection.attach(member, after_seq=after_seq)
        self._hand_on_allowance(member, connection)
        log.info("socket joined", extra={**member.log_extra, **connection.remote.log_extra})
        member.connection = connection
        member.overdue = False
        member.overflowed = False
        member.outbox.expect_acknowledgement()
        self.deadlines.cancel((Due.HELLO, connection))
        for due in (Due.WINDOW, Due.OVERDUE, Due.OVERFLOW):
            self.deadlines.cancel((due, member))
        if old is not None:
            old.end(*_SUPERSEDED)
        self.announcer.refresh_reach(member)

    def _overflowed(self, member: Member) -> None:
        # Not at once: this may be in the middle of telling a whole room something.
        self.deadlines.set((Due.OVERFLOW, member), 0.0)

    def _remind(self, member: Member, now: Instant) -> None:
        """Says again what is still open and not part of the state."""
        for question in self.questions.of_owner(member):
            due_s = self.deadlines.at((Due.QUESTION, question.request_id))
            left_s = max(0.0, (due_s or now.steady_s) - now.steady_s)
            member.notify(
                MuteAsked(
                    request_id=question.request_id,
                    track_id=question.track_id,
                    by=question.by.participant_id,
                    expires_in_s=round(left_s, 3),
                )
            )
        self.announcer.remind_demand(member)
        self.recordings.remind(member, now)
        self.consents.remind(member)
        self.findings.remind(member)
        drain_s = self.deadlines.at((Due.DRAIN, None))
        if drain_s is not None:
            member.notify(Draining(deadline_s=max(0.0, round(drain_s - now.steady_s, 3))))

    def _state(self, member: Member, resume_token: str, now: Instant) -> dict[str, Any]:
        limits, grant = self.config.limits, member.grant
        lines = member.participant.lines
        return {
            "features": self._features(),
            "participant_id": member.participant_id,
            "room_id": member.room_id,
            "role": grant.role,
            "resume_token": resume_token,
            "resume_window_s": self.config.resume_window_s,
            "participants": tuple(
                other.info() for other in self.roster.others(member) if member.sees(other)
            ),
            "tracks": tuple(self._tracks(member)),
            "lines": LineCounts(audio=lines.audio, video=lines.video),
            "ice_servers": self.ice_servers.issue(now.unix_s),
            "grant": GrantInfo(
                publish=tuple(sorted(grant.publish)),
                subscribe=tuple(sorted(grant.subscribe)),
                expires_at=rfc3339(grant.expires_at),
            ),
            "limits": LimitsInfo(
                message_bytes=limits.message_bytes,
                messages_per_s=limits.messages_per_s,
                text_chars=limits.text_chars,
            ),
            "server_time": rfc3339(now.unix_s),
            "media": member.participant.media,
        }

    def _features(self) -> tuple[str, ...]:
        recording = (RECORDING,) if self.recordings.is_offered else ()
        analytics = (ANALYTICS,) if self.consents.is_offered else ()
        return (*FEATURES, *recording, *analytics)

    def _tracks(self, member: Member) -> list[TrackInfo]:
        found = []
        for track in member.participant.room.tracks.values():
            owner = self.roster.get(member.room_id, track.participant_id)
            if owner is not None and member.sees_tracks_of(owner):
                found.append(track_info(track))
        return found


def _is_its_hello(member: Member, message: Join) -> bool:
    """Whether this is the hello the participation began with, and all since then is kept."""
    return message.id == member.hello_id and member.outbox.covers(0)


def _same_rights(member: Member, identity: Identity, data: JoinData) -> bool:
    """Whether a newcomer may continue as the member of the same id."""
    renewed = replace(identity.grant, expires_at=member.grant.expires_at)
    return (
        renewed == member.grant
        and identity.name == member.identity.name
        and data.auto_subscribe == member.auto_subscribe
    )
