"""Whether speech that went over a bad network is recognised as well as before it went."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from analytics.detector import AudioChunk, Subject, Utterance
from analytics.detectors.transcript import Transcript, TranscriptConfig
from analytics.errors import AnalyticsError
from analytics.models import InstalledModels
from analytics.speech.tokens import tokens_of
from witness.errors import MeasureError
from witness.i18n import of_error, t

__all__ = ["Compared", "Spoken", "compare", "rates", "recogniser"]

_CHUNK: Final = 1_536
_RATE_HZ: Final = 16_000
_LATE: Final = 8
"""Characters that the delay may have cut off the end of what was heard."""


class Spoken(Protocol):
    """What was said and heard (``loadtest.weaknet.scene.Sounds``)."""

    @property
    def said(self) -> NDArray[np.int16]:
        """Before the network."""
        ...

    @property
    def heard(self) -> NDArray[np.int16]:
        """At the other end."""
        ...


@dataclass(frozen=True, slots=True)
class Compared:
    """Character error rates of one direction, 0..; ``None``: nothing was recognised.

    Attributes:
        characters: how many were said.
    """

    said: float | None
    heard: float | None
    characters: int

    @property
    def difference(self) -> float | None:
        """How much worse it is at the other end."""
        return None if self.said is None or self.heard is None else self.heard - self.said

    def as_json(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "said": _rounded(self.said),
            "heard": _rounded(self.heard),
            "difference": _rounded(self.difference),
            "characters": self.characters,
        }


def recogniser() -> Transcript:
    """The detector that writes down what is said.

    Raises:
        MeasureError: its models are not installed.
    """
    config = TranscriptConfig(partial_results=False)
    try:
        return Transcript.load(config, InstalledModels())
    except AnalyticsError as error:
        text = t("speech can't be recognised here: {reason}")
        raise MeasureError(text.format(reason=of_error(error))) from error


def compare(transcript: Transcript, spoken: Spoken, text: str) -> Compared:
    """Recognises both ends, and compares each with the text, which was said over and over."""
    said, heard = (_text(transcript, sound) for sound in (spoken.said, spoken.heard))
    return rates(said, heard, _characters(text))


def rates(said: Sequence[str], heard: Sequence[str], wanted: Sequence[str]) -> Compared:
    """Error rates of what was recognised at both ends.

    What is missing at the other end counts as wrong, but for a word or two at the ends of the
    recording: sound arrives later than it was said.
    """
    before = _aligned(said, wanted)
    if before is None:
        return Compared(None, None, 0)
    edits, length = before
    after = _aligned(heard, wanted) or (0, 0)
    missing = max(0, length - after[1] - _LATE)
    wrong = (after[0] + missing) / max(length, after[1]) if after[1] else 1.0
    return Compared(edits / length, wrong, length)


def _aligned(found: Sequence[str], wanted: Sequence[str]) -> tuple[int, int] | None:
    """Edits that turn what was found into some part of the text, said over and over; its length."""
    if not found or not wanted:
        return None
    said = list(wanted) * (len(found) // len(wanted) + 3)
    # Recording began somewhere in the first turn, and ends anywhere.
    above = [(max(0, at - len(wanted)), min(at, len(wanted))) for at in range(len(said) + 1)]
    for number, one in enumerate(found, 1):
        row = [(number, 0)]
        for place, other in enumerate(said, 1):
            row.append(
                min(
                    (above[place - 1][0] + (one != other), above[place - 1][1]),
                    (above[place][0] + 1, above[place][1]),
                    (row[place - 1][0] + 1, row[place - 1][1]),
                )
            )
        above = row
    edits, length = min((cost, at - begin) for at, (cost, begin) in enumerate(above))
    return (edits, length) if length > 0 else None


def _text(transcript: Transcript, sound: NDArray[np.int16]) -> list[str]:
    samples = np.asarray(sound / 32_768, np.float32)
    watch = transcript.watch(Subject("weaknet", "speaker", "microphone"))
    found: list[Utterance] = []
    end_us = 0
    for at in range(0, len(samples) - _CHUNK + 1, _CHUNK):
        pts_us = at * 1_000_000 // _RATE_HZ
        chunk = AudioChunk("microphone", "speaker", pts_us, samples[at : at + _CHUNK])
        outputs = [*watch.process(chunk)]
        while (done := transcript.work()) is not None:
            outputs += done[1]
        found += [one for one in outputs if isinstance(one, Utterance)]
        end_us = chunk.end_us
    found += [one for one in watch.flush(end_us) if isinstance(one, Utterance)]
    return [one for said in found for one in _characters(said.text)]


def _characters(text: str) -> list[str]:
    return [token.text for token in tokens_of(text)]


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
