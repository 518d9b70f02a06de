"""Clips of what is said: statements, answers and promises, and a second voice, with their truth.

They are put together of single sentences (``sentences.json`` and a sound file for each) that a
person or a machine has spoken. Two microphones, a node for each case.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from analytics.detector import SAMPLE_RATE_HZ, Outcome
from analytics.errors import EvalError
from analytics.eval.labels import Clip, ClipEvent, ClipMark, ClipTrack, write_clip
from analytics.eval.speech_coding import (
    Samples,
    SpeechChannel,
    decoded_file,
    through,
    write_sound,
)

__all__ = [
    "SPEECH_CHANNELS",
    "SPEECH_STORIES",
    "Sentences",
    "make_speech_clip",
    "make_speech_clips",
]

SPEECH_CHANNELS: Final = (
    SpeechChannel("clean"),
    SpeechChannel("noise20", snr_db=20),
    SpeechChannel("noise10", snr_db=10),
    SpeechChannel("thin", kbps=12),
    SpeechChannel("loss5", loss=0.05),
    SpeechChannel("loss15", kbps=24, loss=0.15),
)

_PAUSE_S: Final = 1.0
_WINDOW_S: Final = 5
_STATEMENTS: Final = frozenset({"statement_said", "statement_missing"})
_ANSWERS: Final = frozenset(
    {"answer_affirmed", "answer_refused", "answer_unclear", "answer_missing"}
)
_ROOM: Final = 0.0003


@dataclass(frozen=True, slots=True)
class Sentences:
    """Sentences that were spoken.

    Attributes:
        texts: what each file says, by its name.
    """

    folder: Path
    texts: Mapping[str, str]

    @classmethod
    def read(cls, folder: Path) -> "Sentences":
        """Reads ``sentences.json`` of a folder.

        Raises:
            EvalError: it isn't there, or is no list of sentences.
        """
        path = folder / "sentences.json"
        try:
            value = json.loads(path.read_text("utf-8"))
            texts = {str(name): str(one["text"]) for name, one in value.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise EvalError("{path} lists no sentences: {cause}", path=path, cause=error) from error
        return cls(folder, texts)

    def named(self, beginning: str) -> list[str]:
        """Names that begin so and go on with a number, in order."""
        return sorted(
            name
            for name in self.texts
            if name.startswith(beginning) and name[len(beginning) :].isdigit()
        )

    def sound(self, name: str) -> Samples:
        """What was spoken, 16 kHz."""
        return decoded_file(self.folder / f"{name}.opus")


@dataclass(slots=True)
class _Tape:
    """Two microphones, and what is true of them."""

    sentences: Sentences
    rng: np.random.Generator
    at_s: float = 0.5
    sounds: list[tuple[str, float, Samples]] = field(default_factory=list)
    marks: list[ClipMark] = field(default_factory=list)
    events: list[ClipEvent] = field(default_factory=list)
    said: dict[str, list[str]] = field(default_factory=dict)

    def say(self, who: str, name: str, level_db: float = 0.0) -> tuple[float, float]:
        """Says a sentence, and then waits; gives when."""
        sound = self.sentences.sound(name) * np.float32(10 ** (level_db / 20))
        start_s = self.at_s
        self.sounds.append((who, start_s, sound))
        self.said.setdefault(who, []).append(self.sentences.texts[name])
        self.at_s += len(sound) / SAMPLE_RATE_HZ
        end_s = self.at_s
        self.wait(_PAUSE_S + float(self.rng.uniform(0, 0.5)))
        return start_s, end_s

    def wait(self, seconds: float) -> None:
        """Nobody says anything."""
        self.at_s += seconds

    def node(self, code: str, **data: Any) -> float:
        """Begins a node; gives when."""
        self.marks.append(
            ClipMark(kind="node.started", at_us=_us(self.at_s), data={"code": code, **data})
        )
        return self.at_s

    def end(self) -> float:
        """Ends the node; gives when."""
        self.marks.append(ClipMark(kind="node.ended", at_us=_us(self.at_s)))
        ended_s = self.at_s
        self.wait(0.3)
        return ended_s

    def event(
        self, kind: str, start_s: float, end_s: float, outcome: Outcome | None, **match: str
    ) -> None:
        """Notes what is true."""
        self.events.append(
            ClipEvent(
                kind=kind,
                start_us=_us(start_s),
                end_us=_us(end_s),
                outcome=outcome,
                match=dict(match),
            )
        )

    def track(self, who: str) -> Samples:
        """What one microphone hears."""
        length = int((self.at_s + 1.0) * SAMPLE_RATE_HZ)
        heard = (_ROOM * self.rng.standard_normal(length)).astype(np.float32)
        for speaker, start_s, sound in self.sounds:
            if speaker == who:
                at = int(start_s * SAMPLE_RATE_HZ)
                heard[at : at + len(sound)] += sound
        return heard


@dataclass(frozen=True, slots=True)
class _Story:
    tell: Callable[[_Tape], None]
    scored: frozenset[str]


def _statements(kind: str) -> Callable[[_Tape], None]:
    """Every required statement in a node of its own, said so, otherwise, not, or turned round."""

    def tell(tape: _Tape) -> None:
        required = tape.sentences.named("required")
        for index, name in enumerate(required):
            spoken = _spoken_for(tape.sentences, kind, index, required)
            if spoken is None:
                continue
            text = {"zh": tape.sentences.texts[name]}
            code = f"{kind}-{name}"
            start_s = tape.node(code, kind="statement", required_statements=[text])
            tape.say("rm", spoken)
            said = kind in {"required", "paraphrase"}
            verdict = (
                ("statement_said", Outcome.PASS) if said else ("statement_missing", Outcome.FAIL)
            )
            tape.event(verdict[0], start_s, tape.end(), verdict[1], node=code)

    return tell


def _spoken_for(sentences: Sentences, kind: str, index: int, required: Sequence[str]) -> str | None:
    match kind:
        case "required":
            return required[index]
        case "paraphrase":
            return sentences.named("paraphrase")[index]
        case "absent":
            return required[(index + 3) % len(required)]
    # A sentence that says the opposite of this one, where there is any.
    opposite = {"required08": "contrary02", "required04": "contrary03", "required05": "contrary04",
                "required06": "contrary05"}  # fmt: skip
    return opposite.get(required[index])


def _answers(kinds: Mapping[str, tuple[str, Outcome]]) -> Callable[[_Tape], None]:
    """Questions with answers of some kinds, and with silence."""

    def tell(tape: _Tape) -> None:
        questions = tape.sentences.named("question")
        cases: list[tuple[str | None, tuple[str, Outcome]]] = [
            (name, verdict)
            for beginning, verdict in kinds.items()
            for name in (tape.sentences.named(beginning) if beginning else [None] * 2)
        ]
        cases = [(name, _UNCLEAR if name in _HESITANT else verdict) for name, verdict in cases]
        for index, (answer, verdict) in enumerate(cases):
            code = f"answer-{answer or f'silence{index}'}"
            start_s = tape.node(
                code,
                kind="question",
                answer={"speaker": "customer", "lexicon": [], "window_s": _WINDOW_S, "retries": 0},
            )
            tape.say("rm", questions[index % len(questions)])
            if answer is not None:
                tape.say("customer", answer)
            tape.wait(max(0.0, _WINDOW_S - (tape.at_s - start_s) + 4))
            tape.event(verdict[0], start_s, tape.end(), verdict[1], node=code)

    return tell


def _promises(tape: _Tape) -> None:
    """Prohibited promises, each followed by a careful sentence with the same words."""
    careful = tape.sentences.named("careful")
    for index, name in enumerate(tape.sentences.named("promise")):
        start_s, end_s = tape.say("rm", name)
        tape.event("promise_made", start_s, end_s, Outcome.FAIL)
        tape.wait(4.0)
        if index < len(careful):
            tape.say("rm", careful[index])
            tape.wait(4.0)


def _second_voice(level_db: float) -> Callable[[_Tape], None]:
    """Somebody beside the customer says what to answer, so much quieter."""

    def tell(tape: _Tape) -> None:
        for name in ("chat01", "chat02", "yes12", "chat03", "yes08"):
            tape.say("customer", name)
        questions = tape.sentences.named("question")
        for index, name in enumerate(tape.sentences.named("prompter")):
            tape.say("rm", questions[index])
            start_s, end_s = tape.say("customer", name, level_db)
            answer_s, answered_s = tape.say("customer", "yes01")
            tape.event("second_voice", start_s, end_s, None)
            tape.event("answer_follows_whisper", answer_s, answered_s, None)
            tape.wait(4.0)

    return tell


_YES: Final = {"yes": ("answer_affirmed", Outcome.PASS)}
_NO: Final = {
    "no": ("answer_refused", Outcome.FAIL),
    "back": ("answer_unclear", Outcome.FAIL),
    "": ("answer_missing", Outcome.FAIL),
}
_UNCLEAR: Final = ("answer_unclear", Outcome.FAIL)
_HESITANT: Final = frozenset({"no03", "no04", "no07"})
"""No denials: put off, or a sound."""
_VOICES: Final = frozenset({"second_voice", "answer_follows_whisper"})

SPEECH_STORIES: Final[Mapping[str, _Story]] = {
    "required": _Story(_statements("required"), _STATEMENTS),
    "paraphrase": _Story(_statements("paraphrase"), _STATEMENTS),
    "absent": _Story(_statements("absent"), _STATEMENTS),
    "contrary": _Story(_statements("contrary"), _STATEMENTS),
    "yes": _Story(_answers(_YES), _ANSWERS),
    "no": _Story(_answers(_NO), _ANSWERS),
    "promises": _Story(_promises, frozenset({"promise_made"})),
    "prompted": _Story(_second_voice(0.0), _VOICES),
    "prompted-12dB": _Story(_second_voice(-12.0), _VOICES),
    "prompted-24dB": _Story(_second_voice(-24.0), _VOICES),
}
"""What can be told; each once for every channel."""


def make_speech_clips(
    sentences: Sentences,
    directory: Path,
    *,
    seed: int = 1,
    stories: Sequence[str] = tuple(SPEECH_STORIES),
    channels: Sequence[SpeechChannel] = SPEECH_CHANNELS,
) -> Iterator[Clip]:
    """Makes clips and their labels; gives each as it is done.

    Raises:
        EvalError: a sentence is missing.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for channel in channels:
        for story in stories:
            yield make_speech_clip(sentences, story, channel, directory, seed)


