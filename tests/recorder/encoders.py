"""Real encoders, and their frames as RTP packets."""

import fractions
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from struct import pack

import av
import numpy as np
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from numpy.typing import NDArray

ENCODERS = {"vp8": "libvpx", "vp9": "libvpx-vp9", "h264": "libx264", "av1": "libsvtav1"}
_OPTIONS = {
    "vp8": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0"},
    "vp9": {"deadline": "realtime", "cpu-used": "8", "lag-in-frames": "0", "row-mt": "1"},
    "h264": {"preset": "ultrafast", "tune": "zerolatency", "bf": "0", "profile": "baseline"},
    "av1": {"preset": "12", "svtav1-params": "pred-struct=1:rc=2:lp=1"},
}


@dataclass(frozen=True)
class Encoded:
    """A frame of an encoder: its time in ticks of 90 or 48 kHz, and its bytes."""

    ticks: int
    data: bytes
    keyframe: bool


def rtp(
    payload: bytes, *, sequence: int, timestamp: int, marker: bool, ssrc: int, payload_type: int
) -> bytes:
    """A packet with a header of 12 bytes."""
    second = marker << 7 | payload_type
    header = pack("!BBHII", 0x80, second, sequence % 65_536, timestamp % 2**32, ssrc)
    return header + payload


def encode_video(
    codec: str, pictures: Sequence[NDArray[np.uint8]], *, fps: int = 25, gop: int = 1_000
) -> Iterator[Encoded]:
    """Encodes luma pictures ``(height, width)``, grey, one every 1/fps s."""
    height, width = pictures[0].shape
    encoder = av.CodecContext.create(ENCODERS[codec], "w")
    encoder.width, encoder.height, encoder.pix_fmt = width, height, "yuv420p"
    encoder.time_base = fractions.Fraction(1, 90_000)
    encoder.framerate = fractions.Fraction(fps)
    encoder.bit_rate = 400_000
    encoder.gop_size = gop
    encoder.thread_count = 1
    encoder.options = _OPTIONS[codec]
    chroma = np.full((height // 2, width), 128, np.uint8)
    for index, picture in enumerate([*pictures, None]):
        frame = None
        if picture is not None:
            planes = np.concatenate([picture, chroma])
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(planes), format="yuv420p")
            frame.pts = index * 90_000 // fps
            frame.time_base = encoder.time_base
        for packet in encoder.encode(frame):
            yield Encoded(packet.pts, bytes(packet), packet.is_keyframe)


def encode_opus(samples: NDArray[np.int16]) -> Iterator[Encoded]:
    """Encodes mono sound of 48 kHz in packets of 20 ms."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format = 48_000, "mono", "s16"
    encoder.bit_rate = 32_000
    encoder.time_base = fractions.Fraction(1, 48_000)
    for index in range(len(samples) // 960):
        block = samples[index * 960 : (index + 1) * 960]
        frame = av.AudioFrame.from_ndarray(block.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts = 48_000, index * 960
        frame.time_base = encoder.time_base
        for packet in encoder.encode(frame):
            yield Encoded(index * 960, bytes(packet), keyframe=True)


def payloads(codec: str, frame: Encoded, size: int = 400) -> list[bytes]:
    """Splits a frame into RTP payloads: VP8 and H.264 by aiortc, the others here."""
    return _PACKETISERS[codec](frame, size)


def _opus(frame: Encoded, _size: int) -> list[bytes]:
    return [frame.data]


_VP8 = Vp8Encoder()
_H264 = H264Encoder()


def _vp8(frame: Encoded, _size: int) -> list[bytes]:
    return list(_VP8._packetize(frame.data, frame.ticks // 3_600 % 32_768))


def _h264(frame: Encoded, _size: int) -> list[bytes]:
    return list(_H264._packetize(_H264._split_bitstream(frame.data)))


def _vp9(frame: Encoded, size: int) -> list[bytes]:
    parts = [frame.data[at : at + size] for at in range(0, len(frame.data), size)]
    out = []
    for index, part in enumerate(parts):
        head = 0x80 | (0 if frame.keyframe else 0x40)
        head |= (0x08 if index == 0 else 0) | (0x04 if index == len(parts) - 1 else 0)
        out.append(pack("!BH", head, 0x8000 | frame.ticks // 3_600 % 32_768) + part)
    return out


def _av1(frame: Encoded, size: int) -> list[bytes]:
    """Each packet has one element without its length (W = 1); OBUs lose theirs."""
    out: list[bytes] = []
    for obu in _obus(frame.data):
        parts = [obu[at : at + size] for at in range(0, len(obu), size)]
        for index, part in enumerate(parts):
            head = 0x10 | (0x80 if index else 0) | (0x40 if index < len(parts) - 1 else 0)
            if frame.keyframe and not out:
                head |= 0x08
            out.append(bytes([head]) + part)
    return out


def _obus(data: bytes) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        first, head = data[at], 2 if data[at] & 4 else 1
        size, shift, cursor = 0, 0, at + head
        while True:
            size |= (data[cursor] & 0x7F) << shift
            shift += 7
            cursor += 1
            if not data[cursor - 1] & 0x80:
                break
        if first >> 3 & 15 != 2:
            yield bytes([first & ~2]) + data[at + 1 : at + head] + data[cursor : cursor + size]
        at = cursor + size


_PACKETISERS: dict[str, Callable[[Encoded, int], list[bytes]]] = {
    "opus": _opus,
    "vp8": _vp8,
    "vp9": _vp9,
    "h264": _h264,
    "av1": _av1,
}


def packets(
    codec: str,
    frames: Sequence[Encoded],
    *,
    ssrc: int = 0x1234,
    first_sequence: int = 65_530,
    first_timestamp: int = 2**32 - 5_000,
    payload_type: int = 96,
    size: int = 400,
) -> list[list[bytes]]:
    """The packets of each frame."""
    out: list[list[bytes]] = []
    sequence = first_sequence
    for frame in frames:
        parts = payloads(codec, frame, size)
        out.append([])
        for index, part in enumerate(parts):
            out[-1].append(
                rtp(
                    part,
                    sequence=sequence,
                    timestamp=first_timestamp + frame.ticks,
                    marker=index == len(parts) - 1,
                    ssrc=ssrc,
                    payload_type=payload_type,
                )
            )
            sequence += 1
    return out


def pattern(count: int, width: int = 160, height: int = 120) -> list[NDArray[np.uint8]]:
    """Pictures in motion, with enough detail for several packets each."""
    rng = np.random.default_rng(7)
    noise = rng.integers(0, 255, (height, width * 2), np.uint8)
    return [np.ascontiguousarray(noise[:, i * 3 % width :][:, :width]) for i in range(count)]
