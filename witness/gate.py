"""Who may hold a TCP connection, and how long each step of HTTP on it may take.

Decides only: addresses and times are arguments. :mod:`witness.listener` accepts and closes,
:mod:`witness.guarded` reports what happens on a connection. A WebSocket is bounded by signaling
once it is one; until then nobody else bounds it.
"""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from pydantic import IPvAnyNetwork

from signaling.origin import address_key, is_trusted
from witness.config import HttpLimits

__all__ = ["Cut", "Gate", "Pass", "Phase"]

MIN_BODY_BYTES_PER_S: Final = 1_024.0
"""A body that comes slower than this uses up its time."""

PROXY_KEEPALIVE_S: Final = 75.0
"""Longer than proxies commonly keep idle connections, so that they close them, not the server."""


class Cut(StrEnum):
    """Why a connection was refused or ended."""

    TOTAL = "total"
    ADDRESS = "address"
    EVICTED = "evicted"
    ACCEPT_FAILED = "accept_failed"
    TLS_TIMEOUT = "tls_timeout"
    TLS_FAILED = "tls_failed"
    SILENT = "silent"
    HEAD_TIMEOUT = "head_timeout"
    BODY_TIMEOUT = "body_timeout"
    STALLED = "stalled"
    BAD_REQUEST = "bad_request"
    IDLE = "idle"


class Phase(StrEnum):
    """What a connection is doing."""

    HANDSHAKE = "handshake"
    HEAD = "head"
    BODY = "body"
    RESPONSE = "response"
    IDLE = "idle"
    WEBSOCKET = "websocket"


@dataclass(slots=True)
class Gate:
    """All connections of one listener.

    Attributes:
        limits: caps and times.
        trusted: networks of reverse proxies; theirs are not counted as one address.
        on_cut: called after each cut that is worth a log line.
        phases: open connections by phase.
        cuts: connections refused or ended, since the start.
    """

    limits: HttpLimits
    trusted: Iterable[IPvAnyNetwork] = ()
    on_cut: Callable[[Cut], None] = lambda _: None
    phases: Counter[Phase] = field(default_factory=lambda: Counter(dict.fromkeys(Phase, 0)))
    cuts: Counter[Cut] = field(default_factory=lambda: Counter(dict.fromkeys(Cut, 0)))
    by_address: Counter[str] = field(default_factory=Counter)
    _waiting: "dict[Pass, None]" = field(default_factory=dict)
    """Connections without a request under way, the longest waiting first."""

    @property
    def connections(self) -> int:
        """Open connections."""
        return self.phases.total()

    def admit(self, peer: str) -> "Pass | Cut":
        """Decides about a connection just accepted.

        When there are as many as allowed, the one that has been without a request for longest is
        cut for it: whoever holds connections open keeps nobody out.

        Args:
            peer: address of its other end, without port.
        """
        key = None if is_trusted(peer, self.trusted) else address_key(peer)
        if key is not None and self.by_address[key] >= self.limits.connections_per_address:
            return self.cut(Cut.ADDRESS)
        if self.connections >= self.limits.connections and not self._make_room():
            return self.cut(Cut.TOTAL)
        keepalive_s = self.limits.keepalive_s
        if key is None:
            keepalive_s = max(keepalive_s, PROXY_KEEPALIVE_S)
        else:
            self.by_address[key] += 1
        self.phases[Phase.HANDSHAKE] += 1
        admitted = Pass(self, key, keepalive_s)
        self._waiting[admitted] = None
        return admitted

    def waits(self, connection: "Pass", *, waits: bool) -> None:
        """Whether a connection may make room for another from now on."""
        self._waiting.pop(connection, None)
        if waits:
            self._waiting[connection] = None

    def _make_room(self) -> bool:
        oldest = next(iter(self._waiting), None)
        if oldest is None:
            return False
        oldest.closed()
        self.cut(Cut.EVICTED)
        oldest.abort()
        return True

    def cut(self, reason: Cut) -> Cut:
        """Counts a cut."""
        self.cuts[reason] += 1
        # A keep-alive connection whose time is over is the normal end of one.
        if reason is not Cut.IDLE:
            self.on_cut(reason)
        return reason


