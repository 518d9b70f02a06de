"""TCP options for connections that carry little and must not stall: signaling on lossy networks.

A lost packet of such a connection is rarely followed by others that would give its loss away, so it
is sent again by timer only, and the timer doubles every time: after ten seconds of bad luck the
next try may be ten seconds off. Every option is set for itself; what a kernel lacks is left out.
"""

import socket
from typing import Final, Protocol

__all__ = ["THIN_STREAM_OPTIONS", "keep_moving"]

_TCP_CONGESTION: Final = 13
_TCP_THIN_LINEAR_TIMEOUTS: Final = 16
_TCP_THIN_DUPACK: Final = 17
_TCP_USER_TIMEOUT: Final = 18
_TCP_RTO_MAX_MS: Final = 44
_TCP_RTO_MIN_US: Final = 45
"""Numbers of Linux (``include/uapi/linux/tcp.h``); Python has no names for most of them."""

THIN_STREAM_OPTIONS: Final[tuple[tuple[str, int, int | bytes], ...]] = (
    ("TCP_NODELAY", socket.TCP_NODELAY, 1),
    # With BBR, which some systems have as their default, no stream ever counts as thin.
    ("TCP_CONGESTION", _TCP_CONGESTION, b"cubic"),
    # Up to six times without doubling while fewer than four packets are under way.
    ("TCP_THIN_LINEAR_TIMEOUTS", _TCP_THIN_LINEAR_TIMEOUTS, 1),
    # Linux before 4.12: one duplicate acknowledgement is enough.
    ("TCP_THIN_DUPACK", _TCP_THIN_DUPACK, 1),
    # Linux from 6.15: a network that comes back is noticed within a second.
    ("TCP_RTO_MAX_MS", _TCP_RTO_MAX_MS, 1_000),
    # Linux from 6.15: the first repetition comes after a round trip and this, not after 200 ms.
    ("TCP_RTO_MIN_US", _TCP_RTO_MIN_US, 100_000),
    # The heartbeat decides when a connection is dead, not the number of tries.
    ("TCP_USER_TIMEOUT", _TCP_USER_TIMEOUT, 120_000),
)
"""Name, number and value."""


class SocketLike(Protocol):
    """The part of a socket that is used."""

    def setsockopt(self, level: int, name: int, value: int | bytes, /) -> None:
        """As of :class:`socket.socket`."""


def keep_moving(tcp: SocketLike) -> tuple[str, ...]:
    """Sets all options on a listening or connected socket.

    On a listening one they count for its handshakes, and those accepted from it begin with them.

    Returns:
        Names of the options this system doesn't have.
    """
    missing = []
    for name, number, value in THIN_STREAM_OPTIONS:
        try:
            tcp.setsockopt(socket.IPPROTO_TCP, number, value)
        except OSError:
            missing.append(name)
    return tuple(missing)
