"""What a detector is: the interface that analytics teams write against.

A :class:`Detector` holds what is loaded once, its models and settings. :meth:`Detector.watch` gives
a :class:`Watch`, the state of one subject: a track, a participant, or a session, as the detector's
:attr:`Card.scope` says. A watch is given the inputs that :attr:`Detector.needs` names, in order of
the session clock, and answers with findings. It does no I/O, reads no clock and starts no thread:
time is in what it is given, so the same input gives the same findings.

A detector that can't know says so (:attr:`Outcome.UNKNOWN`); silence means that it watched and saw
nothing worth saying.
"""

import re
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from math import isfinite
from typing import Any, ClassVar, Final, Protocol, Self, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from analytics.models import Models

__all__ = [
    "MAX_CHUNK_MS",
    "MAX_HEIGHT",
    "MAX_RATE_HZ",
    "SAMPLE_RATE_HZ",
    "AudioChunk",
    "AudioNeed",
    "Box",
    "Burst",
    "Card",
    "Defers",
    "Detector",
    "DetectorConfig",
    "Discards",
    "Finding",
    "FindingKind",
    "FrameRef",
    "Heard",
    "Input",
    "Likely",
    "Mark",
    "Needs",
    "Outcome",
    "Output",
    "Permission",
    "Portrait",
    "Prepares",
    "Scope",
    "Severity",
    "Subject",
    "Text",
    "Utterance",
    "VideoFrame",
    "VideoNeed",
    "Watch",
    "Word",
    "is_watch",
]

SAMPLE_RATE_HZ: Final = 16_000
"""Rate of all sound that detectors get; mono."""
MAX_RATE_HZ: Final = 120
"""Most frames a second that a detector may want."""
MAX_HEIGHT: Final = 8_192
"""Most lines of a picture that a detector may want."""
MAX_CHUNK_MS: Final = 9_600
"""Longest chunk of sound that a detector may want."""
_NAME: Final = re.compile(r"[A-Za-z0-9_.:@/-]{1,128}")


class Permission(StrEnum):
    """What a detector does with people; each but ``PICTURE`` needs the consent of that name."""

    PICTURE = "picture"
    """Looks at picture or sound without looking for people: black, frozen, clipped."""
    FACE = "face"
    """Finds faces, bodies and objects, without telling who it is."""
    IDENTITY = "identity"
    """Compares faces or voices with those of a person."""
    VOICE = "voice"
    """Analyses voices: who speaks, how many."""
    SPEECH = "speech"
    """Makes text of what is said."""


class Scope(StrEnum):
    """What one watch looks at."""

    TRACK = "track"
    PARTICIPANT = "participant"
    SESSION = "session"


class Outcome(StrEnum):
    """What a finding says; ``unknown`` is never a pass."""

    PASS = "pass"  # noqa: S105 - an outcome
    WARN = "warn"
    FAIL = "fail"
    UNKNOWN = "unknown"


class Severity(StrEnum):
    """How much a finding matters to whoever has to act on it."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


@dataclass(frozen=True, slots=True)
class Text:
    """A sentence in both languages; ``{name}`` stands for a value."""

    zh: str
    en: str


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in fractions of the picture (0..1), origin top left."""

    left: float
    top: float
    right: float
    bottom: float


@dataclass(frozen=True, slots=True)
class FrameRef:
    """A frame that a finding rests on; ``at_us`` is on the session clock."""

    track_id: str
    at_us: int
    box: Box | None = None
    label: str = ""


@dataclass(frozen=True, slots=True)
class Word:
    """A word and when it was said, µs on the session clock."""

    text: str
    start_us: int
    end_us: int


@dataclass(frozen=True, slots=True)
class VideoFrame:
    """A decoded frame.

    Attributes:
        image: ``(height, width, 3)``, uint8, RGB, upright, one pixel at least; not to be written
            to.
        pts_us: µs on the session clock.
        shared: what models made of this frame, so that each looks at it once (see
            :mod:`analytics.models`); keyed by the model.

    Raises:
        ValueError: the image is no picture.
    """

    track_id: str
    participant_id: str
    pts_us: int
    image: NDArray[np.uint8]
    shared: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        shape = self.image.shape
        if len(shape) != 3 or shape[2] != 3 or 0 in shape or self.image.dtype != np.uint8:
            raise ValueError(f"a picture is (height, width, 3) of uint8, not {shape}")


