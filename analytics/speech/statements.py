"""Whether a required statement was said: word for word, in other words, or the opposite of it."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Final

from analytics.speech.negation import Meaning, heads, meaning_of, turners
from analytics.speech.pack import Pack
from analytics.speech.phrases import longest_first, written
from analytics.speech.tokens import Token, alike, read_numbers, tokens_of

__all__ = ["Judged", "Likeness", "Statement", "judge"]

_LIGHT: Final = 0.25
_EXACT: Final = 0.88
_PARAPHRASE: Final = 0.6
_DOUBT: Final = 0.52
_NUMBER: Final = re.compile(
    r"(?:百分之|千分之)[零一二两三四五六七八九十百千万亿点]+"
    r"|[零一二两三四五六七八九十百千万亿点]+(?:天|日|年|个?月|个?工作日|个?小时|个百分点|周|元|万|块|倍|成|期|级|岁|分钟)"
    r"|[零一二两三四五六七八九十百千万亿点]{2,}"
)


class Likeness(StrEnum):
    """How what was said compares with a statement."""

    EXACT = "exact"
    PARAPHRASE = "paraphrase"
    UNSURE = "unsure"
    CONTRARY = "contrary"
    """It has the words of the statement, but denies what it says, or has another number."""
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class Judged:
    """A comparison.

    Attributes:
        score: 0..1.
        first, last: tokens it rests on, of those that were compared; next index.
    """

    likeness: Likeness
    score: float
    first: int = 0
    last: int = 0


@dataclass(frozen=True, slots=True)
class Statement:
    """What has to be said, taken apart.

    Attributes:
        tokens: with one word for all that mean the same.
        weights: of each; fillers weigh less.
        numbers: sounds of each number.
        essential: where words begin without whose sound it isn't said in other words, either.
    """

    text: str
    tokens: tuple[Token, ...]
    weights: tuple[float, ...]
    numbers: tuple[tuple[str, ...], ...]
    essential: tuple[int, ...] = ()

    @classmethod
    def of(cls, text: str, pack: Pack) -> "Statement":
        """Takes a statement apart."""
        plain = pack.plain(text)
        tokens = tokens_of(plain)
        weights = tuple(_LIGHT if one.text in pack.filler_words else 1.0 for one in tokens)
        numbers = _NUMBER.findall(read_numbers(plain))
        sounds = tuple(_sounds(one) for one in numbers)
        essential = tuple(first for first, _ in written(tokens, longest_first(pack.essential)))
        return cls(text, tokens, weights, sounds, essential)

    @property
    def reach(self) -> int:
        """Tokens that saying it in other words may take."""
        return 2 * len(self.tokens) + 12


def judge(statement: Statement, tokens: Sequence[Token], pack: Pack) -> Judged:
    """Looks for a statement in what was said.

    Args:
        statement: what has to be said.
        tokens: what was said (:meth:`Pack.plain`); the likeliest part of it counts.
        pack: negators and fillers.
    """
    best = Judged(Likeness.ABSENT, 0.0)
    if not statement.tokens:
        return best
    for first, last in _windows(tokens, statement.reach):
        window = tokens[first:last]
        overlap = _overlap(statement, window)
        if overlap < min(_DOUBT, best.score):
            continue
        found = _weighed(statement, window, overlap, pack)
        if _rank(found) > _rank(best):
            best = Judged(found.likeness, found.score, first, last)
    return best


def _rank(judged: Judged) -> tuple[int, float]:
    order = [
        Likeness.ABSENT,
        Likeness.UNSURE,
        Likeness.CONTRARY,
        Likeness.PARAPHRASE,
        Likeness.EXACT,
    ]
    return order.index(judged.likeness), judged.score


def _weighed(statement: Statement, window: Sequence[Token], overlap: float, pack: Pack) -> Judged:
    aligned = _aligned(statement, window) if overlap > 0.3 else 0.0
    score = max(overlap, aligned)
    if score < _DOUBT:
        return Judged(Likeness.ABSENT, score)
    conflict = _numbers(statement, window) or _polarity(statement, window, pack)
    if conflict is not None:
        is_contrary = conflict is Likeness.CONTRARY and score >= _PARAPHRASE
        return Judged(Likeness.CONTRARY if is_contrary else Likeness.UNSURE, score)
    if aligned >= _EXACT:
        return Judged(Likeness.EXACT, score)
    if score < _PARAPHRASE or _lacks(statement, window):
        return Judged(Likeness.UNSURE, score)
    return Judged(Likeness.PARAPHRASE, score)


def _lacks(statement: Statement, window: Sequence[Token]) -> bool:
    """Whether what was said has nothing that sounds like a word that can't be left out."""
    return not all(_places(window, statement.tokens, place) for place in statement.essential)


