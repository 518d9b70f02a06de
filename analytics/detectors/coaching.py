"""Puts together what speaks for somebody being told what to say."""

from dataclasses import dataclass, replace
from typing import ClassVar, Final, Self

from pydantic import Field, field_validator

from analytics.detector import (
    Card,
    DetectorConfig,
    Finding,
    FindingKind,
    FrameRef,
    Input,
    Mark,
    Needs,
    Outcome,
    Permission,
    Scope,
    Severity,
    Subject,
    Text,
)
from analytics.models import Models

__all__ = ["Coaching", "CoachingConfig"]

EVIDENCE: Final = {
    "phone_at_ear": 0.65,
    "second_voice": 0.45,
    "answer_follows_whisper": 0.45,
    "hand_at_ear": 0.2,
    "phone_visible": 0.2,
}
"""What each kind of finding is worth by itself, where the settings don't say otherwise."""

_MAX_FRAMES: Final = 8
_COUNTS: Final = 0.02
_MAX_OPEN: Final = 64


class CoachingConfig(DetectorConfig):
    """Settings of ``coaching``."""

    weights: dict[str, float] = Field(
        default_factory=lambda: dict(EVIDENCE),
        description="How much each kind of finding counts by itself, 0..1; a kind that isn't "
        "named doesn't count.",
    )
    warn_at: float = Field(
        default=0.5, gt=0, le=1, description="Sum of the evidence from which it is a warning."
    )
    fail_at: float = Field(
        default=0.8, gt=0, le=1, description="Sum of the evidence from which it is a failure."
    )
    half_life_s: float = Field(
        default=45.0, gt=0, description="Evidence that is over counts half after that long."
    )

    @field_validator("weights")
    @classmethod
    def _are_shares(cls, weights: dict[str, float]) -> dict[str, float]:
        for kind, weight in weights.items():
            if kind not in EVIDENCE:
                raise ValueError(f"no evidence is called {kind}; there is {', '.join(EVIDENCE)}")
            if not 0 <= weight <= 1:
                raise ValueError(f"weight of {kind} is {weight}, not within 0..1")
        return weights


class Coaching:
    """Emits ``coaching_suspected``."""

    name: ClassVar[str] = "coaching"
    version: ClassVar[str] = "1"
    Config: ClassVar[type[DetectorConfig]] = CoachingConfig
    card: ClassVar[Card] = Card(
        title=Text(zh="场外指导", en="Coaching"),
        summary=Text(
            zh="综合手机、手在耳边、第二个声音、耳语后作答等线索，判断是否有人在场外指导。",
            en="Puts together a phone, a hand at the ear, a second voice, and answers that follow "
            "whispering.",
        ),
        scope=Scope.PARTICIPANT,
        # It sees findings only; those exist where the consents for them do.
        permissions=frozenset({Permission.PICTURE}),
        kinds=(
            FindingKind(
                "coaching_suspected",
                Text(zh="疑似场外指导", en="Coaching suspected"),
                Text(
                    zh="线索合计 {evidence}：耳边手机 {phone_at_ear}、第二个声音 {second_voice}、"
                    "耳语后作答 {answer_follows_whisper}、手在耳边 {hand_at_ear}、"
                    "画面中手机 {phone_visible}。",
                    en="Evidence {evidence} in all: phone at the ear {phone_at_ear}, second voice "
                    "{second_voice}, answers after whispering {answer_follows_whisper}, hand at "
                    "the ear {hand_at_ear}, phone in the picture {phone_visible}.",
                ),
                Severity.CRITICAL,
            ),
        ),
        limits=Text(
            zh="权重是设定的，不是从数据中学到的；线索之间被当作互相独立。只有一条线索时不作结论"
            "（耳边手机除外）。它是请人复核的理由，不是结论。",
            en="The weights are set, not learnt, and evidence is taken to be independent. One "
            "piece alone is not enough, but for a phone at the ear. It is a reason for a person "
            "to look, no verdict.",
        ),
        unknown_when=Text(
            zh="各线索的检测器没有运行时，它们不计入。",
            en="Evidence whose detector doesn't run doesn't count.",
        ),
    )

    def __init__(self, config: CoachingConfig) -> None:
        self.config = config

    @classmethod
    def load(cls, config: CoachingConfig, models: Models) -> Self:
        """Needs no model."""
        del models
        return cls(config)

    @property
    def needs(self) -> Needs:
        """Findings that count, and marks, with which time passes."""
        counting = frozenset(kind for kind, weight in self.config.weights.items() if weight > 0)
        return Needs(findings=counting, marks=True)

    def watch(self, subject: Subject) -> "CoachingWatch":
        """Starts to watch a participant."""
        return CoachingWatch(self.config, subject)


