"""Measures how fast somebody speaks."""

from collections.abc import Sequence
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
    Subject,
    Text,
    Utterance,
)
from analytics.models import Models
from analytics.speech.nodes import Roles
from analytics.speech.tokens import tokens_of

__all__ = ["SpeechRate", "SpeechRateConfig", "SpeechRateWatch", "syllables"]

_FAST: Final = "speech_too_fast"
_MINUTE_US: Final = 60_000_000


class SpeechRateConfig(DetectorConfig):
    """Settings of ``speech_rate``."""

    speakers: frozenset[str] = Field(
        default=frozenset({"rm", "expert"}), description="Roles that have to be understood."
    )
    max_per_minute: float = Field(
        default=320.0, gt=0, description="Syllables (of English: words, times 1.5) in a minute."
    )
    least_speech_s: float = Field(
        default=6.0, gt=0, description="Less speech is not judged: a few quick words are no haste."
    )
    window_s: float = Field(
        default=30.0, gt=0, description="Speech of so long a time is judged together."
    )


class SpeechRate:
    """Emits ``speech_too_fast`` while somebody speaks faster than can be followed."""

    name: ClassVar[str] = "speech_rate"
    version: ClassVar[str] = "1"
    Config: ClassVar[type[DetectorConfig]] = SpeechRateConfig
    card: ClassVar[Card] = Card(
        title=Text("语速", "Speech rate"),
        summary=Text(
            "按转写的音节数和有声时长计算语速，过快时提示。",
            "Syllables of the transcript over the time they took; says when it is too fast.",
        ),
        scope=Scope.SESSION,
        permissions=frozenset({Permission.SPEECH}),
        kinds=(
            FindingKind(
                _FAST,
                Text("语速过快", "Too fast"),
                Text(
                    "每分钟约 {per_minute} 个音节，客户可能听不清。",
                    "About {per_minute} syllables a minute: hard to follow.",
                ),
            ),
        ),
        limits=Text(
            "漏识的字使语速偏低；停顿短于转写的切分时长时计入说话时间。",
            "What the recogniser leaves out makes it look slower; short pauses count as speech.",
        ),
        unknown_when=Text("没有转写时不作判断。", "Without a transcript it says nothing."),
    )

    def __init__(self, config: SpeechRateConfig) -> None:
        self.config = config

    @classmethod
    def load(cls, config: SpeechRateConfig, models: Models) -> Self:  # noqa: ARG003
        """See :class:`analytics.detector.Detector`."""
        return cls(config)

    @property
    def needs(self) -> Needs:
        """Words; marks say who is who."""
        return Needs(words=True, marks=True)

    def watch(self, subject: Subject) -> "SpeechRateWatch":
        """Starts to measure a session."""
        return SpeechRateWatch(self, subject)


class SpeechRateWatch:
    """What each speaker of a session said lately."""

    def __init__(self, detector: SpeechRate, subject: Subject) -> None:
        self._config = detector.config
        self._roles = Roles(subject)
        self._said: dict[str, list[tuple[Utterance, float]]] = {}
        self._open: dict[str, Finding] = {}

    def process(self, item: Input) -> Sequence[Output]:
        """Takes words and marks."""
        match item:
            case Mark():
                self._roles.take(item)
            case Utterance(is_final=True):
                if self._roles.of(item.participant_id) in self._config.speakers:
                    return self._measured(item)
        return []

    def flush(self, at_us: int) -> Sequence[Output]:  # noqa: ARG002 - an end is the last word's
        """Ends what is open."""
        found = [_over(one) for one in self._open.values()]
        self._open.clear()
        return found

    def _measured(self, said: Utterance) -> list[Finding]:
        who = said.participant_id
        row = self._said.setdefault(who, [])
        row.append((said, syllables(said.text)))
        since_us = said.end_us - int(self._config.window_s * 1e6)
        row[:] = [one for one in row if one[0].end_us > since_us]
        spoken_us = sum(one.end_us - one.start_us for one, _ in row)
        if spoken_us < self._config.least_speech_s * 1e6:
            return []
        per_minute = sum(count for _, count in row) * _MINUTE_US / spoken_us
        known = self._open.pop(who, None)
        if per_minute <= self._config.max_per_minute:
            return [_over(known)] if known else []
        finding = Finding(
            _FAST,
            known.start_us if known else row[0][0].start_us,
            said.end_us,
            Outcome.WARN,
            participant_id=who,
            track_id=said.track_id,
            is_open=True,
            values={"per_minute": round(per_minute)},
        )
        self._open[who] = finding
        return [finding]


def syllables(text: str) -> float:
    """Syllables of a text; a word of another script counts as one and a half."""
    return sum(1.0 if not token.text.isascii() else 1.5 for token in tokens_of(text))


def _over(finding: Finding) -> Finding:
    return Finding(
        finding.kind,
        finding.start_us,
        finding.end_us,
        finding.outcome,
        participant_id=finding.participant_id,
        track_id=finding.track_id,
        values=finding.values,
    )
