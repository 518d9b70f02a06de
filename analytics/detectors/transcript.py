"""Writes down what is said, with times."""

import threading
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
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
    Heard,
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
    Watch,
)
from analytics.models import Models
from analytics.speech.cutter import Cut, Cutter, Cutting
from analytics.speech.likely import Awaited
from analytics.speech.pack import Pack, load_pack
from analytics.speech.queue import Queue
from analytics.speech.recogniser import (
    PROMPT,
    RECOGNISER_MODEL,
    Nearest,
    Recogniser,
    RecogniserError,
    WhisperOptions,
    load_recogniser,
)
from analytics.speech.spread import spread
from analytics.speech.vad import (
    VOICE_MODEL,
    WINDOW,
    WINDOW_US,
    VoiceActivity,
    VoiceModel,
    load_voice_model,
)

__all__ = ["Transcript", "TranscriptConfig", "TranscriptWatch"]

_UNRECOGNISED: Final = "speech_unrecognised"
_TOLD_EVERY_US: Final = 1_000_000
_GAP_US: Final = 2 * WINDOW_US
_WORDLESS_US: Final = 350_000
"""A shorter noise is no word."""

_MAX_CHARS: Final = 2_000
_NOTHING: Final = np.zeros(0, np.float32)


class TranscriptConfig(DetectorConfig):
    """Settings of ``transcript``."""

    language: str = Field(
        default="zh", pattern=r"^[a-z]{2,3}$", description="Language that is spoken."
    )
    prompt: str = Field(
        default=PROMPT,
        max_length=200,
        description="Sentence of the kind that is expected; never one that is to be checked.",
    )
    threads: int = Field(default=2, ge=1, le=64, description="Threads of one recognition.")
    beam: int = Field(default=5, ge=1, le=8, description="Hypotheses followed; more is slower.")
    padding_s: float = Field(
        default=4.0, ge=0, le=30, description="Silence after the sound; less is faster, and worse."
    )
    least_s: float = Field(
        default=8.0, ge=1, le=30, description="Length to which shorter sound is padded."
    )
    pack_path: Path | None = Field(
        default=None, description="Lists of words of answers, in place of those that come along."
    )
    weigh_answers: bool = Field(
        default=True,
        description="Weigh likely answers against what was recognised, while one is waited for.",
    )
    partial_results: bool = Field(
        default=True, description="Give what has been said while somebody still speaks."
    )
    max_waiting: int = Field(
        default=8, ge=1, le=256, description="Utterances that wait; more are unknown."
    )
    begin_probability: float = Field(
        default=0.5, gt=0, lt=1, description="Probability of voice from which somebody speaks."
    )
    go_on_probability: float = Field(
        default=0.35, gt=0, lt=1, description="Probability of voice from which he goes on."
    )
    hang_over_ms: int = Field(
        default=640, ge=96, le=3_000, description="Longer pauses end an utterance."
    )
    conceal_ms: int = Field(
        default=320, ge=0, le=1_000, description="Shorter gaps don't end an utterance."
    )
    max_concealed: float = Field(
        default=0.3, ge=0, le=1, description="Utterances of which more was lost are unknown."
    )
    most_ms: int = Field(
        default=12_000, ge=2_000, le=25_000, description="Longer utterances are cut."
    )

    def cutting(self) -> Cutting:
        """Where utterances begin and end."""
        return Cutting(
            begin=self.begin_probability,
            go_on=min(self.go_on_probability, self.begin_probability),
            hang_over_ms=self.hang_over_ms,
            most_ms=self.most_ms,
        )

    def options(self) -> WhisperOptions:
        """How the model is run."""
        return WhisperOptions(
            language=self.language,
            prompt=self.prompt,
            padding_s=self.padding_s,
            least_s=self.least_s,
            beam=self.beam,
        )


