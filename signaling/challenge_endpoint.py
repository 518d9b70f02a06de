"""Challenges over HTTP: somebody is asked to blink, turn or speak, and detectors look whether."""

from typing import Annotated, Any, Literal, Protocol

from aiohttp import web
from pydantic import BaseModel, ConfigDict, Field

from signaling.asker import AskerGate
from signaling.auth import TokenVerifier, is_identifier, is_room_id
from signaling.clock import Clock
from signaling.consents import Subject
from signaling.errors import ErrorCode, HttpCode, RefusedError, SessionRefusedError
from signaling.json_body import read_json
from signaling.problem import problem, token_refused

__all__ = ["Challenge", "ChallengeDesk", "ChallengeEndpoint"]


class Challenge(BaseModel):
    """What somebody is asked to do.

    Attributes:
        ask: left and right as the person sees it.
        within_s: time to do it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ask: Literal["blink", "turn", "turn_left", "turn_right", "open_mouth"]
    within_s: Annotated[float, Field(ge=1, le=60, allow_inf_nan=False)] = 8.0


class ChallengeDesk(Protocol):
    """Tells detectors of challenges. Calls return at once."""

    def put(self, subject: Subject, challenge: Challenge) -> dict[str, Any]:
        """Begins a challenge now; tells where and when.

        Raises:
            SessionRefusedError: nobody would look, or may.
        """
        ...


class ChallengeEndpoint:
    """Serves challenges: for RMs and for systems of the bank."""

    def __init__(self, desk: ChallengeDesk, verifier: TokenVerifier, clock: Clock) -> None:
        self._desk = desk
        self._gate = AskerGate(verifier, clock)

    def routes(self) -> list[web.RouteDef]:
        """The address."""
        where = "/v1/rooms/{room}/participants/{participant}/challenges"
        return [web.post(where, self._post)]

    async def _post(self, request: web.Request) -> web.StreamResponse:
        try:
            asker = self._gate.asker(request)
            subject = Subject(request.match_info["room"], request.match_info["participant"])
            if not is_room_id(subject.room_id) or not is_identifier(subject.participant_id):
                detail = "no such room or participant"
                raise SessionRefusedError(404, HttpCode.NOT_FOUND, detail)  # noqa: TRY301
            if asker.participant or not asker.may_speak_for(subject):
                detail = "challenges are put by RMs of the room and systems of the bank"
                raise SessionRefusedError(403, ErrorCode.FORBIDDEN, detail)  # noqa: TRY301
            told = self._desk.put(subject, await read_json(request, Challenge))
        except SessionRefusedError as refused:
            return problem(refused.status, refused.code, refused.detail)
        except RefusedError as refused:
            return token_refused(refused)
        return web.json_response(told, status=202, headers={"Cache-Control": "no-store"})