def _windows(tokens: Sequence[Token], reach: int) -> list[tuple[int, int]]:
    """Clauses that follow each other, as many as the reach takes, at least one."""
    starts = [0, *(i for i, (a, b) in enumerate(pairwise(tokens), 1) if a.clause != b.clause)]
    ends = [*starts[1:], len(tokens)]
    found = []
    for index, end in enumerate(ends):
        begin = index
        while begin > 0 and end - starts[begin - 1] <= reach:
            begin -= 1
        found += [(starts[start], end) for start in range(begin, index + 1)]
    return found if tokens else []


def _overlap(statement: Statement, window: Sequence[Token]) -> float:
    """Share of the statement's sounds, and of its pairs of sounds, that the window has."""
    singles = Counter(_key(token.sound) for token in window)
    pairs = Counter((_key(a.sound), _key(b.sound)) for a, b in pairwise(window))
    got = whole = got_pairs = whole_pairs = 0.0
    for token, weight in zip(statement.tokens, statement.weights, strict=True):
        whole += weight
        if singles[_key(token.sound)] > 0:
            singles[_key(token.sound)] -= 1
            got += weight
    weighted = zip(statement.tokens, statement.weights, strict=True)
    for (a, light), (b, heavy) in pairwise(weighted):
        weight = light * heavy
        whole_pairs += weight
        key = _key(a.sound), _key(b.sound)
        if pairs[key] > 0:
            pairs[key] -= 1
            got_pairs += weight
    single = got / whole
    return single if not whole_pairs else 0.5 * single + 0.5 * got_pairs / whole_pairs


def _aligned(statement: Statement, window: Sequence[Token]) -> float:
    """One minus what it costs to turn some part of the window into the statement."""
    width = len(window) + 1
    above = [0.0] * width
    for token, weight in zip(statement.tokens, statement.weights, strict=True):
        row = [above[0] + weight]
        for column in range(1, width):
            differs = alike(token.sound, window[column - 1].sound) * weight
            row.append(
                min(above[column] + weight, row[column - 1] + 0.5, above[column - 1] + differs)
            )
        above = row
    return max(0.0, 1.0 - min(above) / sum(statement.weights))


def _polarity(statement: Statement, window: Sequence[Token], pack: Pack) -> Likeness | None:
    """Compares what is denied; nothing if it is the same."""
    negators = turners(window, pack)
    is_missing = False
    for place, is_odd in heads(statement.tokens, pack):
        if not is_odd:
            continue
        said = _places(window, statement.tokens, place)
        meanings = {meaning_of(window, at, at + 1, pack, negators) for at in said}
        if meanings and Meaning.DENIED not in meanings:
            return Likeness.UNSURE if Meaning.UNSURE in meanings else Likeness.CONTRARY
        is_missing = is_missing or not said
    own = turners(statement.tokens, pack)
    for place, is_odd in heads(window, pack):
        if not is_odd or window[place].text in pack.filler_words:
            continue
        said = _places(statement.tokens, window, place)
        if said and all(
            meaning_of(statement.tokens, at, at + 1, pack, own) is Meaning.MEANT for at in said
        ):
            return Likeness.CONTRARY
    if is_missing and own and not negators:
        return Likeness.UNSURE
    return None


def _places(tokens: Sequence[Token], wanted: Sequence[Token], place: int) -> list[int]:
    """Where two sounds of ``wanted`` from ``place`` on are in ``tokens``; one, at its end."""
    row = [token.sound for token in wanted[place : place + 2]]
    return [
        at
        for at in range(len(tokens) - len(row) + 1)
        if all(alike(sound, tokens[at + i].sound) <= 0.2 for i, sound in enumerate(row))
    ]


def _numbers(statement: Statement, window: Sequence[Token]) -> Likeness | None:
    """Each number has to be the same, sound for sound."""
    sounds = tuple(token.sound for token in window)
    for number in statement.numbers:
        starts = range(len(sounds) - len(number) + 1)
        if not any(sounds[at : at + len(number)] == number for at in starts):
            return Likeness.CONTRARY if number[-1] in sounds else Likeness.UNSURE
    return None


def _sounds(text: str) -> tuple[str, ...]:
    return tuple(token.sound for token in tokens_of(text))


def _key(sound: str) -> str:
    """The same for sounds that are easily confused."""
    for hissing, plain in (("zh", "z"), ("ch", "c"), ("sh", "s"), ("n", "l")):
        if sound.startswith(hissing):
            sound = plain + sound[len(hissing) :]
            break
    return sound.removesuffix("g") if sound.isascii() else sound
