"""Recorded sessions over HTTP: ``/v1/sessions`` with a room token."""

import re
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, Final, Literal, Protocol, TypeVar

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from sfu.model import Role
from signaling.auth import Identity, TokenVerifier
from signaling.clock import Clock
from signaling.errors import ErrorCode, HttpCode, RefusedError, SessionRefusedError
from signaling.json_body import read_json
from signaling.origin import is_local
from signaling.problem import problem, token_refused
from signaling.sale import Customer, Order
from signaling.staff import StaffGate, StaffIdentity, StaffRole

__all__ = [
    "NewSession",
    "RecordedSessions",
    "SessionCommand",
    "SessionEndpoint",
    "SessionRefusedError",
]

_MAX_LARGE_BODY: Final = 65_536
"""Of what carries a flow or a transcript."""
_MAX_LINES: Final = 256
_KEY: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_READERS: Final = frozenset({Role.RM, Role.SUPERVISOR})
_WRITERS: Final = frozenset({Role.RM})

Node = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class PlainCommand(_Strict):
    """A command without more to say."""

    command: Literal["start", "pause", "resume", "stop"]


class MarkCommand(_Strict):
    """Remembers a moment."""

    command: Literal["mark"]
    label: Annotated[str, Field(min_length=1, max_length=200)]


class NodeCommand(_Strict):
    """Goes to a node of the flow, or records it again."""

    command: Literal["next", "re_record"]
    node: Node


class NewSession(_Strict):
    """Body of ``POST /v1/sessions``."""

    room: Annotated[str, Field(min_length=1, max_length=64)]
    order: Order | None = None
    customer: Customer | None = None
    flow: dict[str, Any] | None = None


class TranscriptLines(_Strict):
    """Body of ``POST /v1/sessions/{id}/transcript``."""

    lines: Annotated[list[dict[str, Any]], Field(max_length=_MAX_LINES)]
    final: bool = False


SessionCommand = Annotated[PlainCommand | MarkCommand | NodeCommand, Field(discriminator="command")]
_COMMAND: Final[TypeAdapter[SessionCommand]] = TypeAdapter(SessionCommand)
_NEW: Final = TypeAdapter(NewSession)
_TRANSCRIPT: Final = TypeAdapter(TranscriptLines)
_DETECTORS: Final = frozenset({StaffRole.DETECTOR})
Model = TypeVar("Model")


class RecordedSessions(Protocol):
    """What records. Every method raises :class:`SessionRefusedError`."""

    async def create(self, wanted: NewSession) -> dict[str, Any]:
        """A new session of a room."""
        ...

    async def room_of(self, session_id: str) -> str:
        """The room a session belongs to."""
        ...

    async def command(
        self, session_id: str, command: SessionCommand, actor: str, *, key: str | None = None
    ) -> dict[str, Any]:
        """Carries out a command for a participant, once for each key of theirs."""
        ...

    async def describe(self, session_id: str) -> dict[str, Any]:
        """What a session is."""
        ...

    async def timeline(self, session_id: str) -> dict[str, Any]:
        """What was recorded when, and what is missing."""
        ...

    async def consents(self, session_id: str) -> dict[str, Any]:
        """What participants agreed to, and withdrew."""
        ...

    async def findings(self, session_id: str) -> dict[str, Any]:
        """What detectors found, and times of which they don't know."""
        ...

    async def transcribe(
        self, session_id: str, lines: list[dict[str, Any]], *, final: bool, actor: str
    ) -> dict[str, Any]:
        """Adds lines to a session's transcript."""
        ...


Handler = Callable[[web.Request, Identity], Awaitable[tuple[int, dict[str, Any]]]]


