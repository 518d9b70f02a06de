"""Challenges on their way to detectors."""

from collections.abc import Callable, Mapping
from typing import Any, Final

from signaling.challenge_endpoint import Challenge
from signaling.consents import ConsentPermission, Subject
from signaling.errors import ErrorCode, HttpCode, SessionRefusedError
from witness.analytics_limits import Rate
from witness.analytics_service import AnalyticsCalls

__all__ = ["Challenges"]

_A_SECOND: Final = 2
_MOST: Final = 4_096


class Challenges:
    """Implements :class:`signaling.challenge_endpoint.ChallengeDesk`.

    Args:
        held: consents that somebody has given and not withdrawn.
        session_of: the session that runs in a room.
        clock_ns: only differences count.

    Attributes:
        calls: whoever has calls watched; ``None``: nobody.
        asked: told of each challenge that detectors look at; the person has to hear of it.
    """

    def __init__(
        self,
        held: Callable[[Subject], Mapping[ConsentPermission, str]],
        session_of: Callable[[str], str | None],
        clock_ns: Callable[[], int],
    ) -> None:
        self.calls: AnalyticsCalls | None = None
        self.asked: Callable[[Subject, Challenge], None] = lambda _subject, _challenge: None
        self._held = held
        self._session_of = session_of
        self._clock_ns = clock_ns
        self._rates: dict[Subject, Rate] = {}

    def put(self, subject: Subject, challenge: Challenge) -> dict[str, Any]:
        """Begins a challenge now."""
        session_id = self._session_of(subject.room_id)
        if self.calls is None or session_id is None:
            detail = "no session of this room runs, or no detectors do: nobody would look"
            raise SessionRefusedError(409, HttpCode.WRONG_STATE, detail)
        if "face" not in self._held(subject):
            detail = "the participant has not given: face"
            raise SessionRefusedError(409, HttpCode.NO_CONSENT, detail)
        if len(self._rates) >= _MOST:
            self._rates.clear()
        if not self._rates.setdefault(subject, Rate(_A_SECOND)).allows(self._clock_ns()):
            detail = "one after the other: challenges come too fast"
            raise SessionRefusedError(429, ErrorCode.RATE_LIMITED, detail)
        asked = challenge.model_dump()
        self.calls.marked(session_id, "challenge", subject.participant_id, asked)
        self.asked(subject, challenge)
        about = {"room": subject.room_id, "participant_id": subject.participant_id}
        return {**about, "session_id": session_id, **asked}
