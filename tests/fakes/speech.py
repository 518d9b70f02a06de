"""Sound that a fake model of voice understands, and a recogniser that knows its text."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analytics.detector import AudioChunk, Heard, Outcome, Utterance
from analytics.speech.recogniser import Nearest, Recognised, RecogniserError
from analytics.speech.vad import WINDOW, WINDOW_US

CHUNK = 3 * WINDOW
S = 1_000_000


class FakeVoice:
    """The probability of voice is the first sample."""

    def start(self) -> int:
        return 0

    def __call__(self, window: NDArray[np.float32], state: int) -> tuple[float, int]:
        return float(window[0]), state + 1


class LevelVoice:
    """Voice is what is louder than -50 dB."""

    def start(self) -> int:
        return 0

    def __call__(self, window: NDArray[np.float32], state: int) -> tuple[float, int]:
        return (0.9 if float(np.sqrt(np.mean(window**2))) > 0.003 else 0.05), state


class FakeRecogniser:
    """Gives texts in turn; an error in place of one is raised."""

    def __init__(self, *texts: str | Recognised | RecogniserError) -> None:
        self.texts = list(texts)
        self.calls: list[tuple[int, bool]] = []
        self.likely: list[tuple[str, ...]] = []

    def __call__(
        self, samples: NDArray[np.float32], *, is_final: bool, likely: Nearest | None = None
    ) -> Recognised:
        self.calls.append((len(samples), is_final))
        self.likely.append(() if likely is None else tuple(likely(["同意"])))
        if not is_final:
            return Recognised("partial", 0.9, "zh")
        text = self.texts.pop(0)
        if isinstance(text, RecogniserError):
            raise text
        return text if isinstance(text, Recognised) else Recognised(text, 0.9, "zh")


def chunks(pattern: str, *, at_us: int = 0, track: str = "t1") -> list[AudioChunk]:
    """One chunk of 96 ms for each sign: ``#`` voice, ``.`` silence, ``|`` is missing."""
    found, is_after_gap = [], False
    for index, sign in enumerate(pattern):
        if sign == "|":
            is_after_gap = True
            continue
        samples = np.full(CHUNK, 0.9 if sign == "#" else 0.0, np.float32)
        pts_us = at_us + index * 3 * WINDOW_US
        found.append(AudioChunk(track, f"p-{track}", pts_us, samples, is_after_gap))
        is_after_gap = False
    return found


def sound_chunks(
    samples: NDArray[np.float32], *, who: str = "customer", at_us: int = 0
) -> list[AudioChunk]:
    """Chunks of 96 ms of some sound; what doesn't fill the last is left out."""
    return [
        AudioChunk(
            f"{who}-mic",
            who,
            at_us + index // CHUNK * 3 * WINDOW_US,
            samples[index : index + CHUNK],
        )
        for index in range(0, len(samples) - CHUNK + 1, CHUNK)
    ]


def silence(seconds: float, level: float = 0.0, seed: int = 1) -> NDArray[np.float32]:
    """White noise of a level, or nothing at all."""
    rng = np.random.default_rng(seed)
    return (level * rng.standard_normal(int(seconds * 16_000))).astype(np.float32)


def voice(
    seconds: float, pitch_hz: float, *, level: float = 0.1, formants: float = 1.0
) -> NDArray[np.float32]:
    """Harmonics under three formants, four syllables a second; like nobody, but like itself."""
    at = np.arange(int(seconds * 16_000)) / 16_000
    swing = 1 + 0.03 * np.sin(2 * np.pi * 3 * at)
    phase = 2 * np.pi * np.cumsum(pitch_hz * swing) / 16_000
    made = np.zeros_like(at)
    for number in range(1, int(6_000 / pitch_hz)):
        hz = number * pitch_hz
        gain = (
            sum(1 / (1 + ((hz - peak * formants) / 120) ** 2) for peak in (500, 1_500, 2_500))
            + 0.02
        )
        made += gain / number**0.5 * np.sin(number * phase)
    made *= 0.55 + 0.45 * np.sin(2 * np.pi * 4 * at)
    return (level * made / np.sqrt(np.mean(made**2))).astype(np.float32)


def whisper(seconds: float, *, level: float = 0.02, seed: int = 2) -> NDArray[np.float32]:
    """Noise without low parts, four syllables a second."""
    at = np.arange(int(seconds * 16_000)) / 16_000
    noise = np.random.default_rng(seed).standard_normal(len(at))
    spectrum = np.fft.rfft(noise)
    hz = np.fft.rfftfreq(len(at), 1 / 16_000)
    spectrum *= (hz > 600) * np.exp(-(((hz - 1_800) / 1_500) ** 2))
    made = np.fft.irfft(spectrum, len(at)) * (0.6 + 0.4 * np.sin(2 * np.pi * 4 * at))
    return (level * made / np.sqrt(np.mean(made**2))).astype(np.float32)


def said(
    text: str,
    start_s: float,
    end_s: float | None = None,
    *,
    who: str = "rm",
    confidence: float | None = 0.9,
    is_final: bool = True,
) -> Utterance:
    """An utterance of a participant, whose track is ``<who>-mic``; 0.25 s a character."""
    end_s = start_s + 0.25 * len(text) if end_s is None else end_s
    return Utterance(
        who, f"{who}-mic", int(start_s * S), int(end_s * S), text,
        confidence=confidence, is_final=is_final,
    )  # fmt: skip


def heard(start_s: float, end_s: float, *, who: str = "rm", is_known: bool = True) -> Heard:
    """How far the recogniser has got with a participant."""
    return Heard(who, f"{who}-mic", int(start_s * S), int(end_s * S), is_known)


def outcomes(findings: Sequence[object]) -> list[tuple[str, Outcome]]:
    """Kind and outcome of each."""
    return [(one.kind, one.outcome) for one in findings]  # type: ignore[attr-defined]
