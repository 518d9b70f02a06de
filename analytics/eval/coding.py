"""Pictures through the codecs that calls use, at a bit rate and with loss.

An encoded frame is cut into pieces as large as RTP packets, of which some are lost: those that
repair didn't bring back. What is left is what a receiver decodes, the analytics host among them:
a frame that lacks a piece is not shown, nor is what refers to it, until the keyframe that it asks
for has come.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Final, Literal

import numpy as np

from analytics.vision.network import Image

__all__ = ["PIECE_BYTES", "Channel", "Receiver", "record"]

PIECE_BYTES: Final = 1_100
"""Payload of an RTP packet."""
_KEYFRAME_S: Final = 60
"""Otherwise only on request, as calls do."""
_ANSWER_S: Final = 0.5
"""From the loss of a frame to the keyframe that was asked for, and between two of them."""


@dataclass(frozen=True, slots=True)
class Channel:
    """How pictures travel.

    Attributes:
        loss: share of the pieces that are lost for good, 0..1, each by itself.
    """

    codec: Literal["vp8", "h264"] = "vp8"
    kbps: int = 500
    loss: float = 0.0
    rate_hz: int = 10

    @property
    def tags(self) -> dict[str, str]:
        """For the label."""
        return {"codec": self.codec, "kbps": str(self.kbps), "loss": f"{self.loss:.1%}"}


class Receiver:
    """Which encoded frames can be decoded, and when a keyframe is asked for."""

    def __init__(self, loss: float, seed: int) -> None:
        self._loss = loss
        self._rng = np.random.default_rng(seed)
        self._is_waiting = False

    def takes(self, size: int, *, is_keyframe: bool) -> bool:
        """Whether a frame of so many bytes can be decoded."""
        pieces = max(-(-size // PIECE_BYTES), 1)
        is_whole = not (self._rng.random(pieces) < self._loss).any()
        if self._is_waiting and not is_keyframe:
            return False
        self._is_waiting = not is_whole
        return is_whole

    @property
    def wants_keyframe(self) -> bool:
        """It can't go on without one."""
        return self._is_waiting


def record(frames: Iterable[Image], channel: Channel, path: Path, seed: int) -> int:
    """Writes frames as a Matroska file, through codec and loss; gives the number that came through.

    The bit rate is for :attr:`Channel.rate_hz` frames a second of 640 x 360.
    """
    import av
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import PictureType

    receiver = Receiver(channel.loss, seed)
    taken, asked_at = 0, 0
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream(
            {"vp8": "libvpx", "h264": "libx264"}[channel.codec], rate=channel.rate_hz
        )
        coder = stream.codec_context
        assert isinstance(coder, VideoCodecContext)
        coder.width, coder.height, coder.pix_fmt = 640, 360, "yuv420p"
        coder.bit_rate = channel.kbps * 1000
        coder.gop_size = _KEYFRAME_S * channel.rate_hz
        coder.thread_count = 1
        coder.time_base = Fraction(1, channel.rate_hz)
        coder.options = _OPTIONS[channel.codec]
        for index, image in enumerate(frames):
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, channel.rate_hz)
            if receiver.wants_keyframe and index - asked_at >= _ANSWER_S * channel.rate_hz:
                frame.pict_type = PictureType.I
                asked_at = index
            elif not receiver.wants_keyframe:
                asked_at = index
            for packet in coder.encode(frame):
                if receiver.takes(packet.size, is_keyframe=packet.is_keyframe):
                    packet.stream = stream
                    container.mux_one(packet)
                    taken += 1
        container.mux(coder.encode(None))
    return taken


_OPTIONS: Final = {
    "vp8": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "error-resilient": "1"},
    "h264": {
        "preset": "ultrafast",
        "tune": "zerolatency",
        "profile": "baseline",
        "forced-idr": "1",
    },
}
