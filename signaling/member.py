"""A participant as signaling sees it: what it was told, what it may do, how it is reached."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sfu.model import Grant, MediaState, Track
from signaling.auth import Identity
from signaling.config import LimitsConfig
from signaling.connection import Connection
from signaling.errors import ErrorCode
from signaling.messages import QualityReportData
from signaling.notices import Joined, ParticipantInfo, Reach, ServerData, TrackInfo
from signaling.outbox import Outbox, Reply, ReplyCache
from signaling.stats import Stats

if TYPE_CHECKING:
    from sfu import Participant

__all__ = ["Advice", "Member", "Owed", "track_info"]


@dataclass(slots=True)
class Advice:
    """What the client was told about loss of audio.

    Attributes:
        due: kinds of notices that are to be sent.
        given: kinds of which the newest said something.
        not_before_s: when the next may be sent, steady clock.
    """

    due: set[type[ServerData]] = field(default_factory=set)
    given: set[type[ServerData]] = field(default_factory=set)
    not_before_s: float = 0.0


@dataclass(slots=True, eq=False)
class Owed:
    """Replies that are given later.

    Attributes:
        requests: ids of what was carried out and is not answered yet.
        is_changed: there is something to be told after the last of them.
    """

    requests: set[str] = field(default_factory=set)
    is_changed: bool = False


class Member:
    """One participation; outlives its sockets.

    Attributes:
        participant: its presence in the media scope.
        connection: its socket at present.
        alone_since_s: when it lost the last one, steady clock.
        media_flowed: its media flowed when that was looked at last since then.
        overdue: no socket for longer than others are left in the dark about.
        shown: what others were told about its connection.
        farewell: what its socket is told when the participation ends; ``None``: by the reason.
        leaving: it asked to leave.
        overflowed: the outbox passed its bounds and the socket has to go.
        report: latest quality report.
        advice: what it was told about loss of audio.
        owed: requests that are answered later.
        hello_id: of the ``join`` this participation began with, or was taken over by.
    """

    def __init__(
        self,
        identity: Identity,
        participant: "Participant",
        *,
        limits: LimitsConfig,
        stats: Stats,
        auto_subscribe: bool,
        on_overflow: Callable[["Member"], None],
    ) -> None:
        self.identity = identity
        self.participant = participant
        self.auto_subscribe = auto_subscribe
        self._limits = limits
        self._stats = stats
        self._on_overflow = on_overflow
        self._held: list[tuple[type[ServerData], str]] | None = None
        self.outbox = Outbox(limits.outbox_messages, limits.outbox_bytes)
        self.replies = ReplyCache(limits.reply_cache_messages, limits.reply_cache_bytes)
        self.connection: Connection | None = None
        self.alone_since_s = 0.0
        self.media_flowed = False
        self.overdue = False
        self.shown = Reach.CONNECTED
        self.farewell: tuple[ErrorCode, str] | None = None
        self.leaving = False
        self.overflowed = False
        self.report: QualityReportData | None = None
        self.advice = Advice()
        self.owed = Owed()
        self.hello_id = ""

    @property
    def participant_id(self) -> str:
        """Unique in its room."""
        return self.identity.participant_id

    @property
    def room_id(self) -> str:
        """Where it takes part."""
        return self.identity.room_id

    @property
    def grant(self) -> Grant:
        """By its newest token."""
        return self.identity.grant

    @property
    def log_extra(self) -> dict[str, str]:
        """Identifiers for log lines."""
        return {"room_id": self.room_id, "participant_id": self.participant_id}

    @property
    def signaling(self) -> str:
        """How it takes part: ``websocket``, ``whip`` or ``whep``."""
        return "websocket"

    @property
    def can_answer(self) -> bool:
        """Whether it can be asked something."""
        return True

    def sees(self, other: "Member") -> bool:
        """Whether this member may know of ``other``."""
        return other is self or not other.grant.hidden

    def sees_tracks_of(self, owner: "Member") -> bool:
        """Whether this member may know of the tracks of ``owner``."""
        return owner is self or (
            not owner.grant.hidden and owner.grant.role in self.grant.subscribe
        )

    def info(self) -> ParticipantInfo:
        """How others see it."""
        return ParticipantInfo(
            participant_id=self.participant_id,
            role=self.grant.role,
            name=self.identity.name,
            connection=self.shown,
        )

    def reach(self) -> Reach:
        """Whether it can be reached, by socket or media."""
        media_flows = self.participant.media is MediaState.CONNECTED
        if self.connection is None and self.overdue and not media_flows:
            return Reach.RECONNECTING
        return Reach.CONNECTED

    def start_over(self) -> None:
        """Forgets what was told and answered: a new page begins with number 1."""
        self.outbox = Outbox(self._limits.outbox_messages, self._limits.outbox_bytes)
        self.forget_replies()
        self.advice = Advice()

    def notify(self, data: ServerData, *, data_json: str | None = None) -> None:
        """Tells the member something that must not be lost.

        Args:
            data: what it is told.
            data_json: the same as JSON, where it was made before for somebody else.
        """
        text = data_json or data.data_json()
        if self._held is not None:
            self._held.append((type(data), text))
            return
        self._post(type(data), text)

    def notify_volatile(self, data: ServerData, *, data_json: str | None = None) -> None:
        """Tells the member something that is soon out of date, if it has a socket."""
        if self.connection is not None:
            self.connection.send_volatile(data, data_json=data_json)

    def reply(self, request_id: str, data: ServerData) -> None:
        """Answers a request and remembers the answer."""
        reply = Reply(type(data), data.data_json())
        self.replies.put(request_id, reply)
        self._post(reply.kind, reply.data_json, re=request_id)

    def welcome(self, request_id: str, data: Joined) -> None:
        """Answers the hello, which is known from now on."""
        self.hello_id = request_id
        self._post(type(data), data.data_json(), re=request_id)

    def forget_replies(self) -> None:
        """The client counts its ids anew: nobody waits for a reply any more."""
        self.replies.clear()
        self.owed = Owed()

    def repeat_reply(self, request_id: str) -> bool:
        """Answers a repeated request as before, or will; False when it is a new one."""
        if request_id in self.owed.requests:
            return True
        reply = self.replies.get(request_id)
        if reply is None:
            return False
        self._post(reply.kind, reply.data_json, re=request_id)
        return True

    @contextmanager
    def holding_notices(self) -> Iterator[None]:
        """Keeps notices back until the end of the block: a reply comes before its consequences."""
        self._held = []
        try:
            yield
        finally:
            held, self._held = self._held, None
            for kind, data_json in held:
                self._post(kind, data_json)

    def _post(self, kind: type[ServerData], data_json: str, *, re: str | None = None) -> None:
        if self.overflowed:
            # The socket is about to go; the state it will ask for includes this.
            return
        if not self.outbox.append(kind, data_json, re=re):
            self._stats.outbox_discarded += 1
            if self.connection is not None:
                self.overflowed = True
                self._on_overflow(self)
        if self.connection is not None:
            self.connection.outbox_grew()


def track_info(track: Track) -> TrackInfo:
    """How a track is described."""
    return TrackInfo(
        track_id=track.track_id,
        participant_id=track.participant_id,
        kind=track.kind,
        source=track.source,
        muted=track.muted,
    )
