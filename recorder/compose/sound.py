"""Sound of all participants in one: each packet at its time, loud together but never clipped."""

from collections.abc import Iterator
from dataclasses import dataclass

import av
import numpy as np
from numpy.typing import NDArray

from recorder.playback.frames import TimedFrame

__all__ = ["RATE_HZ", "Block", "Limiter", "Mixer", "PlacedSound"]

RATE_HZ = 48_000

Samples = NDArray[np.float32]

_JUMP = 1_920
_TOLERANCE = 96
_STRETCH = 100
_FADE = 96
_LOOK_AHEAD = 312
"""Samples an Opus decoder's output comes later than what was encoded (6.5 ms)."""
_CEILING = 0.9
_RELEASE = 0.02


class PlacedSound:
    """Decodes one Opus track and lays it on the session clock.

    A packet follows the one before it without a seam as long as the clocks agree to 2 ms; drift
    beyond that is taken up by stretching packets by at most 1 %. More than 40 ms, or missing
    packets, is a jump: silence stands where nothing was received.
    """

    def __init__(self, frames: Iterator[TimedFrame], epoch_us: int) -> None:
        self._frames = frames
        self._epoch_us = epoch_us
        self._decoder = av.Codec("libopus", "r").create("audio")
        self._decoder.sample_rate = RATE_HZ
        self._decoder.layout = "mono"
        self._next: TimedFrame | None = next(frames, None)
        self._cursor: int | None = None
        self._rest = np.zeros(0, np.float32)
        self._rest_at = 0
        self._gap = (0, 0)
        self.unreadable = 0

    def take(self, start: int, count: int) -> tuple[Samples | None, bool]:
        """Sound of ``count`` samples from ``start`` on; ``None`` for silence.

        Args:
            start: never before the end of what was taken last.
            count: samples.

        Returns:
            The sound, and whether some of it is missing because packets are.
        """
        end = start + count
        out: Samples | None = None
        while True:
            if len(self._rest) and self._rest_at < end:
                out = np.zeros(count, np.float32) if out is None else out
                self._rest = self._rest[max(0, start - self._rest_at) :]
                self._rest_at = max(start, self._rest_at)
                part = self._rest[: end - self._rest_at]
                at = self._rest_at - start
                out[at : at + len(part)] = part
                self._rest = self._rest[len(part) :]
                self._rest_at += len(part)
            if len(self._rest) or self._next is None:
                break
            begin = self._begin(self._next)
            if begin >= end:
                break
            if begin < start - RATE_HZ:
                # Long before the film begins: nobody hears it.
                self._next = next(self._frames, None)
                continue
            self._place(self._next)
            self._next = next(self._frames, None)
        return out, self._gap[0] < end and self._gap[1] > start

    def _target(self, timed: TimedFrame) -> int:
        return (timed.time_us - self._epoch_us) * 48 // 1_000 - _LOOK_AHEAD

    def _begin(self, timed: TimedFrame) -> int:
        """The sample a packet is to begin at; notes what is missing before it."""
        target = self._target(timed)
        if self._cursor is None:
            return target
        if timed.after_gap and target > self._cursor:
            self._gap = (self._cursor, target)
            return target
        return self._cursor if abs(target - self._cursor) <= _JUMP else target

    def _place(self, timed: TimedFrame) -> None:
        begin = self._begin(timed)
        sound = self._decode(timed.frame.data)
        if not len(sound) or (self._cursor is not None and begin < self._cursor):
            return
        if begin == self._cursor:
            sound = _towards(sound, self._target(timed) - begin)
        else:
            _fade_in(sound)
        self._rest, self._rest_at = sound, begin
        self._cursor = begin + len(sound)

    def _decode(self, data: bytes) -> Samples:
        try:
            frames = self._decoder.decode(av.Packet(data))
        except av.FFmpegError:
            self.unreadable += 1
            return np.zeros(0, np.float32)
        parts = [frame.to_ndarray().ravel() for frame in frames]
        if not parts:
            return np.zeros(0, np.float32)
        whole: Samples = np.concatenate(parts).astype(np.float32)
        whole *= np.float32(1 / 32_768)
        return whole


def _fade_in(sound: Samples) -> None:
    count = min(_FADE, len(sound))
    sound[:count] *= np.linspace(0, 1, count, dtype=np.float32)


def _towards(sound: Samples, error: int) -> Samples:
    """Makes a packet a little longer or shorter, by cubic interpolation."""
    if abs(error) <= _TOLERANCE:
        return sound
    most = max(1, len(sound) // _STRETCH)
    count = len(sound) + min(most, max(-most, error))
    place = np.arange(count, dtype=np.float64) * (len(sound) / count)
    whole = place.astype(np.int64)
    part = (place - whole).astype(np.float32)
    padded = np.pad(sound, (1, 2), mode="edge")
    a, b, c, d = (padded[whole + shift] for shift in range(4))
    slope = (c - a) / 2
    curve = (3 * (c - b) - (c - a) - (d - b) / 2, 2 * (b - c) + slope + (d - b) / 2)
    out = b + part * (slope + part * (curve[0] + part * curve[1]))
    return out.astype(np.float32, copy=False)


class Limiter:
    """Keeps a sum below the ceiling: looks one block ahead, falls at once, rises slowly."""

    def __init__(self) -> None:
        self._gain: float | None = None

    def apply(self, block: Samples, following: Samples) -> Samples:
        """The block, made quieter where it or the one after it would be too loud."""
        peak = max(float(np.abs(block).max(initial=0)), float(np.abs(following).max(initial=0)))
        wanted = min(1.0, _CEILING / peak) if peak > 0 else 1.0
        start = wanted if self._gain is None else self._gain
        self._gain = min(wanted, start + _RELEASE)
        if start == self._gain == 1.0:
            return block
        ramp = np.linspace(start, self._gain, len(block), dtype=np.float32)
        quieter: Samples = np.clip(block * ramp, -1.0, 1.0)
        return quieter


@dataclass(frozen=True, slots=True)
class Block:
    """Mixed sound of one tick.

    Attributes:
        samples: ``(count,)``, mono.
        levels: root mean square by track of those that speak.
        missing: tracks of which some sound is missing.
    """

    samples: Samples
    levels: dict[str, float]
    missing: frozenset[str]


class Mixer:
    """Adds up the sound of all tracks, tick by tick."""

    def __init__(self, tracks: dict[str, PlacedSound], block: int) -> None:
        self._tracks = tracks
        self._block = block

    def blocks(self, count: int) -> Iterator[Block]:
        """The first ``count`` blocks from the epoch on."""
        limiter = Limiter()
        ahead = self._mix(0)
        for index in range(count):
            now, ahead = ahead, self._mix(index + 1)
            yield Block(limiter.apply(now.samples, ahead.samples), now.levels, now.missing)

    def _mix(self, index: int) -> Block:
        total = np.zeros(self._block, np.float32)
        levels: dict[str, float] = {}
        missing: set[str] = set()
        for name, track in self._tracks.items():
            sound, lacks = track.take(index * self._block, self._block)
            if lacks:
                missing.add(name)
            if sound is not None:
                total += sound
                levels[name] = float(np.sqrt(np.mean(np.square(sound))))
        return Block(total, levels, frozenset(missing))
