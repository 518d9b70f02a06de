"""Cuts what somebody says into utterances, by the probabilities of voice."""

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from analytics.detector import SAMPLE_RATE_HZ
from analytics.speech.vad import WINDOW, WINDOW_US

__all__ = ["Cut", "Cutter", "Cutting"]

Samples = NDArray[np.float32]

_FADE: Final = 0.7


@dataclass(frozen=True, slots=True)
class Cutting:
    """Where an utterance begins and ends. Times are in ms.

    Attributes:
        begin, go_on: probability of voice from which somebody speaks, and still speaks.
        pre_roll_ms: kept from before the first voiced window: consonants are quiet.
        hang_over_ms: pauses inside an utterance are shorter.
        least_ms: voice that is shorter is a click or a breath.
        most_ms: longer ones are cut at their quietest place.
        look_back_ms: how far from the end that place may be.
        partial_ms: so often an utterance that goes on is given as far as it is.
    """

    begin: float = 0.5
    go_on: float = 0.35
    pre_roll_ms: int = 320
    hang_over_ms: int = 640
    least_ms: int = 128
    most_ms: int = 12_000
    look_back_ms: int = 4_000
    partial_ms: int = 576


@dataclass(frozen=True, slots=True)
class Cut:
    """An utterance, or what there is of it yet.

    Attributes:
        start_us, end_us: of the voice, without what is kept around it.
        samples: ``(n,)``, with pre-roll and some silence after it.
        voiced: of each window of ``samples``, whether there is voice.
        is_final: otherwise it goes on; the next cut with the same ``start_us`` replaces it.
        concealed: share of its windows that were lost and made up.
    """

    start_us: int
    end_us: int
    samples: Samples
    voiced: tuple[bool, ...]
    is_final: bool
    concealed: float = 0.0


@dataclass(frozen=True, slots=True)
class _Window:
    at_us: int
    samples: Samples
    probability: float
    is_concealed: bool = False


class Cutter:
    """State of one track. People who speak at the same time have tracks of their own."""

    def __init__(self, cutting: Cutting) -> None:
        self._cutting = cutting
        self._before: deque[_Window] = deque(maxlen=_windows(cutting.pre_roll_ms))
        self._inside: list[_Window] = []
        self._silent = 0
        self._given = 0
        self._at_us: int | None = None
        self._last: _Window | None = None

    @property
    def is_speaking(self) -> bool:
        """Whether an utterance has begun and not ended."""
        return bool(self._inside)

    @property
    def settled_us(self) -> int | None:
        """All that was said before has been cut out; ``None`` before the first window."""
        if self._inside:
            return self._first_voiced().at_us
        return self._at_us

    def take(self, at_us: int, samples: Samples, probability: float) -> list[Cut]:
        """Takes the next window of 512 samples.

        Returns:
            What has been cut, at most one of them final.
        """
        return self._add(_Window(at_us, samples, probability))

    def conceal(self, until_us: int) -> list[Cut]:
        """Makes up for windows that were lost: the last one again, fainter each time."""
        found: list[Cut] = []
        while (last := self._last) is not None and last.at_us + 2 * WINDOW_US <= until_us:
            at_us = last.at_us + WINDOW_US
            samples = np.asarray(last.samples * _FADE, np.float32)
            found += self._add(_Window(at_us, samples, last.probability, is_concealed=True))
        return found

    def _add(self, window: _Window) -> list[Cut]:
        at_us, probability = window.at_us, window.probability
        self._last = window
        self._at_us = at_us + WINDOW_US
        if not self._inside:
            if probability < self._cutting.begin:
                self._before.append(window)
                return []
            self._inside = [*self._before, window]
            self._before.clear()
            self._silent = 0
            self._given = len(self._inside)
            return []
        self._inside.append(window)
        self._silent = 0 if probability >= self._cutting.go_on else self._silent + 1
        if self._silent >= _windows(self._cutting.hang_over_ms):
            return self._end()
        if len(self._inside) >= _windows(self._cutting.most_ms):
            return self._split()
        if len(self._inside) - self._given >= _windows(self._cutting.partial_ms):
            self._given = len(self._inside)
            return [] if self._silent else [self._cut(self._inside, is_final=False)]
        return []

    def end(self) -> list[Cut]:
        """Nothing follows: what was begun is over."""
        self._before.clear()
        return self._end() if self._inside else []

    def _end(self) -> list[Cut]:
        inside, self._inside = self._inside, []
        self._before.extend(inside[-(self._before.maxlen or 1) :])
        voiced = sum(window.probability >= self._cutting.go_on for window in inside)
        if voiced < _windows(self._cutting.least_ms):
            return []
        return [self._cut(inside, is_final=True)]

    def _split(self) -> list[Cut]:
        look_back = min(_windows(self._cutting.look_back_ms), len(self._inside) // 2)
        tail = self._inside[-look_back:]
        quietest = min(range(len(tail)), key=lambda index: (tail[index].probability, -index))
        place = len(self._inside) - look_back + quietest
        head, self._inside = self._inside[:place], self._inside[place:]
        self._given = len(self._inside)
        rest = any(window.probability >= self._cutting.begin for window in self._inside)
        if not rest:
            self._before.extend(self._inside)
            self._inside = []
        return [self._cut(head, is_final=True)]

    def _first_voiced(self) -> _Window:
        return next(w for w in self._inside if w.probability >= self._cutting.go_on)

    def _cut(self, windows: list[_Window], *, is_final: bool) -> Cut:
        voiced = tuple(window.probability >= self._cutting.go_on for window in windows)
        indexes = [index for index, voice in enumerate(voiced) if voice]
        first, last = (indexes[0], indexes[-1]) if indexes else (0, len(windows) - 1)
        return Cut(
            start_us=windows[first].at_us,
            end_us=windows[last].at_us + WINDOW_US,
            samples=np.concatenate([window.samples for window in windows]),
            voiced=voiced,
            is_final=is_final,
            concealed=sum(window.is_concealed for window in windows) / len(windows),
        )


def _windows(ms: int) -> int:
    return max(1, ms * SAMPLE_RATE_HZ // (WINDOW * 1_000))
