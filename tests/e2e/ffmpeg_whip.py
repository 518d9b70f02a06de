"""Publishes a clip and speech with FFmpeg's ``whip`` muxer until its standard input ends.

Runs in a process of its own: PyAV keeps the interpreter locked while the muxer shakes hands.

``python -m tests.e2e.ffmpeg_whip URL TOKEN CERTIFICATE KEY``
"""

import itertools
import select
import sys
import time
from collections.abc import Iterator
from fractions import Fraction

import av
import numpy as np
from numpy.typing import NDArray

from loadtest.sources import AUDIO_RATE_HZ, MEDIA_DIR, load_clip, load_speech

FRAMES_PER_S = 25
SAMPLES = AUDIO_RATE_HZ // 50


def pictures(clip: list[NDArray[np.uint8]]) -> Iterator[av.VideoFrame]:
    for index, planes in enumerate(itertools.cycle(clip)):
        frame = av.VideoFrame.from_ndarray(planes, format="yuv420p")
        frame.pts, frame.time_base = index, Fraction(1, FRAMES_PER_S)
        yield frame


def sounds(speech: NDArray[np.int16]) -> Iterator[av.AudioFrame]:
    for index in itertools.count():
        at = index * SAMPLES % len(speech)
        stereo = np.repeat(speech[at : at + SAMPLES], 2)[None]
        frame = av.AudioFrame.from_ndarray(stereo, format="s16", layout="stereo")
        frame.sample_rate = AUDIO_RATE_HZ
        frame.pts, frame.time_base = index * SAMPLES, Fraction(1, AUDIO_RATE_HZ)
        yield frame


def publish(url: str, token: str, certificate: str, key: str) -> None:
    clip, speech = load_clip(MEDIA_DIR / "carphone.mp4"), load_speech(MEDIA_DIR / "zh_tts0.wav")
    options = {"authorization": token, "cert_file": certificate, "key_file": key}
    with av.open(url, "w", format="whip", options=options) as output:
        height, width = clip[0].shape
        video = output.add_stream(
            "libx264",
            rate=FRAMES_PER_S,
            # The muxer passes no keyframe requests on: whoever comes waits for the next one.
            options={
                "preset": "ultrafast",
                "tune": "zerolatency",
                "profile": "baseline",
                "g": "25",
            },
        )
        video.width, video.height, video.pix_fmt = width, height * 2 // 3, "yuv420p"
        audio = output.add_stream("libopus", rate=AUDIO_RATE_HZ)
        audio.layout = "stereo"
        output.start_encoding()
        print("publishing", flush=True)  # noqa: T201 - read by whoever started this
        start_s = time.monotonic()
        seen, heard = pictures(clip), sounds(speech)
        for index in itertools.count(1):
            output.mux(video.encode(next(seen)))
            for _ in range(2):
                output.mux(audio.encode(next(heard)))
            wait_s = start_s + index / FRAMES_PER_S - time.monotonic()
            if select.select([sys.stdin], [], [], max(0.0, wait_s))[0]:
                return


if __name__ == "__main__":
    publish(*sys.argv[1:])
