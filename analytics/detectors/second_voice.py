"""Finds a second voice, or whispering, at one participant's microphone."""

from bisect import bisect_left, insort
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Final, Self

import numpy as np
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
    Subject,
    Text,
)
from analytics.models import Models
from analytics.speech.nodes import Roles
from analytics.speech.vad import (
    VOICE_MODEL,
    WINDOW,
    WINDOW_US,
    VoiceActivity,
    VoiceModel,
    levels_db,
    load_voice_model,
)
from analytics.speech.voice import Profile, VoiceFrame, Voices

__all__ = ["SecondVoice", "SecondVoiceConfig", "SecondVoiceWatch"]

_SECOND: Final = "second_voice"
_WHISPER: Final = "whisper_heard"
_FOLLOWS: Final = "answer_follows_whisper"
_PROFILE: Final = 1_500
_SEGMENTS: Final = 64
_FLOOR: Final = 300
_SWING_DB: Final = 2.0
_STANDS_OUT_DB: Final = 8.0
_QUIETEST_DB: Final = -65.0


class SecondVoiceConfig(DetectorConfig):
    """Settings of ``second_voice``."""

    listened: frozenset[str] = Field(
        default=frozenset({"customer"}), description="Roles at whose side nobody else may speak."
    )
    min_probability: float = Field(
        default=0.4, gt=0, lt=1, description="Probability of voice from which somebody speaks."
    )
    enrol_s: float = Field(
        default=3.0, gt=0, description="So much voiced speech makes a voice known."
    )
    least_s: float = Field(
        default=0.4, gt=0, description="Segments with less voiced speech are not compared."
    )
    semitones: float = Field(
        default=4.5, gt=0, description="Difference in pitch from which it is another voice."
    )
    colour: float = Field(
        default=0.3, gt=0, description="Difference in colour that it takes as well, in spreads."
    )
    strange_colour: float = Field(
        default=0.6,
        gt=0,
        description="Difference in colour with which half the difference in pitch is enough.",
    )
    quiet_db: float = Field(
        default=9.0, gt=0, description="So much quieter, less of a difference is enough."
    )
    whisper_s: float = Field(
        default=0.6, gt=0, description="Shorter whispering is not told from breath."
    )
    follows_within_s: float = Field(
        default=5.0, gt=0, description="An answer that comes later doesn't follow the whispering."
    )


class SecondVoice:
    """Compares what is heard at a microphone with the voice that speaks there most."""

    name: ClassVar[str] = "second_voice"
    version: ClassVar[str] = "1"
    Config: ClassVar[type[DetectorConfig]] = SecondVoiceConfig
    card: ClassVar[Card] = Card(
        title=Text("旁人声音", "Second voice"),
        summary=Text(
            "在客户一侧发现音高和音色明显不同的另一人声、耳语，以及紧随其后的答复。",
            "Finds, at the customer's side, another voice of clearly different pitch and colour,"
            " whispering, and answers that follow either.",
        ),
        scope=Scope.SESSION,
        permissions=frozenset({Permission.VOICE}),
        kinds=(
            FindingKind(
                _SECOND,
                Text("疑似旁人说话", "Possibly a second voice"),
                Text(
                    "另一人声：音高相差 {semitones} 个半音，音量相差 {level_db} dB。",
                    "Another voice: {semitones} semitones and {level_db} dB from the first.",
                ),
            ),
            FindingKind(
                _WHISPER,
                Text("疑似耳语", "Possibly whispering"),
                Text("有约 {seconds} 秒的耳语声。", "About {seconds} s of whispering."),
            ),
            FindingKind(
                _FOLLOWS,
                Text("耳语之后作答", "Answer follows whispering"),
                Text(
                    "旁人声音或耳语之后 {after_s} 秒，客户开口作答。",
                    "The customer spoke {after_s} s after a second voice or whispering.",
                ),
            ),
        ),
        models=(VOICE_MODEL,),
        limits=Text(
            "不是声纹识别：音高相近的同性别人分不出；一个人变声、唱歌或电视声可能误报；"
            "两人同时说话时只听得见较响的一个；降噪会滤掉耳语。只作线索，不作结论。",
            "No speaker recognition: two people of similar pitch are not told apart; a disguised"
            " voice, singing or a television may be reported; of two who speak at once only the"
            " louder is heard; noise suppression removes whispering. A hint, never a conclusion.",
        ),
        unknown_when=Text(
            "在听到足够的本人声音之前、以及其他人正在说话（可能是回声）时不作判断。",
            "Before enough of the first voice was heard, and while another participant speaks (it"
            " may be an echo), it says nothing.",
        ),
    )

    def __init__(self, config: SecondVoiceConfig, voice: VoiceModel) -> None:
        self.config = config
        self.voice = voice

    @classmethod
    def load(cls, config: SecondVoiceConfig, models: Models) -> Self:
        """Loads the model, as :class:`analytics.detector.Detector` has it."""
        return cls(config, load_voice_model(models))

    @property
    def needs(self) -> Needs:
        """Sound of everybody: whose voice comes out of a loudspeaker is no second voice."""
        return Needs(audio=AudioNeed(), marks=True)

    def watch(self, subject: Subject) -> "SecondVoiceWatch":
        """Starts to listen to a session."""
        return SecondVoiceWatch(self, subject)


