"""Sound of one tapped track, in pieces without holes."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

from analytics.detector import SAMPLE_RATE_HZ
from analytics.host.clock import MediaClock
from analytics.host.tap import TapPacket
from rtp.assembly import Assembler
from rtp.errors import PacketError
from rtp.frame import EncodedFrame
from rtp.opus import Opus, duration_ticks
from rtp.order import Ordered, Reorder
from rtp.packet import parse_rtp

__all__ = ["BLOCK", "AudioTap", "Chunker", "Sound"]

BLOCK: Final = 512
"""Samples; chunks are multiples of it."""

_RATE_HZ: Final = 48_000
_DEPTH: Final = 512
_LONGEST_SILENCE: Final = 2 * _RATE_HZ
_ROUNDING: Final = 120
_DRIFT_US: Final = 60_000

Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sound:
    """Samples that follow those before them, unless ``is_after_gap``."""

    pts_us: int
    samples: Samples
    is_after_gap: bool = False


class AudioTap:
    """Opus to 16 kHz mono.

    Where a sender stops in silence (DTX) there is nothing missing: up to two seconds of it become
    zeros. After that, and where packets are lost, what follows is after a gap.

    Attributes:
        decoded: packets, so far.
    """

    def __init__(self, *, wait_us: int) -> None:
        self.decoded = 0
        self._wait_us = wait_us
        self._stream: tuple[int, int] | None = None
        self._last_us = 0
        self._begin()

    def push(self, packet: TapPacket) -> Iterator[Sound]:
        """Takes a packet; gives what became whole."""
        stream = packet.encoding, packet.instance
        if stream != self._stream:
            self.reset()
            self._stream = stream
        for ordered in self._ordered(packet):
            for frame in self._assembler.push(ordered):
                yield from self._decode(frame)

    def reset(self) -> None:
        """What comes next has nothing to do with what was before."""
        self._stream = None
        self._begin()

    def _begin(self) -> None:
        self._order = Reorder(depth=_DEPTH, wait_us=self._wait_us, starts_at_once=True)
        self._assembler = Assembler(Opus())
        self._clock = MediaClock(_RATE_HZ)
        self._cut()

    def _cut(self) -> None:
        """Sound starts anew: its place is not that of what was before."""
        self._decoder: Any = av.CodecContext.create("opus", "r")
        self._resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
        self._next_ticks: int | None = None
        self._start_us = 0
        self._samples = 0

    def _ordered(self, packet: TapPacket) -> Iterator[Ordered]:
        number = packet.number & 0xFFFF
        if not packet.data:
            return self._order.skip(packet.at_us, number)
        try:
            return self._order.push(packet.at_us, parse_rtp(packet.data))
        except PacketError:
            return self._order.skip(packet.at_us, number)

    def _decode(self, frame: EncodedFrame) -> Iterator[Sound]:
        pts_us = self._clock.session_us(frame.timestamp, frame.arrival_us)
        is_new = self._next_ticks is None
        silence = 0
        if self._next_ticks is not None:
            silence = (frame.timestamp - self._next_ticks + 2**31) % 2**32 - 2**31
            if frame.after_loss or not -_ROUNDING <= silence <= _LONGEST_SILENCE:
                self._cut()
                is_new, silence = True, 0
        if is_new:
            self._start_us = max(pts_us, self._last_us)
        try:
            pieces = self._decoder.decode(av.Packet(frame.data))
            samples = [self._zeros(silence)] if silence > _ROUNDING else []
            for piece in pieces:
                piece.pts = None
                samples += [item.to_ndarray()[0] for item in self._resampler.resample(piece)]
        except av.FFmpegError:
            self._cut()
            return
        self.decoded += 1
        self._next_ticks = (frame.timestamp + duration_ticks(frame.data)) % 2**32
        joined = np.concatenate(samples) if samples else np.zeros(0, np.float32)
        at_us = self._start_us + self._samples * 1_000_000 // SAMPLE_RATE_HZ
        if not is_new and pts_us - at_us > _DRIFT_US + silence * 1_000_000 // _RATE_HZ:
            # The clocks have drifted apart, or the least delay is another one now.
            self._start_us += pts_us - at_us
            at_us, is_new = pts_us, True
        self._samples += len(joined)
        self._last_us = at_us + len(joined) * 1_000_000 // SAMPLE_RATE_HZ
        if len(joined):
            yield Sound(at_us, joined.astype(np.float32, copy=False), is_new)

    def _zeros(self, ticks: int) -> Samples:
        return np.zeros(ticks * SAMPLE_RATE_HZ // _RATE_HZ, np.float32)


class Chunker:
    """Cuts sound into chunks of one length.

    Args:
        samples: of a chunk; a multiple of :data:`BLOCK`.
    """

    def __init__(self, samples: int) -> None:
        self._samples = max(BLOCK, samples // BLOCK * BLOCK)
        self._kept: Samples = np.zeros(0, np.float32)
        self._pts_us = 0
        self._is_after_gap = True

    def push(self, sound: Sound) -> Iterator[Sound]:
        """Takes sound; gives whole chunks. Before a gap, what is left in whole blocks."""
        if sound.is_after_gap:
            yield from self.flush()
            self._is_after_gap = True
        if not len(self._kept):
            self._pts_us = sound.pts_us
        self._kept = np.concatenate([self._kept, sound.samples])
        while len(self._kept) >= self._samples:
            yield self._take(self._samples)

    def flush(self) -> Iterator[Sound]:
        """Gives what is left in whole blocks, and forgets the rest."""
        whole = len(self._kept) // BLOCK * BLOCK
        if whole:
            yield self._take(whole)
        self._kept = self._kept[:0]
        self._is_after_gap = True

    def _take(self, count: int) -> Sound:
        chunk = Sound(self._pts_us, self._kept[:count].copy(), self._is_after_gap)
        self._kept = self._kept[count:]
        self._pts_us += count * 1_000_000 // SAMPLE_RATE_HZ
        self._is_after_gap = False
        return chunk
