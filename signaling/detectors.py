"""Cards of detectors over HTTP: what watches calls, and what has to be known to believe it."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, Protocol

from aiohttp import web

from signaling.auth import TokenVerifier
from signaling.clock import Clock
from signaling.errors import HttpCode, RefusedError, SessionRefusedError, UnauthorizedError
from signaling.origin import is_local
from signaling.problem import problem, token_refused
from signaling.staff import StaffGate, StaffRole

__all__ = ["DetectorCards", "DetectorsEndpoint"]

_STAFF: Final = frozenset(StaffRole)


class DetectorCards(Protocol):
    """What knows the detectors of this server."""

    async def cards(self) -> Sequence[dict[str, Any]]:
        """A card of each, in the order of their names."""
        ...

    async def card(self, name: str) -> dict[str, Any] | None:
        """The card of one; ``None`` where there is none of that name."""
        ...


class DetectorsEndpoint:
    """Serves cards to whoever may take part in a call or watch recordings."""

    def __init__(self, detectors: DetectorCards, verifier: TokenVerifier, clock: Clock) -> None:
        self._detectors = detectors
        self._verifier = verifier
        self._staff = StaffGate(verifier, clock)

    def routes(self) -> list[web.RouteDef]:
        """All addresses."""
        return [
            web.get("/v1/detectors", self._told(self._all)),
            web.get("/v1/detectors/{name}/card", self._told(self._one)),
        ]

    def _told(
        self, handler: Callable[[web.Request], Awaitable[dict[str, Any]]]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            try:
                self._expect_token(request)
                told = await handler(request)
            except SessionRefusedError as refused:
                return problem(refused.status, refused.code, refused.detail)
            except RefusedError as refused:
                return token_refused(refused)
            return web.json_response(told, headers={"Cache-Control": "no-store"})

        return serve

    def _expect_token(self, request: web.Request) -> None:
        """Any token that is good here.

        Raises:
            UnauthorizedError: none is.
        """
        try:
            self._staff.identity(request, _STAFF)
        except UnauthorizedError as error:
            if error.cause != "audience":
                raise
            _, _, token = request.headers.get("Authorization", "").partition(" ")
            now_s = self._staff.clock().unix_s
            local = is_local(request.remote, request.headers)
            self._verifier.verify(token.strip(), now_unix_s=now_s, local=local)

    async def _all(self, _: web.Request) -> dict[str, Any]:
        return {"detectors": list(await self._detectors.cards())}

    async def _one(self, request: web.Request) -> dict[str, Any]:
        card = await self._detectors.card(request.match_info["name"])
        if card is None:
            raise SessionRefusedError(404, HttpCode.UNKNOWN_DETECTOR, "no such detector")
        return card
