"""What a voice is like: pitch, colour and level of every 32 ms."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from analytics.detector import SAMPLE_RATE_HZ
from analytics.speech.vad import WINDOW, levels_db

__all__ = ["SILENT_DB", "Profile", "Samples", "VoiceFrame", "Voices", "level_db"]

Samples = NDArray[np.float32]
Vector = NDArray[np.float64]

SILENT_DB: Final = -120.0
"""Level of digital silence."""

_SPAN: Final = 2 * WINDOW
_LOWEST_HZ: Final = 75
_HIGHEST_HZ: Final = 420
_BANDS: Final = 26
_CEPSTRA: Final = 13
_LOW_HZ: Final = 700.0
_HIGH_HZ: Final = 1_500.0


@dataclass(frozen=True, slots=True)
class VoiceFrame:
    """One window, heard together with the one before it.

    Attributes:
        level_db: of full scale.
        pitch_hz: 0 where there is none.
        strength: 0..1, how periodic it is.
        colour: ``(13,)``, cepstrum without its first coefficient; does not depend on level.
        tilt_db: how much stronger it is above 1.5 kHz than below 0.7 kHz; whispering is.
    """

    level_db: float
    pitch_hz: float
    strength: float
    colour: Vector
    tilt_db: float


class Voices:
    """Takes sound apart, window by window."""

    def __init__(self) -> None:
        self._before: Samples = np.zeros(WINDOW, np.float32)

    def take(self, windows: Samples, wanted: NDArray[np.bool_]) -> list[VoiceFrame | None]:
        """The next windows; ``None`` for those that nobody asks about.

        Args:
            windows: ``(n, 512)``, one at least.
            wanted: ``(n,)``.
        """
        earlier = np.concatenate([self._before[None], windows[:-1]])
        self._before = windows[-1]
        found: list[VoiceFrame | None] = [None] * len(windows)
        places = np.flatnonzero(wanted)
        if len(places):
            spans = np.concatenate([earlier[places], windows[places]], axis=1)
            levels = levels_db(windows[places])
            for place, frame in zip(places, _frames(spans, levels), strict=True):
                found[place] = frame
        return found


def _frames(spans: Samples, levels: Samples) -> Iterator[VoiceFrame]:
    """What spans of 1,024 samples are like; all at once, for each call has its price."""
    power = np.abs(np.fft.rfft(spans * _hann(), 2 * _SPAN)) ** 2
    colours = np.log(power[:, ::2] @ _filters().T + 1e-10) @ _cosines().T
    low, high = power[:, : _bin(_LOW_HZ)].sum(1), power[:, _bin(_HIGH_HZ) :].sum(1)
    tilts = 10 * np.log10((high + 1e-10) / (low + 1e-10))
    pitches, strengths = _pitches(power)
    for index, level in enumerate(levels):
        yield VoiceFrame(
            level_db=max(SILENT_DB, float(level)),
            pitch_hz=float(pitches[index]),
            strength=float(strengths[index]),
            colour=colours[index],
            tilt_db=float(tilts[index]),
        )


@dataclass(slots=True)
class Profile:
    """What some frames of a voice have in common; of voiced ones only."""

    pitches_hz: list[float] = field(default_factory=list)
    colours: list[Vector] = field(default_factory=list)
    levels_db: list[float] = field(default_factory=list)

    def add(self, frame: VoiceFrame) -> None:
        """Adds a voiced frame."""
        self.pitches_hz.append(frame.pitch_hz)
        self.colours.append(frame.colour)
        self.levels_db.append(frame.level_db)

    def extend(self, other: "Profile", limit: int) -> None:
        """Adds all frames of another; the oldest go."""
        self.pitches_hz = [*self.pitches_hz, *other.pitches_hz][-limit:]
        self.levels_db = [*self.levels_db, *other.levels_db][-limit:]
        self.colours = [*self.colours, *other.colours][-limit:]

    def __len__(self) -> int:
        return len(self.pitches_hz)

    @property
    def pitch_hz(self) -> float:
        """Median."""
        return float(np.median(self.pitches_hz))

    @property
    def level_db(self) -> float:
        """Of the louder half."""
        return float(np.percentile(self.levels_db, 75))

    def semitones_to(self, other: "Profile") -> float:
        """How much higher the other voice is."""
        return float(12 * np.log2(other.pitch_hz / self.pitch_hz))

    def distance_to(self, other: "Profile") -> float:
        """How much the colours differ, in spreads of this voice."""
        mine, theirs = np.array(self.colours), np.array(other.colours)
        spread = mine.std(axis=0) + 0.3
        away = (theirs.mean(axis=0) - mine.mean(axis=0)) / spread
        return float(np.sqrt((away**2).mean()))


def level_db(samples: Samples) -> float:
    """Mean level, dB of full scale."""
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return max(SILENT_DB, 10 * float(np.log10(power + 1e-12)))


def _pitches(power: Vector) -> tuple[Vector, Vector]:
    """Pitch and strength of each, of the autocorrelation of padded spans."""
    correlation = np.fft.irfft(power, axis=1)[:, : _SPAN // 2]
    whole = correlation[:, :1]
    # The window falls off, and with it the correlation at a distance.
    correlation = correlation / np.maximum(whole, 1e-9) / _window_correlation()
    first, last = SAMPLE_RATE_HZ // _HIGHEST_HZ, SAMPLE_RATE_HZ // _LOWEST_HZ
    row = correlation[:, first:last]
    middle = row[:, 1:-1]
    is_peak = (middle > row[:, :-2]) & (middle >= row[:, 2:]) & (whole > 1e-9)
    heights = np.where(is_peak, middle, 0.0)
    best = heights.max(axis=1)
    # Twice the period is as good a match: the shortest of those that are nearly as good.
    places = np.argmax(is_peak & (heights >= 0.9 * best[:, None]), axis=1)
    strengths = np.clip(np.take_along_axis(heights, places[:, None], axis=1)[:, 0], 0.0, 1.0)
    is_voiced = best > 0
    pitches = np.where(is_voiced, SAMPLE_RATE_HZ / (first + 1 + places), 0.0)
    return pitches, np.where(is_voiced, strengths, 0.0)


def _bin(hz: float) -> int:
    return round(hz * 2 * _SPAN / SAMPLE_RATE_HZ)


@cache
def _hann() -> Vector:
    return np.hanning(_SPAN)


@cache
def _window_correlation() -> Vector:
    whole = np.fft.irfft(np.abs(np.fft.rfft(_hann(), 2 * _SPAN)) ** 2)[: _SPAN // 2]
    return np.asarray(np.maximum(whole / whole[0], 0.05))


@cache
def _filters() -> Vector:
    """Triangles on the mel scale, 100 Hz to 7 kHz: ``(26, 513)``."""
    edges_mel = np.linspace(_mel(100.0), _mel(7_000.0), _BANDS + 2)
    edges_hz = 700 * (10 ** (edges_mel / 2_595) - 1)
    hz = np.fft.rfftfreq(_SPAN, 1 / SAMPLE_RATE_HZ)
    rise = (hz[None] - edges_hz[:-2, None]) / np.diff(edges_hz)[:-1, None]
    fall = (edges_hz[2:, None] - hz[None]) / np.diff(edges_hz)[1:, None]
    return np.asarray(np.maximum(0.0, np.minimum(rise, fall)))


@cache
def _cosines() -> Vector:
    order, band = np.arange(1, _CEPSTRA + 1)[:, None], np.arange(_BANDS)[None]
    return np.asarray(np.cos(np.pi * order * (band + 0.5) / _BANDS) * np.sqrt(2 / _BANDS))


def _mel(hz: float) -> float:
    return float(2_595 * np.log10(1 + hz / 700))
