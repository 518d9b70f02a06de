"""Whether a phrase is meant, or its opposite: 不保本 is not 保本.

It looks at a clause: negators before the phrase, an even number of which cancel out, and denials
after it (保本是不可能的). What reaches further (``在 A 行才保本``) is beyond it.
"""

from collections.abc import Sequence
from enum import StrEnum
from typing import Final, TypeAlias

from analytics.speech.pack import Pack
from analytics.speech.tokens import Token

__all__ = ["Meaning", "Turned", "asks_either_or", "heads", "meaning_of", "turners"]

_REACH: Final = 10
_LIKE_NEGATORS: Final = frozenset({"bu", "fei", "mei", "pu"})
_EITHER_OR: Final = frozenset({"不", "没"})


class Meaning(StrEnum):
    """What is said of a phrase."""

    MEANT = "meant"
    DENIED = "denied"
    UNSURE = "unsure"
    """Just before it something sounds like a negator, and is written as something else."""


Turned: TypeAlias = tuple[int, int]
"""First and next index of a negator."""


def turners(tokens: Sequence[Token], pack: Pack) -> list[Turned]:
    """Negators of a text, without those that turn nothing round (不但, 是不是)."""
    found: list[Turned] = []
    place = 0
    while place < len(tokens):
        kept = _at(tokens, place, pack.not_negator_tokens)
        if kept:
            place += kept
            continue
        length = _at(tokens, place, pack.negator_tokens)
        if length and not _is_either_or(tokens, place, length):
            found.append((place, place + length))
        place += length or 1
    return found


def meaning_of(
    tokens: Sequence[Token],
    start: int,
    end: int,
    pack: Pack,
    found: Sequence[Turned] | None = None,
    *,
    misheard: int = 1,
) -> Meaning:
    """What is said of ``tokens[start:end]``.

    Args:
        tokens: all that belongs together.
        start: first index of the phrase.
        end: next index after it.
        pack: negators and denials.
        found: the negators of ``tokens``, where they are known already.
        misheard: what sounds like a negator makes it unsure within so many words before it.
    """
    found = turners(tokens, pack) if found is None else found
    clause = tokens[start].clause
    before = [
        (first, last)
        for first, last in found
        if last <= start and tokens[last - 1].clause == clause and start - last <= _REACH
    ]
    denied = len(before) % 2 == 1
    rest = [token for token in tokens[end:] if token.clause == tokens[end - 1].clause]
    if any(_within(rest, denial) for denial in pack.denials):
        denied = not denied
    if denied:
        return Meaning.DENIED
    if not before and _may_be_turned(tokens, start, pack, misheard):
        return Meaning.UNSURE
    return Meaning.MEANT


def heads(tokens: Sequence[Token], pack: Pack) -> list[tuple[int, bool]]:
    """What negators turn round: index of the word after them, and whether it is turned at all.

    Neighbouring negators (``不是不``) belong together; an even number leaves the word as it is.
    """
    found: list[tuple[int, bool]] = []
    rest = turners(tokens, pack)
    while rest:
        _, end = rest.pop(0)
        count = 1
        while True:
            place = end
            while place < len(tokens) and (skip := _at(tokens, place, pack.between_tokens)):
                place += skip
            if not rest or rest[0][0] != place:
                break
            _, end = rest.pop(0)
            count += 1
        if place < len(tokens):
            found.append((place, count % 2 == 1))
    return found


def _may_be_turned(tokens: Sequence[Token], start: int, pack: Pack, reach: int) -> bool:
    """Whether something before it sounds like 不, 非 or 没, and is written as something else.

    美同意 and 普接受 within one word, 每听明白 within two; what may stand between isn't counted.
    """
    clause, place = tokens[start].clause, start - 1
    while place >= 0 and tokens[place].clause == clause:
        if _at(tokens, place, pack.between_tokens) != 1:
            if tokens[place].sound in _LIKE_NEGATORS and not _is_kept(tokens, place, pack):
                return True
            reach -= 1
            if reach == 0:
                return False
        place -= 1
    return False


def _is_kept(tokens: Sequence[Token], place: int, pack: Pack) -> bool:
    """Whether a syllable is part of a word that turns nothing round."""
    in_word = any(
        _at(tokens, first, pack.not_negator_tokens) > place - first
        for first in range(max(0, place - 3), place + 1)
    )
    return in_word or _is_either_or(tokens, place, 1)


def asks_either_or(tokens: Sequence[Token]) -> bool:
    """Whether somebody asks 是不是, 同意不同意 or the like."""
    return any(
        token.text in _EITHER_OR and _is_either_or(tokens, place, 1)
        for place, token in enumerate(tokens)
    )


def _at(tokens: Sequence[Token], place: int, rows: Sequence[tuple[str, ...]]) -> int:
    """How many tokens from ``place`` on are one of the rows; 0: none."""
    for row in rows:
        if place + len(row) <= len(tokens) and all(
            tokens[place + index].text == text for index, text in enumerate(row)
        ):
            return len(row)
    return 0


def _is_either_or(tokens: Sequence[Token], place: int, length: int) -> bool:
    """X不X, X没X; X of one or two syllables."""
    after = place + length
    return length == 1 and any(
        place - size >= 0
        and after + size <= len(tokens)
        and tokens[place - size].clause == tokens[after + size - 1].clause
        and all(tokens[place - size + i].text == tokens[after + i].text for i in range(size))
        for size in (1, 2)
    )


def _within(tokens: Sequence[Token], phrase: str) -> bool:
    written = "".join(token.text for token in tokens)
    spaced = " ".join(token.text for token in tokens)
    return phrase in written or phrase in spaced
