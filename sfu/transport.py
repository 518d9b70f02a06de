"""One participant's association with the plane, as this package sees it."""

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

from sfu.codecs import Format
from sfu.dtls import DtlsRole
from sfu.errors import IllegalTransitionError
from sfu.model import Kind, MediaState
from sfu.plane import Ice

if TYPE_CHECKING:
    from sfu.answer import SentTrack
    from sfu.subscription import LayerWish, Subscription

__all__ = ["ReceivingLine", "Transport", "TransportState", "new_ice"]

UFRAG_BYTES = 6
PASSWORD_BYTES = 18


class TransportState(StrEnum):
    """States of ``Event.TransportStateChanged``."""

    NEW = "new"
    CONNECTING = "connecting"
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"
    FAILED = "failed"
    CLOSED = "closed"


_NEXT: Mapping[TransportState, frozenset[TransportState]] = {
    TransportState.NEW: frozenset(TransportState) - {TransportState.NEW},
    TransportState.CONNECTING: frozenset(TransportState)
    - {TransportState.NEW, TransportState.CONNECTING},
    TransportState.CONNECTED: frozenset(
        {TransportState.DISCONNECTED, TransportState.FAILED, TransportState.CLOSED}
    ),
    TransportState.DISCONNECTED: frozenset(
        {
            TransportState.CONNECTING,
            TransportState.CONNECTED,
            TransportState.FAILED,
            TransportState.CLOSED,
        }
    ),
    TransportState.FAILED: frozenset({TransportState.CLOSED}),
    TransportState.CLOSED: frozenset(),
}

MEDIA_STATES: Mapping[TransportState, MediaState] = {
    TransportState.NEW: MediaState.CONNECTING,
    TransportState.CONNECTING: MediaState.CONNECTING,
    TransportState.CONNECTED: MediaState.CONNECTED,
    TransportState.DISCONNECTED: MediaState.DISCONNECTED,
    TransportState.FAILED: MediaState.FAILED,
    TransportState.CLOSED: MediaState.FAILED,
}


@dataclass(slots=True, eq=False)
class ReceivingLine:
    """An m-line on which the client can receive.

    Attributes:
        sent: what was announced of the line for good, whatever track is on it; ``None`` where
            each subscription is announced by itself.
        consumer_id: of a line with ``sent``: its consumer, which goes from track to track.
        wish: what the plane was told last of that consumer's layers; ``None``: nothing yet.
    """

    mid: str
    kind: Kind
    formats: tuple[Format, ...]
    subscription: "Subscription | None" = None
    sent: "SentTrack | None" = None
    consumer_id: int | None = None
    wish: "LayerWish | None" = None


@dataclass(slots=True, eq=False)
class Transport:
    """ICE and DTLS of one client connection.

    Attributes:
        transport_id: identifier in the plane.
        remote: the client's credentials; a change is an ICE restart.
        local: ours.
        fingerprints: the client's; a change is another client connection.
        dtls_role: our side.
        remote_session_id: of the client's ``o=`` line.
        session_id: of ours.
        version: of the last answer.
        lines: receiving m-lines by mid.
        ssrcs: numbers we send with.
        remote_ssrcs: numbers the client announced.
        floor_bps: what the client's estimate of its way up shall stay above; ``None``: it may fall.
    """

    transport_id: int
    remote: Ice
    local: Ice
    fingerprints: frozenset[tuple[str, str]]
    dtls_role: DtlsRole
    remote_session_id: str
    session_id: int = field(default_factory=lambda: secrets.randbits(62))
    version: int = 0
    state: TransportState = TransportState.NEW
    extensions: dict[str, int] = field(default_factory=dict)
    lines: dict[str, ReceivingLine] = field(default_factory=dict)
    ssrcs: set[int] = field(default_factory=set)
    remote_ssrcs: frozenset[int] = frozenset()
    floor_bps: int | None = None

    @property
    def final(self) -> bool:
        """Whether the association can't come back."""
        return self.state in (TransportState.FAILED, TransportState.CLOSED)

    @property
    def media_state(self) -> MediaState:
        """What the state means to people."""
        return MEDIA_STATES[self.state]

    def advance(self, state: TransportState) -> None:
        """Takes a reported state over.

        Raises:
            IllegalTransitionError: the step does not exist; nothing was changed.
        """
        if state not in _NEXT[self.state]:
            raise IllegalTransitionError(f"a transport can't go from {self.state} to {state}")
        self.state = state

    def new_ssrc(self) -> int:
        """A random number that is not in use on this transport."""
        while True:
            ssrc = secrets.randbelow(2**32 - 1) + 1
            if ssrc not in self.ssrcs and ssrc not in self.remote_ssrcs:
                self.ssrcs.add(ssrc)
                return ssrc


def new_ice() -> Ice:
    """Fresh credentials: 48 and 144 bits, in the characters RFC 8839 allows."""
    return Ice(_ice_text(UFRAG_BYTES), _ice_text(PASSWORD_BYTES))


def _ice_text(size: int) -> str:
    return secrets.token_urlsafe(size).replace("-", "+").replace("_", "/")
