"""How many files and sockets the process may have open."""

import logging
import resource
from typing import Final

from witness.config import HttpLimits

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


def affordable(limits: HttpLimits, descriptors: int, engines: int) -> HttpLimits:
    """The caps, lowered to what the open files allow, with a warning if that is less.

    Args:
        limits: as configured.
        descriptors: open files the process may have.
        engines: media threads.
    """
    left = max(1, descriptors - _RESERVED - engines * _PER_ENGINE)
    log.info("limit of open files", extra={"limit": descriptors, "connections": limits.connections})
    if left >= limits.connections:
        return limits
    log.warning(
        "too few open files are allowed for server.limits.connections; raise the hard limit"
        " (ulimit -Hn, LimitNOFILE=)",
        extra={"limit": descriptors, "configured": limits.connections, "connections": left},
    )
    # One address must not take all that is left.
    per_address = min(limits.connections_per_address, max(1, left // 2))
    return limits.model_copy(update={"connections": left, "connections_per_address": per_address})
