"""What synthetic participants do with received tracks: decode, count, measure the delay."""

import statistics
import time
from collections import deque
from dataclasses import dataclass, field

import av
import numpy as np
from numpy.typing import NDArray

from loadtest.sources import AUDIO_FRAME_S, AUDIO_RATE_HZ, SpeechAudio, now_ms
from loadtest.stamp import elapsed_ms, read_stamp

__all__ = ["AudioSink", "VideoSink", "audio_delay_s"]

_KEPT_DELAYS = 2_000
_MAX_DELAY_MS = 60_000
_DECIMATION = 6
_LOW_RATE_HZ = AUDIO_RATE_HZ // _DECIMATION
_KEPT_AUDIO_S = 3
_MIN_MATCH = 0.5
"""Normalised correlation from which the received sound counts as recognised."""


@dataclass(slots=True)
class VideoSink:
    """Decoded pictures of one track."""

    frames: int = 0
    width: int = 0
    height: int = 0
    stamps_unreadable: int = 0
    delays_ms: deque[int] = field(default_factory=lambda: deque(maxlen=_KEPT_DELAYS))
    first_frame_s: float | None = None

    def add(self, frame: av.VideoFrame) -> None:
        """Counts a picture and reads its stamp."""
        received_ms = now_ms()
        self.frames += 1
        self.width, self.height = frame.width, frame.height
        if self.first_frame_s is None:
            self.first_frame_s = time.monotonic()
        planes = frame.to_ndarray(format="yuv420p")
        sent_ms = read_stamp(planes[: frame.height].astype(np.uint8, copy=False))
        delay = None if sent_ms is None else elapsed_ms(sent_ms, received_ms)
        if delay is None or delay > _MAX_DELAY_MS:
            self.stamps_unreadable += 1
        else:
            self.delays_ms.append(delay)

    def delay_s(self) -> float | None:
        """Median delay from before the encoder to after the decoder."""
        return statistics.median(self.delays_ms) / 1000 if self.delays_ms else None


class AudioSink:
    """Decoded sound of one track; the last seconds are kept for the delay."""

    def __init__(self) -> None:
        self.frames = 0
        self.first_frame_s: float | None = None
        self.last_frame_s = 0.0
        self._kept: deque[NDArray[np.float32]] = deque()
        self._kept_samples = 0
        self._square_sum = 0.0
        self._samples = 0

    def add(self, frame: av.AudioFrame) -> None:
        """Counts a frame of any layout and keeps its sound in mono."""
        self.last_frame_s = time.monotonic()
        if self.first_frame_s is None:
            self.first_frame_s = self.last_frame_s
        self.frames += 1
        mono = frame.to_ndarray().reshape(-1, len(frame.layout.channels)).mean(axis=1)
        self._square_sum += float(np.square(mono).sum())
        self._samples += len(mono)
        low = _decimate(mono)
        self._kept.append(low)
        self._kept_samples += len(low)
        while self._kept_samples - len(self._kept[0]) >= _KEPT_AUDIO_S * _LOW_RATE_HZ:
            self._kept_samples -= len(self._kept.popleft())

    def level_dbov(self) -> float | None:
        """Mean level over everything received; ``None`` before the first frame or in silence."""
        if not self._square_sum:
            return None
        return float(10 * np.log10(self._square_sum / self._samples / 32_768**2))

    def recent(self) -> NDArray[np.float32]:
        """The last seconds, 8 kHz mono, ``(samples,)``."""
        return np.concatenate(self._kept) if self._kept else np.zeros(0, np.float32)


def audio_delay_s(source: SpeechAudio, sink: AudioSink) -> float | None:
    """Delay from giving sound to the encoder until it came out of the decoder.

    The last received seconds are looked for in what was sent (cross-correlation); both sides must
    share a clock. ``None`` if the sound isn't recognised.
    """
    received = sink.recent()
    loop = _decimate(source.samples.astype(np.float64))
    if source.start_s is None or len(received) < _LOW_RATE_HZ or len(received) > len(loop):
        return None
    position = _find(received, loop)
    if position is None:
        return None
    loop_s = len(loop) / _LOW_RATE_HZ
    # A frame is given out at the time of its first sample.
    last_frame = (position + len(received)) / _LOW_RATE_HZ - AUDIO_FRAME_S
    return (sink.last_frame_s - source.start_s - last_frame) % loop_s


def _find(part: NDArray[np.float32], loop: NDArray[np.float32]) -> int | None:
    """Where ``part`` begins in the endlessly repeated ``loop``."""
    padded = np.zeros(len(loop), np.float32)
    padded[: len(part)] = part
    spectrum = np.fft.rfft(loop) * np.conj(np.fft.rfft(padded))
    correlation = np.fft.irfft(spectrum, len(loop))
    best = int(correlation.argmax())
    match = np.take(loop, range(best, best + len(part)), mode="wrap")
    energy = float(np.linalg.norm(match) * np.linalg.norm(part))
    return best if energy and correlation[best] / energy >= _MIN_MATCH else None


def _decimate(samples: NDArray[np.floating]) -> NDArray[np.float32]:
    """Every ``_DECIMATION`` samples become their mean."""
    whole = len(samples) // _DECIMATION * _DECIMATION
    means: NDArray[np.float32] = (
        samples[:whole].reshape(-1, _DECIMATION).mean(axis=1).astype(np.float32)
    )
    return means
