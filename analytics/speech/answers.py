"""What somebody answered: clearly yes, clearly no, or neither."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from analytics.speech.aside import FIRST_PERSON, Aside, covered, is_praise, parted
from analytics.speech.negation import (
    Meaning,
    Turned,
    asks_either_or,
    heads,
    meaning_of,
    turners,
)
from analytics.speech.pack import Pack
from analytics.speech.phrases import Phrase, Place, find, is_written, longest_first, written
from analytics.speech.tokens import Token, alike, joined, tokens_of

__all__ = ["Replies", "Reply", "is_question"]

_ECHO: Final = 0.75
_ECHO_OF_QUESTION: Final = 0.5
_NEAR: Final = 0.6
_SHORT: Final = 3
_DENIAL: Final = 8
_MISHEARD: Final = 3
"""Words before an answer among which nothing may sound like a negator."""
_PARTICLES: Final = "的了呀啊"


class Reply(StrEnum):
    """What an answer is."""

    YES = "yes"
    NO = "no"
    HESITANT = "hesitant"
    """Puts it off, or makes a sound that is no word."""
    RESERVED = "reserved"
    """Yes, but; or not all of it: something is denied beside it, or somebody else agrees."""
    UNLISTED = "unlisted"
    """Yes, and beside it something that may take it back, for no list has it."""
    ASKING = "asking"
    """Asks back."""
    ECHO = "echo"
    """Is the question itself: repeated, or heard from the loudspeaker."""
    NEAR = "near"
    """So short that it may be an answer that was misheard."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class _Lists:
    affirmative: tuple[Phrase, ...]
    negative: tuple[Phrase, ...]
    hesitant: tuple[Phrase, ...]
    reserved: tuple[Phrase, ...]
    asking: tuple[Phrase, ...]
    others: tuple[Phrase, ...]
    knowing: tuple[Phrase, ...]
    already: tuple[Phrase, ...]