class Transcript:
    """Gives an :class:`Utterance` for whatever is said, partial ones first."""

    name: ClassVar[str] = "transcript"
    version: ClassVar[str] = "2"
    Config: ClassVar[type[DetectorConfig]] = TranscriptConfig
    card: ClassVar[Card] = Card(
        title=Text("语音转写", "Transcript"),
        summary=Text(
            "按声音活动切分语句，在本机识别成文字，并给出时间。",
            "Cuts speech where voice pauses and makes text of it, on this machine, with times.",
        ),
        scope=Scope.TRACK,
        permissions=frozenset({Permission.SPEECH}),
        kinds=(
            FindingKind(
                _UNRECOGNISED,
                Text("未能识别的语音", "Speech not recognised"),
                Text(
                    "此处有人说话，但未能转成文字（{cause}）。",
                    "Somebody spoke here, but it was not made into text ({cause}).",
                ),
                Severity.INFO,
            ),
        ),
        models=(VOICE_MODEL, RECOGNISER_MODEL),
        modules=("faster_whisper",),
        limits=Text(
            "同音字、数字和人名常有误，方言和嘈杂环境下错误很多；词的时间按有声部分平均分配，"
            "误差可达零点几秒。在合成普通话上测得的数字不代表真实通话。",
            "Homophones, numbers and names are often wrong; dialects and noise make many errors."
            " Times of words are spread over the voiced parts and off by some tenths of a second."
            " Figures from synthetic Mandarin don't show how it does in real calls.",
        ),
        unknown_when=Text(
            "未安装模型、声音缺失、等待识别的语句过多、或识别结果不可信时。",
            "A model is not installed, sound is missing, too many utterances wait, or the"
            " recogniser's output can't be believed.",
        ),
    )

    def __init__(
        self,
        config: TranscriptConfig,
        voice: VoiceModel,
        recogniser: Recogniser,
        pack: Pack | None = None,
    ) -> None:
        self.config = config
        self.pack = pack
        self.voice = voice
        self.recogniser = recogniser
        self.queue: Queue[TranscriptWatch] = Queue(config.max_waiting)

    @classmethod
    def load(cls, config: TranscriptConfig, models: Models) -> Self:
        """Loads the models, as :class:`analytics.detector.Detector` has it."""
        voice = load_voice_model(models)
        recogniser = load_recogniser(models, config.options(), threads=config.threads)
        # The forms that are put around words of answers are Chinese.
        is_weighed = config.weigh_answers and config.language == "zh"
        pack = load_pack(config.pack_path) if is_weighed else None
        return cls(config, voice, recogniser, pack)

    @property
    def needs(self) -> Needs:
        """Sound of microphones; nodes that wait for an answer."""
        return Needs(audio=AudioNeed(), marks=True)

    def watch(self, subject: Subject) -> "TranscriptWatch":
        """Starts to listen to a track."""
        return TranscriptWatch(self, subject)

    @property
    def waiting(self) -> int:
        """See :class:`analytics.detector.Defers`."""
        return len(self.queue)

    def work(self) -> tuple[Watch, Sequence[Output]] | None:
        """See :class:`analytics.detector.Defers`."""
        job = self.queue.take()
        return None if job is None else (job.owner, job.owner.recognise(job.cut))


@dataclass(slots=True)
class _Pending:
    """A final cut, and what came of it, until all before it are told."""

    cut: Cut
    told: tuple[Output, ...] | None = None
    is_known: bool = False


