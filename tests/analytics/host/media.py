"""Media as a tap brings it."""

from collections.abc import Iterator
from struct import Struct

import av
import numpy as np

HEAD = Struct("<HBBBBHIIQQQ")
CODECS = {"opus": 0, "vp8": 1}


def record(
    data: bytes,
    *,
    tap: int = 1,
    codec: str = "vp8",
    number: int = 0,
    at_us: int = 0,
    encoding: int = 0,
    instance: int = 0,
    turns: int = 255,
) -> bytes:
    """One record of a message of the tap socket."""
    head = HEAD.pack(
        len(data), 1, CODECS[codec], encoding, turns, 0, instance, 0, tap, number, at_us
    )
    return head + data


def rtp(payload: bytes, *, number: int, timestamp: int, marker: bool = True) -> bytes:
    """An RTP packet."""
    first = bytes([0x80, (0x80 if marker else 0) | 96])
    rest = (number % 65_536).to_bytes(2, "big") + (timestamp % 2**32).to_bytes(4, "big")
    return first + rest + (7).to_bytes(4, "big") + payload


class Camera:
    """A VP8 stream of pictures whose brightness grows.

    Args:
        keyframes_every: pictures.
    """

    def __init__(self, width: int = 160, height: int = 120, keyframes_every: int = 30) -> None:
        self.encoder = av.CodecContext.create("libvpx", "w")
        self.encoder.width, self.encoder.height = width, height
        self.encoder.pix_fmt = "yuv420p"
        self.encoder.bit_rate = 200_000
        self.encoder.gop_size = keyframes_every
        self.encoder.options = {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"}
        self.number = 0
        self.index = 0

    def picture(self) -> list[tuple[int, bytes]]:
        """The packets of the next picture, with their numbers; 25 pictures a second."""
        image = np.full((self.encoder.height, self.encoder.width, 3), self.index % 200, np.uint8)
        frame = av.VideoFrame.from_ndarray(image, format="rgb24")
        frame.pts = self.index
        packets = []
        for packet in self.encoder.encode(frame):
            data = bytes(packet)
            pieces = [data[at : at + 1_000] for at in range(0, len(data), 1_000)]
            for place, piece in enumerate(pieces):
                payload = bytes([0x10 if place == 0 else 0]) + piece
                is_last = place == len(pieces) - 1
                timestamp = self.index * 3_600
                packets.append(
                    (
                        self.number,
                        rtp(payload, number=self.number, timestamp=timestamp, marker=is_last),
                    )
                )
                self.number += 1
        self.index += 1
        return packets

    def message(self, at_us: int, *, tap: int = 1) -> bytes:
        """The next picture as a message of the tap."""
        return b"".join(
            record(data, tap=tap, number=number, at_us=at_us) for number, data in self.picture()
        )


class Microphone:
    """An Opus stream of a tone."""

    def __init__(self) -> None:
        self.encoder = av.CodecContext.create("libopus", "w")
        self.encoder.sample_rate = 48_000
        self.encoder.layout = "mono"
        self.encoder.format = "s16"
        self.encoder.options = {"frame_duration": "20"}
        self.number = 0
        self._packets = self._encoded()

    def _encoded(self) -> Iterator[bytes]:
        at = 0
        while True:
            phase = 2 * np.pi * 440 * (at + np.arange(960)) / 48_000
            samples = (12_000 * np.sin(phase)).astype(np.int16)
            frame = av.AudioFrame.from_ndarray(samples[None], format="s16", layout="mono")
            frame.sample_rate, frame.pts = 48_000, at
            at += 960
            yield from (bytes(packet) for packet in self.encoder.encode(frame))

    def message(self, at_us: int, *, tap: int = 2, skip: int = 0) -> bytes:
        """The next 20 ms as a message of the tap; ``skip``: so many packets before it are lost."""
        for _ in range(skip):
            next(self._packets)
            self.number += 1
        data = rtp(next(self._packets), number=self.number, timestamp=self.number * 960)
        message = record(data, tap=tap, codec="opus", number=self.number, at_us=at_us)
        self.number += 1
        return message
