"""Sound that a fake model of voice understands, and a recogniser that knows its text."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analytics.detector import AudioChunk, Heard, Outcome, Utterance
from analytics.speech.recogniser import Recognised, RecogniserError
from analytics.speech.vad import WINDOW, WINDOW_US

CHUNK = 3 * WINDOW
S = 1_000_000


class FakeVoice:
    """The probability of voice is the first sample."""

    def start(self) -> int:
        return 0

    def __call__(self, window: NDArray[np.float32], state: int) -> tuple[float, int]:
        return float(window[0]), state + 1


class FakeRecogniser:
    """Gives texts in turn; an error in place of one is raised."""

    def __init__(self, *texts: str | Recognised | RecogniserError) -> None:
        self.texts = list(texts)
        self.calls: list[tuple[int, bool]] = []

    def __call__(self, samples: NDArray[np.float32], *, is_final: bool) -> Recognised:
        self.calls.append((len(samples), is_final))
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