@dataclass(slots=True)
class _Segment:
    """Sound between two pauses.

    Attributes:
        active: windows that stand out from the noise.
        unvoiced: those of them without pitch and with little low sound.
    """

    start_us: int
    end_us: int
    profile: Profile = field(default_factory=Profile)
    active: int = 0
    unvoiced: int = 0
    voiced: int = 0
    levels_db: list[float] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Row:
    """A window that stands out, or is voice."""

    at_us: int
    frame: VoiceFrame
    is_voice: bool
    is_active: bool


class _Floor:
    """The noise of the last ten seconds: what nine windows of ten are louder than."""

    def __init__(self) -> None:
        self._levels_db: deque[float] = deque()
        self._sorted: list[float] = []

    def is_above(self, level_db: float) -> bool:
        """Whether the next window stands out."""
        self._levels_db.append(level_db)
        insort(self._sorted, level_db)
        if len(self._levels_db) > _FLOOR:
            del self._sorted[bisect_left(self._sorted, self._levels_db.popleft())]
        return level_db > max(self._sorted[len(self._sorted) // 10] + _STANDS_OUT_DB, _QUIETEST_DB)


@dataclass(slots=True)
class _Track:
    """One microphone."""

    participant_id: str
    voice: VoiceActivity
    voices: Voices = field(default_factory=Voices)
    main: Profile = field(default_factory=Profile)
    floor: _Floor = field(default_factory=_Floor)
    segment: _Segment | None = None
    silent: int = 0
    spoke: deque[tuple[int, int]] = field(default_factory=lambda: deque(maxlen=_SEGMENTS))
    prompted_us: int | None = None


class SecondVoiceWatch:
    """Microphones of one session."""

    def __init__(self, detector: SecondVoice, subject: Subject) -> None:
        self._detector = detector
        self._config = detector.config
        self._roles = Roles(subject)
        self._tracks: dict[str, _Track] = {}

    def process(self, item: Input) -> Sequence[Output]:
        """Takes sound; marks say who is who."""
        match item:
            case Mark():
                self._roles.take(item)
            case AudioChunk():
                return self._listen(item)
        return []

    def flush(self, at_us: int) -> Sequence[Output]:  # noqa: ARG002 - segments know their end
        """Judges what was begun, and forgets all voices."""
        found = [one for name in self._tracks for one in self._ended(name)]
        self._tracks.clear()
        return found

    def _listen(self, chunk: AudioChunk) -> list[Finding]:
        track = self._tracks.get(chunk.track_id)
        if track is None:
            track = _Track(chunk.participant_id, VoiceActivity(self._detector.voice))
            self._tracks[chunk.track_id] = track
        found: list[Finding] = []
        if chunk.is_after_gap:
            found += self._ended(chunk.track_id)
            track.voices = Voices()
        probabilities = track.voice.probabilities(chunk)
        is_voice = probabilities >= self._config.min_probability
        starts_us = [chunk.pts_us + index * WINDOW_US for index in range(len(is_voice))]
        for at_us in (at_us for at_us, one in zip(starts_us, is_voice, strict=True) if one):
            _note(track.spoke, at_us)
        if self._roles.of(chunk.participant_id) in self._config.listened and len(is_voice):
            windows = chunk.samples[: len(is_voice) * WINDOW].reshape(-1, WINDOW)
            is_active = np.array([track.floor.is_above(float(one)) for one in levels_db(windows)])
            # Taking silence apart is most of the work, and for nothing.
            frames = track.voices.take(windows, is_active | is_voice)
            for at_us, frame, voice, active in zip(
                starts_us, frames, is_voice, is_active, strict=True
            ):
                if frame is None:
                    found += self._pause(chunk.track_id, track)
                else:
                    row = _Row(at_us, frame, is_voice=bool(voice), is_active=bool(active))
                    found += self._take(chunk.track_id, track, row)
        return found

    def _pause(self, name: str, track: _Track) -> list[Finding]:
        track.silent += 1
        return self._ended(name) if track.silent * WINDOW_US >= 300_000 else []

    def _take(self, name: str, track: _Track, row: _Row) -> list[Finding]:
        frame = row.frame
        is_pitched = frame.strength >= 0.6
        track.silent = 0
        segment = track.segment
        if segment is None:
            segment = track.segment = _Segment(row.at_us, row.at_us)
        segment.end_us = row.at_us + WINDOW_US
        segment.active += row.is_active
        if is_pitched:
            segment.voiced += 1
            if row.is_voice and row.is_active:
                segment.profile.add(frame)
        elif row.is_active and frame.strength < 0.5 and frame.tilt_db > -14:
            segment.unvoiced += 1
            segment.levels_db.append(frame.level_db)
        # Long speech is judged piece by piece, so that a change within a turn is seen.
        return self._ended(name) if segment.end_us - segment.start_us >= 2_000_000 else []

    def _ended(self, name: str) -> list[Finding]:
        track = self._tracks[name]
        segment, track.segment, track.silent = track.segment, None, 0
        if segment is None or self._is_echo(name, segment):
            return []
        found: list[Finding] = []
        if self._is_whisper(segment):
            seconds = round(segment.unvoiced * WINDOW_US / 1e6, 1)
            found.append(self._found(_WHISPER, name, segment, 0.5, {"seconds": seconds}))
            track.prompted_us = segment.end_us
        elif len(segment.profile) * WINDOW_US >= self._config.least_s * 1e6:
            found += self._compare(name, track, segment)
        return found

    def _compare(self, name: str, track: _Track, segment: _Segment) -> list[Finding]:
        config, main, other = self._config, track.main, segment.profile
        if len(main) * WINDOW_US < config.enrol_s * 1e6:
            main.extend(other, _PROFILE)
            return []
        semitones = main.semitones_to(other)
        colour = main.distance_to(other)
        quieter_db = main.level_db - other.level_db
        is_strange = colour >= config.strange_colour or quieter_db >= config.quiet_db
        needed = config.semitones * (0.55 if is_strange else 1.0)
        if abs(semitones) >= needed and colour >= config.colour:
            track.prompted_us = segment.end_us
            score = min(1.0, 0.4 + 0.1 * (abs(semitones) - needed) + 0.5 * (colour - config.colour))
            values: dict[str, float | int | str] = {
                "semitones": round(semitones, 1),
                "level_db": round(-quieter_db),
            }
            return [self._found(_SECOND, name, segment, score, values)]
        if abs(semitones) < 0.7 * config.semitones:
            main.extend(other, _PROFILE)
        return self._follows(name, track, segment)

    def _follows(self, name: str, track: _Track, segment: _Segment) -> list[Finding]:
        prompted_us, track.prompted_us = track.prompted_us, None
        if prompted_us is None:
            return []
        after_s = (segment.start_us - prompted_us) / 1e6
        if after_s > self._config.follows_within_s:
            return []
        return [self._found(_FOLLOWS, name, segment, 0.5, {"after_s": max(0.0, round(after_s, 1))})]

    def _is_whisper(self, segment: _Segment) -> bool:
        """Mostly without pitch, for longer than any consonant, and with syllables, unlike a fan."""
        long_enough = segment.unvoiced * WINDOW_US >= self._config.whisper_s * 1e6
        return (
            long_enough
            and segment.voiced < 0.25 * segment.active
            and segment.unvoiced >= 0.5 * segment.active
            and float(np.std(segment.levels_db)) >= _SWING_DB
        )

    def _is_echo(self, name: str, segment: _Segment) -> bool:
        """Another participant spoke for half of it: it may come out of the loudspeaker."""
        start_us, end_us = segment.start_us - 400_000, segment.end_us
        others = sum(
            max(0, min(end, end_us) - max(start, start_us))
            for other, track in self._tracks.items()
            if other != name
            for start, end in track.spoke
        )
        return others >= 0.5 * (segment.end_us - segment.start_us)

    def _found(
        self,
        kind: str,
        name: str,
        segment: _Segment,
        score: float,
        values: dict[str, float | int | str],
    ) -> Finding:
        return Finding(
            kind,
            segment.start_us,
            segment.end_us,
            Outcome.WARN,
            score=score,
            participant_id=self._tracks[name].participant_id,
            track_id=name,
            values=values,
        )


def _note(spoke: deque[tuple[int, int]], at_us: int) -> None:
    """Adds a window in which somebody spoke."""
    if spoke and at_us - spoke[-1][1] <= 2 * WINDOW_US:
        spoke[-1] = spoke[-1][0], at_us + WINDOW_US
    else:
        spoke.append((at_us, at_us + WINDOW_US))
