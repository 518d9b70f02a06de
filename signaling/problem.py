"""Errors of HTTP requests as ``application/problem+json`` (RFC 9457)."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Final

from aiohttp import web

from signaling.errors import ErrorCode, HttpCode, RefusedError

__all__ = ["HttpCode", "problem", "problem_middleware", "token_refused"]

log = logging.getLogger(__name__)


_CODES: Final[Mapping[int, ErrorCode | HttpCode]] = {
    400: ErrorCode.BAD_MESSAGE,
    401: ErrorCode.UNAUTHORIZED,
    403: ErrorCode.FORBIDDEN,
    404: HttpCode.NOT_FOUND,
    405: HttpCode.METHOD_NOT_ALLOWED,
    408: ErrorCode.TIMEOUT,
    413: ErrorCode.TOO_LARGE,
    415: HttpCode.UNSUPPORTED_MEDIA_TYPE,
    429: ErrorCode.RATE_LIMITED,
    503: ErrorCode.SERVER_FULL,
}


def problem(
    status: int,
    code: ErrorCode | HttpCode | None = None,
    detail: str | None = None,
    *,
    headers: Mapping[str, str] | None = None,
) -> web.Response:
    """An error response.

    Args:
        status: HTTP status; its phrase is the title.
        code: stable code of the protocol; by default the one of the status.
        detail: English, for developers.
        headers: further ones, such as ``Retry-After``.
    """
    fallback = ErrorCode.BAD_MESSAGE if status < 500 else ErrorCode.INTERNAL
    body: dict[str, object] = {
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": (code or _CODES.get(status, fallback)).value,
    }
    if detail is not None:
        body["detail"] = detail
    return web.json_response(
        body, status=status, headers=headers, content_type="application/problem+json"
    )


def token_refused(refused: RefusedError) -> web.Response:
    """The answer to a token that is none (401), or not one for this (403)."""
    status = 403 if refused.code is ErrorCode.FORBIDDEN else 401
    return problem(status, refused.code, refused.message)


@web.middleware
async def problem_middleware(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Gives every error the same form; a fault is logged and told without its cause."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < 400:
            raise
        kept = {k: v for k, v in error.headers.items() if k in {"Allow", "Retry-After"}}
        return problem(error.status, headers=kept)
    except (web.RequestPayloadError, ConnectionError):
        # The body was cut off.
        return problem(400, detail="the request's body can't be read")
    except Exception:  # one request's fault must not show its cause, nor end the others
        log.exception("request failed", extra={"method": request.method})
        return problem(500, ErrorCode.INTERNAL)