class SessionEndpoint:
    """Serves sessions."""

    def __init__(self, sessions: RecordedSessions, verifier: TokenVerifier, clock: Clock) -> None:
        self._sessions = sessions
        self._verifier = verifier
        self._clock = clock
        self._staff = StaffGate(verifier, clock)

    def routes(self) -> list[web.RouteDef]:
        """All addresses."""
        one = "/v1/sessions/{session}"
        return [
            web.post("/v1/sessions", self._guarded(self._create, _WRITERS)),
            web.get(one, self._guarded(self._describe, _READERS)),
            web.post(f"{one}/commands", self._guarded(self._command, _WRITERS)),
            web.get(f"{one}/timeline", self._guarded(self._timeline, _READERS)),
            web.get(f"{one}/consents", self._guarded(self._consents, _READERS)),
            web.get(f"{one}/findings", self._guarded(self._findings, _READERS)),
            web.post(f"{one}/transcript", self._transcribe),
        ]

    def _guarded(
        self, handler: Handler, roles: frozenset[Role]
    ) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        async def serve(request: web.Request) -> web.StreamResponse:
            try:
                identity = await self._identity(request, roles)
                status, told = await handler(request, identity)
            except SessionRefusedError as refused:
                return problem(refused.status, refused.code, refused.detail)
            except RefusedError as refused:
                return problem(401, refused.code, refused.message)
            return web.json_response(told, status=status, headers={"Cache-Control": "no-store"})

        return serve

    async def _identity(self, request: web.Request, roles: frozenset[Role]) -> Identity:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise SessionRefusedError(401, ErrorCode.UNAUTHORIZED, "a room token is needed")
        local = is_local(request.remote, request.headers)
        identity = self._verifier.verify(
            token.strip(), now_unix_s=self._clock().unix_s, local=local
        )
        if identity.grant.role not in roles:
            names = ", ".join(sorted(role.value for role in roles))
            raise SessionRefusedError(403, ErrorCode.FORBIDDEN, f"only for: {names}")
        session_id = request.match_info.get("session")
        if session_id is not None:
            room = await self._sessions.room_of(session_id)
            if room != identity.room_id:
                # Sessions of other rooms are as if they weren't there.
                raise SessionRefusedError(404, HttpCode.UNKNOWN_SESSION, "no such session")
        return identity

    async def _create(self, request: web.Request, identity: Identity) -> tuple[int, dict[str, Any]]:
        wanted = await read_json(request, _NEW, _MAX_LARGE_BODY)
        if wanted.room != identity.room_id:
            raise SessionRefusedError(403, ErrorCode.FORBIDDEN, "the token is for another room")
        return 201, await self._sessions.create(wanted)

    async def _describe(self, request: web.Request, _: Identity) -> tuple[int, dict[str, Any]]:
        return 200, await self._sessions.describe(request.match_info["session"])

    async def _command(
        self, request: web.Request, identity: Identity
    ) -> tuple[int, dict[str, Any]]:
        command = await read_json(request, _COMMAND)
        session_id, actor = request.match_info["session"], identity.participant_id
        key = _idempotency_key(request)
        return 200, await self._sessions.command(session_id, command, actor, key=key)

    async def _timeline(self, request: web.Request, _: Identity) -> tuple[int, dict[str, Any]]:
        return 200, await self._sessions.timeline(request.match_info["session"])

    async def _consents(self, request: web.Request, _: Identity) -> tuple[int, dict[str, Any]]:
        return 200, await self._sessions.consents(request.match_info["session"])

    async def _findings(self, request: web.Request, _: Identity) -> tuple[int, dict[str, Any]]:
        return 200, await self._sessions.findings(request.match_info["session"])

    async def _detector(self, request: web.Request, session_id: str) -> StaffIdentity:
        who = self._staff.identity(request, _DETECTORS)
        if not who.may_see(await self._sessions.room_of(session_id)):
            raise SessionRefusedError(404, HttpCode.UNKNOWN_SESSION, "no such session")
        return who

    async def _transcribe(self, request: web.Request) -> web.StreamResponse:
        session_id = request.match_info["session"]
        try:
            who = await self._detector(request, session_id)
            sent = await read_json(request, _TRANSCRIPT, _MAX_LARGE_BODY)
            told = await self._sessions.transcribe(
                session_id, sent.lines, final=sent.final, actor=who.subject
            )
        except SessionRefusedError as refused:
            return problem(refused.status, refused.code, refused.detail)
        except RefusedError as refused:
            return token_refused(refused)
        return web.json_response(told, headers={"Cache-Control": "no-store"})


def _idempotency_key(request: web.Request) -> str | None:
    """What a client names a command with, to ask for it again when no answer came.

    Raises:
        SessionRefusedError: it is none.
    """
    key = request.headers.get("Idempotency-Key")
    if key is not None and not _KEY.fullmatch(key):
        detail = "Idempotency-Key: 1 to 64 letters, digits, _ . : or -"
        raise SessionRefusedError(400, ErrorCode.BAD_MESSAGE, detail)
    return key
