"""Photos of identity documents over HTTP: for RMs and for systems of the bank."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, Protocol

from aiohttp import web

from signaling.asker import AskerGate
from signaling.auth import TokenVerifier, is_identifier, is_room_id
from signaling.clock import Clock
from signaling.consents import Subject
from signaling.errors import (
    ErrorCode,
    HttpCode,
    RefusedError,
    SessionRefusedError,
)
from signaling.json_body import BODY_TIMEOUT_S
from signaling.picture import NoPictureError, picture_head
from signaling.problem import problem, token_refused

__all__ = ["MAX_BYTES", "MAX_SIDE", "MIN_SIDE", "IdPhotoDesk", "IdPhotoEndpoint"]

MAX_BYTES: Final = 40_000
MIN_SIDE: Final = 64
MAX_SIDE: Final = 2_048
_KINDS: Final = ("image/jpeg", "image/png")
_Handler = Callable[[web.Request, Subject, str], Awaitable[dict[str, Any] | None]]


class IdPhotoDesk(Protocol):
    """What keeps photos until they are compared. Calls return at once."""

    def give(self, subject: Subject, photo: bytes, by: str) -> dict[str, Any]:
        """Takes somebody's photo, in place of one that waits; tells its state.

        Args:
            subject: whose it is.
            photo: JPEG or PNG.
            by: who gave it: an RM's participant, or a system of the bank.

        Raises:
            SessionRefusedError: the participant doesn't hold the consents for it.
        """
        ...

    def state(self, subject: Subject) -> dict[str, Any]:
        """What has become of somebody's photo."""
        ...

    def take_back(self, subject: Subject) -> None:
        """Deletes somebody's photo, if there is one."""
        ...


class IdPhotoEndpoint:
    """Serves photos; none ever comes back out of it."""

    def __init__(self, desk: IdPhotoDesk, verifier: TokenVerifier, clock: Clock) -> None:
        self._desk = desk
        self._gate = AskerGate(verifier, clock)

    def routes(self) -> list[web.RouteDef]:
        """All addresses."""
        where = "/v1/rooms/{room}/participants/{participant}/id-photo"
        return [
            web.put(where, self._told(self._put, 202)),
            web.get(where, self._told(self._get, 200)),
            web.delete(where, self._told(self._delete, 204)),
        ]

    def _told(
        self, handler: _Handler, status: int
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            try:
                told = await handler(request, *self._asked(request))
            except SessionRefusedError as refused:
                return problem(refused.status, refused.code, refused.detail)
            except RefusedError as refused:
                return token_refused(refused)
            headers = {"Cache-Control": "no-store"}
            if told is None:
                return web.Response(status=status, headers=headers)
            return web.json_response(told, status=status, headers=headers)

        return serve

    def _asked(self, request: web.Request) -> tuple[Subject, str]:
        """Whose photo it is, and who asks.

        Raises:
            UnauthorizedError, RefusedError: no token, or none that is good for this.
            SessionRefusedError: the token is good, but not for this participant.
        """
        asker = self._gate.asker(request)
        subject = Subject(request.match_info["room"], request.match_info["participant"])
        if not is_room_id(subject.room_id) or not is_identifier(subject.participant_id):
            raise SessionRefusedError(404, HttpCode.NOT_FOUND, "no such room or participant")
        if not asker.may_speak_for(subject):
            detail = "the token is for another room"
            raise SessionRefusedError(403, ErrorCode.FORBIDDEN, detail)
        if asker.participant:
            # Who is to be compared doesn't say with what.
            detail = "photos of documents are given by RMs and systems of the bank"
            raise SessionRefusedError(403, ErrorCode.FORBIDDEN, detail)
        return subject, asker.name

    async def _put(self, request: web.Request, subject: Subject, by: str) -> dict[str, Any]:
        return self._desk.give(subject, await _photo(request), by)

    async def _get(self, request: web.Request, subject: Subject, by: str) -> dict[str, Any]:
        del request, by
        return self._desk.state(subject)

    async def _delete(self, request: web.Request, subject: Subject, by: str) -> None:
        del request, by
        self._desk.take_back(subject)


async def _photo(request: web.Request) -> bytes:
    """The body, which is a picture of the right size.

    Raises:
        SessionRefusedError: it is something else, too large, or too slow.
    """
    if request.content_type not in _KINDS:
        detail = f"send {' or '.join(_KINDS)}"
        raise SessionRefusedError(415, HttpCode.UNSUPPORTED_MEDIA_TYPE, detail)
    too_large = f"at most {MAX_BYTES} bytes: make it smaller, 358 x 441 pixels are enough"
    if (request.content_length or 0) > MAX_BYTES:
        raise SessionRefusedError(413, ErrorCode.TOO_LARGE, too_large)
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            data = await request.content.read(MAX_BYTES + 1)
            while len(data) <= MAX_BYTES and (more := await request.content.read(MAX_BYTES + 1)):
                data += more
    except TimeoutError:
        raise SessionRefusedError(408, ErrorCode.TIMEOUT, "the body took too long") from None
    if len(data) > MAX_BYTES:
        raise SessionRefusedError(413, ErrorCode.TOO_LARGE, too_large)
    try:
        head = picture_head(data)
    except NoPictureError as error:
        raise SessionRefusedError(400, ErrorCode.BAD_MESSAGE, f"body: {error}") from None
    if head.kind != request.content_type:
        detail = f"body: it is {head.kind}, not {request.content_type}"
        raise SessionRefusedError(400, ErrorCode.BAD_MESSAGE, detail)
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in (head.width, head.height)):
        detail = (
            f"body: {head.width} x {head.height} pixels; each side has {MIN_SIDE} to {MAX_SIDE}"
        )
        raise SessionRefusedError(400, ErrorCode.BAD_MESSAGE, detail)
    return data
