"""Sound through Opus, at a bit rate and with loss, with noise in the room."""

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from analytics.detector import SAMPLE_RATE_HZ
from analytics.errors import EvalError

__all__ = [
    "SpeechChannel",
    "decoded_file",
    "opus_packets",
    "through",
    "with_noise",
    "write_sound",
]

Samples = NDArray[np.float32]

_FRAME: Final = SAMPLE_RATE_HZ // 50
_FADE: Final = 0.6
_BURST: Final = 2.0


@dataclass(frozen=True, slots=True)
class SpeechChannel:
    """How sound is recorded and travels.

    Attributes:
        snr_db: of white noise in the room to speech; ``None``: none.
        loss: share of the packets that are lost, in bursts of two on average; what no copy and no
            repetition brought back.
    """

    name: str
    snr_db: float | None = None
    kbps: int = 32
    loss: float = 0.0

    @property
    def tags(self) -> dict[str, str]:
        """For the label."""
        return {
            "channel": self.name,
            "noise": "none" if self.snr_db is None else f"{self.snr_db:g} dB",
            "kbps": str(self.kbps),
            "loss": f"{self.loss:.0%}",
        }


def decoded_file(path: Path) -> Samples:
    """Sound of a file, 16 kHz, mono.

    Raises:
        EvalError: it can't be opened, or has no sound.
    """
    import av

    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
    parts: list[Samples] = []
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(audio=0):
                parts += [part.to_ndarray()[0] for part in resampler.resample(frame)]
            parts += [part.to_ndarray()[0] for part in resampler.resample(None)]
    except (OSError, IndexError, av.FFmpegError) as error:
        raise EvalError("sound {path} can't be opened: {cause}", path=path, cause=error) from error
    return np.concatenate([np.zeros(0, np.float32), *parts])


def with_noise(samples: Samples, snr_db: float | None, rng: np.random.Generator) -> Samples:
    """Adds white noise, so far below the speech (where there is any)."""
    noise = rng.standard_normal(len(samples)).astype(np.float32)
    loud = samples[np.abs(samples) > 0.01]
    if snr_db is None or not len(loud):
        return samples
    level = float(np.sqrt(np.mean(loud**2))) * 10 ** (-snr_db / 20)
    return np.asarray(np.clip(samples + level * noise, -1, 1), np.float32)


def through(samples: Samples, channel: SpeechChannel, rng: np.random.Generator) -> Samples:
    """What a receiver gets: coded, cut by loss, decoded, and made up for where it was lost."""
    sound = with_noise(samples, channel.snr_db, rng)
    packets = opus_packets(sound, channel.kbps)
    lost = _lost(len(packets), channel.loss, rng)
    return _received(packets, lost)[: len(samples)]


def write_sound(path: Path, samples: Samples) -> None:
    """Writes FLAC, 16 bit."""
    import av

    whole = np.asarray(np.clip(samples, -1, 1) * 32_767, np.int16)
    with av.open(str(path), "w", format="flac") as file:
        stream = file.add_stream("flac", rate=SAMPLE_RATE_HZ, layout="mono")
        for at in range(0, len(whole), 4_096):
            frame = av.AudioFrame.from_ndarray(whole[None, at : at + 4_096], "s16", "mono")
            frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, at
            frame.time_base = Fraction(1, SAMPLE_RATE_HZ)
            file.mux(stream.encode(frame))
        file.mux(stream.encode(None))


def opus_packets(samples: Samples, kbps: int) -> list[bytes]:
    """Opus packets of 20 ms."""
    import av

    coder: Any = av.CodecContext.create("libopus", "w")
    coder.sample_rate, coder.layout, coder.format = SAMPLE_RATE_HZ, "mono", "flt"
    coder.bit_rate = kbps * 1_000
    coder.options = {"application": "voip", "frame_duration": "20"}
    packets: list[bytes] = []
    whole = np.concatenate([samples, np.zeros(_FRAME - len(samples) % _FRAME, np.float32)])
    for at in range(0, len(whole), _FRAME):
        frame = av.AudioFrame.from_ndarray(whole[None, at : at + _FRAME], "flt", "mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE_HZ, at
        packets += [bytes(packet) for packet in coder.encode(frame)]
    return packets


def _lost(count: int, loss: float, rng: np.random.Generator) -> list[bool]:
    """Losses of two states (Gilbert), bursts of two on average."""
    leave = 1 / _BURST
    enter = 0.0 if loss >= 1 else min(1.0, leave * loss / (1 - loss))
    found, is_bad = [], False
    for _ in range(count):
        is_bad = bool(rng.random() >= leave) if is_bad else bool(rng.random() < enter)
        found.append(is_bad)
    return found


def _received(packets: list[bytes], lost: list[bool]) -> Samples:
    import av

    decoder: Any = av.CodecContext.create("opus", "r")
    resampler = av.AudioResampler(format="flt", layout="mono", rate=SAMPLE_RATE_HZ)
    parts: list[Samples] = []
    last = np.zeros(_FRAME, np.float32)
    for packet, is_lost in zip(packets, lost, strict=True):
        if is_lost:
            last = last * np.float32(_FADE)
            parts.append(last)
            continue
        for frame in decoder.decode(av.Packet(packet)):
            frame.pts = None
            for piece in resampler.resample(frame):
                part = np.asarray(piece.to_ndarray()[0], np.float32)
                parts.append(part)
                if len(part) >= _FRAME:
                    last = part[-_FRAME:]
    return np.concatenate([np.zeros(0, np.float32), *parts])
