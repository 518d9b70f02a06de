"""How many files and sockets the process may have open."""

import logging
import resource
from typing import Final

from witness.config import HttpLimits, MediaConfig

__all__ = ["affordable", "raise_limit"]

log = logging.getLogger(__name__)

_RESERVED: Final = 64
"""Kept free of client connections: event loop, pages being sent, logs, libraries."""
_PER_ENGINE: Final = 8

_ENOUGH: Final = 1 << 20
"""Some systems allow a billion, and programs that are started walk through all of them."""


def raise_limit() -> int:
    """Raises the soft limit of open files to the hard one and returns it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        return wanted
    return _ENOUGH if soft == resource.RLIM_INFINITY else soft


def affordable(
    limits: HttpLimits, media: MediaConfig, descriptors: int
) -> tuple[HttpLimits, MediaConfig]:
    """The caps, lowered to what the open files allow, with a warning if that is less.

    HTTP and media over TCP give up the same share of what they may have.

    Args:
        limits: as configured.
        media: likewise.
        descriptors: open files the process may have.
    """
    engines = media.engine_count()
    by_tcp = engines * media.max_tcp_connections_per_engine if media.tcp else 0
    wanted = limits.connections + by_tcp
    left = max(1, descriptors - _RESERVED - engines * _PER_ENGINE)
    log.info(
        "limit of open files",
        extra={"limit": descriptors, "connections": limits.connections, "media_tcp": by_tcp},
    )
    if left >= wanted:
        return limits, media
    connections = max(1, left * limits.connections // wanted)
    per_engine = max(1, left * media.max_tcp_connections_per_engine // wanted)
    log.warning(
        "too few open files are allowed for server.limits.connections and"
        " media.max_tcp_connections_per_engine; raise the hard limit (ulimit -Hn, LimitNOFILE=)",
        extra={
            "limit": descriptors,
            "wanted": wanted,
            "connections": connections,
            "media_tcp_per_engine": per_engine if media.tcp else 0,
        },
    )
    # One address must not take all that is left.
    per_address = min(limits.connections_per_address, max(1, connections // 2))
    media_per_address = min(media.max_tcp_connections_per_address, max(1, per_engine // 2))
    return (
        limits.model_copy(
            update={"connections": connections, "connections_per_address": per_address}
        ),
        media.model_copy(
            update={
                "max_tcp_connections_per_engine": per_engine,
                "max_tcp_connections_per_address": media_per_address,
            }
        ),
    )
