"""Tiny detectors: good ones, and one that does whatever harm it is told to."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

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
    Output,
    Permission,
    Portrait,
    Scope,
    Subject,
    Text,
    VideoFrame,
    VideoNeed,
)
from analytics.models import Models

WORD = Text("测试", "test")


def card(scope: Scope, *kinds: str, permissions: frozenset[Permission] | None = None) -> Card:
    return Card(
        title=WORD,
        summary=WORD,
        scope=scope,
        permissions=frozenset({Permission.PICTURE}) if permissions is None else permissions,
        kinds=tuple(FindingKind(kind, WORD, WORD) for kind in kinds),
        limits=WORD,
        unknown_when=WORD,
    )


class CounterConfig(DetectorConfig):
    """How often pictures are looked at."""

    rate_hz: float = 10.0


class Counter:
    """Says every picture it gets, and what is open at the end."""

    name: ClassVar[str] = "counter"
    version: ClassVar[str] = "1"
    Config: ClassVar[type[DetectorConfig]] = CounterConfig
    card: ClassVar[Card] = card(Scope.TRACK, "picture", "watched")

    def __init__(self, config: CounterConfig) -> None:
        self.config = config

    @classmethod
    def load(cls, config: Any, models: Models) -> Self:
        return cls(config)

    @property
    def needs(self) -> Needs:
        return Needs(video=VideoNeed(rate_hz=self.config.rate_hz, height=90))

    def watch(self, subject: Subject) -> "CounterWatch":
        return CounterWatch(self.name)


class CounterWatch:
    def __init__(self, name: str) -> None:
        self.name = name
        self.first_us: int | None = None
        self.count = 0

    def process(self, item: Input) -> Sequence[Output]:
        assert isinstance(item, VideoFrame)
        self.first_us = item.pts_us if self.first_us is None else self.first_us
        self.count += 1
        height, width, _ = item.image.shape
        values = {"height": height, "width": width, "count": self.count}
        watched = Finding("watched", self.first_us, item.pts_us, is_open=True)
        return [Finding("picture", item.pts_us, item.pts_us, values=values), watched]

    def flush(self, at_us: int) -> Sequence[Output]:
        start_us, self.first_us = self.first_us, None
        return [] if start_us is None else [Finding("watched", start_us, at_us)]


class FaceCounter(Counter):
    """The same, of faces: only with consent."""

    name: ClassVar[str] = "face_counter"
    card: ClassVar[Card] = card(
        Scope.PARTICIPANT, "picture", "watched", permissions=frozenset({Permission.FACE})
    )


class PhotoTaker(Counter):
    """Says which photo of a document it was given, and whether with the watch or later."""

    name: ClassVar[str] = "photo_taker"
    card: ClassVar[Card] = card(
        Scope.PARTICIPANT,
        "photo",
        permissions=frozenset({Permission.FACE, Permission.IDENTITY}),
    )

    @property
    def needs(self) -> Needs:
        video = VideoNeed(rate_hz=self.config.rate_hz, height=90)
        return Needs(video=video, id_photo=frozenset({"photo"}))

    def watch(self, subject: Subject) -> "PhotoTakerWatch":
        return PhotoTakerWatch(subject)


class PhotoTakerWatch:
    def __init__(self, subject: Subject) -> None:
        self.photo = None if subject.id_photo is None else ("begin", subject.id_photo.shape)

    def process(self, item: Input) -> Sequence[Output]:
        if isinstance(item, Portrait):
            self.photo = "later", item.image.shape
            return []
        assert isinstance(item, VideoFrame)
        told, self.photo = self.photo, None
        if told is None:
            return []
        when, (height, width, _) = told
        values = {"when": when, "height": height, "width": width}
        return [Finding("photo", item.pts_us, item.pts_us, values=values)]

    def flush(self, at_us: int) -> Sequence[Output]:
        return []


class Listener:
    """Says every chunk of sound, and every mark."""

    name: ClassVar[str] = "listener"
    version: ClassVar[str] = "1"
    Config: ClassVar[type[DetectorConfig]] = DetectorConfig
    card: ClassVar[Card] = card(Scope.PARTICIPANT, "chunk", "mark")

    @classmethod
    def load(cls, config: Any, models: Models) -> Self:
        return cls()

    @property
    def needs(self) -> Needs:
        return Needs(audio=AudioNeed(chunk_ms=96), marks=True)

    def watch(self, subject: Subject) -> Self:
        return self

    def process(self, item: Input) -> Sequence[Output]:
        match item:
            case AudioChunk():
                values = {"samples": len(item.samples), "gap": int(item.is_after_gap)}
                return [Finding("chunk", item.pts_us, item.end_us, values=values)]
            case Mark():
                return [Finding("mark", item.at_us, item.at_us, values={"kind": item.kind})]
            case _:
                raise TypeError(type(item).__name__)

    def flush(self, at_us: int) -> Sequence[Output]:
        return []


class HarmConfig(DetectorConfig):
    """What it does, and with which picture of its first life."""

    harm: str = "none"
    after: int = 3
    lives: str = ""


class Harm(Counter):
    """Does harm in its first life, and counts pictures from then on.

    Its settings may have it leave while it is loaded, or want what nobody can give.
    """

    name: ClassVar[str] = "harm"
    Config: ClassVar[type[DetectorConfig]] = HarmConfig
    card: ClassVar[Card] = card(Scope.TRACK, "picture", "watched")

    @classmethod
    def load(cls, config: Any, models: Models) -> Self:
        if config.harm == "leave":
            sys.exit(1)
        return cls(config)

    @property
    def needs(self) -> Needs:
        height = 9_000 if self.config.harm == "greed" else 90
        return Needs(video=VideoNeed(rate_hz=10.0, height=height))

    def watch(self, subject: Subject) -> "HarmWatch":
        return HarmWatch(self)


class HarmWatch(CounterWatch):
    def __init__(self, detector: Any) -> None:
        super().__init__("harm")
        self.config = detector.config

    def process(self, item: Input) -> Sequence[Output]:
        outputs = super().process(item)
        if self.count == self.config.after and self._is_first_life():
            done: Sequence[Output] = _do(self.config.harm)
            return done
        return outputs

    def _is_first_life(self) -> bool:
        if not self.config.lives:
            return True
        try:
            os.close(os.open(self.config.lives, os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            return False
        return True


def _do(harm: str) -> Any:
    match harm:
        case "hang":
            while True:
                time.sleep(1)
        case "raise":
            print("aloud", flush=True)  # noqa: T201
            raise RuntimeError("on purpose")
        case "exit":
            sys.exit(1)
        case "children":
            child = subprocess.Popen(["sleep", "600"])
            raise RuntimeError(child)
        case "cut":
            _cut_shared_memory()
            raise RuntimeError("on purpose")
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "leak":
            leaked = bytearray(os.urandom(1 << 20) * 500)
            time.sleep(600)
            return leaked
        case "rubbish":
            return "rubbish"
        case "strange":
            return [Finding("no_such_kind", 5, 3)]
        case "flood":
            # As much as may be said at once, and more than may be within a second.
            return [Finding("picture", number, number) for number in range(512)]
    raise AssertionError(harm)


def _cut_shared_memory() -> None:
    """Shortens all memory that it has a descriptor of, and writes over the rest."""
    for place in list(Path("/proc/self/fd").iterdir()):
        with contextlib.suppress(OSError):
            if "memfd:witness-frames" not in str(place.readlink()):
                continue
            with contextlib.suppress(OSError):
                os.ftruncate(int(place.name), 0)
            os.pwrite(int(place.name), b"\xff" * 4_096, 0)


class Keeper:
    """Keeps all it is given outside its watches, until it is told to let go."""

    name: ClassVar[str] = "keeper"
    version: ClassVar[str] = "1"
    Config: ClassVar[type[DetectorConfig]] = DetectorConfig
    card: ClassVar[Card] = card(Scope.PARTICIPANT, "kept")

    def __init__(self) -> None:
        self.kept: list[tuple[object, Input]] = []

    @classmethod
    def load(cls, config: Any, models: Models) -> Self:
        return cls()

    @property
    def needs(self) -> Needs:
        return Needs(marks=True)

    def watch(self, subject: Subject) -> "KeeperWatch":
        return KeeperWatch(self)


class KeeperWatch:
    def __init__(self, detector: Keeper) -> None:
        self.detector = detector

    def process(self, item: Input) -> Sequence[Output]:
        self.detector.kept.append((self, item))
        return []

    def flush(self, at_us: int) -> Sequence[Output]:
        return [Finding("kept", at_us, at_us)]

    def discard(self) -> None:
        self.detector.kept = [item for item in self.detector.kept if item[0] is not self]
