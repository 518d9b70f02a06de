"""Finds sound that is no good: silent, clipped, noisy."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from analytics.speech.vad import WINDOW, WINDOW_US
from analytics.speech.voice import level_db

__all__ = ["SoundHealth", "SoundHealthConfig", "SoundHealthWatch"]

_SILENT: Final = "sound_silent"
_CLIPPED: Final = "sound_clipped"
_NOISY: Final = "sound_noisy"
_FULL: Final = 0.985
_LOUD_DB: Final = -30.0
_OPEN_EVERY_US: Final = 5_000_000


class SoundHealthConfig(DetectorConfig):
    """Settings of ``sound_health``."""

    silent_db: float = Field(
        default=-75.0, le=0, description="Level below which nothing is heard, dB of full scale."
    )
    silent_after_s: float = Field(
        default=15.0, gt=0, description="Shorter silence of an unmuted microphone is not reported."
    )
    clipped_share: float = Field(
        default=0.15, gt=0, le=1, description="Share of loud windows that reach full scale."
    )
    noise_db: float = Field(
        default=-45.0, le=0, description="Noise below this level is never reported."
    )
    min_snr_db: float = Field(
        default=14.0, description="Speech that stands out less from the noise is hard to follow."
    )
    window_s: float = Field(default=10.0, gt=1, description="Time over which sound is judged.")


class SoundHealth:
    """Emits a finding while a microphone is silent, clipped or noisy."""

    name: ClassVar[str] = "sound_health"
    version: ClassVar[str] = "1"
    Config: ClassVar[type[DetectorConfig]] = SoundHealthConfig
    card: ClassVar[Card] = Card(
        title=Text("声音质量", "Sound quality"),
        summary=Text(
            "未静音却没有声音、削波失真、噪声过大时提示。",
            "Says when a microphone that isn't muted gives no sound, is clipped, or noisy.",
        ),
        scope=Scope.TRACK,
        permissions=frozenset({Permission.PICTURE}),
        kinds=(
            FindingKind(
                _SILENT,
                Text("没有声音", "No sound"),
                Text(
                    "麦克风未静音，但没有声音。", "The microphone is not muted, and gives no sound."
                ),
            ),
            FindingKind(
                _CLIPPED,
                Text("声音失真", "Clipped sound"),
                Text(
                    "声音过大而失真（{share}%），请离麦克风远一些。",
                    "Too loud, and distorted ({share} %): move away from the microphone.",
                ),
            ),
            FindingKind(
                _NOISY,
                Text("噪声过大", "Noisy"),
                Text(
                    "噪声 {noise_db} dB，信噪比约 {snr_db} dB，可能听不清。",
                    "Noise of {noise_db} dB, about {snr_db} dB below speech: hard to follow.",
                ),
            ),
        ),
        limits=Text(
            "浏览器的降噪会使安静的房间没有声音，很久不说话的人可能被报为没有声音；"
            "噪声按音量的分布估计，持续的音乐也算噪声。",
            "Noise suppression of browsers makes quiet rooms silent: who says nothing for long may"
            " be reported. Noise is estimated by how levels are spread; steady music is noise.",
        ),
        unknown_when=Text(
            "没有收到声音时不作判断。", "Where no sound is received it says nothing."
        ),
    )

    def __init__(self, config: SoundHealthConfig) -> None:
        self.config = config

    @classmethod
    def load(cls, config: SoundHealthConfig, models: Models) -> Self:  # noqa: ARG003
        """See :class:`analytics.detector.Detector`."""
        return cls(config)

    @property
    def needs(self) -> Needs:
        """Sound; marks say who is muted."""
        return Needs(audio=AudioNeed(), marks=True)

    def watch(self, subject: Subject) -> "SoundHealthWatch":
        """Starts to listen to a track."""
        return SoundHealthWatch(self, subject)


@dataclass(frozen=True, slots=True)
class _Heard:
    level_db: float
    is_full: bool


class SoundHealthWatch:
    """One microphone."""

    def __init__(self, detector: SoundHealth, subject: Subject) -> None:
        self._config = detector.config
        self._subject = subject
        count = int(detector.config.window_s * 1e6) // WINDOW_US
        self._window: deque[_Heard] = deque(maxlen=count)
        self._open: dict[str, Finding] = {}
        self._silent_since_us: int | None = None
        self._is_muted = False
        self._end_us: int | None = None
        self._judged_us = 0

    def process(self, item: Input) -> Sequence[Output]:
        """Takes sound, and marks of muting."""
        match item:
            case Mark():
                return self._mark(item)
            case AudioChunk():
                return self._listen(item)
        return []

    def flush(self, at_us: int) -> Sequence[Output]:
        """Ends what is open, where sound ended."""
        end_us = at_us if self._end_us is None else min(at_us, self._end_us)
        found = [self._over(kind, end_us) for kind in list(self._open)]
        self._window.clear()
        self._silent_since_us = None
        return found

    def _mark(self, mark: Mark) -> list[Finding]:
        track_id = mark.data.get("track_id", "")
        is_mine = mark.participant_id in {"", self._subject.participant_id}
        if mark.kind not in {"track.muted", "track.unmuted"} or not is_mine:
            return []
        if track_id not in {"", self._subject.track_id}:
            return []
        self._is_muted = mark.kind == "track.muted"
        self._silent_since_us = None
        return [self._over(_SILENT, mark.at_us)] if _SILENT in self._open else []

    def _listen(self, chunk: AudioChunk) -> list[Finding]:
        if chunk.is_after_gap:
            self._window.clear()
            self._silent_since_us = None
        found: list[Finding] = []
        for index in range(len(chunk.samples) // WINDOW):
            samples = chunk.samples[index * WINDOW : (index + 1) * WINDOW]
            heard = _Heard(level_db(samples), bool((np.abs(samples) >= _FULL).sum() >= 3))
            self._window.append(heard)
            found += self._silence(heard, chunk.pts_us + index * WINDOW_US)
        self._end_us = chunk.end_us
        is_full = len(self._window) == self._window.maxlen
        if is_full and chunk.end_us - self._judged_us >= 1_000_000:
            self._judged_us = chunk.end_us
            found += self._clipped(chunk.end_us)
            found += self._noise(chunk.end_us)
        return found

    def _silence(self, heard: _Heard, at_us: int) -> list[Finding]:
        if self._is_muted:
            return []
        if heard.level_db >= self._config.silent_db:
            self._silent_since_us = None
            return [self._over(_SILENT, at_us)] if _SILENT in self._open else []
        if self._silent_since_us is None:
            self._silent_since_us = at_us
        if at_us - self._silent_since_us < self._config.silent_after_s * 1e6:
            return []
        return self._going_on(_SILENT, self._silent_since_us, at_us, {})

    def _clipped(self, at_us: int) -> list[Finding]:
        loud = [one.is_full for one in self._window if one.level_db >= _LOUD_DB]
        share = sum(loud) / len(loud) if loud else 0.0
        if share < self._config.clipped_share:
            return [self._over(_CLIPPED, at_us)] if _CLIPPED in self._open else []
        return self._going_on(_CLIPPED, at_us - self._span_us, at_us, {"share": round(100 * share)})

    def _noise(self, at_us: int) -> list[Finding]:
        levels = [one.level_db for one in self._window]
        noise_db, speech_db = (float(one) for one in np.percentile(levels, [10, 95]))
        snr_db = speech_db - noise_db
        if noise_db < self._config.noise_db or snr_db >= self._config.min_snr_db:
            return [self._over(_NOISY, at_us)] if _NOISY in self._open else []
        values = {"noise_db": round(noise_db), "snr_db": round(snr_db)}
        return self._going_on(_NOISY, at_us - self._span_us, at_us, values)

    @property
    def _span_us(self) -> int:
        return len(self._window) * WINDOW_US

    def _going_on(
        self, kind: str, start_us: int, at_us: int, values: Mapping[str, float | int | str]
    ) -> list[Finding]:
        """Opens a finding, and tells of it now and then while it goes on."""
        known = self._open.get(kind)
        if known is not None and at_us - known.end_us < _OPEN_EVERY_US:
            return []
        start_us = known.start_us if known else max(0, start_us)
        finding = Finding(
            kind,
            start_us,
            at_us,
            participant_id=self._subject.participant_id,
            track_id=self._subject.track_id,
            is_open=True,
            values=values,
        )
        self._open[kind] = finding
        return [finding]

    def _over(self, kind: str, at_us: int) -> Finding:
        known = self._open.pop(kind)
        return Finding(
            kind,
            known.start_us,
            max(known.end_us, at_us),
            Outcome.WARN,
            participant_id=known.participant_id,
            track_id=known.track_id,
            values=known.values,
        )
