"""Detectors of ``bench isolation``: one that says as much as it is told to, and one that hangs."""

import time
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Final, Self

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
    Needs,
    Output,
    Permission,
    Scope,
    Subject,
    Text,
)
from analytics.models import Models

__all__ = ["CHUNK_MS", "HANGING", "SAMPLER", "Hanging", "Sampler", "SamplerConfig"]

SAMPLER: Final = "witness.bench.detectors:Sampler"
HANGING: Final = "witness.bench.detectors:Hanging"

CHUNK_MS: Final = 96
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


class SamplerConfig(DetectorConfig):
    """How much it says."""

    findings: Annotated[int, Field(ge=1, le=CHUNK_MS)] = 6
    """For each chunk: already far more than anything worth saying."""


class Sampler:
    """Says every part of a chunk of sound."""

    name: ClassVar[str] = "sampler"
    version: ClassVar[str] = "1"
    Config: ClassVar[type[DetectorConfig]] = SamplerConfig
    card: ClassVar[Card] = _CARD

    def __init__(self, config: SamplerConfig) -> None:
        self.config = config

    @classmethod
    def load(cls, config: Any, models: Models) -> Self:
        """Needs nothing."""
        del models
        return cls(config)

    @property
    def needs(self) -> Needs:
        """Sound."""
        return Needs(audio=AudioNeed(chunk_ms=CHUNK_MS))

    def watch(self, subject: Subject) -> Self:
        """It has no state."""
        del subject
        return self

    def process(self, item: Input) -> Sequence[Output]:
        """Many findings for each chunk, one after the other."""
        assert isinstance(item, AudioChunk)
        step_us = (item.end_us - item.pts_us) // self.config.findings
        parts = np.array_split(item.samples, self.config.findings)
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
