"""When each word of an utterance was said, where the recogniser doesn't tell."""

import re
from typing import Final

from analytics.detector import Word
from analytics.speech.cutter import Cut
from analytics.speech.vad import WINDOW_US

__all__ = ["MAX_WORDS", "spread"]

MAX_WORDS: Final = 512

_WORD: Final = re.compile(r"[㐀-䶿一-鿿]|[^\W_]+(?:[.'’-][^\W_]+)*[%％]?")
_MAX_CHARS: Final = 64


def spread(text: str, cut: Cut) -> tuple[Word, ...]:
    """Spreads the words evenly over the voiced windows of a cut; right to some tenths of a second.

    Returns:
        One word for each Chinese character, Latin word or number; at most :data:`MAX_WORDS`.
    """
    words = [match.group()[:_MAX_CHARS] for match in _WORD.finditer(text)][:MAX_WORDS]
    if not words:
        return ()
    voiced = [index for index, voice in enumerate(cut.voiced) if voice] or [0]
    weights = [1 if len(word) == 1 else max(2, len(word) // 2) for word in words]
    total = sum(weights)
    zero_us = cut.start_us - voiced[0] * WINDOW_US
    found, before = [], 0
    for word, weight in zip(words, weights, strict=True):
        first = voiced[before * len(voiced) // total]
        before += weight
        last = voiced[max(0, before * len(voiced) // total - 1)]
        start_us = zero_us + first * WINDOW_US
        found.append(Word(word, start_us, max(start_us, zero_us + last * WINDOW_US) + WINDOW_US))
    return tuple(found)
