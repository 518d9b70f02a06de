"""Requests of an RM to mute somebody, until they are answered."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from signaling.errors import ErrorCode, RefusedError
from signaling.member import Member

__all__ = ["MAX_OPEN_REQUESTS", "MuteQuestion", "MuteQuestions"]

MAX_OPEN_REQUESTS: Final = 8
"""Open questions to one participant."""


@dataclass(frozen=True, slots=True)
class MuteQuestion:
    """One open request.

    Attributes:
        by: who asks.
        owner: who has to answer.
    """

    request_id: str
    track_id: str
    by: Member
    owner: Member


class MuteQuestions:
    """All open requests, bounded for each asked participant."""

    def __init__(self, make_id: Callable[[], str]) -> None:
        self._make_id = make_id
        self._open: dict[str, MuteQuestion] = {}
        self._of_owner: dict[Member, list[MuteQuestion]] = {}

    def __len__(self) -> int:
        return len(self._open)

    def find(self, by: Member, track_id: str, owner: Member) -> MuteQuestion | None:
        """The open request of the same RM for the same track."""
        for question in self._of_owner.get(owner, ()):
            if question.by is by and question.track_id == track_id:
                return question
        return None

    def of_owner(self, owner: Member) -> list[MuteQuestion]:
        """The open requests that ``owner`` has to answer."""
        return list(self._of_owner.get(owner, ()))

    def ask(self, by: Member, track_id: str, owner: Member) -> MuteQuestion:
        """Opens a request.

        Raises:
            RefusedError: the owner has ``MAX_OPEN_REQUESTS`` open.
        """
        questions = self._of_owner.setdefault(owner, [])
        if len(questions) >= MAX_OPEN_REQUESTS:
            raise RefusedError(
                ErrorCode.RATE_LIMITED,
                "too many open requests for one participant",
                retry_after_s=5,
            )
        question = MuteQuestion(f"q-{self._make_id()}", track_id, by, owner)
        questions.append(question)
        self._open[question.request_id] = question
        return question

    def take(self, request_id: str) -> MuteQuestion | None:
        """Closes a request."""
        question = self._open.pop(request_id, None)
        if question is not None:
            questions = self._of_owner[question.owner]
            questions.remove(question)
            if not questions:
                del self._of_owner[question.owner]
        return question

    def answered_by(self, request_id: str, owner: Member) -> MuteQuestion:
        """Closes a request that ``owner`` answers.

        Raises:
            RefusedError: no such request, or not its to answer.
        """
        question = self._open.get(request_id)
        if question is None or question.owner is not owner:
            raise RefusedError(ErrorCode.UNKNOWN_REQUEST, "no such request is open")
        self.take(request_id)
        return question

    def take_all(
        self, *, member: Member | None = None, track_id: str | None = None
    ) -> list[MuteQuestion]:
        """Closes all requests that a member is part of, or that are about a track."""
        found = [
            question
            for question in self._open.values()
            if question.track_id == track_id or member in (question.by, question.owner)
        ]
        for question in found:
            self.take(question.request_id)
        return found
