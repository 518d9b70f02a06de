"""Pictures of one tapped track: depacketised, decoded, and made arrays of where they are due."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

import av
import numpy as np
from numpy.typing import NDArray

from analytics.host.clock import MediaClock
from analytics.host.tap import TapPacket
from rtp.assembly import FORMATS, Assembler
from rtp.errors import PacketError
from rtp.frame import EncodedFrame
from rtp.order import Ordered, Reorder
from rtp.packet import parse_rtp

__all__ = ["MAX_PIXELS", "Picture", "VideoTap"]

_RATE_HZ: Final = 90_000
_STREAMS: Final = 4
_DEPTH: Final = 1_024
_ASK_AGAIN_US: Final = 1_000_000
_EARLY_US: Final = 20_000
MAX_PIXELS: Final = 4_096 * 2_304
"""Of a picture that is decoded. A few bytes can ask for one of 16,383 by 16,383, for which nobody
has memory."""
_MOST_LONG: Final = 4
"""Of pictures that are longer than so many times their height, less height is enough."""

Image = NDArray[np.uint8]


@dataclass(frozen=True, slots=True)
class Picture:
    """A decoded picture that is due; ``image`` is upright RGB."""

    pts_us: int
    image: Image


@dataclass(slots=True)
class _Stream:
    codec: str
    order: Reorder
    assembler: Assembler


class VideoTap:
    """Decodes what references need, and converts only what is due.

    What belongs to another encoding than before is shown from its first keyframe on; until then
    the old one goes on.

    Attributes:
        rate_hz: pictures a second that are wanted; 0: none, and nothing is decoded.
        height: of the shorter side that is enough; larger pictures are made smaller.
        wants_keyframe: set when decoding can't go on without one; cleared by whoever asks for it.
        decoded, converted: pictures, so far.
    """

    def __init__(self, *, wait_us: int) -> None:
        self.rate_hz = 0.0
        self.height = 180
        self.wants_keyframe = False
        self.decoded = 0
        self.converted = 0
        self._wait_us = wait_us
        self._clock = MediaClock(_RATE_HZ)
        self._streams: dict[tuple[int, int], _Stream] = {}
        self._current: tuple[int, int] | None = None
        self._decoder: Any = None
        self._turns = 0
        self._due_us: int | None = None
        self._last_us = 0
        self._asked_us: int | None = None

    def want(self, rate_hz: float, height: int) -> None:
        """So many pictures a second, so large; more of them from now on, not when they are due."""
        if rate_hz > self.rate_hz:
            self._due_us = None
        self.rate_hz, self.height = rate_hz, height

    def push(self, packet: TapPacket) -> Iterator[Picture]:
        """Takes a packet; gives pictures that are due."""
        if self.rate_hz <= 0:
            return
        if packet.rotation is not None:
            self._turns = packet.rotation
        key = packet.encoding, packet.instance
        stream = self._stream(key, packet.codec)
        for ordered in self._ordered(stream, packet):
            for frame in stream.assembler.push(ordered):
                yield from self._take(key, stream, frame, packet.at_us)

    def reset(self) -> None:
        """What comes next has nothing to do with what was before."""
        self._streams.clear()
        self._current = None
        self._decoder = None

    def _stream(self, key: tuple[int, int], codec: str) -> _Stream:
        stream = self._streams.get(key)
        if stream is None or stream.codec != codec:
            if len(self._streams) >= _STREAMS:
                oldest = next(item for item in self._streams if item != self._current)
                del self._streams[oldest]
            order = Reorder(depth=_DEPTH, wait_us=self._wait_us, starts_at_once=True)
            stream = self._streams[key] = _Stream(codec, order, Assembler(FORMATS[codec]()))
        return stream

    def _ordered(self, stream: _Stream, packet: TapPacket) -> Iterator[Ordered]:
        number = packet.number & 0xFFFF
        if not packet.data:
            return stream.order.skip(packet.at_us, number)
        try:
            return stream.order.push(packet.at_us, parse_rtp(packet.data))
        except PacketError:
            return stream.order.skip(packet.at_us, number)

    def _take(
        self, key: tuple[int, int], stream: _Stream, frame: EncodedFrame, now_us: int
    ) -> Iterator[Picture]:
        if not frame.decodable:
            if key == self._current or self._current is None:
                self._ask(now_us)
            return
        if key != self._current:
            if not frame.keyframe:
                return
            self._switch(key, stream.codec)
        yield from self._decode(frame, now_us)

    def _switch(self, key: tuple[int, int], codec: str) -> None:
        self._current = key
        self._streams = {key: self._streams[key]}
        names = {"av1": "libdav1d"}
        self._decoder = av.Codec(names.get(codec, codec), "r").create("video")
        self._decoder.thread_count = 1
        self._decoder.options = {"max_pixels": str(MAX_PIXELS)}
        self._clock = MediaClock(_RATE_HZ)

    def _ask(self, now_us: int) -> None:
        if self._asked_us is None or now_us - self._asked_us >= _ASK_AGAIN_US:
            self._asked_us = now_us
            self.wants_keyframe = True

    def _decode(self, frame: EncodedFrame, now_us: int) -> Iterator[Picture]:
        pts_us = self._clock.session_us(frame.timestamp, frame.arrival_us)
        try:
            decoded = self._decoder.decode(av.Packet(frame.data))
        except av.FFmpegError:
            decoded = []
        if not decoded:
            self._ask(now_us)
        for picture in decoded:
            self.decoded += 1
            # A stream that starts anew may begin a little before the end of the last one.
            pts_us = self._last_us = max(self._last_us, pts_us)
            # As watches count (analytics.pacing): what is converted is given to one.
            due_us = pts_us if self._due_us is None else self._due_us
            if pts_us + _EARLY_US >= due_us:
                step_us = int(1_000_000 / self.rate_hz)
                self._due_us = max(due_us + step_us, pts_us + step_us // 2)
                self.converted += 1
                yield Picture(pts_us, self._image(picture))

    def _image(self, picture: Any) -> Image:
        width, height = picture.width, picture.height
        shorter, longer = sorted((max(1, width), max(1, height)))
        scale = min(1.0, self.height / shorter, _MOST_LONG * self.height / longer)
        size = [max(2, 2 * round(side * scale / 2)) for side in (width, height)]
        image: Image = picture.to_ndarray(format="rgb24", width=size[0], height=size[1])
        return np.ascontiguousarray(np.rot90(image, -self._turns)) if self._turns else image
