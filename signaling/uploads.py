"""Uploads of what a recording lacks: ``/v1/sessions/{id}/…`` with an upload token."""

import asyncio
import base64
import binascii
import hashlib
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Final, Literal, Protocol, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from signaling.clock import Clock, TokenBucket
from signaling.errors import ErrorCode, HttpCode, RefusedError
from signaling.messages import MAX_CHUNK_BYTES, DigestBatchData, Identifier
from signaling.problem import problem
from signaling.recording import Completeness, Wanted

__all__ = ["UploadBearer", "UploadEndpoint", "UploadRefusedError", "Uploads"]

BODY_TIMEOUT_S: Final = 120.0
"""Time for a body to arrive: on a bad network a chunk takes long."""

_MAX_WANTED: Final = 64
_MAX_JSON: Final = 65_536
_PER_S: Final = 20.0
_BURST: Final = 100.0
_KEPT: Final = 4_096
_DIGEST: Final = re.compile(r"\s*sha-256=:([A-Za-z0-9+/=]{44}):\s*")
_STATUS: Final = {
    ErrorCode.FORBIDDEN: 403,
    ErrorCode.BAD_MESSAGE: 400,
    ErrorCode.BUSY: 503,
}
_SEQ: Final = re.compile(r"[0-9]{1,16}")


class UploadRefusedError(Exception):
    """An upload is refused.

    Attributes:
        status: of HTTP.
        code: stable code of the protocol.
        detail: English, for developers.
        retry_after_s: when to try again.
    """

    def __init__(
        self,
        status: int,
        code: ErrorCode | HttpCode,
        detail: str,
        *,
        retry_after_s: int | None = None,
    ) -> None:
        super().__init__(f"{code}: {detail}")
        self.status = status
        self.code = code
        self.detail = detail
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class UploadBearer:
    """Whom an upload token stands for."""

    session_id: str
    participant_id: str


class Uploads(Completeness, Protocol):
    """What takes uploads. Only :meth:`put` may take long."""

    def bearer(self, token: str, now_unix_s: float) -> UploadBearer:
        """Whom a token stands for.

        Raises:
            UploadRefusedError: forged, or its time is over.
        """
        ...

    def state(self, session_id: str, participant_id: str) -> Literal["recording", "open", "done"]:
        """Whether uploads of a participant are still of use.

        Raises:
            UploadRefusedError: no such session.
        """
        ...

    def lost(
        self,
        session_id: str,
        participant_id: str,
        track_id: str,
        seqs: tuple[int, ...],
        cause: Literal["evicted"],
    ) -> None:
        """Declares chunks that the client no longer has.

        Raises:
            UploadRefusedError: somebody else's, or unknown.
        """
        ...

    async def put(
        self, session_id: str, participant_id: str, track_id: str, seq: int, body: bytes
    ) -> None:
        """Takes the missing frames of a chunk.

        Raises:
            UploadRefusedError: not what was sent, or not all of it.
        """
        ...


