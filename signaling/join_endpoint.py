"""``POST /v1/join``: a hello and the offer in one request, their answers in one response.

Over a WebSocket they take four turns, each of which waits for the one before; where packets are
lost each turn may take seconds, and browsers open one WebSocket to a server at a time. A request
can be made several times at once, over connections that are open already.
"""

import asyncio
from email.message import Message
from typing import Final

from aiohttp import web

from signaling.clock import Clock
from signaling.coding import content_coding
from signaling.deflated import inflated_body
from signaling.door import Door
from signaling.hub import Hub
from signaling.problem import HttpCode, problem

__all__ = ["CODING", "JoinEndpoint"]

CODING: Final = "deflate"
"""The one content coding that is taken, of this body alone (RFC 9110, 8.4.1.2)."""

BODY_TIMEOUT_S: Final = 30.0
"""Time for a body to arrive."""

MAX_MESSAGES: Final = 5
"""The hello and a few offers: those of connections that were given up are answered, too."""

_TYPE: Final = "application/x-ndjson"
_SIMPLE_TYPE: Final = "text/plain"
"""A browser sends it for a page of another origin without asking first, which would be a turn more
(Fetch, "CORS-safelisted request-header"). It would ask about ``Content-Encoding``: a parameter
says that, ``encoding=deflate``."""
_MAX_BYTES: Final = 65_536


class JoinEndpoint:
    """Serves ``/v1/join``."""

    def __init__(self, hub: Hub, clock: Clock, door: Door) -> None:
        self._hub = hub
        self._clock = clock
        self._door = door

    async def serve(self, request: web.Request) -> web.Response:
        """One request."""
        remote = self._door.remote(request)
        refusal = self._door.refusal(request, remote)
        if refusal is not None:
            return refusal
        if request.content_type not in {_TYPE, _SIMPLE_TYPE}:
            return problem(415, HttpCode.UNSUPPORTED_MEDIA_TYPE, f"send {_TYPE} or {_SIMPLE_TYPE}")
        with self._door.counted(remote):
            try:
                async with asyncio.timeout(BODY_TIMEOUT_S):
                    lines = (await _text(request)).splitlines()
            except TimeoutError:
                raise web.HTTPRequestTimeout from None
            except UnicodeDecodeError:
                return problem(400, detail="the body is not UTF-8")
            except ValueError as error:
                return problem(400, detail=f"the body is {error}")
            if not 1 <= len(lines) <= MAX_MESSAGES:
                return problem(400, detail=f"send 1 to {MAX_MESSAGES} messages, one a line")
            frames = self._hub.visit(lines, remote, self._clock())
        response = web.Response(
            text="".join(f"{frame}\n" for frame in frames),
            content_type=_TYPE,
            headers={"Cache-Control": "no-store"},
        )
        response.enable_compression()
        return response


async def _text(request: web.Request) -> str:
    """The body.

    Raises:
        ValueError: it is not what the type says.
    """
    body = await request.read()
    header = Message()
    header["Content-Type"] = request.headers["Content-Type"]
    if CODING in {header.get_param("encoding"), content_coding(request)}:
        return inflated_body(body, _MAX_BYTES)
    return body.decode("utf-8")
