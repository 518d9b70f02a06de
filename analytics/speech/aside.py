"""What is said beside an answer, and whether it takes it back: 好的，我问问老伴; 同意你的看法.

No list has everything that takes an answer back. What is listed is what does not, and the rest is
judged by words of which a language has few: who it speaks of (你, 我, 经理), verbs said
twice (看看), what an answer's verb has for its object, and how much of it nobody has listed.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby, pairwise
from typing import Final

from analytics.speech.pack import Answers
from analytics.speech.phrases import Phrase, Place, longest_first, written
from analytics.speech.tokens import Token, joined

__all__ = ["FIRST_PERSON", "Aside", "covered", "is_praise", "parted"]

FIRST_PERSON: Final = frozenset({"我", "i"})
_SECOND_PERSON: Final = frozenset({"你", "您", "you"})
_ENDINGS: Final = "的了"
_PARTICLES: Final = "的了呀啊啦呢吧嘛哈哦"
_DEGREES: Final = "很挺蛮太真够非常特别十分这么"
_TELLING: Final = "讲说绍释写"
"""Last syllables of verbs that explain."""
_NUMBERS: Final = frozenset("零一二两三四五六七八九十百千万")
_STRAY: Final = 2
"""Words nobody listed that a clause may have: recognisers write such behind an answer."""
_STRAY_APART: Final = 3
"""The same of a clause that speaks of nobody and holds no answer."""


def parted(
    tokens: Sequence[Token], answers: Collection[Place]
) -> tuple[tuple[Token, ...], frozenset[int]]:
    """The same, with a new clause after an answer in 的 or 了, for recognisers leave commas out.

    好的我看看 is 好的，我看看; 知道的不多 denies what it seems to affirm.

    Returns:
        The words, and where the new clauses begin.
    """
    ends = set()
    for first, last in answers:
        end = last
        while end < len(tokens) and tokens[end].text in _PARTICLES and joined(tokens, first, end):
            end += 1
        is_within = any(start < end < until for start, until in answers)
        if not is_within and any(token.text in _ENDINGS for token in tokens[first:end]):
            ends.add(end)
    begins = frozenset(end for end in ends if end < len(tokens) and joined(tokens, end - 1, end))
    found, more = [], 0
    for place, token in enumerate(tokens):
        more += place in begins
        found.append(replace(token, clause=token.clause + more) if more else token)
    return tuple(found), begins


def is_praise(tokens: Sequence[Token], place: int) -> bool:
    """Whether a word says how something was explained (您讲得很清楚): that is no answer."""
    at = place - 1
    while at > 0 and tokens[at].text in _DEGREES and joined(tokens, at, place):
        at -= 1
    return (
        at > 0
        and joined(tokens, at - 1, place)
        and tokens[at - 1].text in _TELLING
        and (tokens[at].text == "得" or (tokens[at].text == "的" and at < place - 1))
    )


@dataclass(frozen=True, slots=True)
class Aside:
    """Lists that say what an answer may have beside it.

    Attributes:
        others: who else may agree.
        knowing: words behind which follows what is known.
        subjects: what a sale is about.
        harmless: what else may be said, and ``subjects``.
        telling: what others do who only explained something.
        parts: said after an answer, they make it one of a part.
    """

    others: tuple[Phrase, ...]
    knowing: tuple[Phrase, ...]
    subjects: tuple[Phrase, ...]
    harmless: tuple[Phrase, ...]
    telling: tuple[Phrase, ...]
    parts: tuple[Phrase, ...]

    @classmethod
    def of(cls, answers: Answers) -> "Aside":
        """From the lists of a pack."""
        return cls(
            longest_first(answers.others),
            longest_first(answers.knowing),
            longest_first(answers.subjects),
            longest_first([*answers.beside, *answers.subjects, *answers.telling])
            if answers.beside
            else (),
            longest_first(answers.telling),
            longest_first(answers.parts),
        )

    def places(self, tokens: Sequence[Token]) -> list[Place]:
        """Where something is that is listed as harmless."""
        praised = [(place, place + 1) for place in range(len(tokens)) if is_praise(tokens, place)]
        return [*written(tokens, self.harmless), *praised]

    def takes_back(
        self,
        tokens: Sequence[Token],
        meant: Sequence[Place],
        known: Collection[int],
        begins: Collection[int],
    ) -> bool:
        """Whether something beside the answers that are meant takes them back.

        Not to be asked where ``harmless`` is empty: then nothing is known.

        Args:
            tokens: all that was said.
            meant: where the answers are.
            known: places of all that needs no looking at, answers included.
            begins: where clauses begin that no comma parts from the one before.
        """
        if self._is_of_a_part(tokens, meant, known):
            return True
        others = covered(written(tokens, self.others))
        telling = frozenset(first for first, _ in written(tokens, self.telling))
        knowing = tuple(written(tokens, self.knowing))
        subjects = covered(written(tokens, self.subjects))
        for _, group in groupby(range(len(tokens)), key=lambda place: tokens[place].clause):
            clause = list(group)
            own = [at for at in meant if clause[0] <= at[0] <= clause[-1]]
            places = [place for place in clause if all(place >= last for _, last in own)]
            if own:
                is_told = any(at in knowing for at in own) and not subjects.isdisjoint(places)
                is_taken = not is_told and _is_too_much(tokens, places, known, others)
            else:
                is_own = any(tokens[place].text in FIRST_PERSON for place in places)
                stray = _STRAY if is_own or clause[0] in begins else _STRAY_APART
                is_taken = self._is_of_others(
                    tokens, places, others, telling, known
                ) or _is_too_much(tokens, places, known, stray=stray)
            if is_taken or _is_tried(tokens, places, known):
                return True
        return False

    def _is_of_a_part(
        self, tokens: Sequence[Token], meant: Sequence[Place], known: Collection[int]
    ) -> bool:
        """Whether an answer is followed by what makes it one of a part."""
        parts = {first for first, _ in written(tokens, self.parts)} - set(known)
        for _, last in meant:
            place = last
            while place < len(tokens) and tokens[place].text in _ENDINGS:
                place += 1
            if place in parts:
                return True
        return False

    def _is_of_others(
        self,
        tokens: Sequence[Token],
        clause: Sequence[int],
        others: Collection[int],
        telling: Collection[int],
        known: Collection[int],
    ) -> bool:
        """Whether a clause speaks of somebody else, and not of what they explained."""
        for place in clause:
            if place not in others:
                continue
            is_asked = tokens[place].text in _SECOND_PERSON or place in known
            unknown = [one for one in clause if one not in known and one not in others]
            if is_asked and unknown:
                return True
            if not is_asked and not any(one in telling for one in clause if one > place):
                return True
        return False


def _is_too_much(
    tokens: Sequence[Token],
    places: Sequence[int],
    known: Collection[int],
    others: Collection[int] = (),
    *,
    stray: int = _STRAY,
) -> bool:
    unknown = [
        place for place in places if place not in known and tokens[place].text not in _NUMBERS
    ]
    # What recognisers add is a syllable; English words are whole ones.
    is_word = any(tokens[place].text.isascii() for place in unknown)
    is_person = any(place in others for place in unknown) and len(places) > 1
    return is_person or len(unknown) > (0 if is_word else stray)


def _is_tried(tokens: Sequence[Token], places: Sequence[int], known: Collection[int]) -> bool:
    """Whether a verb is said twice, as of what somebody wants to try (看看, 问问)."""
    return any(
        tokens[one].text == tokens[other].text and one not in known and other not in known
        for one, other in pairwise(places)
    )


def covered(places: Iterable[Place]) -> frozenset[int]:
    """Indices of all that lies in places."""
    return frozenset(place for first, last in places for place in range(first, last))