class TranscriptWatch:
    """Utterances of one track, told in the order in which they were said."""

    def __init__(self, detector: Transcript, subject: Subject) -> None:
        self._detector = detector
        self._subject = subject
        self._voice = VoiceActivity(detector.voice)
        self._cutter = Cutter(detector.config.cutting())
        self._awaited = None if detector.pack is None else Awaited(detector.pack, subject)
        self._lock = threading.Lock()
        self._pending: dict[int, _Pending] = {}
        self._untold: list[Output] = []
        self._told_us: int | None = None
        self._end_us = 0
        self._is_discarded = False

    def process(self, item: Input) -> Sequence[Output]:
        """Cuts; what is cut is recognised later."""
        if isinstance(item, Mark) and self._awaited is not None:
            with self._lock:
                self._awaited.take(item)
        if not isinstance(item, AudioChunk):
            return []
        if self._told_us is None:
            self._told_us = self._end_us = item.pts_us
        elif item.is_after_gap or item.pts_us - self._end_us > _GAP_US:
            if 0 <= item.pts_us - self._end_us <= self._detector.config.conceal_ms * 1_000:
                self._take(self._cutter.conceal(item.pts_us))
            else:
                self._gap(item.pts_us)
        probabilities = self._voice.probabilities(item)
        for index, probability in enumerate(probabilities):
            window = item.samples[index * WINDOW : (index + 1) * WINDOW]
            at_us = item.pts_us + index * WINDOW_US
            self._take(self._cutter.take(at_us, window, float(probability)))
        self._end_us = item.end_us
        return self._drain()

    def flush(self, at_us: int) -> Sequence[Output]:  # noqa: ARG002 - sound tells how far it went
        """Recognises what was begun, unless there was no time for what came before."""
        given_up = self._detector.queue.give_up(self)
        for cut in given_up:
            self._resolve(cut, _lost(self._subject, cut, "given_up"), is_known=False)
        for cut in self._cutter.end():
            if given_up:
                self._expect(cut)
                self._resolve(cut, _lost(self._subject, cut, "given_up"), is_known=False)
            else:
                self._expect(cut)
                self._finish(cut)
        return self._drain(to_end=True)

    def discard(self) -> None:
        """See :class:`analytics.detector.Discards`."""
        self._is_discarded = True
        self._detector.queue.give_up(self)

    def recognise(self, cut: Cut) -> Sequence[Output]:
        """Recognises one cut; in the host's second thread."""
        if self._is_discarded:
            return []
        if cut.is_final:
            self._finish(cut)
            return self._drain()
        try:
            heard = self._detector.recogniser(cut.samples, is_final=False)
        except RecogniserError:
            return []
        with self._lock:
            is_late = self._told_us is not None and cut.start_us < self._told_us
        if is_late or not heard.text or heard.is_doubtful:
            return []
        return [self._utterance(cut, heard.text, heard.confidence, heard.language)]

    def _gap(self, to_us: int) -> None:
        """Sound is missing since the last chunk."""
        self._take(self._cutter.end())
        self._cutter = Cutter(self._detector.config.cutting())
        missing = Cut(self._end_us, to_us, _NOTHING, (), is_final=True)
        self._expect(missing)
        self._resolve(missing, (), is_known=False)

    def _take(self, cuts: Sequence[Cut]) -> None:
        for cut in cuts:
            if not cut.is_final and not self._detector.config.partial_results:
                continue
            if cut.is_final:
                self._expect(cut)
            dropped = self._detector.queue.put(self, cut)
            if dropped is not None:
                dropped.owner.give_up(dropped.cut)

    def give_up(self, cut: Cut) -> None:
        """One of its cuts had to go: too many wait."""
        self._resolve(cut, _lost(self._subject, cut, "overloaded"), is_known=False)

    def _finish(self, cut: Cut) -> None:
        if cut.concealed > self._detector.config.max_concealed:
            self._resolve(cut, _lost(self._subject, cut, "lost_packets"), is_known=False)
            return
        try:
            heard = self._detector.recogniser(cut.samples, is_final=True, likely=self._likely(cut))
        except RecogniserError:
            self._resolve(cut, _lost(self._subject, cut, "failed"), is_known=False)
            return
        if heard.is_doubtful or (not heard.text and cut.end_us - cut.start_us > _WORDLESS_US):
            self._resolve(cut, _lost(self._subject, cut, "unclear"), is_known=False)
        elif not heard.text:
            self._resolve(cut, (), is_known=True)
        else:
            said = self._utterance(cut, heard.text, heard.confidence, heard.language)
            self._resolve(cut, (replace(said, likely=heard.likely),), is_known=True)

    def _likely(self, cut: Cut) -> Nearest | None:
        """What it may be, where an answer is waited for."""
        if self._awaited is None:
            return None
        with self._lock:
            shortlist = self._awaited.shortlist(cut.start_us, cut.end_us)
        return None if shortlist is None else shortlist.nearest

    def _utterance(self, cut: Cut, text: str, confidence: float, language: str) -> Utterance:
        text = "".join(" " if _is_control(one) else one for one in text)[:_MAX_CHARS]
        return Utterance(
            participant_id=self._subject.participant_id,
            track_id=self._subject.track_id,
            start_us=cut.start_us,
            end_us=cut.end_us,
            text=text,
            words=spread(text, cut),
            confidence=confidence,
            language=language,
            is_final=cut.is_final,
        )

    def _expect(self, cut: Cut) -> None:
        with self._lock:
            self._pending[cut.start_us] = _Pending(cut)

    def _resolve(self, cut: Cut, told: tuple[Output, ...], *, is_known: bool) -> None:
        """Tells what came of a cut once all before it is told."""
        with self._lock:
            pending = self._pending.get(cut.start_us)
            if pending is None:
                return
            pending.told, pending.is_known = told, is_known
            while self._pending:
                start_us, first = next(iter(self._pending.items()))
                if first.told is None:
                    return
                del self._pending[start_us]
                self._untold += [*first.told, *self._heard(start_us)]
                self._untold += self._heard(first.cut.end_us, is_known=first.is_known)

    def _drain(self, *, to_end: bool = False) -> list[Output]:
        with self._lock:
            settled_us = self._cutter.settled_us
            if not self._pending and settled_us is not None and self._told_us is not None:
                settled_us = max(settled_us, self._end_us) if to_end else settled_us
                if to_end or settled_us - self._told_us >= _TOLD_EVERY_US:
                    self._untold += self._heard(settled_us)
            untold, self._untold = self._untold, []
            return untold

    def _heard(self, until_us: int, *, is_known: bool = True) -> list[Output]:
        start_us = self._told_us
        if start_us is None or until_us <= start_us:
            return []
        self._told_us = until_us
        subject = self._subject
        return [Heard(subject.participant_id, subject.track_id, start_us, until_us, is_known)]


def _lost(subject: Subject, cut: Cut, cause: str) -> tuple[Output, ...]:
    return (
        Finding(
            _UNRECOGNISED,
            cut.start_us,
            cut.end_us,
            Outcome.UNKNOWN,
            participant_id=subject.participant_id,
            track_id=subject.track_id,
            values={"cause": cause},
        ),
    )


def _is_control(character: str) -> bool:
    return unicodedata.category(character) in {"Cc", "Cs", "Zl", "Zp"}
