"""Consents over HTTP: for RMs, for systems of the bank, and for participants without a socket."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, Protocol

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from signaling.asker import Asker, AskerGate
from signaling.auth import TokenVerifier, is_room_id
from signaling.clock import Clock
from signaling.consents import ConsentPermission, Given, Subject
from signaling.errors import (
    ErrorCode,
    HttpCode,
    RefusedError,
    SessionRefusedError,
)
from signaling.json_body import read_json
from signaling.problem import problem, token_refused

__all__ = ["ConsentEndpoint", "ConsentRecords", "NewConsent"]

_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class NewConsent(_Strict):
    """Body of ``POST /v1/consents``."""

    room: _Id
    participant_id: _Id
    permission: ConsentPermission
    how: Literal["click", "voice", "sign"]
    text_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class _Withdrawal(_Strict):
    """Body of ``POST /v1/consents/{id}:withdraw``; the session is for those that have ended."""

    session_id: _Id | None = None


class ConsentRecords(Protocol):
    """What keeps consents. Raises :class:`SessionRefusedError`."""

    async def record(self, subject: Subject, given: Given) -> dict[str, Any]:
        """Notes a consent; it is on its way to the disk when this returns."""
        ...

    async def revoke(self, consent_id: str, asker: Asker, session_id: str | None) -> dict[str, Any]:
        """Ends a consent; noted even if its session has ended."""
        ...


class ConsentEndpoint:
    """Serves consents."""

    def __init__(self, records: ConsentRecords, verifier: TokenVerifier, clock: Clock) -> None:
        self._records = records
        self._gate = AskerGate(verifier, clock)

    def routes(self) -> list[web.RouteDef]:
        """All addresses."""
        return [
            web.post("/v1/consents", self._told(self._create)),
            web.post("/v1/consents/{consent:[A-Za-z0-9_.-]+}:withdraw", self._told(self._withdraw)),
        ]

    def _told(
        self, handler: Callable[[web.Request, Asker], Awaitable[tuple[int, dict[str, Any]]]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            try:
                status, told = await handler(request, self._gate.asker(request))
            except SessionRefusedError as refused:
                return problem(refused.status, refused.code, refused.detail)
            except RefusedError as refused:
                return token_refused(refused)
            return web.json_response(told, status=status, headers={"Cache-Control": "no-store"})

        return serve

    async def _create(self, request: web.Request, asker: Asker) -> tuple[int, dict[str, Any]]:
        wanted = await read_json(request, NewConsent)
        subject = Subject(wanted.room, wanted.participant_id)
        if not is_room_id(wanted.room) or not asker.may_speak_for(subject):
            detail = "the token is for another room or participant"
            raise SessionRefusedError(403, ErrorCode.FORBIDDEN, detail)
        if wanted.how == "click" and asker.name != wanted.participant_id:
            detail = "how: only the participant clicks; others tell of voice and sign"
            raise SessionRefusedError(403, ErrorCode.FORBIDDEN, detail)
        given = Given(wanted.permission, wanted.how, wanted.text_sha256, asker.name)
        return 201, await self._records.record(subject, given)

    async def _withdraw(self, request: web.Request, asker: Asker) -> tuple[int, dict[str, Any]]:
        wanted = await read_json(request, _Withdrawal) if request.can_read_body else _Withdrawal()
        consent_id = request.match_info["consent"]
        if len(consent_id) > 64:
            raise SessionRefusedError(404, HttpCode.UNKNOWN_CONSENT, "no such consent")
        return 200, await self._records.revoke(consent_id, asker, wanted.session_id)