@dataclass(frozen=True, slots=True)
class AudioChunk:
    """Decoded sound without a hole in it.

    Attributes:
        samples: ``(n,)``, float32 in -1..1, mono, at :data:`SAMPLE_RATE_HZ`; ``n`` is a multiple of
            512 (32 ms); not to be written to.
        pts_us: of the first sample, µs on the session clock.
        is_after_gap: sound before it is missing: state that spans chunks starts anew.
        shared: as in :class:`VideoFrame`.
    """

    track_id: str
    participant_id: str
    pts_us: int
    samples: NDArray[np.float32]
    is_after_gap: bool = False
    shared: dict[Hashable, Any] = field(default_factory=dict, compare=False, repr=False)

    @property
    def end_us(self) -> int:
        """Where the next chunk starts, if nothing is missing."""
        return self.pts_us + len(self.samples) * 1_000_000 // SAMPLE_RATE_HZ


@dataclass(frozen=True, slots=True)
class Likely:
    """A text that may have been said.

    Attributes:
        score: how well the sound fits it, in nats: higher is better, comparable within one
            utterance only.
    """

    text: str
    score: float


@dataclass(frozen=True, slots=True)
class Utterance:
    """What somebody said, as a recogniser heard it.

    Attributes:
        confidence: 0..1; ``None`` where the recogniser doesn't tell.
        is_final: a partial result is replaced by the next one with the same ``start_us``.
        likely: of a short utterance while an answer is waited for: what else may have been said,
            and :attr:`text` among it. It goes to detectors that need words, not to the server.
    """

    participant_id: str
    track_id: str
    start_us: int
    end_us: int
    text: str
    words: tuple[Word, ...] = ()
    confidence: float | None = None
    language: str = ""
    is_final: bool = True
    likely: tuple[Likely, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """How far a recogniser has got with a track: what was said in between has been told.

    It goes to detectors that need words, not to the server. What no range with ``is_known`` covers,
    nobody has listened to, and whoever looks for words in it has to say ``unknown``.

    Attributes:
        start_us, end_us: ranges of a track follow each other and don't overlap.
        is_known: false where sound was missing, or could not be recognised in time.
    """

    participant_id: str
    track_id: str
    start_us: int
    end_us: int
    is_known: bool = True


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened in the session: a node begins, a question was put, a challenge.

    Attributes:
        kind: ``node.started``, ``node.ended``, ``participant.joined``, ``participant.left``,
            ``track.started``, ``track.ended``, ``track.muted``, ``track.unmuted``,
            ``challenge``, or a name of one's own.
        data: JSON; of a node all that the flow says of it: ``code``, ``kind``,
            ``required_statements``, ``prohibited_phrases``, ``answer``; of a participant ``role``.
    """

    kind: str
    at_us: int
    participant_id: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something for a reviewer, over a range of time.

    A finding that still goes on is sent with ``is_open``, and again with the same ``kind`` and
    ``start_us`` when it is over; the later one replaces the earlier.

    Attributes:
        kind: one of the detector's :attr:`Card.kinds`.
        start_us, end_us: µs on the session clock; of an open one ``end_us`` is how far it was seen.
        participant_id, track_id: what it is about; empty where the subject says it.
        score: 0..1, how sure the detector is; ``None`` where it has no measure of that.
        values: fill the explanation of its kind; numbers and short words, never a name, a face
            template or what was said.
        frames, words: what caused it.
    """

    kind: str
    start_us: int
    end_us: int
    outcome: Outcome = Outcome.WARN
    score: float | None = None
    participant_id: str = ""
    track_id: str = ""
    is_open: bool = False
    values: Mapping[str, float | int | str] = field(default_factory=dict)
    frames: tuple[FrameRef, ...] = ()
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Portrait:
    """The photo on somebody's identity document, given while the watch goes on.

    Attributes:
        image: ``(height, width, 3)``, uint8, RGB, upright; forget it as soon as it was looked at.
    """

    participant_id: str
    image: NDArray[np.uint8] = field(compare=False, repr=False)


Input: TypeAlias = VideoFrame | AudioChunk | Utterance | Heard | Mark | Finding | Portrait
Output: TypeAlias = Finding | Utterance | Heard


@dataclass(frozen=True, slots=True)
class Burst:
    """More frames for a while.

    Attributes:
        on: kind of the mark with which it begins, about the same subject.
        rate_hz: frames a second meanwhile.
        lasts_s: so long, where the mark's ``within_s`` doesn't say.

    Raises:
        ValueError: nobody can give that.
    """

    on: str
    rate_hz: float
    lasts_s: float

    def __post_init__(self) -> None:
        _check_rate(self.rate_hz)
        if not (isfinite(self.lasts_s) and self.lasts_s > 0):
            raise ValueError(f"lasts_s of a burst must be above 0, not {self.lasts_s}")


@dataclass(frozen=True, slots=True)
class VideoNeed:
    """Frames a second, and the picture height that is enough; smaller layers are not decoded.

    Attributes:
        rate_hz: above 0, at most :data:`MAX_RATE_HZ`.
        height: 1 to :data:`MAX_HEIGHT` lines.
        sources: names of tracks' sources, such as ``camera`` and ``screen``.
        burst: when more frames are needed; such a detector needs marks.

    Raises:
        ValueError: nobody can give that.
    """

    rate_hz: float = 2.0
    height: int = 180
    sources: frozenset[str] = frozenset({"camera"})
    burst: Burst | None = None

    def __post_init__(self) -> None:
        _check_rate(self.rate_hz)
        if not 1 <= self.height <= MAX_HEIGHT:
            raise ValueError(f"height must be 1 to {MAX_HEIGHT}, not {self.height}")
        _check_names("sources", self.sources)


@dataclass(frozen=True, slots=True)
class AudioNeed:
    """Length of the chunks; a multiple of 32 ms, at most :data:`MAX_CHUNK_MS`.

    Raises:
        ValueError: nobody can give that.
    """

    chunk_ms: int = 96
    sources: frozenset[str] = frozenset({"microphone"})

    def __post_init__(self) -> None:
        if self.chunk_ms % 32 or not 32 <= self.chunk_ms <= MAX_CHUNK_MS:
            raise ValueError(
                f"chunk_ms must be a multiple of 32 up to {MAX_CHUNK_MS}, not {self.chunk_ms}"
            )
        _check_names("sources", self.sources)


@dataclass(frozen=True, slots=True)
class Needs:
    """What a watch has to be given.

    Attributes:
        findings: kinds of findings of other detectors about the same subject.
        words: utterances, partial ones too, and how far the recogniser has got.
        marks: what happens in the session.
        roles: whose media; empty means everybody's.
        id_photo: kinds of findings for which the photo on the identity document is needed. It is
            given with the :class:`Subject`, or later as a :class:`Portrait`, until one of them
            was said; for watches of participants, with the permission ``IDENTITY``.

    Raises:
        ValueError: there can be no role of such a name.
    """

    video: VideoNeed | None = None
    audio: AudioNeed | None = None
    words: bool = False
    marks: bool = False
    findings: frozenset[str] = frozenset()
    roles: frozenset[str] = frozenset()
    id_photo: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        _check_names("roles", self.roles)


def _check_rate(rate_hz: float) -> None:
    if not 0 < rate_hz <= MAX_RATE_HZ:  # also what is no number
        raise ValueError(f"rate_hz must be above 0 and at most {MAX_RATE_HZ}, not {rate_hz}")


def _check_names(what: str, names: frozenset[str]) -> None:
    for name in names:
        if not _NAME.fullmatch(name):
            raise ValueError(f"{what} are names of letters, digits and _ . : @ / -, not {name!r}")


@dataclass(frozen=True, slots=True)
class FindingKind:
    """A kind of finding: what it is called, and how it explains itself."""

    kind: str
    title: Text
    explanation: Text
    severity: Severity = Severity.WARNING


@dataclass(frozen=True, slots=True)
class Card:
    """What people have to know before they believe a detector.

    Attributes:
        models: names in the model index (see ``witness models``).
        modules: libraries it imports when it is loaded that Witness doesn't always have.
        limits: what it can't do, and what its figures don't show.
        cpu_ms_per_minute: measured cost of one watch for a minute of media on one core, models
            included; ``None``: not measured.
        unknown_when: when the outcome is ``unknown``.
    """

    title: Text
    summary: Text
    scope: Scope
    permissions: frozenset[Permission]
    kinds: tuple[FindingKind, ...]
    limits: Text
    unknown_when: Text
    models: tuple[str, ...] = ()
    modules: tuple[str, ...] = ()
    cpu_ms_per_minute: float | None = None


@dataclass(frozen=True, slots=True)
class Subject:
    """What a watch looks at; fields beyond the scope are empty.

    Attributes:
        roles: role of each participant known so far, by participant id.
        id_photo: ``(height, width, 3)`` RGB portrait from the identity document, where given and
            needed.
    """

    session_id: str
    participant_id: str = ""
    track_id: str = ""
    role: str = ""
    roles: Mapping[str, str] = field(default_factory=dict)
    id_photo: NDArray[np.uint8] | None = field(default=None, compare=False, repr=False)


class DetectorConfig(BaseModel):
    """Settings that every detector has; a subclass adds its own, each with a description."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    enabled: bool = True


class Watch(Protocol):
    """State of one subject."""

    def process(self, item: Input) -> Sequence[Output]:
        """Takes the next input; times never run backwards within one track."""
        ...

    def flush(self, at_us: int) -> Sequence[Output]:
        """Says what is still open, as of ``at_us``; the subject has gone, or its media stopped."""
        ...


def is_watch(value: object) -> bool:
    """Whether it can be given inputs; silence of what can't would pass for nothing seen."""
    return all(callable(getattr(value, name, None)) for name in ("process", "flush"))


class Detector(Protocol):
    """A loaded detector; one per host, shared by all its watches."""

    name: ClassVar[str]
    version: ClassVar[str]
    Config: ClassVar[type[DetectorConfig]]
    card: ClassVar[Card]

    @classmethod
    def load(cls, config: Any, models: Models) -> Self:
        """Loads what it needs; imports of heavy libraries belong here.

        Raises:
            ModelMissingError: a model is not installed; the host reports ``unknown``.
        """
        ...

    @property
    def needs(self) -> Needs:
        """Inputs, as the settings have it."""
        ...

    def watch(self, subject: Subject) -> Watch:
        """Starts to watch a subject."""
        ...


@runtime_checkable
class Discards(Protocol):
    """A watch that keeps something outside itself: work that waits in a queue of the detector."""

    def discard(self) -> None:
        """Consent was withdrawn: nothing of it is looked at any more, nothing more is said.

        The watch is given nothing after that, and not flushed. May be called while
        :meth:`Defers.work` is at work.
        """
        ...


@runtime_checkable
class Prepares(Protocol):
    """A detector whose models take several frames at once.

    The host hands over all frames that are due, of all tracks and rooms, before the watches see
    them; results go into :attr:`VideoFrame.shared`.
    """

    def prepare(self, frames: Sequence[VideoFrame]) -> None:
        """Runs the models over frames of several tracks."""
        ...


@runtime_checkable
class Defers(Protocol):
    """A detector with work that takes too long for :meth:`Watch.process`: recognising a sentence.

    Its watches put such work into a bounded queue of the detector. The host has it done in a thread
    beside the one that feeds the watches, one piece at a time, as long as some is waiting; a runner
    without threads does so after each input. Both methods may be called while a watch takes
    another input. Before :meth:`Watch.flush` the host does what waits, or gives it up: the watch
    then says ``unknown`` for it.
    """

    @property
    def waiting(self) -> int:
        """Pieces of work that wait."""
        ...

    def work(self) -> tuple[Watch, Sequence[Output]] | None:
        """Does the most urgent piece, as long as that takes.

        Returns:
            The watch it was done for, and what came of it; ``None`` if nothing waited.
        """
        ...
