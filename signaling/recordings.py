"""Watching recordings over HTTP: ``/v1/recordings`` for reviewers, auditors and supervisors.

Searches tell what a list shows of a recording, and are logged; nothing more is told before a
purpose was given. Opening a view sets a cookie that is good
for this recording's addresses only; with it a video element can ask for ranges, and no address,
log or history ever holds what lets somebody in.
"""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Protocol, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, model_validator

from signaling.auth import TokenVerifier
from signaling.clock import Clock
from signaling.errors import ErrorCode, RefusedError, SessionRefusedError
from signaling.json_body import read_json
from signaling.origin import is_allowed_origin
from signaling.problem import problem, token_refused
from signaling.staff import VIEWERS, StaffGate, StaffIdentity

__all__ = ["PURPOSES", "NewView", "RecordingLibrary", "RecordingsEndpoint", "Search", "ViewPass"]

COOKIE: Final = "witness_view"
_MAX_BODY: Final = 8_192
_TYPES: Final = {"film": "video/mp4", "package": "application/zip"}
_SUFFIXES: Final = {"film": ".mp4", "package": ".zip"}
_PIECE: Final = 1 << 20

Purpose = Literal[
    "review", "complaint", "dispute", "audit", "customer_request", "training", "other"
]
PURPOSES: Final[tuple[str, ...]] = (
    "review", "complaint", "dispute", "audit", "customer_request", "training", "other",
)  # fmt: skip
Day = Annotated[str, Field(pattern=r"^\d{4}-\d{2}-\d{2}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Search(_Strict):
    """Body of ``POST /v1/recordings/search``: a body, for addresses end up in logs of proxies."""

    q: Annotated[str, Field(max_length=64, pattern=r"^[A-Za-z0-9._:-]*$")] = ""
    from_day: Annotated[Day | None, Field(alias="from")] = None
    to_day: Annotated[Day | None, Field(alias="to")] = None
    state: Literal["ready", "recording", "paused", "interrupted", "stopped", "damaged"] | None = (
        None
    )
    before: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] | None = None
    limit: Annotated[int, Field(ge=1, le=100)] = 50


class NewView(_Strict):
    """Body of ``POST /v1/recordings/{id}/views``."""

    purpose: Purpose
    note: Annotated[str, Field(max_length=500, pattern=r"^[^\x00-\x1f\x7f]*$")] = ""

    @model_validator(mode="after")
    def _explained(self) -> "NewView":
        if self.purpose == "other" and len(self.note.strip()) < 4:
            raise ValueError("say in note what for")
        return self


class NewFilm(_Strict):
    """Body of ``POST /v1/recordings/{id}/film``."""

    language: Literal["zh", "en"] = "zh"


class Nothing(_Strict):
    """An empty object."""


@dataclass(frozen=True, slots=True)
class ViewPass:
    """An open view.

    Attributes:
        token: for the cookie.
        expires_s: Unix time.
    """

    view: str
    token: str
    session_id: str
    who: StaffIdentity
    purpose: str
    expires_s: float


class SealedMedia(Protocol):
    """A film that lies encrypted.

    Attributes:
        size: bytes of the content.
    """

    size: int

    async def read(self, start: int, count: int) -> bytes:
        """Part of the content; it lies within."""
        ...

    async def close(self) -> None:
        """Lets go of the file."""
        ...


class RecordingLibrary(Protocol):
    """What holds recordings. Methods raise :class:`SessionRefusedError`."""

    async def search(self, search: Search, who: StaffIdentity) -> dict[str, Any]:
        """Recordings somebody may watch, newest first; who looked for what is logged before."""
        ...

    async def open_view(self, session_id: str, who: StaffIdentity, wanted: NewView) -> ViewPass:
        """Logs who watches and why; nothing is shown before that is on the disk."""
        ...

    def view(self, session_id: str, token: str) -> ViewPass:
        """The open view of a cookie."""
        ...

    async def describe(self, view: ViewPass) -> dict[str, Any]:
        """What is drawn beside the film."""
        ...

    async def ask(self, view: ViewPass, work: str, language: str) -> dict[str, Any]:
        """Has a film made, or the package verified; how far both are."""
        ...

    async def work(self, view: ViewPass) -> dict[str, Any]:
        """How far film and verification are."""
        ...

    async def file(self, view: ViewPass, what: str, language: str) -> Path | SealedMedia:
        """The film or the package."""
        ...

    async def fetched(self, view: ViewPass, what: str, span: tuple[int, int], size: int) -> None:
        """Logs what is about to be sent."""
        ...


Model = TypeVar("Model", bound=BaseModel)
Handler = Callable[[web.Request, ViewPass], Awaitable[web.StreamResponse]]


class RecordingsEndpoint:
    """Serves recordings.

    Args:
        library: what holds them.
        verifier: of tokens.
        clock: both clocks.
        secure: pages come by https, so cookies go by it only.
        allowed_origins: of pages, besides the server's own.
    """

    def __init__(
        self,
        library: RecordingLibrary,
        verifier: TokenVerifier,
        clock: Clock,
        *,
        secure: bool,
        allowed_origins: tuple[str, ...] = (),
    ) -> None:
        self._library = library
        self._gate = StaffGate(verifier, clock)
        self._clock = clock
        self._secure = secure
        self._origins = allowed_origins

    def routes(self) -> list[web.RouteDef]:
        """All addresses."""
        one = "/v1/recordings/{session}"
        return [
            web.post("/v1/recordings/search", self._told(self._search)),
            web.post(f"{one}/views", self._told(self._open)),
            web.get(one, self._told(self._viewed(self._describe))),
            web.get(f"{one}/work", self._told(self._viewed(self._work))),
            web.post(f"{one}/film", self._told(self._viewed(self._make_film))),
            web.post(f"{one}/verification", self._told(self._viewed(self._verify))),
            web.get(f"{one}/film", self._told(self._viewed(self._film))),
            web.get(f"{one}/package", self._told(self._viewed(self._package))),
        ]

    def _told(
        self, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except SessionRefusedError as refused:
                headers = {"Retry-After": "10"} if refused.status in {429, 503} else None
                return problem(refused.status, refused.code, refused.detail, headers=headers)
            except RefusedError as refused:
                return token_refused(refused)

        return serve

    def _viewed(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            token = request.cookies.get(COOKIE, "")
            return await handler(request, self._library.view(request.match_info["session"], token))

        return serve

    async def _search(self, request: web.Request) -> web.StreamResponse:
        who = self._gate.identity(request, VIEWERS)
        return _json(await self._library.search(await read_json(request, Search, _MAX_BODY), who))

    async def _open(self, request: web.Request) -> web.StreamResponse:
        who = self._gate.identity(request, VIEWERS)
        wanted = await read_json(request, NewView, _MAX_BODY)
        session_id = request.match_info["session"]
        view = await self._library.open_view(session_id, who, wanted)
        left_s = int(view.expires_s - self._clock().unix_s)
        response = _json({"view": view.view, "expires_in_s": left_s}, status=201)
        response.set_cookie(
            COOKIE,
            view.token,
            path=f"/v1/recordings/{session_id}",
            max_age=left_s,
            httponly=True,
            samesite="Strict",
            secure=self._secure,
        )
        return response

    async def _describe(self, _: web.Request, view: ViewPass) -> web.StreamResponse:
        return _json(await self._library.describe(view))

    async def _work(self, _: web.Request, view: ViewPass) -> web.StreamResponse:
        return _json(await self._library.work(view))

    async def _make_film(self, request: web.Request, view: ViewPass) -> web.StreamResponse:
        self._own_page(request)
        wanted = await read_json(request, NewFilm, _MAX_BODY)
        return _json(await self._library.ask(view, "film", wanted.language), status=202)

    async def _verify(self, request: web.Request, view: ViewPass) -> web.StreamResponse:
        self._own_page(request)
        await read_json(request, Nothing, _MAX_BODY)
        return _json(await self._library.ask(view, "verification", ""), status=202)

    async def _film(self, request: web.Request, view: ViewPass) -> web.StreamResponse:
        return await self._send(request, view, "film")

    async def _package(self, request: web.Request, view: ViewPass) -> web.StreamResponse:
        return await self._send(request, view, "package")

    async def _send(self, request: web.Request, view: ViewPass, what: str) -> web.StreamResponse:
        language = "en" if request.query.get("lang") == "en" else "zh"
        name = f"{view.session_id}{_SUFFIXES[what]}"
        kind = "attachment" if what == "package" else "inline"
        headers = {
            "Content-Type": _TYPES[what],
            "Cache-Control": "private, no-store",
            "Content-Disposition": f'{kind}; filename="{name}"',
        }
        found = await self._library.file(view, what, language)
        if isinstance(found, Path):
            size = (await asyncio.to_thread(found.stat)).st_size
            await self._note(request, view, what, _span(request, size), size)
            return web.FileResponse(found, headers=headers)
        try:
            span = _span(request, found.size)
            await self._note(request, view, what, span, found.size)
            return await _stream(request, found, span, headers)
        finally:
            await found.close()

    async def _note(
        self, request: web.Request, view: ViewPass, what: str, span: tuple[int, int], size: int
    ) -> None:
        if request.method == "GET":
            await self._library.fetched(view, what, span, size)

    def _own_page(self, request: web.Request) -> None:
        origin = request.headers.get("Origin")
        if not is_allowed_origin(origin, request.host, self._origins):
            raise SessionRefusedError(403, ErrorCode.FORBIDDEN, "pages of this origin may not ask")


def _span(request: web.Request, size: int) -> tuple[int, int]:
    """Bytes that may be sent: the whole file where a condition decides.

    The header is read by what serves files, so that no other reading of it can be logged.

    Raises:
        web.HTTPRequestRangeNotSatisfiable: none are; nothing is to be logged.
    """
    if "If-Range" in request.headers:
        return 0, size
    try:
        wanted = request.http_range
    except ValueError:
        raise _unsatisfiable(size) from None
    start = 0 if wanted.start is None else wanted.start
    if start < 0:
        start = max(0, size + start)
    end = size if wanted.stop is None else min(size, wanted.stop)
    if start >= end and (start or wanted.stop is not None):
        raise _unsatisfiable(size)
    return start, end


def _unsatisfiable(size: int) -> web.HTTPRequestRangeNotSatisfiable:
    return web.HTTPRequestRangeNotSatisfiable(headers={"Content-Range": f"bytes */{size}"})


async def _stream(
    request: web.Request, media: SealedMedia, span: tuple[int, int], headers: dict[str, str]
) -> web.StreamResponse:
    start, end = span
    is_part = "Range" in request.headers and "If-Range" not in request.headers
    response = web.StreamResponse(status=206 if is_part else 200, headers=headers)
    response.headers["Accept-Ranges"] = "bytes"
    if is_part:
        response.headers["Content-Range"] = f"bytes {start}-{end - 1}/{media.size}"
    response.content_length = end - start
    await response.prepare(request)
    is_whole = False
    try:
        if request.method == "GET":
            for at in range(start, end, _PIECE):
                await response.write(await media.read(at, min(_PIECE, end - at)))
        await response.write_eof()
        is_whole = True
    finally:
        # Half an answer must not look like one that is still coming.
        if not is_whole and request.transport is not None:
            request.transport.close()
    return response


def _json(told: dict[str, Any], *, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-store"}
    return web.json_response(told, status=status, headers=headers)
