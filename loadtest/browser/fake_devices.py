"""Camera and microphone of a test browser: real pictures and real speech as files."""

import wave
from pathlib import Path

import av
import numpy as np

from loadtest.sources import MEDIA_DIR, load_speech

__all__ = [
    "LARGE_PICTURE_SIZE",
    "PICTURE_SIZE",
    "write_busy_clip",
    "write_clip",
    "write_large_clip",
    "write_speech",
]

PICTURE_SIZE = (352, 288)
"""Width and height of what the file camera gives."""

LARGE_PICTURE_SIZE = (960, 544)
"""The same of the large one: as small as a camera may be that is sent in three sizes."""


def write_clip(target: Path) -> None:
    """The clip as Chromium's file camera reads it."""
    with av.open(str(MEDIA_DIR / "carphone.mp4")) as container, target.open("wb") as out:
        out.write(b"YUV4MPEG2 W%d H%d F30:1 Ip A1:1 C420jpeg\n" % PICTURE_SIZE)
        for frame in container.decode(video=0):
            planes = frame.reformat(*PICTURE_SIZE, "yuv420p").to_ndarray()
            out.write(b"FRAME\n" + planes.astype(np.uint8).tobytes())


def write_speech(target: Path) -> None:
    """Speech as Chromium's file microphone reads it."""
    with wave.open(str(target), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(48_000)
        out.writeframes(load_speech(MEDIA_DIR / "zh_tts0.wav").astype("<i2").tobytes())


def write_busy_clip(target: Path) -> None:
    """The clip at 1,280 × 720 pixels with grain, 15 pictures a second: encoders need their rate."""
    width, height, most = 1280, 720, 45
    grain = np.random.default_rng(7).normal(0, 6, (4, height, width))
    with av.open(str(MEDIA_DIR / "carphone.mp4")) as container, target.open("wb") as out:
        out.write(b"YUV4MPEG2 W%d H%d F15:1 Ip A1:1 C420jpeg\n" % (width, height))
        for index, frame in zip(range(most), container.decode(video=0), strict=False):
            planes = frame.reformat(width, height, "yuv420p").to_ndarray()
            noisy = planes[:height].astype(np.float64) + grain[index % len(grain)]
            planes[:height] = np.clip(noisy, 16, 235).astype(np.uint8)
            out.write(b"FRAME\n" + planes.tobytes())


def write_large_clip(target: Path) -> None:
    """A bar that wanders through a large picture, 15 pictures a second for two seconds."""
    (width, height), frames = LARGE_PICTURE_SIZE, 30
    ramp = np.linspace(40, 200, width, dtype=np.uint8)
    with target.open("wb") as file:
        file.write(f"YUV4MPEG2 W{width} H{height} F15:1 Ip A1:1 C420jpeg\n".encode())
        for frame in range(frames):
            luma = np.tile(np.roll(ramp, frame * width // frames), (height, 1))
            luma[:, frame * width // frames :][:, :80] = 235
            chroma = np.full(width * height // 2, 128, dtype=np.uint8)
            file.write(b"FRAME\n" + luma.tobytes() + chroma.tobytes())
