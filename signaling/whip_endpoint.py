"""The HTTP of WHIP and WHEP: requests of aiohttp in, replies of the core out."""

import asyncio
from typing import Final

from aiohttp import web

from signaling.clock import Clock
from signaling.http_member import HttpProtocol
from signaling.http_message import HttpReply, HttpRequest
from signaling.hub import Hub
from signaling.origin import counted_as, is_local

__all__ = ["WhipEndpoint"]

BODY_TIMEOUT_S: Final = 10.0
"""Time for a body to arrive."""

MAX_SELECTED: Final = 16
"""Participants or tracks a viewer may name; more are not read."""


class WhipEndpoint:
    """Serves ``/whip`` and ``/whep``."""

    def __init__(self, hub: Hub, clock: Clock) -> None:
        self._hub = hub
        self._clock = clock

    def routes(self) -> list[web.RouteDef]:
        """Endpoints of rooms and addresses of sessions."""
        return [
            web.route("*", f"/{{protocol:{'|'.join(HttpProtocol)}}}/{{room}}{tail}", self.serve)
            for tail in ("", "/{session}")
        ]

    async def serve(self, request: web.Request) -> web.Response:
        """One request."""
        reply = self._hub.http.handle(await self._read(request), self._clock())
        return _response(reply)

    async def _read(self, request: web.Request) -> HttpRequest:
        return HttpRequest(
            method=request.method,
            protocol=HttpProtocol(request.match_info["protocol"]),
            room_id=request.match_info["room"],
            session_id=request.match_info.get("session"),
            headers=request.headers,
            body=await _body(request),
            participants=tuple(request.query.getall("participant", [])[:MAX_SELECTED]),
            tracks=tuple(request.query.getall("track", [])[:MAX_SELECTED]),
            address=counted_as(
                request.remote, request.headers, self._hub.config.web.trusted_proxies
            ),
            local=is_local(request.remote, request.headers),
        )


async def _body(request: web.Request) -> bytes | None:
    """The body; ``None`` where it is larger than anything this server takes."""
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            return await request.read()
    except web.HTTPRequestEntityTooLarge:
        return None
    except TimeoutError:
        raise web.HTTPRequestTimeout from None


def _response(reply: HttpReply) -> web.Response:
    response = web.Response(status=reply.status, text=reply.body or None)
    for name, value in reply.headers:
        response.headers.add(name, value)
    if reply.content_type is not None:
        response.content_type = reply.content_type
        # Neither type has a parameter for it; both are UTF-8 by definition.
        response.charset = None
    else:
        response.headers.pop("Content-Type", None)
    if reply.status < 300:
        response.headers["Cache-Control"] = "no-store"
    return response