class Replies:
    """Judges answers.

    Args:
        pack: words of answers.
        lexicon: what else is an affirmative answer; of a flow.
    """

    def __init__(self, pack: Pack, lexicon: Sequence[str] = ()) -> None:
        self._pack = pack
        answers = pack.answers
        self._lists = _Lists(
            longest_first([*answers.affirmative, *lexicon]),
            longest_first(answers.negative),
            longest_first(answers.hesitant),
            longest_first(answers.reserved),
            longest_first(answers.asking),
            longest_first(answers.others),
            longest_first(answers.knowing),
            longest_first(answers.already),
        )
        self._aside = Aside.of(answers)
        self._acts = tuple(answers.acts)
        self._urging = tuple(f"{act}吧" for act in answers.acts if len(act) > 1)
        self._sounds = frozenset(answers.sounds)

    def judge(self, text: str, question: str = "") -> Reply:
        """What an answer is, to a question where it is known."""
        tokens = self._words(tokens_of(text))
        if not tokens:
            return Reply.HESITANT
        if question and self._is_echo(tokens, tokens_of(question)):
            return Reply.ECHO
        lists, pack = self._lists, self._pack
        yes = _places(tokens, lists.affirmative, urging=self._urging)
        tokens, begins = parted(tokens, yes)
        yes = [at for at in yes if not is_praise(tokens, at[0])]
        harmless = self._aside.places(tokens)
        # 没什么问题 asks nothing.
        rest = _without(tokens, [*yes, *harmless])
        if is_question(text) or _has(rest, lists.asking) or asks_either_or(tokens):
            return Reply.ASKING
        # 不是存款我知道 denies no answer; 我不保证同意 does.
        apart = [
            (first, last)
            for first, last in harmless
            if not any(last == at and joined(tokens, first, at) for at, _ in yes)
        ]
        negators = [one for one in turners(tokens, pack) if not _is_within(one, apart)]
        meanings = [
            meaning_of(tokens, start, end, pack, negators, misheard=_MISHEARD) for start, end in yes
        ]
        if _has(rest, lists.hesitant):
            return Reply.HESITANT
        if Meaning.DENIED in meanings:
            return Reply.NO
        meant = [at for at, one in zip(yes, meanings, strict=True) if one is Meaning.MEANT]
        denials = _places(tokens, lists.negative, begins_as_written=True)
        no = [
            at for at in denials if _is_new(at, meant, tokens, pack) and not _is_within(at, apart)
        ]
        if no:
            # 我不是不同意: what is denied twice is no clear answer.
            turned = [at for at in meant if any(last <= at[0] for _, last in negators)]
            is_twice = any(_overlap(one, at) for one in no for at in turned)
            return Reply.HESITANT if is_twice else Reply.NO
        if meant:
            if (
                _has(rest, lists.reserved)
                or not self._is_all_meant(tokens, meant, negators)
                or any(self._is_conditional(tokens, start, meant) for start, _ in meant)
            ):
                return Reply.RESERVED
            if self._is_taken_back(tokens, meant, [*negators, *harmless], begins):
                return Reply.UNLISTED
            return Reply.HESITANT if self._is_doubted(tokens, meant) else Reply.YES
        if not yes and len(tokens) <= _DENIAL and any(is_odd for _, is_odd in heads(tokens, pack)):
            # 我不想买: no list has every verb, and to take it for a refusal lets nothing through.
            return Reply.NO
        return (
            Reply.NEAR
            if yes or self._sounds_like_yes(tokens) or self._is_near(tokens)
            else Reply.OTHER
        )

    def _words(self, tokens: Sequence[Token]) -> tuple[Token, ...]:
        """Without sounds that are no word. 唔同意 begins with a negator, 唔，同意 with a sound."""
        turned = {first for first, _ in turners(tokens, self._pack)}
        last = len(tokens) - 1
        return tuple(
            token
            for place, token in enumerate(tokens)
            if token.text not in self._sounds
            or (place in turned and place < last and joined(tokens, place, place + 1))
        )

    def _is_conditional(self, tokens: Sequence[Token], start: int, meant: Sequence[Place]) -> bool:
        """Whether it is for later (没问题我再确认), or if something is so (减一半我就接受)."""
        while start > 0 and tokens[start - 1].text in FIRST_PERSON:
            start -= 1
        before = tokens[start - 1].text if start > 0 else ""
        if before != "就":
            return before == "再"
        ahead = tokens[: start - 1]
        if len(ahead) - 1 in _written_at(ahead, self._lists.already):
            return False
        said = [
            token
            for place, token in enumerate(ahead)
            if token.text not in FIRST_PERSON | self._pack.filler_words
            and not any(first <= place < last for first, last in meant)
        ]
        return len(said) > 1

    def _is_doubted(self, tokens: Sequence[Token], meant: Sequence[Place]) -> bool:
        """Whether it ends as 好吧 or 同意嘛 does; 好，录吧 doubts nothing."""
        end = len(tokens) - 1
        if tokens[-1].text == "嘛":
            return any(last == end for _, last in meant)
        if tokens[-1].text != "吧":
            return False
        clause = tokens[-1].clause
        last = "".join(token.text for token in tokens[:-1] if token.clause == clause)
        is_apart = all(
            tokens[start].clause != clause or until - start == 1 for start, until in meant
        )
        return not (is_apart and last.endswith(self._acts))

    def negators(self, text: str) -> dict[int, str]:
        """What of a text turns something round, by place."""
        tokens = tokens_of(text)
        return {
            place: tokens[place].text
            for first, last in turners(tokens, self._pack)
            for place in range(first, last)
        }

    def _is_all_meant(
        self, tokens: Sequence[Token], meant: Sequence[Place], negators: Sequence[Turned]
    ) -> bool:
        """Whether the speaker agrees himself, and denies nothing beside it.

        我知道不保本 denies nothing of what was asked, 好的，我没看 does.
        """
        others = _written_at(tokens, self._lists.others)
        own = [place for place, token in enumerate(tokens) if token.text in FIRST_PERSON]
        for start, _ in meant:
            clause = [at for at in (*others, *own) if at < start and joined(tokens, at, start)]
            if max(clause, default=-1) in others:
                return False
        knowing = _written_at(tokens, self._lists.knowing)
        return all(
            _is_within((first, last), meant)
            or any(at < first and joined(tokens, at, first) for at in knowing)
            for first, last in negators
        )

    def _is_taken_back(
        self,
        tokens: Sequence[Token],
        meant: Sequence[Place],
        harmless: Sequence[Place],
        begins: Collection[int],
    ) -> bool:
        """Whether something before an answer in its clause isn't listed, or something beside it is
        too much.

        A pack without the list ``beside`` takes anything.
        """
        if not self._aside.harmless:
            return False
        known = covered([*meant, *harmless])
        if any(
            place not in known
            for start, _ in meant
            for place in range(start)
            if joined(tokens, place, start)
        ):
            return True
        if not self._aside.takes_back(tokens, meant, known, begins):
            return False
        # Behind an answer that is written, others may be misheard (我同一个 for 我同意).
        phrases = (*self._lists.affirmative, *self._aside.harmless)
        sounding = covered(
            at for one in phrases if len(one.text) > 1 for at in find(tokens, one, is_exact=True)
        )
        return self._aside.takes_back(tokens, meant, known | sounding, begins)

    def _sounds_like_yes(self, tokens: Sequence[Token]) -> bool:
        """Something is written otherwise and sounds like an affirmative answer."""
        return any(
            len(one.text) > 1 and find(tokens, one, is_exact=True)
            for one in self._lists.affirmative
        )

    def _is_near(self, tokens: Sequence[Token]) -> bool:
        """A word or two of which half sounds like an answer: too little to go by."""
        if len(tokens) > _SHORT:
            return False
        return any(
            sum(alike(a, b.sound) for a, b in zip(piece, tokens, strict=False))
            <= _NEAR * len(piece)
            for one in (*self._lists.affirmative, *self._lists.negative)
            for piece in one.pieces
            if len(piece) <= len(tokens)
        )

    def _is_echo(self, tokens: Sequence[Token], question: Sequence[Token]) -> bool:
        """Nearly all of it is part of the question, and it is most of the question."""
        if not question or any(token.text in FIRST_PERSON for token in tokens):
            return False
        same = _in_common([t.sound for t in tokens], [t.sound for t in question])
        return same >= _ECHO * len(tokens) and same >= _ECHO_OF_QUESTION * len(question)


