"""What synthetic participants send: a looped clip with a time stamp, and looped speech."""

import asyncio
import time
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from aiortc.mediastreams import MediaStreamError, MediaStreamTrack
from av.video.reformatter import ColorRange
from numpy.typing import NDArray

from loadtest.stamp import BLACK, STRIP_HEIGHT, write_stamp

__all__ = [
    "MEDIA_DIR",
    "ClipVideo",
    "SpeechAudio",
    "black_pictures",
    "empty_seat",
    "load_clip",
    "load_speech",
    "now_ms",
]

MEDIA_DIR = Path(__file__).parent / "media"
AUDIO_RATE_HZ = 48_000
AUDIO_FRAME_S = 0.02
_VIDEO_CLOCK_HZ = 90_000
_PICTURE_SIZE = (352, 288)
_SAMPLES = int(AUDIO_RATE_HZ * AUDIO_FRAME_S)


def now_ms() -> int:
    """The clock of the stamps: monotonic, shared by all processes of a machine."""
    return time.monotonic_ns() // 1_000_000


def load_clip(path: Path) -> list[NDArray[np.uint8]]:
    """Decodes a clip into pictures of 352 × 288 with room for the stamp below them.

    Returns:
        YUV 4:2:0 planes as ``(1.5 * height, width)``, one array a frame.
    """
    with av.open(str(path)) as container:
        frames = container.decode(video=0)
        return [_with_strip(frame.reformat(*_PICTURE_SIZE, "yuv420p")) for frame in frames]


def black_pictures(like: list[NDArray[np.uint8]]) -> list[NDArray[np.uint8]]:
    """A lens that is covered, in the form of :func:`load_clip`."""
    planes = np.full_like(like[0], 128)
    planes[: planes.shape[0] * 2 // 3] = BLACK
    return [planes]


def empty_seat(seed: int = 7) -> list[NDArray[np.uint8]]:
    """The room of ``figure.mp4`` when she has left, in the form of :func:`load_clip`.

    With the noise of a camera: a picture in which nothing changes is a frozen one.
    """
    with av.open(str(MEDIA_DIR / "room.png")) as container:
        frame = next(container.decode(video=0))
    # As the clip is: video in the range of television.
    room = _with_strip(frame.reformat(*_PICTURE_SIZE, "yuv420p", dst_color_range=ColorRange.MPEG))
    random = np.random.default_rng(seed)
    luma_rows = room.shape[0] * 2 // 3
    pictures = []
    for _ in range(12):
        picture = room.copy()
        noise = random.normal(0, 3, (luma_rows, room.shape[1]))
        picture[:luma_rows] = np.clip(room[:luma_rows] + noise, BLACK, 235)
        pictures.append(picture)
    return pictures


def load_speech(path: Path, pitch: float = 1.0) -> NDArray[np.int16]:
    """Decodes a sound file to mono, 48 kHz, with a pause at its end.

    Args:
        path: the file.
        pitch: above 1 a higher and faster voice, below 1 a lower and slower one.
    """
    resampler = av.AudioResampler(format="s16", layout="mono", rate=AUDIO_RATE_HZ)
    parts = []
    with av.open(str(path)) as container:
        for frame in [*container.decode(audio=0), None]:
            if frame is not None:
                frame.sample_rate = round(frame.sample_rate * pitch)
            parts += [out.to_ndarray().ravel() for out in resampler.resample(frame)]
    samples = np.concatenate(parts).astype(np.int16)
    whole = -(-len(samples) // _SAMPLES) * _SAMPLES + AUDIO_RATE_HZ // 2
    return np.pad(samples, (0, whole - len(samples)))


def _with_strip(frame: av.VideoFrame) -> NDArray[np.uint8]:
    planes = frame.to_ndarray(format="yuv420p")
    height, width = frame.height, frame.width
    luma = np.full((STRIP_HEIGHT, width), BLACK, dtype=np.uint8)
    chroma = np.full((STRIP_HEIGHT // 4, width), 128, dtype=np.uint8)
    quarter = height // 4
    parts = [planes[:height], luma]
    parts += [planes[height : height + quarter], chroma]
    parts += [planes[height + quarter : height + 2 * quarter], chroma]
    return np.concatenate(parts)


class _Paced(MediaStreamTrack):
    """Gives out frames at their time; after a stall it goes on from now instead of catching up."""

    def __init__(self, interval_s: float) -> None:
        super().__init__()
        self._interval_s = interval_s
        self._start_s: float | None = None
        self._index = -1

    async def _next(self) -> int:
        """Waits for the next frame's time and returns its index."""
        if self.readyState != "live":
            raise MediaStreamError
        now = time.monotonic()
        if self._start_s is None:
            self._start_s = now
        self._index += 1
        due = self._start_s + self._index * self._interval_s
        if now - due > 1.0:
            self._index += int((now - due) / self._interval_s)
        elif due > now:
            await asyncio.sleep(due - now)
        return self._index


class ClipVideo(_Paced):
    """A looped clip; every picture carries the time at which it was given to the encoder."""

    kind = "video"

    def __init__(self, pictures: list[NDArray[np.uint8]], frames_per_s: int = 25) -> None:
        super().__init__(1 / frames_per_s)
        self.pictures = pictures
        self._ticks = _VIDEO_CLOCK_HZ // frames_per_s
        self._instead: tuple[list[NDArray[np.uint8]], float] | None = None

    def show_instead(self, pictures: list[NDArray[np.uint8]], seconds: float) -> None:
        """Shows other pictures from now on, for a while; without time stamps, quite as they are."""
        self._instead = pictures, time.monotonic() + seconds

    async def recv(self) -> av.VideoFrame:
        """The next picture."""
        index = await self._next()
        if self._instead is not None and time.monotonic() < self._instead[1]:
            planes = self._instead[0][index % len(self._instead[0])]
        else:
            planes = self.pictures[index % len(self.pictures)].copy()
            write_stamp(planes[: planes.shape[0] * 2 // 3], now_ms())
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts = index * self._ticks
        frame.time_base = Fraction(1, _VIDEO_CLOCK_HZ)
        return frame


class SpeechAudio(_Paced):
    """Looped speech in frames of 20 ms."""

    kind = "audio"

    def __init__(self, samples: NDArray[np.int16]) -> None:
        super().__init__(AUDIO_FRAME_S)
        self.samples = samples

    @property
    def start_s(self) -> float | None:
        """Monotonic time at which sample 0 was given out; ``None`` before."""
        return self._start_s

    async def recv(self) -> av.AudioFrame:
        """The next 20 ms."""
        index = await self._next()
        at = index * _SAMPLES % len(self.samples)
        part = np.take(self.samples, range(at, at + _SAMPLES), mode="wrap")
        frame = av.AudioFrame.from_ndarray(part.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate = AUDIO_RATE_HZ
        frame.pts = index * _SAMPLES
        frame.time_base = Fraction(1, AUDIO_RATE_HZ)
        return frame
