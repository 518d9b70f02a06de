"""Detectors of ``bench isolation``: one that says much, and one that hangs."""

import time
from collections.abc import Sequence
from typing import Any, ClassVar, Final, Self

import numpy as np

from analytics.detector import (
    AudioChunk,
    AudioNeed,
    Card,
    DetectorConfig,
    Finding,
    FindingKind,
    Input,
    Needs,
    Output,
    Permission,
    Scope,
    Subject,
    Text,
)
from analytics.models import Models

__all__ = ["HANGING", "SAMPLER", "Hanging", "Sampler"]

SAMPLER: Final = "witness.bench.detectors:Sampler"
HANGING: Final = "witness.bench.detectors:Hanging"

_FINDINGS: Final = 6
"""For each chunk: far more than anything worth saying."""
_TEXT: Final = Text("性能测试", "benchmark")
_CARD: Final = Card(
    title=_TEXT,
    summary=_TEXT,
    scope=Scope.TRACK,
    permissions=frozenset({Permission.PICTURE}),
    kinds=(FindingKind("sample", _TEXT, _TEXT),),
    limits=_TEXT,
    unknown_when=_TEXT,
)


class Sampler:
    """Says every chunk of sound."""

    name: ClassVar[str] = "sampler"
    version: ClassVar[str] = "1"
    Config: ClassVar[type[DetectorConfig]] = DetectorConfig
    card: ClassVar[Card] = _CARD

    @classmethod
    def load(cls, config: Any, models: Models) -> Self:
        """Needs nothing."""
        del config, models
        return cls()

    @property
    def needs(self) -> Needs:
        """Sound."""
        return Needs(audio=AudioNeed(chunk_ms=96))

    def watch(self, subject: Subject) -> Self:
        """It has no state."""
        del subject
        return self

    def process(self, item: Input) -> Sequence[Output]:
        """Many findings for each chunk, one after the other."""
        assert isinstance(item, AudioChunk)
        step_us = (item.end_us - item.pts_us) // _FINDINGS
        parts = np.array_split(item.samples, _FINDINGS)
        levels = [round(float(abs(part).max()), 3) for part in parts]
        starts_us = range(item.pts_us, item.end_us, step_us)
        return [
            Finding("sample", start_us, start_us + step_us, values={"level": level})
            for start_us, level in zip(starts_us, levels, strict=False)
        ]

    def flush(self, at_us: int) -> Sequence[Output]:
        """Nothing is open."""
        del at_us
        return []


class Hanging(Sampler):
    """Says nothing any more from its first chunk on."""

    name: ClassVar[str] = "hanging"

    def process(self, item: Input) -> Sequence[Output]:
        """Never returns."""
        del item
        while True:
            time.sleep(1)
