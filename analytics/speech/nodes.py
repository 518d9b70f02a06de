"""Nodes of the sale, who is who, and how far was listened: what the checks of speech share."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from analytics.detector import Heard, Input, Mark, Subject, Utterance

__all__ = ["SLACK_US", "Answer", "Listened", "Node", "Roles", "end_of"]

SLACK_US: Final = 300_000
"""Shorter stretches that nobody listened to don't matter."""

_MAX_TEXTS: Final = 64
_MAX_RANGES: Final = 4_096


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer that a node waits for; as the flow has it."""

    speaker: str
    lexicon: tuple[str, ...]
    window_s: float
    retries: int


@dataclass(slots=True)
class Node:
    """A node that was begun.

    Attributes:
        texts: what has to be said: each statement in its languages.
        end_us: ``None`` while it goes on.
    """

    code: str
    kind: str
    start_us: int
    texts: tuple[tuple[str, ...], ...] = ()
    prohibited: tuple[str, ...] = ()
    answer: Answer | None = None
    end_us: int | None = None

    @classmethod
    def begun(cls, mark: Mark) -> "Node":
        """Reads ``node.started``; what isn't as a flow has it is left out."""
        data = mark.data
        return cls(
            code=str(data.get("code", ""))[:64],
            kind=str(data.get("kind", "")),
            start_us=mark.at_us,
            texts=tuple(
                found for one in _list(data.get("required_statements")) if (found := _texts(one))
            ),
            prohibited=_phrases(data.get("prohibited_phrases")),
            answer=_answer(data.get("answer")),
        )


class Roles:
    """Role of each participant."""

    def __init__(self, subject: Subject) -> None:
        self._roles = dict(subject.roles)
        if subject.participant_id and subject.role:
            self._roles[subject.participant_id] = subject.role

    def take(self, mark: Mark) -> None:
        """Learns who came."""
        role = mark.data.get("role")
        if mark.participant_id and isinstance(role, str):
            self._roles[mark.participant_id] = role

    def of(self, participant_id: str) -> str:
        """Empty where it isn't known."""
        return self._roles.get(participant_id, "")


@dataclass(slots=True)
class Listened:
    """What a recogniser listened to, by participant; µs on the session clock."""

    known: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    unknown: dict[str, list[tuple[int, int]]] = field(default_factory=dict)

    def take(self, heard: Heard) -> None:
        """Notes a range."""
        ranges = (self.known if heard.is_known else self.unknown).setdefault(
            heard.participant_id, []
        )
        if ranges and heard.start_us <= ranges[-1][1]:
            ranges[-1] = ranges[-1][0], max(ranges[-1][1], heard.end_us)
        else:
            ranges.append((heard.start_us, heard.end_us))
            del ranges[:-_MAX_RANGES]

    def reached_us(self, participant_id: str) -> int | None:
        """How far somebody was listened to, or it is known that he wasn't."""
        ends = [
            ranges[participant_id][-1][1]
            for ranges in (self.known, self.unknown)
            if ranges.get(participant_id)
        ]
        return max(ends, default=None)

    def is_known(self, who: str, start_us: int, end_us: int, slack_us: int = SLACK_US) -> bool:
        """Whether all that somebody said in a range has been told.

        Args:
            who: participant.
            start_us: of the range.
            end_us: of the range.
            slack_us: what was not recognised and is shorter doesn't matter: a cough is no sentence.
        """
        short = [one for one in self.unknown.get(who, ()) if one[1] - one[0] <= slack_us]
        listened: int = sum(
            max(0, min(end, end_us) - max(start, start_us))
            for start, end in (*self.known.get(who, ()), *short)
        )
        return end_us - start_us - listened <= SLACK_US

    def is_any_known(
        self, participants: list[str], start_us: int, end_us: int, slack_us: int = SLACK_US
    ) -> bool:
        """Whether one of them was there all the time, and nothing that was said is unknown."""
        lost = any(
            min(end, end_us) - max(start, start_us) > slack_us
            for one in participants
            for start, end in self.unknown.get(one, ())
        )
        return not lost and any(
            self.is_known(one, start_us, end_us, slack_us) for one in participants
        )

    def participants(self) -> list[str]:
        """All who were listened to."""
        return sorted({*self.known, *self.unknown})


def end_of(item: Input) -> int:
    """How far the session clock has come, by an input."""
    match item:
        case Mark(at_us=at_us):
            return at_us
        case Utterance(end_us=end_us) | Heard(end_us=end_us):
            return end_us
    return 0


def _list(value: Any) -> list[Any]:
    return list(value)[:_MAX_TEXTS] if isinstance(value, list | tuple) else []


def _texts(value: Any) -> tuple[str, ...]:
    if isinstance(value, Mapping):
        value = [value.get("zh"), value.get("en")]
    return tuple(one for one in _list(value) if isinstance(one, str) and one)


def _phrases(value: Any) -> tuple[str, ...]:
    return tuple(one for one in _list(value) if isinstance(one, str) and one)


def _answer(value: Any) -> Answer | None:
    if not isinstance(value, Mapping) or not isinstance(value.get("speaker"), str):
        return None
    window_s, retries = value.get("window_s", 10), value.get("retries", 1)
    is_sound = isinstance(window_s, int | float) and isinstance(retries, int)
    return Answer(
        speaker=value["speaker"],
        lexicon=_phrases(value.get("lexicon")),
        window_s=min(600.0, max(1.0, float(window_s))) if is_sound else 10.0,
        retries=min(10, max(0, retries)) if is_sound else 1,
    )
