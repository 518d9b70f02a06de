"""Sounds that tell when they were said: chirps in a microphone's file, found at the far end.

Eight kinds of chirp take turns, two a second, so that a delay below four seconds is unambiguous.
They lie between 400 and 3,200 Hz, which every mode of Opus carries, and are as short as two
packets, so that some come through heavy loss.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["KEPT_RATE_HZ", "KINDS", "PERIOD_S", "Heard", "add_markers", "delays", "find"]

PERIOD_S = 0.5
KINDS = 8
KEPT_RATE_HZ = 8_000
"""Rate at which pages keep what they hear."""
_LENGTH_S = 0.04
_EDGES_HZ = (400, 1_100, 1_800, 2_500, 3_200)
_LEVEL = 0.5
_DUCKED_S = 0.01
_MIN_MATCH = 0.6
"""Normalised correlation from which a chirp counts as found; speech stays below 0.4."""
_MIN_RMS = 0.005

Samples = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Heard:
    """A chirp: its kind, and its first sample."""

    kind: int
    index: int


def chirp(kind: int, rate_hz: int) -> Samples:
    """One chirp of full level, with soft ends."""
    count = round(_LENGTH_S * rate_hz)
    at = np.arange(count) / rate_hz
    band, falls = divmod(kind, 2)
    first, last = _EDGES_HZ[band : band + 2]
    if falls:
        first, last = last, first
    phase = 2 * np.pi * (first * at + (last - first) * at**2 / (2 * _LENGTH_S))
    made: Samples = np.sin(phase) * np.hanning(count) ** 0.5
    return made


def add_markers(samples: NDArray[np.int16], rate_hz: int) -> NDArray[np.int16]:
    """Puts a chirp over the sound at the beginning of every period; the sound pauses for it.

    Args:
        samples: ``(samples,)``, whole periods times :data:`KINDS`, so that it can be looped.
        rate_hz: of the samples.
    """
    out = samples.astype(np.float64)
    pause = round(_DUCKED_S * rate_hz)
    for number, start in enumerate(range(0, len(out), round(PERIOD_S * rate_hz))):
        mark = chirp(number % KINDS, rate_hz)
        out[start : start + len(mark) + pause] = 0
        out[start : start + len(mark)] = mark * _LEVEL * 32_767
    return out.round().astype(np.int16)


def find(samples: NDArray[np.int16], rate_hz: int = KEPT_RATE_HZ) -> list[Heard]:
    """All chirps in a recording, in order.

    Args:
        samples: ``(samples,)``.
        rate_hz: of the samples.
    """
    sound = samples.astype(np.float64) / 32_768
    found = []
    for kind in range(KINDS):
        found += [Heard(kind, at) for at in _matches(sound, chirp(kind, rate_hz), rate_hz)]
    return sorted(found, key=lambda heard: heard.index)


def _matches(sound: Samples, mark: Samples, rate_hz: int) -> list[int]:
    if len(sound) < len(mark):
        return []
    size = 1 << int(np.ceil(np.log2(len(sound) + len(mark))))
    spectrum = np.fft.rfft(sound, size) * np.conj(np.fft.rfft(mark, size))
    product = np.fft.irfft(spectrum, size)[: len(sound) - len(mark) + 1]
    sums = np.concatenate(([0.0], np.cumsum(sound**2)))
    energy = sums[len(mark) :] - sums[: -len(mark)]
    norm = np.sqrt(np.maximum(energy, _MIN_RMS**2 * len(mark)) * np.sum(mark**2))
    match = np.abs(product) / norm
    found = []
    near = round(PERIOD_S * rate_hz / 2)
    candidates = np.flatnonzero(match >= _MIN_MATCH)
    while candidates.size:
        best = int(candidates[np.argmax(match[candidates])])
        found.append(best)
        candidates = candidates[np.abs(candidates - best) > near]
    return found


def delays(
    said: list[tuple[int, float]], heard: list[tuple[int, float]]
) -> list[tuple[float, float]]:
    """How long after it was said each chirp was heard.

    Args:
        said: kind and time in seconds.
        heard: kind and time in seconds, by the same clock.

    Returns:
        The time it was heard at and the delay, in seconds, for each that can be told.
    """
    longest = KINDS * PERIOD_S
    result = []
    for kind, at in heard:
        before = [at - begin for what, begin in said if what == kind and 0 <= at - begin < longest]
        if before:
            result.append((at, min(before)))
    return result