class LostReport(BaseModel):
    """Body of ``POST …/lost``."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    track_id: Identifier
    seqs: tuple[Annotated[int, Field(ge=0, le=2**53 - 1)], ...] = Field(min_length=1, max_length=64)
    cause: Literal["evicted"]


Model = TypeVar("Model", bound=BaseModel)
Handler = Callable[[web.Request, UploadBearer], Awaitable[web.Response]]


class UploadEndpoint:
    """Serves uploads."""

    def __init__(self, uploads: Uploads, clock: Clock) -> None:
        self._uploads = uploads
        self._clock = clock
        self._buckets: OrderedDict[UploadBearer, TokenBucket] = OrderedDict()

    def routes(self) -> list[web.RouteDef]:
        """All addresses."""
        base = "/v1/sessions/{session}"
        return [
            web.get(f"{base}/wants", self._guarded(self._wants)),
            web.post(f"{base}/digests", self._guarded(self._digests)),
            web.post(f"{base}/lost", self._guarded(self._lost)),
            web.put(f"{base}/tracks/{{track}}/chunks/{{seq}}", self._guarded(self._put)),
        ]

    def _guarded(self, handler: Handler) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            try:
                response = await handler(request, self._bearer(request))
            except UploadRefusedError as refused:
                return _refusal(refused)
            except RefusedError as refused:
                status = _STATUS.get(refused.code, 404)
                wait_s = None if refused.retry_after_s is None else int(refused.retry_after_s)
                again = UploadRefusedError(
                    status, refused.code, refused.message, retry_after_s=wait_s
                )
                return _refusal(again)
            response.headers["Cache-Control"] = "no-store"
            return response

        return serve

    def _bearer(self, request: web.Request) -> UploadBearer:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise UploadRefusedError(401, ErrorCode.UNAUTHORIZED, "an upload token is needed")
        now = self._clock()
        bearer = self._uploads.bearer(token.strip(), now.unix_s)
        if bearer.session_id != request.match_info["session"]:
            raise UploadRefusedError(403, ErrorCode.FORBIDDEN, "the token is for another session")
        bucket = self._buckets.setdefault(bearer, TokenBucket(_PER_S, _BURST, now.steady_s))
        self._buckets.move_to_end(bearer)
        if len(self._buckets) > _KEPT:
            self._buckets.popitem(last=False)
        wait_s = bucket.take(1, now.steady_s)
        if wait_s > 0:
            raise UploadRefusedError(
                429, ErrorCode.RATE_LIMITED, "too many requests", retry_after_s=1 + int(wait_s)
            )
        return bearer

    async def _wants(self, _: web.Request, bearer: UploadBearer) -> web.Response:
        state = self._uploads.state(bearer.session_id, bearer.participant_id)
        wanted, more = self._uploads.wanted(bearer.session_id, bearer.participant_id, _MAX_WANTED)
        chunks = [_wanted(item) for item in wanted]
        return web.json_response({"state": state, "chunks": chunks, "more": more})

    async def _digests(self, request: web.Request, bearer: UploadBearer) -> web.Response:
        batch = _parsed(DigestBatchData, await _body(request, _MAX_JSON))
        if batch.session_id != bearer.session_id:
            raise UploadRefusedError(403, ErrorCode.FORBIDDEN, "the token is for another session")
        kept = self._uploads.accept_digests(
            bearer.session_id, bearer.participant_id, batch, late=True
        )
        return web.json_response({"settled_below": kept.settled_below, "batches": kept.batches})

    async def _lost(self, request: web.Request, bearer: UploadBearer) -> web.Response:
        report = _parsed(LostReport, await _body(request, _MAX_JSON))
        self._uploads.lost(
            bearer.session_id, bearer.participant_id, report.track_id, report.seqs, report.cause
        )
        return web.Response(status=204)

    async def _put(self, request: web.Request, bearer: UploadBearer) -> web.Response:
        if request.content_type != "application/octet-stream":
            raise UploadRefusedError(
                415, HttpCode.UNSUPPORTED_MEDIA_TYPE, "send application/octet-stream"
            )
        seq = request.match_info["seq"]
        if not _SEQ.fullmatch(seq):
            raise UploadRefusedError(404, HttpCode.UNKNOWN_CHUNK, "a chunk has a number")
        body = await _body(request, MAX_CHUNK_BYTES)
        _check_digest(request.headers.get("Content-Digest", ""), body)
        await self._uploads.put(
            bearer.session_id, bearer.participant_id, request.match_info["track"], int(seq), body
        )
        return web.Response(status=204)


def _wanted(item: Wanted) -> dict[str, object]:
    return {"track_id": item.track_id, "seq": item.seq, "have": list(item.have)}


def _parsed(model: type[Model], body: bytes) -> Model:
    try:
        return model.model_validate_json(body)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UploadRefusedError(
            400, ErrorCode.BAD_MESSAGE, f"wrong or missing: {where}" if where else first["msg"]
        ) from None


async def _body(request: web.Request, limit: int) -> bytes:
    """Reads a body in pieces: the application's own limit is for small ones."""
    if (request.content_length or 0) > limit:
        raise UploadRefusedError(413, ErrorCode.TOO_LARGE, f"at most {limit} bytes")
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIMEOUT_S):
            async for piece in request.content.iter_any():
                body += piece
                if len(body) > limit:
                    raise UploadRefusedError(413, ErrorCode.TOO_LARGE, f"at most {limit} bytes")
    except TimeoutError:
        raise web.HTTPRequestTimeout from None
    return bytes(body)


def _check_digest(header: str, body: bytes) -> None:
    """RFC 9530: what arrived is what was sent."""
    found = _DIGEST.fullmatch(header)
    if found is None:
        raise UploadRefusedError(400, ErrorCode.BAD_MESSAGE, "Content-Digest: sha-256 is needed")
    try:
        said = base64.b64decode(found.group(1), validate=True)
    except binascii.Error:
        said = b""
    if said != hashlib.sha256(body).digest():
        raise UploadRefusedError(400, ErrorCode.BAD_MESSAGE, "the body is not what was digested")


def _refusal(refused: UploadRefusedError) -> web.Response:
    headers = {}
    if refused.status == 401:
        headers["WWW-Authenticate"] = 'Bearer realm="witness"'
    if refused.retry_after_s is not None:
        headers["Retry-After"] = str(refused.retry_after_s)
    return problem(refused.status, refused.code, refused.detail, headers=headers)
