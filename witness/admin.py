"""Pages for machines (``/livez``, ``/readyz``, ``/metrics``) and people (``/debug/rooms``)."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from sfu.snapshot import SfuSnapshot
from signaling.hub import Hub
from signaling.origin import is_local
from signaling.problem import problem
from signaling.server import has_bearer
from witness.debug import describe
from witness.metrics import CONTENT_TYPE_LATEST, Metrics

__all__ = ["Access", "AdminPages"]

Page = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Access:
    """Who may see which page on the public port.

    Attributes:
        admin_token: bearer token for ``/debug/rooms``; without one the page is off.
        metrics_token: bearer token for ``/metrics``.
        local_metrics: programs on this machine may read ``/metrics`` without it.
    """

    admin_token: str | None = None
    metrics_token: str | None = None
    local_metrics: bool = True


class AdminPages:
    """The handlers; :meth:`routes` puts them into an application.

    Args:
        hub: signaling and, through it, the sfu.
        metrics: what ``/metrics`` shows.
        access: to what is not for everybody.
    """

    def __init__(self, hub: Hub, metrics: Metrics, access: Access) -> None:
        self._hub = hub
        self._metrics = metrics
        self._access = access

    def routes(self) -> list[web.RouteDef]:
        """All pages, for the public port."""
        return [
            *self._probes(),
            web.get("/metrics", self.guarded_metrics),
            web.get("/debug/rooms", self.debug_rooms),
        ]

    def machine_routes(self) -> list[web.RouteDef]:
        """Health and metrics without a token, for an address that only machines reach."""
        return [*self._probes(), web.get("/metrics", self.metrics)]

    def _probes(self) -> list[web.RouteDef]:
        return [web.get("/livez", self.livez), web.get("/readyz", self.readyz)]

    async def livez(self, request: web.Request) -> web.Response:
        """200 while a media thread runs: if none does, only a restart helps."""
        del request
        alive = any(not engine.failed for engine in self._snapshot().engines)
        return _status(alive, "ok" if alive else "failed")

    async def readyz(self, request: web.Request) -> web.Response:
        """200 while new rooms are welcome."""
        del request
        snapshot = self._snapshot()
        if snapshot.draining or self._hub.is_draining:
            return _status(False, "draining")
        if any(engine.failed for engine in snapshot.engines):
            return _status(False, "an engine failed")
        return _status(True, "ok")

    async def guarded_metrics(self, request: web.Request) -> web.Response:
        """Metrics for whoever has the token or sits at this machine."""
        token = self._access.metrics_token
        local = self._access.local_metrics and is_local(request.remote, request.headers)
        if local or (token is not None and has_bearer(request, token)):
            return await self.metrics(request)
        if token is None:
            return problem(403, detail="metrics need metrics.token or metrics.listen to be set")
        return problem(401, headers={"WWW-Authenticate": "Bearer"})

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus text format."""
        del request
        response = web.Response(body=self._metrics.render(), headers={"Cache-Control": "no-store"})
        response.headers["Content-Type"] = CONTENT_TYPE_LATEST
        return response

    async def debug_rooms(self, request: web.Request) -> web.Response:
        """Rooms, participants, tracks and transports as JSON; 404 without a configured token."""
        if self._access.admin_token is None:
            return problem(404)
        if not has_bearer(request, self._access.admin_token):
            return problem(401, headers={"WWW-Authenticate": "Bearer"})
        state = describe(self._snapshot(), self._hub.describe())
        return web.json_response(state, headers={"Cache-Control": "no-store"})

    def _snapshot(self) -> SfuSnapshot:
        return self._hub.sfu.snapshot()


def _status(good: bool, text: str) -> web.Response:
    return web.Response(
        status=200 if good else 503, text=text + "\n", headers={"Cache-Control": "no-store"}
    )
