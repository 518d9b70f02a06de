"""One WebSocket's side of the protocol, without the socket; or that of a request that joins.

Text comes in by :meth:`Connection.receive_text`, frames are taken by
:meth:`Connection.next_frame` when the socket can take more. Numbered messages stay in the
member's outbox, so a slow socket costs nothing here.
"""

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Final, Literal, Protocol

from signaling.clock import Allowance, Instant, TokenBucket
from signaling.config import LimitsConfig
from signaling.errors import ErrorCode, IllegalTransitionError, RefusedError
from signaling.messages import (
    Ack,
    ClientMessage,
    Join,
    Leave,
    OfferMessage,
    Ping,
    Request,
    Resume,
    read_message,
    read_request_id,
)
from signaling.notices import Bye, ErrorNotice, Pong, ServerData, rfc3339
from signaling.outbox import encode
from signaling.stats import Stats

if TYPE_CHECKING:
    from signaling.member import Member

__all__ = ["Close", "Connection", "ConnectionState", "Reception", "Remote"]

log = logging.getLogger(__name__)

MAX_CONTROL_FRAMES: Final = 64
"""Unnumbered frames a socket may owe; more, and it is closed."""

MAX_ID_SEARCH_CHARS: Final = 4_096
"""Frames that came too soon and are longer than this are not searched for a request id."""

_MISUSE: Final = frozenset(
    {
        ErrorCode.BAD_MESSAGE,
        ErrorCode.UNKNOWN_TYPE,
        ErrorCode.NOT_JOINED,
        ErrorCode.ALREADY_JOINED,
        ErrorCode.RATE_LIMITED,
    }
)

_AGAIN: Final = frozenset({ErrorCode.RATE_LIMITED, ErrorCode.BUSY})
"""Refusals that aren't remembered: the same request may be carried out when it comes again."""

_NOT_BY_HTTP: Final = RefusedError(ErrorCode.BAD_MESSAGE, "only join, offer and leave come by HTTP")
_ALREADY_JOINED: Final = RefusedError(ErrorCode.ALREADY_JOINED, "this socket has a participant")

_CLOSE_CODES: Final = {
    ErrorCode.DRAINING: 1001,
    ErrorCode.BAD_MESSAGE: 1008,
    ErrorCode.UNKNOWN_TYPE: 1008,
    ErrorCode.NOT_JOINED: 1008,
    ErrorCode.RATE_LIMITED: 1008,
    ErrorCode.SLOW_CONSUMER: 1008,
    ErrorCode.UNAUTHORIZED: 1008,
    ErrorCode.TOO_LARGE: 1009,
    ErrorCode.INTERNAL: 1011,
}


class ConnectionState(Enum):
    """awaiting_hello → joined → closed, or straight to closed."""

    AWAITING_HELLO = "awaiting_hello"
    JOINED = "joined"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Remote:
    """The other end.

    Attributes:
        local: on this machine and not behind a proxy.
        address: of the client, without port; personal data.
        user_agent: what the client calls itself; personal data.
    """

    local: bool
    address: str = "unknown"
    user_agent: str = ""

    @property
    def log_extra(self) -> dict[str, str]:
        """Personal data for log lines; written only where the configuration asks for it."""
        return {"pii.remote": self.address, "pii.user_agent": self.user_agent}


@dataclass(frozen=True, slots=True)
class Close:
    """How the socket is to be closed (RFC 6455, section 7.4)."""

    code: int
    reason: str


class Reception(Protocol):
    """What a connection hands its messages to; the hub."""

    def hello(self, connection: "Connection", message: Join | Resume, now: Instant) -> None:
        """Admits or refuses (``RefusedError``)."""

    def request(self, member: "Member", message: Request, now: Instant) -> None:
        """Carries out a request and replies."""

    def follows(self, member: "Member") -> None:
        """A message came over the member's socket."""

    def gone(self, connection: "Connection", now: Instant) -> None:
        """The connection ended; its member, if any, has no socket now."""