def make_speech_clip(
    sentences: Sentences, story: str, channel: SpeechChannel, directory: Path, seed: int
) -> Clip:
    """Makes one clip and its label."""
    told = SPEECH_STORIES[story]
    tape = _Tape(sentences, np.random.default_rng([seed, len(story)]))
    told.tell(tape)
    tape.wait(6.0)
    name = f"speech-{story}-{channel.name}"
    tracks = []
    length = 0
    for index, who in enumerate(("rm", "customer")):
        rng = np.random.default_rng([seed, index, len(name)])
        heard = through(tape.track(who), channel, rng)
        length = max(length, len(heard))
        file = f"{name}-{who}.flac"
        write_sound(directory / file, heard)
        tracks.append(
            ClipTrack(
                track_id=f"{who}-mic",
                participant_id=who,
                role=who,
                kind="audio",
                source="microphone",
                file=file,
            )
        )
    clip = Clip(
        name=name,
        duration_us=length * 1_000_000 // SAMPLE_RATE_HZ,
        tracks=tuple(tracks),
        scored=told.scored,
        events=tuple(tape.events),
        marks=tuple(tape.marks),
        tags={"story": story, **channel.tags},
        seed=seed,
        texts={who: tuple(texts) for who, texts in tape.said.items()},
    )
    write_clip(clip, directory)
    return clip


def _us(seconds: float) -> int:
    return round(seconds * 1e6)
