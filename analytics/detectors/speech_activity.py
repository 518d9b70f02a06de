"""Says who speaks when, and how the talk is shared."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Final, Self

from pydantic import Field

from analytics.detector import (
    AudioChunk,
    AudioNeed,
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
)
from analytics.models import Models
from analytics.speech.nodes import Roles
from analytics.speech.vad import (
    VOICE_MODEL,
    WINDOW_US,
    VoiceActivity,
    VoiceModel,
    load_voice_model,
)

__all__ = ["SpeechActivity", "SpeechActivityConfig", "SpeechActivityWatch"]

_SPEAKING: Final = "speaking"
_SHARE: Final = "talk_share"
_UNHEARD: Final = 0.2


class SpeechActivityConfig(DetectorConfig):
    """Settings of ``speech_activity``."""

    min_probability: float = Field(
        default=0.5, gt=0, lt=1, description="Probability of voice from which somebody speaks."
    )
    pause_s: float = Field(default=1.0, gt=0, description="Shorter pauses don't end a turn.")
    least_s: float = Field(default=0.4, gt=0, description="Shorter turns are not reported.")


class SpeechActivity:
    """Emits ``speaking`` for every turn, and ``talk_share`` for every node and at the end."""

    name: ClassVar[str] = "speech_activity"
    version: ClassVar[str] = "1"
    Config: ClassVar[type[DetectorConfig]] = SpeechActivityConfig
    card: ClassVar[Card] = Card(
        title=Text("说话活动", "Speech activity"),
        summary=Text(
            "记录各角色何时说话，并统计各环节的说话占比。",
            "Notes when each role speaks, and how the talk of each node is shared.",
        ),
        scope=Scope.SESSION,
        permissions=frozenset({Permission.VOICE}),
        kinds=(
            FindingKind(
                _SPEAKING,
                Text("说话", "Speaking"),
                Text("说话 {seconds} 秒。", "Spoke for {seconds} s."),
                Severity.INFO,
            ),
            FindingKind(
                _SHARE,
                Text("说话占比", "Share of talk"),
                Text(
                    "销售人员 {rm}%，客户 {customer}%，其他 {others}%，无人说话 {silence}%，"
                    "未收到声音 {unheard}%。",
                    "Seller {rm} %, customer {customer} %, others {others} %, nobody {silence} %,"
                    " no sound received {unheard} %.",
                ),
                Severity.INFO,
            ),
        ),
        models=(VOICE_MODEL,),
        limits=Text(
            "同一麦克风前的多个人算作一个；扬声器传回的声音和电视声可能算作说话。",
            "Several people at one microphone count as one; sound of loudspeakers or a television"
            " may count as speech.",
        ),
        unknown_when=Text(
            "超过五分之一的时间没有收到声音时，占比为未知。",
            "The share is unknown where no sound was received for more than a fifth of the time.",
        ),
    )

    def __init__(self, config: SpeechActivityConfig, voice: VoiceModel) -> None:
        self.config = config
        self.voice = voice

    @classmethod
    def load(cls, config: SpeechActivityConfig, models: Models) -> Self:
        """Loads the model, as :class:`analytics.detector.Detector` has it."""
        return cls(config, load_voice_model(models))

    @property
    def needs(self) -> Needs:
        """Sound of everybody; marks say who is who, and when nodes begin."""
        return Needs(audio=AudioNeed(), marks=True)

    def watch(self, subject: Subject) -> "SpeechActivityWatch":
        """Starts to listen to a session."""
        return SpeechActivityWatch(self, subject)


@dataclass(slots=True)
class _Speaker:
    """One track."""

    participant_id: str
    voice: VoiceActivity
    end_us: int
    turn_us: tuple[int, int] | None = None
    voiced_us: int = 0


@dataclass(slots=True)
class _Span:
    """A time over which talk is counted."""

    node: str
    start_us: int
    spoken_us: dict[str, int]
    heard_us: dict[str, int]


class SpeechActivityWatch:
    """Turns of one session."""

    def __init__(self, detector: SpeechActivity, subject: Subject) -> None:
        self._detector = detector
        self._roles = Roles(subject)
        self._speakers: dict[str, _Speaker] = {}
        self._span: _Span | None = None
        self._now_us = 0

    def process(self, item: Input) -> Sequence[Output]:
        """Takes sound and marks."""
        match item:
            case AudioChunk():
                return self._listen(item)
            case Mark():
                self._roles.take(item)
                self._now_us = max(self._now_us, item.at_us)
                if item.kind in {"node.started", "node.ended"}:
                    found = self._shared(item.at_us)
                    node = str(item.data.get("code", ""))[:64]
                    is_start = item.kind == "node.started"
                    self._span = _Span(node if is_start else "", item.at_us, {}, {})
                    return found
        return []

    def flush(self, at_us: int) -> Sequence[Output]:
        """Ends all turns."""
        found: list[Finding] = []
        for track_id, speaker in self._speakers.items():
            found += self._ended(track_id, speaker)
        found += self._shared(max(at_us, self._now_us))
        self._speakers.clear()
        self._span = None
        return found

    def _listen(self, chunk: AudioChunk) -> list[Finding]:
        config = self._detector.config
        speaker = self._speakers.get(chunk.track_id)
        if speaker is None:
            voice = VoiceActivity(self._detector.voice)
            speaker = _Speaker(chunk.participant_id, voice, chunk.pts_us)
            self._speakers[chunk.track_id] = speaker
        if self._span is None:
            self._span = _Span("", chunk.pts_us, {}, {})
        found: list[Finding] = []
        for index, probability in enumerate(speaker.voice.probabilities(chunk)):
            at_us = chunk.pts_us + index * WINDOW_US
            is_voice = probability >= config.min_probability
            turn = speaker.turn_us
            if turn is not None and at_us - turn[1] >= config.pause_s * 1e6:
                found += self._ended(chunk.track_id, speaker)
                turn = None
            if is_voice:
                speaker.turn_us = (turn[0] if turn else at_us, at_us + WINDOW_US)
                speaker.voiced_us += WINDOW_US
            self._count(speaker.participant_id, at_us, is_voice=is_voice)
        speaker.end_us = chunk.end_us
        self._now_us = max(self._now_us, chunk.end_us)
        return found

    def _count(self, participant_id: str, at_us: int, *, is_voice: bool) -> None:
        span = self._span
        if span is None or at_us < span.start_us:
            return
        span.heard_us[participant_id] = span.heard_us.get(participant_id, 0) + WINDOW_US
        if is_voice:
            span.spoken_us[participant_id] = span.spoken_us.get(participant_id, 0) + WINDOW_US

    def _ended(self, track_id: str, speaker: _Speaker) -> list[Finding]:
        turn, speaker.turn_us = speaker.turn_us, None
        if turn is None or turn[1] - turn[0] < self._detector.config.least_s * 1e6:
            return []
        return [
            Finding(
                _SPEAKING,
                turn[0],
                turn[1],
                Outcome.PASS,
                participant_id=speaker.participant_id,
                track_id=track_id,
                values={"seconds": round((turn[1] - turn[0]) / 1e6, 1)},
            )
        ]

    def _shared(self, until_us: int) -> list[Finding]:
        """How the talk was shared since the span began."""
        span = self._span
        if span is None or until_us <= span.start_us or not span.heard_us:
            return []
        length_us = until_us - span.start_us
        share = dict.fromkeys(("rm", "customer", "others"), 0.0)
        for who, spoken_us in span.spoken_us.items():
            role = self._roles.of(who)
            share[role if role in share else "others"] += spoken_us / length_us
        heard = max(span.heard_us.values()) / length_us
        least = min(span.heard_us.values()) / length_us
        unheard = max(0.0, 1.0 - least)
        silence = max(0.0, heard - sum(share.values()))
        values: dict[str, float | int | str] = {
            name: round(100 * value)
            for name, value in {**share, "silence": silence, "unheard": unheard}.items()
        }
        if span.node:
            values["node"] = span.node
        outcome = Outcome.UNKNOWN if unheard > _UNHEARD else Outcome.PASS
        return [Finding(_SHARE, span.start_us, until_us, outcome, values=values)]
