"""Searching the archive over HTTP: ``/v1/archive`` for reviewers, auditors and supervisors."""

from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Literal, Protocol

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from signaling.auth import TokenVerifier
from signaling.clock import Clock
from signaling.errors import ErrorCode, RefusedError, SessionRefusedError
from signaling.json_body import read_json, wrong
from signaling.problem import problem, token_refused
from signaling.sale import Day, Reference
from signaling.staff import VIEWERS, StaffGate, StaffIdentity

__all__ = ["ArchiveEndpoint", "ArchiveSearch", "ArchivedSessions"]

_Id = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class ArchiveSearch(BaseModel):
    """What is looked for; everything that is given has to hold."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    session: _Id | None = None
    room: _Id | None = None
    order: Reference | None = None
    customer: Reference | None = None
    participant: _Id | None = None
    from_day: Day | None = Field(default=None, alias="from")
    to_day: Day | None = Field(default=None, alias="to")
    state: Literal["archived", "deleted", "held", "due"] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100
    cursor: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,256}$")] | None = None


class ArchivedSessions(Protocol):
    """What knows the archive. Raises :class:`SessionRefusedError`."""

    async def search(self, wanted: ArchiveSearch, rooms: frozenset[str] | None) -> dict[str, Any]:
        """A page of deposits; of these rooms only, if any are given."""
        ...


class ArchiveEndpoint:
    """Serves searches."""

    def __init__(self, archived: ArchivedSessions, verifier: TokenVerifier, clock: Clock) -> None:
        self._archived = archived
        self._gate = StaffGate(verifier, clock)

    def routes(self) -> list[web.RouteDef]:
        """All addresses."""
        return [
            web.get("/v1/archive", self._told(self._get)),
            web.post("/v1/archive/search", self._told(self._post)),
        ]

    def _told(
        self, handler: Callable[[web.Request, StaffIdentity], Awaitable[dict[str, Any]]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            try:
                who = self._gate.identity(request, VIEWERS)
                told = await handler(request, who)
            except SessionRefusedError as refused:
                return problem(refused.status, refused.code, refused.detail)
            except RefusedError as refused:
                return token_refused(refused)
            return web.json_response(told, headers={"Cache-Control": "no-store"})

        return serve

    async def _get(self, request: web.Request, who: StaffIdentity) -> dict[str, Any]:
        if "customer" in request.query:
            detail = "customer: not in an address; use POST /v1/archive/search"
            raise SessionRefusedError(400, ErrorCode.BAD_MESSAGE, detail)
        if len(set(request.query)) != len(request.query):
            raise SessionRefusedError(400, ErrorCode.BAD_MESSAGE, "a field is given twice")
        try:
            wanted = ArchiveSearch.model_validate(dict(request.query))
        except ValidationError as error:
            raise wrong(error) from None
        return await self._archived.search(wanted, who.rooms)

    async def _post(self, request: web.Request, who: StaffIdentity) -> dict[str, Any]:
        wanted = await read_json(request, ArchiveSearch)
        return await self._archived.search(wanted, who.rooms)
