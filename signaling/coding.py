"""Compressed bodies: nothing inflates one but who knows how large it may become."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web

from signaling.problem import HttpCode, problem

__all__ = ["content_coding", "only_codings"]

_Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]


def content_coding(request: web.Request) -> str:
    """What ``Content-Encoding`` says (RFC 9110, 8.4), in lower case; nothing: the body as it is."""
    coding = ", ".join(request.headers.getall("Content-Encoding", ())).strip().lower()
    return "" if coding == "identity" else coding


def only_codings(path: str, coding: str) -> Callable[..., Awaitable[web.StreamResponse]]:
    """A middleware that refuses bodies in any content coding but this one, and that elsewhere.

    The server must not inflate bodies by itself (``auto_decompress``).

    Args:
        path: where the coding is taken.
        coding: what is taken there.
    """

    @web.middleware
    async def refuse(request: web.Request, handler: _Handler) -> web.StreamResponse:
        taken = coding if request.path == path else ""
        if content_coding(request) in {"", taken}:
            return await handler(request)
        # What may be sent instead (RFC 9110, 12.5.3 and 15.5.16).
        return problem(
            415,
            HttpCode.UNSUPPORTED_MEDIA_TYPE,
            f"send the body without Content-Encoding{taken and f', or with {taken}'}",
            headers={"Accept-Encoding": taken or "identity"},
        )

    return refuse