class Connection:
    """State of one socket.

    Args:
        reception: decides.
        limits: of size, rate and patience.
        remote: the other end.
        wake: called when there is something to send or the socket is to be closed.
        now: when the socket was opened.
        passing: a request of HTTP that brings a hello and takes the answers along; it is no
            socket to be told anything later.
    """

    def __init__(
        self,
        reception: Reception,
        limits: LimitsConfig,
        stats: Stats,
        remote: Remote,
        wake: Callable[[], None],
        now: Instant,
        *,
        passing: bool = False,
    ) -> None:
        self.passing = passing
        self._reception = reception
        self._limits = limits
        self._stats = stats
        self._wake = wake
        self._control: deque[str] = deque()
        self._volatile: dict[str, str] = {}
        self._cursor = 0
        self._failed_hellos = 0
        self.allowance = Allowance(
            messages=TokenBucket(limits.messages_per_s, limits.message_burst, now.steady_s),
            bytes=TokenBucket(limits.bytes_per_s, limits.byte_burst, now.steady_s),
        )
        self._refusals = TokenBucket(limits.refusals_per_s, limits.refusal_burst, now.steady_s)
        self.remote = remote
        self.state = ConnectionState.AWAITING_HELLO
        self.member: Member | None = None
        self.close: Close | None = None

    # What the socket reports.

    def receive_control(self, size: int, now: Instant) -> None:
        """Takes a ping or pong frame; they cost what a message costs."""
        if self.state is ConnectionState.CLOSED:
            return
        try:
            self._check_rate(size, now)
        except RefusedError as refused:
            self._stats.errors[refused.code.value] += 1
            self.end(refused.code, "too many control frames", now)

    def receive_text(self, text: str, now: Instant) -> None:
        """Takes one text frame; never raises for what the frame holds."""
        if self.state is ConnectionState.CLOSED:
            return
        size = len(text.encode("utf-8", "surrogatepass"))
        self._stats.bytes_in += size
        if size > self._limits.message_bytes:
            self.end(ErrorCode.TOO_LARGE, "the message is too large", now)
            return
        try:
            self._check_rate(size, now)
            message = read_message(text)
            if isinstance(message, OfferMessage):
                # Reading it takes the time of the whole text.
                self._charge("bytes", message.data.more_when_inflated(), now)
        except RefusedError as refused:
            self._stats.messages_in["unknown"] += 1
            unread = refused.code is ErrorCode.RATE_LIMITED and len(text) > MAX_ID_SEARCH_CHARS
            request_id = None if unread else read_request_id(text)
            self._refuse(refused, request_id, now)
            return
        self._stats.messages_in[message.type] += 1
        self._take(message, now)

    def receive_binary(self, now: Instant) -> None:
        """Takes a binary frame, which the protocol doesn't have."""
        if self.state is not ConnectionState.CLOSED:
            self.end(ErrorCode.BAD_MESSAGE, "binary frames are not used", now)

    def lost(self, now: Instant) -> None:
        """The socket is gone."""
        if self.state is not ConnectionState.CLOSED:
            if not self.passing:
                self._stats.closed["lost"] += 1
            self._close(now)
        self._control.clear()
        self._volatile.clear()

    def next_frame(self) -> str | None:
        """The next frame to send; ``None`` when there is nothing now."""
        if self._control:
            return self._sent(self._control.popleft(), "socket")
        if self.member is not None and self.state is ConnectionState.JOINED:
            outbox = self.member.outbox
            self._cursor = max(self._cursor, outbox.base_seq)
            frame = outbox.frame(self._cursor + 1)
            if frame is not None:
                self._cursor += 1
                return self._sent(frame, "numbered")
        if self._volatile:
            return self._sent(self._volatile.pop(next(iter(self._volatile))), "volatile")
        return None

    # What the hub does with it.

    def attach(self, member: "Member", *, after_seq: int) -> None:
        """The hello was accepted: sends numbered messages after ``after_seq`` from now on.

        Raises:
            IllegalTransitionError: not awaiting a hello.
        """
        if self.state is not ConnectionState.AWAITING_HELLO:
            raise IllegalTransitionError(f"attach in state {self.state.value}")
        self.state = ConnectionState.JOINED
        self.member = member
        self._cursor = after_seq
        self._wake()

    def outbox_grew(self) -> None:
        """A numbered message waits."""
        self._wake()

    def send_now(self, data: ServerData, *, re: str | None = None) -> None:
        """Sends a message that concerns this socket only, before all that waits."""
        if self.state is ConnectionState.CLOSED:
            return
        self._control.append(encode(type(data), data.data_json(), re=re))
        self._wake()

    def send_volatile(self, data: ServerData, *, data_json: str | None = None) -> None:
        """Sends a message that a newer one of its type replaces while it waits."""
        if self.state is ConnectionState.CLOSED:
            return
        if data.type in self._volatile:
            self._stats.volatile_replaced += 1
        self._volatile[data.type] = encode(type(data), data_json or data.data_json())
        self._wake()

    def end(self, code: ErrorCode, message: str, now: Instant | None = None) -> None:
        """Says ``bye`` and closes; does nothing when closed already.

        With ``now`` the hub learns that the member has no socket any more; without, it knows.
        """
        if self.state is ConnectionState.CLOSED:
            return
        self._control.append(encode(Bye, Bye(code=code, message=message).data_json()))
        self.close = Close(_CLOSE_CODES.get(code, 4000), code.value)
        self._stats.closed[code.value] += 1
        self._close(now)

    def finish(self) -> None:
        """Closes after a leave, once everything numbered is sent."""
        if self.state is not ConnectionState.JOINED or self.member is None:
            raise IllegalTransitionError(f"finish in state {self.state.value}")
        self._control.extend(self.member.outbox.frames_after(self._cursor))
        self.close = Close(1000, "left")
        self._stats.closed["left"] += 1
        self._close(None)

    def _close(self, now: Instant | None) -> None:
        self.state = ConnectionState.CLOSED
        self._volatile.clear()
        self._wake()
        if now is not None:
            self._reception.gone(self, now)

    def _take(self, message: ClientMessage, now: Instant) -> None:
        if self.passing and not isinstance(message, Join | OfferMessage | Leave):
            self._refuse(_NOT_BY_HTTP, None, now)
            return
        if isinstance(message, Ping):
            self.send_volatile(Pong(server_time=rfc3339(now.unix_s)))
            return
        try:
            if self.member is None:
                self._hello(message, now)
                return
            if not self.passing:
                # Who sends a request of HTTP hasn't read its answer.
                self._reception.follows(self.member)
            if isinstance(message, Ack):
                self.member.outbox.acknowledge(message.data.seq)
            elif isinstance(message, Join | Resume):
                self._refuse(_ALREADY_JOINED, message.id, now)
            else:
                self._request(self.member, message, now)
        except RefusedError as refused:
            self._refuse(refused, None if isinstance(message, Ack) else message.id, now)

    def _request(self, member: "Member", message: Request, now: Instant) -> None:
        if member.outbox.answers_after(self._cursor, message.id):
            # Asked again while the answer waits to be sent here.
            self._stats.repeated += 1
            return
        with member.holding_notices():
            try:
                self._reception.request(member, message, now)
            except RefusedError as refused:
                self._refuse(refused, message.id, now)

    def _hello(self, message: ClientMessage, now: Instant) -> None:
        if not isinstance(message, Join | Resume):
            raise RefusedError(ErrorCode.NOT_JOINED, "the first message is join or resume")
        self._reception.hello(self, message, now)

    def _check_rate(self, size: int, now: Instant) -> None:
        self._charge("messages", 1, now)
        self._charge("bytes", size, now)

    def _charge(self, what: Literal["messages", "bytes"], amount: int, now: Instant) -> None:
        bucket = self.allowance.messages if what == "messages" else self.allowance.bytes
        wait_s = bucket.take(amount, now.steady_s)
        if wait_s > 0:
            self._stats.rate_limited[what] += 1
            raise RefusedError(
                ErrorCode.RATE_LIMITED, f"too many {what}", retry_after_s=round(wait_s, 3)
            )

    def _refuse(self, refused: RefusedError, request_id: str | None, now: Instant) -> None:
        """Answers what was refused, and ends the socket when it was too often."""
        self._stats.errors[refused.code.value] += 1
        notice = error_notice(refused)
        if self.member is None:
            self.send_now(notice, re=request_id)
            self._count_failed_hello(refused, now)
        elif request_id is None or refused.code in _AGAIN:
            self.send_now(notice, re=request_id)
        else:
            self.member.reply(request_id, notice)
        if self.state is ConnectionState.CLOSED:
            return
        if refused.code in _MISUSE and self._refusals.take(1, now.steady_s) > 0:
            self.end(ErrorCode.RATE_LIMITED, "too many refused messages", now)
        elif len(self._control) > MAX_CONTROL_FRAMES:
            self.end(ErrorCode.SLOW_CONSUMER, "replies are not read", now)

    def _count_failed_hello(self, refused: RefusedError, now: Instant) -> None:
        self._failed_hellos += 1
        if self._failed_hellos >= self._limits.hello_tries:
            self.end(refused.code, "too many refused hellos", now)

    def _sent(self, frame: str, kind: str) -> str:
        self._stats.messages_out[kind] += 1
        self._stats.bytes_out += len(frame.encode())
        return frame


def error_notice(refused: RefusedError) -> ErrorNotice:
    """The message that tells a client of a refusal."""
    return ErrorNotice(
        code=refused.code,
        message=refused.message,
        field=refused.field,
        retry_after_s=refused.retry_after_s,
    )
