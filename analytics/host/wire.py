"""What the host and its workers say to each other.

To a worker: length-prefixed pickles, of this process's own making. From a worker, which may have
gone mad: JSON lines, checked like anything else from outside.
"""

import pickle
from collections.abc import Hashable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from struct import Struct
from typing import Annotated, Any, Final, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter

from analytics.detector import (
    AudioChunk,
    Finding,
    Heard,
    Likely,
    Mark,
    Needs,
    Portrait,
    Subject,
    Utterance,
)
from analytics.link import UnknownCause

__all__ = [
    "MAX_LINE_BYTES",
    "Alive",
    "Batch",
    "Done",
    "Flush",
    "FrameAt",
    "FromWorker",
    "Loaded",
    "Out",
    "Raised",
    "Ready",
    "Refused",
    "Setup",
    "Show",
    "ToWorker",
    "Unwatch",
    "WatchThis",
    "Withdraw",
    "from_worker",
    "likely_of",
    "pack",
    "unpack_length",
]

MAX_LINE_BYTES: Final = 262_144
LENGTH: Final = Struct("<I")

_Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:@/-]{0,128}$")]


@dataclass(frozen=True, slots=True)
class Setup:
    """First message to a worker.

    Attributes:
        detectors: settings of each, by its name.
        frames_fd, frames_bytes: memory with pictures.
        marker_fd: memory in which the worker notes what it is doing.
    """

    detectors: Mapping[str, Mapping[str, Any]]
    frames_fd: int
    frames_bytes: int
    marker_fd: int
    models_directory: Path | None = None
    own_models: Mapping[str, Path] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class WatchThis:
    """A watch begins."""

    watch: int
    detector: str
    subject: Subject


@dataclass(frozen=True, slots=True)
class Show:
    """A watch is given something that must not be dropped."""

    watch: int
    item: Portrait


@dataclass(frozen=True, slots=True)
class Flush:
    """Media of a watch has stopped for now."""

    watch: int
    at_us: int


@dataclass(frozen=True, slots=True)
class Unwatch:
    """A watch ends: it says what is still open, and is forgotten."""

    watch: int
    at_us: int


@dataclass(frozen=True, slots=True)
class Withdraw:
    """A watch may look at nothing more and say nothing more; goes ahead of what waits."""

    watch: int


@dataclass(frozen=True, slots=True)
class FrameAt:
    """A picture in shared memory: :class:`analytics.detector.VideoFrame` without its bytes."""

    track_id: str
    participant_id: str
    pts_us: int
    offset: int
    shape: tuple[int, int, int]
    shared: dict[Hashable, Any] = field(default_factory=dict)

    def image(self, memory: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A copy: the memory is used again."""
        height, width, depth = self.shape
        flat = memory[self.offset : self.offset + height * width * depth]
        image = flat.reshape(self.shape).copy()
        image.flags.writeable = False
        return image


Item: TypeAlias = FrameAt | AudioChunk | Utterance | Heard | Mark | Finding
Order: TypeAlias = WatchThis | Show | Flush | Unwatch | Withdraw | tuple[Item, tuple[int, ...]]


@dataclass(frozen=True, slots=True)
class Batch:
    """Work, in order: watches that begin and end, and inputs with the watches they are for."""

    number: int
    orders: tuple[Order, ...]


ToWorker: TypeAlias = Setup | Batch | Withdraw


def pack(message: ToWorker) -> bytes:
    """A message with its length."""
    body = pickle.dumps(message, protocol=pickle.HIGHEST_PROTOCOL)
    return LENGTH.pack(len(body)) + body


def unpack_length(head: bytes) -> int:
    """How long the message is that follows."""
    length: int = LENGTH.unpack(head)[0]
    return length


class _Message(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Loaded(_Message):
    """What the host has to know of a loaded detector."""

    version: _Name
    scope: Literal["track", "participant", "session"]
    permissions: frozenset[Literal["picture", "face", "identity", "voice", "speech"]]
    kinds: frozenset[_Name]
    models: dict[_Name, _Name]
    needs: Needs


class Ready(_Message):
    """All detectors that could be loaded are."""

    type: Literal["ready"] = "ready"
    detectors: dict[_Name, Loaded]


class Refused(_Message):
    """A detector could not be loaded."""

    type: Literal["refused"] = "refused"
    detector: _Name
    cause: UnknownCause
    reason: Annotated[str, Field(max_length=500)]


class Out(_Message):
    """Something a watch said; ``data`` are the fields of what it is."""

    type: Literal["out"] = "out"
    watch: int
    kind: Literal["finding", "said", "heard"]
    data: dict[str, JsonValue]


class Raised(_Message):
    """A detector failed; the worker has forgotten it."""

    type: Literal["raised"] = "raised"
    detector: _Name
    error: _Name


class Done(_Message):
    """A batch is done.

    Attributes:
        seconds: spent in each detector.
        seen_us: time of the newest input that each watch was given.
    """

    type: Literal["done"] = "done"
    batch: int
    seconds: dict[_Name, Annotated[float, Field(ge=0)]]


class Alive(_Message):
    """Twice a second, while nothing else is said.

    Attributes:
        work_s: age of the piece of work that was put aside and is being done.
    """

    type: Literal["alive"] = "alive"
    work_s: Annotated[float, Field(ge=0)] = 0.0


FromWorker: TypeAlias = Annotated[
    Ready | Refused | Out | Raised | Done | Alive, Field(discriminator="type")
]


class _Likely(_Message):
    text: Annotated[str, Field(max_length=200)]
    score: Annotated[float, Field(allow_inf_nan=False)]


_LIKELY: Final = TypeAdapter(Annotated[tuple[_Likely, ...], Field(max_length=512)])
_FROM_WORKER: Final[TypeAdapter[Any]] = TypeAdapter(FromWorker)


def likely_of(value: object) -> tuple[Likely, ...]:
    """What else a worker says may have been said.

    Raises:
        pydantic.ValidationError: rubbish.
    """
    return tuple(Likely(one.text, one.score) for one in _LIKELY.validate_python(value))


def from_worker(line: bytes) -> FromWorker:
    """What a worker said.

    Raises:
        pydantic.ValidationError: rubbish.
    """
    message: FromWorker = _FROM_WORKER.validate_json(line)
    return message
