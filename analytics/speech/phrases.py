"""Finds phrases in what was said, by sound."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from analytics.speech.tokens import Token, alike, tokens_of

__all__ = ["Phrase", "find"]

_GAP: Final = 4
_WILD: Final = "*"


@dataclass(frozen=True, slots=True)
class Phrase:
    """A phrase in pieces, between which something else may be said.

    Attributes:
        text: as it was given, ``*`` between the pieces.
        pieces: sounds of each piece.
    """

    text: str
    pieces: tuple[tuple[str, ...], ...]

    @classmethod
    def of(cls, text: str) -> "Phrase":
        """Reads a phrase; one without any sound matches nothing."""
        pieces = (tuple(t.sound for t in tokens_of(piece)) for piece in text.split(_WILD))
        return cls(text, tuple(piece for piece in pieces if piece))


def find(
    tokens: Sequence[Token], phrase: Phrase, *, is_exact: bool = False
) -> list[tuple[int, int]]:
    """Where a phrase is said, within one clause.

    Sounds that are easily confused count as the same in pieces of four or more; shorter ones have
    to sound the same but for one of them.

    Args:
        tokens: all that was said.
        phrase: what is looked for.
        is_exact: every sound has to be the same.

    Returns:
        First and next index of each place, none overlapping another.
    """
    found: list[tuple[int, int]] = []
    place = 0
    while phrase.pieces and place < len(tokens):
        end = _match(tokens, place, phrase.pieces, is_exact=is_exact)
        if end is None:
            place += 1
            continue
        found.append((place, end))
        place = end
    return found


def _match(
    tokens: Sequence[Token], place: int, pieces: Sequence[tuple[str, ...]], *, is_exact: bool
) -> int | None:
    end = _piece(tokens, place, pieces[0], is_exact=is_exact)
    if end is None or len(pieces) == 1:
        return end
    for gap in range(_GAP + 1):
        if end + gap >= len(tokens) or tokens[end + gap].clause != tokens[place].clause:
            return None
        last = _match(tokens, end + gap, pieces[1:], is_exact=is_exact)
        if last is not None and tokens[last - 1].clause == tokens[place].clause:
            return last
    return None


def _piece(
    tokens: Sequence[Token], place: int, piece: Sequence[str], *, is_exact: bool
) -> int | None:
    end = place + len(piece)
    if end > len(tokens) or tokens[end - 1].clause != tokens[place].clause:
        return None
    allowed = 0.0 if is_exact else 0.2 if len(piece) < 4 else 0.15 * len(piece)
    cost = 0.0
    for index, sound in enumerate(piece):
        cost += alike(sound, tokens[place + index].sound)
        if cost > allowed:
            return None
    return end
