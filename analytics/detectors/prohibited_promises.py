"""Finds promises that must not be made."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Final, Self

from pydantic import Field

from analytics.detector import (
    Card,
    DetectorConfig,
    Finding,
    FindingKind,
    Input,
    Mark,
    Needs,
    Outcome,
    Output,
    Permission,
    Scope,
    Severity,
    Subject,
    Text,
    Utterance,
)
from analytics.models import Models
from analytics.speech.negation import Meaning, Turned, meaning_of, turners
from analytics.speech.nodes import Node, Roles
from analytics.speech.pack import Pack, load_pack
from analytics.speech.phrases import Phrase, find
from analytics.speech.tokens import Token, tokens_of

__all__ = ["ProhibitedPromises", "ProhibitedPromisesConfig", "ProhibitedPromisesWatch"]

_MADE: Final = "promise_made"
_DOUBTFUL: Final = "promise_doubtful"
_OF_FLOW: Final = "flow"
_MAX_WORDS: Final = 64


class ProhibitedPromisesConfig(DetectorConfig):
    """Settings of ``prohibited_promises``."""

    pack_path: Path | None = Field(
        default=None, description="Lists of words, in place of those that come along."
    )
    speakers: frozenset[str] = Field(
        default=frozenset({"rm", "expert"}), description="Roles that must not promise."
    )
    min_confidence: float = Field(
        default=0.5, ge=0, le=1, description="What is recognised with less is doubtful."
    )


class ProhibitedPromises:
    """Emits a finding for every promise of the pack, and of the flow, that is meant."""

    name: ClassVar[str] = "prohibited_promises"
    version: ClassVar[str] = "2"
    Config: ClassVar[type[DetectorConfig]] = ProhibitedPromisesConfig
    card: ClassVar[Card] = Card(
        title=Text("禁止性承诺", "Prohibited promises"),
        summary=Text(
            "在销售人员的话中查找“保本”“保证收益”等禁止用语；“不保本”等否定说法不算。",
            "Looks for promises such as 保本 or “guaranteed return” in what the seller says;"
            " denied ones (不保本) don't count.",
        ),
        scope=Scope.SESSION,
        permissions=frozenset({Permission.SPEECH}),
        kinds=(
            FindingKind(
                _MADE,
                Text("禁止性承诺", "Prohibited promise"),
                Text("说了禁止的承诺（{promise}）。", "A prohibited promise was made ({promise})."),
                Severity.CRITICAL,
            ),
            FindingKind(
                _DOUBTFUL,
                Text("疑似禁止性承诺", "Possibly a prohibited promise"),
                Text(
                    "可能说了禁止的承诺（{promise}：{cause}），请听原声。",
                    "A prohibited promise may have been made ({promise}: {cause}); listen to it.",
                ),
            ),
        ),
        limits=Text(
            "只看一个分句内的否定；转述、反问、举例会被当作承诺，名单之外的说法找不到。",
            "Sees negation within a clause only; quotations, rhetorical questions and examples"
            " count as promises; what is not on the list is not found.",
        ),
        unknown_when=Text(
            "没有转写的时间里说了什么不得而知（见“语音转写”）；听不准或可能有否定词时为存疑。",
            "What was said while nobody listened is not known (see the transcript); it is doubtful"
            " where the recogniser was unsure, or something sounds like a negation.",
        ),
    )

    def __init__(self, config: ProhibitedPromisesConfig, pack: Pack) -> None:
        self.config = config
        self.pack = pack
        self.phrases = [
            (one.code, tuple(Phrase.of(text) for text in one.phrases)) for one in pack.prohibited
        ]

    @classmethod
    def load(cls, config: ProhibitedPromisesConfig, models: Models) -> Self:  # noqa: ARG003
        """Loads the pack, as :class:`analytics.detector.Detector` has it."""
        return cls(config, load_pack(config.pack_path))

    @property
    def needs(self) -> Needs:
        """Words, and nodes with their own phrases."""
        return Needs(words=True, marks=True)

    def watch(self, subject: Subject) -> "ProhibitedPromisesWatch":
        """Starts to check a session."""
        return ProhibitedPromisesWatch(self, subject)


class ProhibitedPromisesWatch:
    """Promises in one session."""

    def __init__(self, detector: ProhibitedPromises, subject: Subject) -> None:
        self._detector = detector
        self._roles = Roles(subject)
        self._own: tuple[Phrase, ...] = ()

    def process(self, item: Input) -> Sequence[Output]:
        """Takes words and marks."""
        match item:
            case Mark():
                self._roles.take(item)
                if item.kind == "node.started":
                    self._own = tuple(map(Phrase.of, Node.begun(item).prohibited))
            case Utterance(is_final=True):
                if self._roles.of(item.participant_id) in self._detector.config.speakers:
                    return self._promises(item)
        return []

    def flush(self, at_us: int) -> Sequence[Output]:  # noqa: ARG002
        """Nothing stays open."""
        return []

    def _promises(self, said: Utterance) -> list[Finding]:
        tokens = tokens_of(said.text)
        pack = self._detector.pack
        negators = turners(tokens, pack)
        found: dict[str, Finding] = {}
        for code, phrases in [*self._detector.phrases, (_OF_FLOW, self._own)]:
            for phrase in phrases:
                for start, end in find(tokens, phrase):
                    meaning = meaning_of(tokens, start, end, pack, negators)
                    if meaning is Meaning.MEANT and self._is_split(phrase, start, end, negators):
                        meaning = Meaning.UNSURE
                    finding = self._finding(said, tokens[start:end], code, meaning)
                    if finding is not None and _is_worse(finding, found.get(code)):
                        found[code] = finding
        return list(found.values())

    def _is_split(self, phrase: Phrase, start: int, end: int, negators: Sequence[Turned]) -> bool:
        """Whether a negator stands between the pieces of a phrase (本金不是绝对安全)."""
        own = turners(tokens_of(phrase.text.replace("*", " ")), self._detector.pack)
        inside = sum(start <= first and last <= end for first, last in negators)
        return (inside - len(own)) % 2 == 1

    def _finding(
        self, said: Utterance, tokens: Sequence[Token], code: str, meaning: Meaning
    ) -> Finding | None:
        if meaning is Meaning.DENIED:
            return None
        config = self._detector.config
        is_heard = said.confidence is None or said.confidence >= config.min_confidence
        doubt = "" if is_heard else "hard_to_hear"
        doubt = "maybe_denied" if meaning is Meaning.UNSURE else doubt
        texts = {token.text for token in tokens}
        words = tuple(word for word in said.words if word.text.lower() in texts)
        return Finding(
            _DOUBTFUL if doubt else _MADE,
            words[0].start_us if words else said.start_us,
            words[-1].end_us if words else said.end_us,
            Outcome.WARN if doubt else Outcome.FAIL,
            score=said.confidence,
            participant_id=said.participant_id,
            track_id=said.track_id,
            values={"promise": code, **({"cause": doubt} if doubt else {})},
            words=words[:_MAX_WORDS],
        )


def _is_worse(finding: Finding, known: Finding | None) -> bool:
    return known is None or (known.kind == _DOUBTFUL and finding.kind == _MADE)
