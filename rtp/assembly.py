"""Whole frames from ordered packets, and which of them can be decoded."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from rtp.av1 import Av1
from rtp.errors import PacketError
from rtp.frame import EncodedFrame, Payload, PayloadFormat
from rtp.h264 import H264
from rtp.opus import Opus
from rtp.order import Ordered
from rtp.packet import RtpPacket
from rtp.vp8 import Vp8
from rtp.vp9 import Vp9

__all__ = ["FORMATS", "Assembler", "Losses"]

FORMATS: dict[str, Callable[[], PayloadFormat]] = {
    "opus": Opus,
    "vp8": Vp8,
    "vp9": Vp9,
    "h264": H264,
    "av1": Av1,
}
"""Payload formats by the name of the codec in lower case."""

_MAX_FRAME_PACKETS = 20_000


@dataclass(slots=True)
class Losses:
    """What did not become a frame."""

    missing_packets: int = 0
    malformed_packets: int = 0
    incomplete_frames: int = 0


class _Continuity:
    """Whether what a frame refers to has come.

    Temporal layers, where the sender numbers them, allow more than waiting for the next keyframe:
    a lost frame of an upper layer harms no lower one.
    """

    def __init__(self) -> None:
        self._base_whole = False
        self._upper_whole = False
        self._base: int | None = None

    def lost(self) -> None:
        """Frames may be missing before the next one."""
        self._upper_whole = False
        if self._base is None:
            self._base_whole = False

    def admits(self, frame: Payload) -> bool:
        """Takes the next whole frame and says whether it can be decoded."""
        if frame.keyframe:
            self._base_whole = self._upper_whole = True
            self._base = frame.base_index
            return True
        if self._base is None or frame.base_index is None:
            self._base = None
            self._base_whole = self._base_whole and self._upper_whole
            return self._base_whole
        if frame.layer == 0:
            self._base_whole = self._base_whole and frame.base_index == (self._base + 1) % 256
            self._base = frame.base_index
            return self._base_whole
        whole = self._base_whole and frame.base_index == self._base
        self._upper_whole = whole and (self._upper_whole or frame.layer_sync)
        return self._upper_whole


@dataclass(slots=True)
class _Open:
    timestamp: int
    arrival_us: int
    payloads: list[bytes] = field(default_factory=list)


class Assembler:
    """Packets of one SSRC in, whole frames out; the others are counted in :attr:`losses`."""

    def __init__(self, form: PayloadFormat) -> None:
        self._format = form
        self._continuity = _Continuity()
        self._open: _Open | None = None
        self._in_sequence = False
        self._after_loss = False
        self.losses = Losses()

    def push(self, ordered: Ordered) -> Iterator[EncodedFrame]:
        """Takes the next packet in sequence; gives the frames it completes."""
        missing, arrival_us, packet = ordered
        if missing:
            self.losses.missing_packets += missing
            self._drop_open()
            self._break()
        if not packet.payload:
            return  # padding sent to probe the link
        if self._open is not None and self._open.timestamp != packet.timestamp:
            yield from self._finish(packet.ssrc)
        if self._open is None and not self._starts(packet, arrival_us):
            return
        if self._open is not None:
            self._open.payloads.append(packet.payload)
            if packet.marker or isinstance(self._format, Opus):
                yield from self._finish(packet.ssrc)
            elif len(self._open.payloads) >= _MAX_FRAME_PACKETS:
                self._drop_open()
                self._break()

    def _starts(self, packet: RtpPacket, arrival_us: int) -> bool:
        try:
            begins = self._format.begins(packet.payload)
        except PacketError:
            self.losses.malformed_packets += 1
            self._break()
            return False
        if not begins and not self._in_sequence:
            self._after_loss = True
            return False
        self._in_sequence = True
        self._open = _Open(packet.timestamp, arrival_us)
        return True

    def _finish(self, ssrc: int) -> Iterator[EncodedFrame]:
        done, self._open = self._open, None
        if done is None:
            return
        try:
            frame = self._format.build(done.payloads)
        except PacketError:
            self.losses.malformed_packets += len(done.payloads)
            self._break()
            return
        after_loss, self._after_loss = self._after_loss, False
        decodable = self._continuity.admits(frame)
        yield EncodedFrame(
            ssrc,
            done.timestamp,
            done.arrival_us,
            frame.data,
            frame.keyframe,
            decodable,
            after_loss,
        )

    def _drop_open(self) -> None:
        if self._open is not None:
            self.losses.incomplete_frames += 1
            self._open = None

    def _break(self) -> None:
        self._continuity.lost()
        self._in_sequence = False
        self._after_loss = True
