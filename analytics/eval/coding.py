"""Pictures through the codecs that calls use, at a bit rate and with loss.

An encoded frame is cut into pieces as large as RTP packets; lost pieces are cut out of it, and
what is left is written to the file, as a receiver would hand it to its decoder. Keyframes come as
often as a receiver that lost its place would ask for them.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final, Literal

import numpy as np

from analytics.vision.network import Image

__all__ = ["PIECE_BYTES", "Channel", "record", "without_lost_pieces"]

PIECE_BYTES: Final = 1_100
"""Payload of an RTP packet."""
_KEYFRAME_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Channel:
    """How pictures travel.

    Attributes:
        loss: share of the pieces that are lost, 0..1, each by itself.
    """

    codec: Literal["vp8", "h264"] = "vp8"
    kbps: int = 500
    loss: float = 0.0
    rate_hz: int = 10

    @property
    def tags(self) -> dict[str, str]:
        """For the label."""
        return {"codec": self.codec, "kbps": str(self.kbps), "loss": f"{self.loss:.0%}"}


def without_lost_pieces(data: bytes, loss: float, rng: np.random.Generator) -> bytes:
    """What is left of an encoded frame; nothing, where all pieces were lost."""
    pieces = [data[at : at + PIECE_BYTES] for at in range(0, len(data), PIECE_BYTES)]
    kept = rng.random(len(pieces)) >= loss
    return b"".join(piece for piece, keep in zip(pieces, kept, strict=True) if keep)


def record(frames: Iterable[Image], channel: Channel, path: Path, seed: int) -> int:
    """Writes frames as a Matroska file, through codec and loss; gives their number.

    The bit rate is for :attr:`Channel.rate_hz` frames a second of 640 x 360.
    """
    import av
    from av.video.codeccontext import VideoCodecContext

    rng = np.random.default_rng(seed)
    count = 0
    with av.open(str(path), "w", format="matroska") as container:
        stream = container.add_stream(
            {"vp8": "libvpx", "h264": "libx264"}[channel.codec], rate=channel.rate_hz
        )
        coder = stream.codec_context
        assert isinstance(coder, VideoCodecContext)
        coder.width, coder.height, coder.pix_fmt = 640, 360, "yuv420p"
        coder.bit_rate = channel.kbps * 1000
        coder.gop_size = round(_KEYFRAME_S * channel.rate_hz)
        coder.thread_count = 1
        coder.time_base = Fraction(1, channel.rate_hz)
        coder.options = _OPTIONS[channel.codec]

        def write(packets: Iterable[Any]) -> None:
            for packet in packets:
                data = bytes(packet)
                left = without_lost_pieces(data, channel.loss, rng) if channel.loss else data
                if not left:
                    continue
                copy = av.Packet(left)
                copy.pts, copy.dts, copy.time_base = packet.pts, packet.dts, packet.time_base
                copy.is_keyframe = packet.is_keyframe
                copy.stream = stream
                container.mux_one(copy)

        for image in frames:
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts, frame.time_base = count, Fraction(1, channel.rate_hz)
            write(coder.encode(frame))
            count += 1
        write(coder.encode(None))
    return count


_OPTIONS: Final = {
    "vp8": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "error-resilient": "1"},
    "h264": {"preset": "ultrafast", "tune": "zerolatency", "profile": "baseline"},
}
