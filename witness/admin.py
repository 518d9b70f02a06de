"""Pages for machines (``/livez``, ``/readyz``, ``/metrics``) and people (``/debug/rooms``)."""

from collections.abc import Awaitable, Callable

from aiohttp import web

from sfu.snapshot import SfuSnapshot
from signaling.hub import Hub
from signaling.problem import problem
from signaling.server import has_bearer
from witness.debug import describe
from witness.metrics import CONTENT_TYPE_LATEST, Metrics

__all__ = ["AdminPages"]

Page = Callable[[web.Request], Awaitable[web.StreamResponse]]


class AdminPages:
    """The handlers; :meth:`routes` puts them into an application.

    Args:
        hub: signaling and, through it, the sfu.
        metrics: what ``/metrics`` shows.
        admin_token: bearer token for ``/debug/rooms``; without one the page is off.
    """

    def __init__(self, hub: Hub, metrics: Metrics, admin_token: str | None) -> None:
        self._hub = hub
        self._metrics = metrics
        self._admin_token = admin_token

    def routes(self) -> list[web.RouteDef]:
        """All pages."""
        return [
            web.get("/livez", self.livez),
            web.get("/readyz", self.readyz),
            web.get("/metrics", self.metrics),
            web.get("/debug/rooms", self.debug_rooms),
        ]

    async def livez(self, request: web.Request) -> web.Response:
        """200 while a media thread runs: if none does, only a restart helps."""
        del request
        failed = [engine.index for engine in self._snapshot().engines if engine.failed]
        alive = len(failed) < len(self._snapshot().engines)
        return _status(alive, "ok" if not failed else f"engines failed: {failed}")

    async def readyz(self, request: web.Request) -> web.Response:
        """200 while new rooms are welcome."""
        del request
        snapshot = self._snapshot()
        if snapshot.draining or self._hub.is_draining:
            return _status(False, "draining")
        if any(engine.failed for engine in snapshot.engines):
            return _status(False, "an engine failed")
        return _status(True, "ok")

    async def metrics(self, request: web.Request) -> web.Response:
        """Prometheus text format."""
        del request
        response = web.Response(body=self._metrics.render())
        response.headers["Content-Type"] = CONTENT_TYPE_LATEST
        return response

    async def debug_rooms(self, request: web.Request) -> web.Response:
        """Rooms, participants, tracks and transports as JSON; 404 without a configured token."""
        if self._admin_token is None:
            return problem(404)
        if not has_bearer(request, self._admin_token):
            return problem(401, headers={"WWW-Authenticate": "Bearer"})
        state = describe(self._snapshot(), self._hub.describe())
        return web.json_response(state, headers={"Cache-Control": "no-store"})

    def _snapshot(self) -> SfuSnapshot:
        return self._hub.sfu.snapshot()


def _status(good: bool, text: str) -> web.Response:
    return web.Response(
        status=200 if good else 503, text=text + "\n", headers={"Cache-Control": "no-store"}
    )
