"""Who may come in with a hello, by socket or request, before anything of it is read."""

import contextlib
from collections import Counter
from collections.abc import Iterator
from typing import Final

from aiohttp import web

from signaling.connection import Remote
from signaling.errors import ErrorCode
from signaling.hub import Hub
from signaling.origin import counted_as, is_allowed_origin, is_local
from signaling.problem import problem

__all__ = ["Door"]

_RETRY_AFTER_S: Final = "5"

_MAX_AGENT_CHARS: Final = 256


class Door:
    """Counts connections, and refuses foreign pages and too many at once."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._limits = hub.config.limits
        self._by_address: Counter[str] = Counter()

    def remote(self, request: web.Request) -> Remote:
        """The other end of a request."""
        trusted = self._hub.config.web.trusted_proxies
        return Remote(
            is_local(request.remote, request.headers),
            counted_as(request.remote, request.headers, trusted),
            request.headers.get("User-Agent", "")[:_MAX_AGENT_CHARS],
        )

    def refusal(self, request: web.Request, remote: Remote) -> web.Response | None:
        """Why it isn't let in; ``None``: it is."""
        refused = self._hub.stats.connections_refused
        allowed = self._hub.config.web.allowed_origins
        if not is_allowed_origin(request.headers.get("Origin"), request.host, allowed):
            refused["origin"] += 1
            return problem(403, ErrorCode.FORBIDDEN, "pages of this origin may not connect")
        retry = {"Retry-After": _RETRY_AFTER_S}
        if self._hub.stats.connections >= self._limits.connections:
            refused["total"] += 1
            return problem(503, ErrorCode.SERVER_FULL, "too many connections", headers=retry)
        of_address = self._by_address[remote.address]
        if not remote.local and of_address >= self._limits.connections_per_address:
            refused["address"] += 1
            return problem(
                429, ErrorCode.RATE_LIMITED, "too many connections of one address", headers=retry
            )
        return None

    @contextlib.contextmanager
    def counted(self, remote: Remote) -> Iterator[None]:
        """It is in for so long."""
        stats = self._hub.stats
        stats.connections += 1
        self._by_address[remote.address] += 1
        try:
            yield
        finally:
            stats.connections -= 1
            self._by_address[remote.address] -= 1
            if not self._by_address[remote.address]:
                del self._by_address[remote.address]