@dataclass(slots=True, eq=False)
class Pass:
    """One connection, from accept to close.

    Attributes:
        key: what it is counted under; ``None`` if it is not, or no longer.
        keepalive_s: how long it may be without a request.
        phase: what it is doing.
        open: counted as open.
        abort: ends the connection at once.
    """

    gate: Gate
    key: str | None
    keepalive_s: float
    phase: Phase = Phase.HANDSHAKE
    open: bool = True
    abort: Callable[[], object] = lambda: None
    _heard: bool = False
    _phase_ends_s: float | None = None
    _stall_ends_s: float | None = None

    @property
    def deadline_s(self) -> float | None:
        """When :meth:`overdue` has to be asked."""
        ends = [end for end in (self._phase_ends_s, self._stall_ends_s) if end is not None]
        return min(ends, default=None)

    def overdue(self, now_s: float) -> Cut | None:
        """The limit that has passed."""
        if self._stall_ends_s is not None and now_s >= self._stall_ends_s:
            return Cut.STALLED
        if self._phase_ends_s is None or now_s < self._phase_ends_s:
            return None
        match self.phase:
            case Phase.HEAD:
                return Cut.HEAD_TIMEOUT if self._heard else Cut.SILENT
            case Phase.BODY:
                return Cut.BODY_TIMEOUT
            case _:
                return Cut.IDLE

    def connected(self, now_s: float) -> None:
        """HTTP may begin: a TLS handshake, if there is one, is over."""
        self._enter(Phase.HEAD, now_s + self.gate.limits.request_timeout_s)

    def received(self, size: int, now_s: float) -> None:
        """Bytes came in."""
        match self.phase:
            case Phase.HEAD:
                self._heard = True
            case Phase.IDLE:
                self._heard = True
                self._stall_ends_s = None
                self._enter(Phase.HEAD, now_s + self.gate.limits.request_timeout_s)
            case Phase.BODY:
                assert self._phase_ends_s is not None
                self._phase_ends_s += size / MIN_BODY_BYTES_PER_S
            case _:
                pass

    def began(self, now_s: float, *, has_body: bool) -> None:
        """A request's head is complete."""
        if has_body:
            self._enter(Phase.BODY, now_s + self.gate.limits.request_timeout_s)
        else:
            self._enter(Phase.RESPONSE, None)

    def body_complete(self) -> None:
        """Nothing of the request is missing."""
        if self.phase is Phase.BODY:
            self._enter(Phase.RESPONSE, None)

    def responded(self, now_s: float) -> None:
        """The response was handed over to the socket."""
        if self.phase is not Phase.WEBSOCKET:
            self._enter(Phase.IDLE, now_s + self.keepalive_s)

    def stalled(self, now_s: float) -> None:
        """The client takes less than is sent; for a WebSocket the outbox sees to that."""
        if self.phase is not Phase.WEBSOCKET and self._stall_ends_s is None:
            self._stall_ends_s = now_s + self.gate.limits.stall_timeout_s

    def flows(self) -> None:
        """The client took what waited."""
        self._stall_ends_s = None

    def upgraded(self) -> None:
        """It is a WebSocket from now on."""
        self._enter(Phase.WEBSOCKET, None)
        self._stall_ends_s = None
        self._release_address()

    def closed(self) -> None:
        """The connection is gone. Idempotent."""
        if self.open:
            self.open = False
            self.gate.waits(self, waits=False)
            self.gate.phases[self.phase] -= 1
            self._release_address()

    def _enter(self, phase: Phase, ends_s: float | None) -> None:
        if self.open:
            self.gate.phases[self.phase] -= 1
            self.gate.phases[phase] += 1
            # A proxy takes it for granted that its idle connections stay.
            idle = phase is Phase.IDLE and self.key is not None
            self.gate.waits(self, waits=idle or phase is Phase.HEAD)
        self.phase = phase
        self._phase_ends_s = ends_s

    def _release_address(self) -> None:
        key, self.key = self.key, None
        if key is not None:
            self.gate.by_address[key] -= 1
            if not self.gate.by_address[key]:
                del self.gate.by_address[key]
