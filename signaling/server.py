"""HTTP and WebSocket around the hub."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Final

from aiohttp import web
from pydantic import ValidationError

from signaling.auth import MintingKey
from signaling.clock import Clock, system_clock
from signaling.coding import only_codings
from signaling.cors import CrossOrigin
from signaling.demo import DEMO_TTL_S, DemoRequest, mint_demo_token
from signaling.door import Door
from signaling.driver import HubDriver
from signaling.endpoint import SocketEndpoint
from signaling.errors import ErrorCode
from signaling.hub import Hub
from signaling.join_endpoint import CODING, JoinEndpoint
from signaling.origin import is_allowed_origin, is_local
from signaling.pages import Pages
from signaling.problem import problem, problem_middleware
from signaling.schema import SCHEMA_PATH
from signaling.sessions import RecordedSessions, SessionEndpoint
from signaling.uploads import UploadEndpoint, Uploads
from signaling.whip_endpoint import WhipEndpoint

__all__ = ["HUB", "add_headers", "build_app", "has_bearer"]

HUB: Final = web.AppKey("hub", Hub)

MAX_BODY_BYTES: Final = 65_536

_JOIN: Final = "/v1/join"

_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def build_app(
    hub: Hub,
    *,
    web_root: Path | None = None,
    demo_key: MintingKey | None = None,
    clock: Clock = system_clock,
    uploads: Uploads | None = None,
    sessions: RecordedSessions | None = None,
) -> web.Application:
    """The application with all routes of signaling; the caller adds its own.

    Run it on handlers that don't inflate bodies (``auto_decompress=False``).

    Args:
        hub: its deadlines run while the application does.
        web_root: folder with ``app/`` and ``sdk/``; ``None`` serves no pages.
        demo_key: for ``POST /v1/demo/tokens``; ``None`` leaves the route out.
        clock: both clocks of this machine.
        uploads: takes what recordings lack; ``None`` leaves the routes out.
        sessions: records rooms; ``None`` leaves the routes out.
    """
    app = web.Application(
        middlewares=[problem_middleware, only_codings(_JOIN, CODING)],
        client_max_size=MAX_BODY_BYTES,
    )
    app[HUB] = hub
    cors = CrossOrigin(hub.config.web.allowed_origins)
    app.on_response_prepare.extend((cors.add_headers, add_headers))
    door = Door(hub)
    endpoint = SocketEndpoint(hub, clock, door)
    driver = HubDriver(hub, clock)

    async def run_hub(_: web.Application) -> AsyncIterator[None]:
        driver.start(asyncio.get_running_loop())
        yield
        driver.stop()

    async def end_sockets(_: web.Application) -> None:
        await endpoint.end_all()

    app.cleanup_ctx.append(run_hub)
    app.on_shutdown.append(end_sockets)
    app.router.add_get("/v1/ws", endpoint.serve)
    cors.open([app.router.add_post(_JOIN, JoinEndpoint(hub, clock, door).serve)])
    app.router.add_get("/v1/schema.json", _schema(SCHEMA_PATH.read_text(encoding="utf-8")))
    if hub.config.whip.enabled:
        app.add_routes(WhipEndpoint(hub, clock).routes())
    if uploads is not None:
        cors.open(app.add_routes(UploadEndpoint(uploads, clock).routes()))
    if sessions is not None:
        app.add_routes(SessionEndpoint(sessions, hub.verifier, clock).routes())
    if demo_key is not None:
        app.router.add_post("/v1/demo/tokens", _DemoTokens(hub, demo_key, clock).serve)
    if web_root is not None and hub.config.web.serve_pages:
        pages = Pages(web_root)
        # Only what is known is served, so this can't hide a route the caller adds later.
        for path in pages.paths:
            app.router.add_get(path, pages.serve)
    return app


def has_bearer(request: web.Request, token: str) -> bool:
    """Whether the request carries the bearer token (RFC 6750); takes the same time if not."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    same = hmac.compare_digest(given.strip().encode("utf-8", "surrogateescape"), token.encode())
    return scheme.lower() == "bearer" and same


async def add_headers(_: web.Request, response: web.StreamResponse) -> None:
    """Headers of every answer; for ``Application.on_response_prepare``."""
    response.headers["Server"] = "witness"
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)


def _schema(text: str) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def serve(_: web.Request) -> web.Response:
        headers = {"Cache-Control": "no-cache"}
        return web.Response(text=text, content_type="application/schema+json", headers=headers)

    return serve


class _DemoTokens:
    """Serves ``POST /v1/demo/tokens``."""

    def __init__(self, hub: Hub, key: MintingKey, clock: Clock) -> None:
        self._hub = hub
        self._key = key
        self._clock = clock

    async def serve(self, request: web.Request) -> web.Response:
        """A token for whoever sits at this machine."""
        if not is_local(request.remote, request.headers):
            return problem(403, ErrorCode.FORBIDDEN, "demo tokens are for this machine only")
        allowed = self._hub.config.web.allowed_origins
        if not is_allowed_origin(request.headers.get("Origin"), request.host, allowed):
            return problem(403, ErrorCode.FORBIDDEN, "pages of this origin may not ask")
        # A page of another origin can't send this type without asking first, which is not answered.
        if request.content_type != "application/json":
            return problem(415, detail="send application/json")
        try:
            wanted = DemoRequest.model_validate_json(await request.read())
            ttl_s = min(DEMO_TTL_S, self._hub.config.auth.max_ttl_s)
            token = mint_demo_token(self._key, wanted, self._clock().unix_s, ttl_s=ttl_s)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            return problem(400, ErrorCode.BAD_MESSAGE, f"wrong or missing: {where or 'body'}")
        except ValueError as error:
            return problem(400, ErrorCode.BAD_MESSAGE, str(error))
        self._hub.stats.demo_tokens += 1
        return web.json_response(
            text=token.model_dump_json(), headers={"Cache-Control": "no-store"}
        )