def is_question(text: str) -> bool:
    """Whether a text ends as a question."""
    return text.rstrip(" 。.").endswith(("?", "？", "吗", "么"))


def _places(
    tokens: Sequence[Token],
    phrases: Sequence[Phrase],
    *,
    begins_as_written: bool = False,
    urging: Collection[str] = (),
) -> list[Place]:
    """Where one of the phrases is said: as it is written, for here a homophone is not enough.

    A single syllable has to be a clause of its own, but for 的, 了 and the like, or what urges
    (行开始吧; not 是开始吧, which asks). Of denials it is
    enough that the negator is written so: to take 不同一 for 不同意 lets nobody's consent through.
    """
    found = []
    for phrase in phrases:
        for start, end in find(tokens, phrase, is_exact=True):
            row = tokens[start:end]
            is_so = is_written(row, phrase)
            begins = begins_as_written and len(row) > 1 and phrase.text.startswith(row[0].text)
            if not is_so and not begins:
                continue
            clause = [token for token in tokens if token.clause == row[0].clause]
            if (
                len(phrase.text) > 1
                or all(t.text in _PARTICLES + row[0].text for t in clause)
                or (phrase.text != "是" and "".join(t.text for t in clause[1:]) in urging)
            ):
                found.append((start, end))
    return found


def _without(tokens: Sequence[Token], places: Sequence[Place]) -> tuple[Token, ...]:
    """The same with blanks where a phrase of three words and more is."""
    blank = covered(at for at in places if at[1] - at[0] > 2)
    return tuple(
        replace(token, text="_") if place in blank else token for place, token in enumerate(tokens)
    )


def _written_at(tokens: Sequence[Token], phrases: Sequence[Phrase]) -> frozenset[int]:
    """Last index of each place where one of the phrases is written."""
    return frozenset(end - 1 for _, end in written(tokens, phrases))


def _is_new(at: Place, meant: Sequence[Place], tokens: Sequence[Token], pack: Pack) -> bool:
    """Whether a negative word is not part of an affirmative one, as 没有 is of 没有问题."""
    if _is_within(at, meant):
        return False
    ahead = tuple(token.text for token in tokens[at[0] :])
    return not any(ahead[: len(row)] == row for row in pack.not_negator_tokens)


def _is_within(at: Place, places: Sequence[Place]) -> bool:
    return any(first <= at[0] and at[1] <= last for first, last in places)


def _overlap(one: Place, other: Place) -> bool:
    return one[0] < other[1] and other[0] < one[1]


def _in_common(one: Sequence[str], other: Sequence[str]) -> int:
    """Length of the longest row of sounds that both have, in order."""
    above = [0] * (len(other) + 1)
    for sound in one:
        row = [0]
        for column, known in enumerate(other):
            is_same = alike(sound, known) <= 0.2
            row.append(above[column] + 1 if is_same else max(above[column + 1], row[column]))
        above = row
    return above[-1]


def _has(tokens: Sequence[Token], phrases: Sequence[Phrase]) -> bool:
    whole = "".join(token.text for token in tokens)
    words = {token.text for token in tokens}
    return any(
        (one.text in words if one.text.isascii() and " " not in one.text else one.text in whole)
        or (" " in one.text and one.text in " ".join(token.text for token in tokens))
        for one in phrases
    )
