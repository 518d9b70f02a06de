"""Finds phrases in what was said, by sound."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

from analytics.speech.tokens import Token, alike, tokens_of

__all__ = ["Phrase", "Place", "find", "is_written", "longest_first", "written"]

Place: TypeAlias = tuple[int, int]
"""First and next index of a phrase."""

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


def written(tokens: Sequence[Token], phrases: Sequence[Phrase]) -> Iterator[Place]:
    """Where one of the phrases is said and written so."""
    whole = "".join(token.text for token in tokens)
    for phrase in phrases:
        # What isn't written anywhere needs no search by sound: of long lists that is nearly all.
        if phrase.text.replace(" ", "") in whole:
            for start, end in find(tokens, phrase, is_exact=True):
                if is_written(tokens[start:end], phrase):
                    yield start, end


def is_written(row: Sequence[Token], phrase: Phrase) -> bool:
    """Whether tokens are written as a phrase is."""
    return "".join(token.text for token in row) == phrase.text.replace(" ", "")


def longest_first(texts: Sequence[str]) -> tuple[Phrase, ...]:
    """Phrases of texts, each once."""
    return tuple(
        Phrase.of(text) for text in sorted(set(texts), key=lambda text: (-len(text), text))
    )


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
