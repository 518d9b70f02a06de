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
    "SpeechPlan",
    "make_speech_clip",
    "make_speech_clips",
    "speech_set",
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
        of: the sentence that one is another form of (a paraphrase, its opposite, an echo).
        voices: who speaks; empty where the list doesn't say.
    """

    folder: Path
    texts: Mapping[str, str]
    of: Mapping[str, str] = field(default_factory=dict)
    voices: Mapping[str, str] = field(default_factory=dict)

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
            of = {str(name): str(one["of"]) for name, one in value.items() if "of" in one}
            voices = {str(name): str(one.get("voice", "")) for name, one in value.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise EvalError("{path} lists no sentences: {cause}", path=path, cause=error) from error
        unknown = sorted({other for other in of.values() if other not in texts})
        if unknown:
            raise EvalError(
                "{path} lists no {names}, of which it has other forms",
                path=path,
                names=", ".join(unknown),
            )
        return cls(folder, texts, of, voices)

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
    """What is told, the kinds that its labels are complete for, and the sentences it takes."""

    tell: Callable[[_Tape], None]
    scored: frozenset[str]
    takes: tuple[str, ...] = ()


def _statements(kind: str) -> Callable[[_Tape], None]:
    """Every required statement in a node of its own, said so, otherwise, not, or turned round."""

    def tell(tape: _Tape) -> None:
        for name, spoken in _spoken_for(tape.sentences, kind):
            text = {"zh": tape.sentences.texts[name]}
            code = f"{kind}-{spoken}-{name}"
            start_s = tape.node(code, kind="statement", required_statements=[text])
            tape.say("rm", spoken)
            said = kind in {"required", "paraphrase"}
            verdict = (
                ("statement_said", Outcome.PASS) if said else ("statement_missing", Outcome.FAIL)
            )
            tape.event(verdict[0], start_s, tape.end(), verdict[1], node=code)

    return tell


def _spoken_for(sentences: Sentences, kind: str) -> list[tuple[str, str]]:
    """Statements, each with the sentence that is said in its place."""
    required = sentences.named("required")
    match kind:
        case "required":
            return [(name, name) for name in required]
        case "absent":
            count = len(required)
            return [(name, required[(at + 3) % count]) for at, name in enumerate(required)]
    others = [(sentences.of[name], name) for name in sentences.named(kind) if name in sentences.of]
    return sorted(others)


def _answers(kinds: Mapping[str, tuple[str, Outcome]]) -> Callable[[_Tape], None]:
    """Questions with answers of some kinds; ``""`` is silence, which is asked for now and then."""

    def tell(tape: _Tape) -> None:
        sentences = tape.sentences
        questions = sentences.named("question")
        spoken = {beginning: sentences.named(beginning) for beginning in kinds if beginning}
        silences = max(2, sum(map(len, spoken.values())) // _PER_SILENCE)
        cases: list[tuple[str | None, tuple[str, Outcome]]] = [
            (name, verdict)
            for beginning, verdict in kinds.items()
            for name in (spoken[beginning] if beginning else [None] * silences)
        ]
        for index, (answer, verdict) in enumerate(cases):
            code = f"answer-{answer or f'silence{index}'}"
            start_s = tape.node(
                code,
                kind="question",
                answer={"speaker": "customer", "lexicon": [], "window_s": _WINDOW_S, "retries": 0},
            )
            tape.say("rm", sentences.of.get(answer or "", questions[index % len(questions)]))
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


def _talk(tape: _Tape) -> None:
    """A conversation in which nothing happens that has to be said.

    Each keeps a voice, where the sentences were spoken in several.
    """
    sentences = tape.sentences
    said = [
        name
        for beginning in ("talk", "careful", "required", "paraphrase")
        for name in sentences.named(beginning)
    ]
    voices = sorted({sentences.voices.get(name, "") for name in said})
    rows = {
        "rm": [name for name in said if sentences.voices.get(name, "") == voices[0]],
        "customer": [
            name for name in sentences.named("talk") if sentences.voices.get(name, "") == voices[-1]
        ],
    }
    waiting: dict[str, list[str]] = {"rm": [], "customer": []}
    while tape.at_s < _TALK_S - 10:
        who = "rm" if tape.rng.random() < _RM_SHARE else "customer"
        if not waiting[who]:
            waiting[who] = [str(name) for name in tape.rng.permutation(rows[who])]
        tape.say(who, waiting[who].pop(), float(tape.rng.uniform(-6, 0)))
        tape.wait(float(tape.rng.exponential(0.8)))
    tape.at_s = _TALK_S


_TALK_S: Final = 300.0
_RM_SHARE: Final = 0.6
_ALARMS: Final = frozenset(
    {
        "promise_made",
        "second_voice",
        "answer_follows_whisper",
        "sound_silent",
        "sound_clipped",
        "sound_noisy",
        "speech_too_fast",
    }
)
_YES: Final = {"yes": ("answer_affirmed", Outcome.PASS)}
_UNCLEAR: Final = ("answer_unclear", Outcome.FAIL)
_NO: Final = {
    "no": ("answer_refused", Outcome.FAIL),
    "hesitant": _UNCLEAR,
    "reserved": _UNCLEAR,
    "back": _UNCLEAR,
    "other": _UNCLEAR,
    "echo": _UNCLEAR,
    "": ("answer_missing", Outcome.FAIL),
}
_PER_SILENCE: Final = 10
_PROMPTED: Final = ("chat", "prompter", "question", "yes")
_VOICES: Final = frozenset({"second_voice", "answer_follows_whisper"})

SPEECH_STORIES: Final[Mapping[str, _Story]] = {
    "required": _Story(_statements("required"), _STATEMENTS, ("required",)),
    "paraphrase": _Story(_statements("paraphrase"), _STATEMENTS, ("required", "paraphrase")),
    "absent": _Story(_statements("absent"), _STATEMENTS, ("required",)),
    "contrary": _Story(_statements("contrary"), _STATEMENTS, ("required", "contrary")),
    "yes": _Story(_answers(_YES), _ANSWERS, ("question", "yes")),
    "no": _Story(_answers(_NO), _ANSWERS, ("question", "no")),
    "promises": _Story(_promises, frozenset({"promise_made"}), ("promise",)),
    "prompted": _Story(_second_voice(0.0), _VOICES, _PROMPTED),
    "prompted-12dB": _Story(_second_voice(-12.0), _VOICES, _PROMPTED),
    "prompted-24dB": _Story(_second_voice(-24.0), _VOICES, _PROMPTED),
}
"""What can be told; each once for every channel."""


_TALK: Final = _Story(_talk, _ALARMS, ("talk",))


@dataclass(frozen=True, slots=True)
class SpeechPlan:
    """A clip that is to be made."""

    story: str
    channel: SpeechChannel
    seed: int

    @property
    def name(self) -> str:
        """Name of the clip."""
        number = f"-{self.seed:05d}" if self.story == "talk" else ""
        return f"speech-{self.story}-{self.channel.name}{number}"


def speech_set(
    sentences: Sentences,
    clean_minutes: float = 0,
    seed: int = 1,
    channels: Sequence[SpeechChannel] = SPEECH_CHANNELS,
) -> list[SpeechPlan]:
    """All stories that these sentences can tell, through some channels.

    Args:
        sentences: those that were spoken.
        clean_minutes: so much talk as well in which nothing happens, for false alarms.
        seed: of all that is left to chance.
        channels: talk goes through them in turn.

    Raises:
        EvalError: talk is asked for, and there are no sentences for it.
    """

    def can(story: _Story) -> bool:
        return all(sentences.named(beginning) for beginning in story.takes)

    plans = [
        SpeechPlan(story, channel, seed)
        for channel in channels
        for story, told in SPEECH_STORIES.items()
        if can(told)
    ]
    talks = round(clean_minutes * 60 / _TALK_S)
    if talks and not can(_TALK):
        path = sentences.folder / "sentences.json"
        raise EvalError("{path} lists no sentences talk01, talk02, … to talk with", path=path)
    plans += [
        SpeechPlan("talk", channels[index % len(channels)], seed * 1_000 + index)
        for index in range(talks)
    ]
    return plans


def make_speech_clips(
    sentences: Sentences, plans: Sequence[SpeechPlan], directory: Path
) -> Iterator[Clip]:
    """Makes clips and their labels; gives each as it is done.

    Raises:
        EvalError: a sentence is missing.
    """
    directory.mkdir(parents=True, exist_ok=True)
    for plan in plans:
        yield make_speech_clip(sentences, plan, directory)


def make_speech_clip(sentences: Sentences, plan: SpeechPlan, directory: Path) -> Clip:
    """Makes one clip and its label."""
    story, channel, seed, name = plan.story, plan.channel, plan.seed, plan.name
    told = _TALK if story == "talk" else SPEECH_STORIES[story]
    tape = _Tape(sentences, np.random.default_rng([seed, len(story)]))
    told.tell(tape)
    tape.wait(6.0)
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