@dataclass(slots=True)
class _Piece:
    """The strongest evidence of one kind: how much, until when, and what it rests on."""

    weight: float
    start_us: int
    end_us: int
    is_open: bool
    frames: tuple[FrameRef, ...]


class CoachingWatch:
    """Evidence about one participant."""

    def __init__(self, config: CoachingConfig, subject: Subject) -> None:
        self._config = config
        self._subject = subject
        self._pieces: dict[tuple[str, int], _Piece] = {}
        self._suspicion: Finding | None = None
        self._now_us = 0

    def process(self, item: Input) -> list[Finding]:
        """Takes the next finding, or a mark that says what time it is."""
        if isinstance(item, Finding):
            self._now_us = max(self._now_us, item.end_us)
            self._take(item)
        elif isinstance(item, Mark):
            self._now_us = max(self._now_us, item.at_us)
        else:
            return []
        return self._weigh()

    def flush(self, at_us: int) -> list[Finding]:
        """Ends the suspicion and forgets the evidence."""
        self._pieces.clear()
        return self._end(at_us)

    def _take(self, item: Finding) -> None:
        weight = self._config.weights.get(item.kind, 0.0)
        if not weight or item.outcome not in {Outcome.WARN, Outcome.FAIL}:
            return
        sure = 1.0 if item.score is None else 0.5 + 0.5 * item.score
        key = (item.kind, item.start_us)
        if key not in self._pieces and len(self._pieces) >= _MAX_OPEN:
            del self._pieces[min(self._pieces, key=lambda one: self._pieces[one].end_us)]
        self._pieces[key] = _Piece(
            weight * sure, item.start_us, item.end_us, item.is_open, item.frames
        )

    def _weigh(self) -> list[Finding]:
        """Sums up: the chance that none of the pieces, taken as independent, is right."""
        config = self._config
        by_kind: dict[str, float] = dict.fromkeys(EVIDENCE, 0.0)
        for (kind, _), piece in list(self._pieces.items()):
            age_s = 0.0 if piece.is_open else max(self._now_us - piece.end_us, 0) / 1e6
            if age_s > 8 * config.half_life_s:
                del self._pieces[kind, piece.start_us]
                continue
            by_kind[kind] = max(by_kind[kind], piece.weight * 0.5 ** (age_s / config.half_life_s))
        doubt = 1.0
        for weight in by_kind.values():
            doubt *= 1 - weight
        return self._say(1 - doubt, by_kind)

    def _say(self, evidence: float, by_kind: dict[str, float]) -> list[Finding]:
        config = self._config
        before = self._suspicion
        # It is over only when well below what it takes to begin.
        if evidence < (config.warn_at if before is None else 0.75 * config.warn_at):
            return self._end(self._now_us)
        outcome = Outcome.FAIL if evidence >= config.fail_at else Outcome.WARN
        if before is not None and before.outcome is Outcome.FAIL:
            outcome = Outcome.FAIL
        counting = [piece for (kind, _), piece in self._pieces.items() if by_kind[kind] >= _COUNTS]
        score = round(evidence, 3)
        if before is not None and before.score is not None and before.score >= score:
            return []
        finding = Finding(
            "coaching_suspected",
            min(piece.start_us for piece in counting) if before is None else before.start_us,
            self._now_us,
            outcome,
            score=score,
            participant_id=self._subject.participant_id,
            is_open=True,
            values={kind: round(weight, 2) for kind, weight in by_kind.items()}
            | {"evidence": round(evidence, 2)},
            frames=tuple(frame for piece in counting for frame in piece.frames)[:_MAX_FRAMES],
        )
        self._suspicion = finding
        return [finding]

    def _end(self, at_us: int) -> list[Finding]:
        before, self._suspicion = self._suspicion, None
        if before is None:
            return []
        return [replace(before, end_us=max(at_us, before.start_us), is_open=False)]
