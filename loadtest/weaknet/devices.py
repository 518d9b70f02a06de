"""Camera and microphone of the measured browsers: a clip at 640 × 360 and speech with chirps.

Where what is heard is to be recognised, the speech is one's own, and without chirps.
"""

import wave
from pathlib import Path

import av
import numpy as np

from loadtest.sources import AUDIO_RATE_HZ, MEDIA_DIR, load_speech
from loadtest.weaknet.markers import KINDS, PERIOD_S, add_markers

__all__ = ["FRAMES_PER_S", "PICTURE_SIZE", "Devices"]

PICTURE_SIZE = (640, 360)
FRAMES_PER_S = 25
_FRAMES = 100
_PAUSE_S = 1.0
_LOOP_S = 2 * KINDS * PERIOD_S
"""Whole turns of the markers, longer than the speech."""


class Devices:
    """Files in a folder, and the flags that make Chromium use them.

    Args:
        folder: for the files.
        speech: said over and over, in place of the speech with chirps.
    """

    def __init__(self, folder: Path, speech: Path | None = None) -> None:
        self._own_speech = speech
        self._camera = folder / "camera.y4m"
        self._microphone = folder / "microphone.wav"

    @property
    def flags(self) -> list[str]:
        """For Chromium's command line."""
        return [
            f"--use-file-for-fake-video-capture={self._camera}",
            f"--use-file-for-fake-audio-capture={self._microphone}",
        ]

    def write(self) -> None:
        """Writes both files."""
        self._write_clip()
        self._write_speech()

    def _write_clip(self) -> None:
        width, height = PICTURE_SIZE
        header = f"YUV4MPEG2 W{width} H{height} F{FRAMES_PER_S}:1 Ip A1:1 C420jpeg\n"
        with (
            av.open(str(MEDIA_DIR / "carphone.mp4")) as container,
            self._camera.open("wb") as out,
        ):
            out.write(header.encode())
            for number, frame in enumerate(container.decode(video=0)):
                if number == _FRAMES:
                    break
                planes = frame.reformat(width, height, "yuv420p").to_ndarray()
                out.write(b"FRAME\n" + planes.astype(np.uint8).tobytes())

    def _write_speech(self) -> None:
        if self._own_speech is not None:
            pause = np.zeros(round(_PAUSE_S * AUDIO_RATE_HZ), np.int16)
            sound = np.concatenate([load_speech(self._own_speech), pause])
        else:
            speech = load_speech(MEDIA_DIR / "zh_tts0.wav")
            looped = np.resize(speech, round(_LOOP_S * AUDIO_RATE_HZ))
            sound = add_markers(looped, AUDIO_RATE_HZ)
        with wave.open(str(self._microphone), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(AUDIO_RATE_HZ)
            out.writeframes(sound.astype("<i2").tobytes())
