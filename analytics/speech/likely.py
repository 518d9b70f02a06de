"""Which texts a short answer may have been: those that are weighed against each other by sound."""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from analytics.detector import Mark, Subject
from analytics.speech.nodes import Node, Roles
from analytics.speech.pack import Pack
from analytics.speech.tokens import alike, tokens_of

__all__ = ["MOST", "Awaited", "Shortlist", "likely_answers"]

MOST: Final = 768
"""Texts that are known of a node at most."""
_NEAREST: Final = 12
_BASIC: Final = (
    "是", "是的", "对", "好", "好的", "行", "不", "不是", "没有", "嗯", "我拒绝", "我反对",
)  # fmt: skip
_MISSING: Final = 0.8
_SAID: Final = ("{}", "我{}", "{}了", "我{}了", "{}购买", "是的，我{}", "好的，我{}")
_DENIED: Final = ("不{}", "我不{}", "没{}", "我没{}", "没有{}", "还不{}", "不太{}", "不{}购买")
_REFUSED: Final = ("我{}", "{}了", "我{}了")
_MOST_SYLLABLES: Final = 8
_MOST_NODES: Final = 8
_HEARD: Final = 3
_LONGEST: Final = 12
_FAR: Final = 1e9
_LONGEST_US: Final = 2_500_000
"""Longer answers are more than a phrase, and are recognised well enough."""
_VERB: Final = 2
_SIMPLE: Final = 3


def likely_answers(pack: Pack, lexicon: Sequence[str] = ()) -> tuple[str, ...]:
    """Answers, refusals, hesitation and questions of Chinese, each once.

    What affirms is taken with what usually stands around it, and with each negator before it: where
    consent may have been heard, its denial has to be weighed as well.

    Args:
        pack: words of answers.
        lexicon: what else is an affirmative answer; of a flow.
    """
    answers = pack.answers
    others = [*answers.negative, *answers.hesitant, *answers.sounds, *answers.asking]
    found = dict.fromkeys(_short(others))
    refusals = [one for one in _short(answers.negative) if len(one) == _VERB]
    found |= dict.fromkeys(form.format(one) for one in refusals for form in _REFUSED)
    for one in _short([*answers.affirmative, *lexicon]):
        group = dict.fromkeys([one, *_forms(one, pack)])
        if len(found) + len(group) > MOST:
            break
        found |= group
    return tuple(found)


def _forms(text: str, pack: Pack) -> list[str]:
    """What denies it, and what stands around it; of 是的 and 没问题 nothing does."""
    text = text.removesuffix("了")
    if len(text) < _VERB or text[-1] == "的" or _denies(text, pack):
        return []
    forms = (*_DENIED, *_SAID) if len(text) == _VERB else _DENIED[:_SIMPLE]
    return [form.format(text) for form in forms]


def _short(texts: Iterable[str]) -> list[str]:
    return [one for one in texts if _is_chinese(one) and len(tokens_of(one)) <= _MOST_SYLLABLES]


def _denies(text: str, pack: Pack) -> bool:
    return any(text.startswith("".join(row)) for row in pack.negator_tokens)


def _is_chinese(text: str) -> bool:
    return bool(text) and all("一" <= one <= "鿿" or one in "，。" for one in text)


@dataclass(frozen=True, slots=True)
class Shortlist:
    """Texts that an answer may have been, by their sounds.

    Attributes:
        sounds: syllables of each text.
        denials: what denies a text, where something does.
        basic: always among the nearest: what is so short is misheard as anything.
    """

    sounds: Mapping[str, tuple[str, ...]]
    denials: Mapping[str, tuple[str, ...]]
    basic: tuple[str, ...]

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Shortlist":
        """Of these texts."""
        known = frozenset(texts)
        denials = {
            text: tuple(
                found for form in _DENIED if (found := form.format(_stem(text))) in known - {text}
            )
            for text in texts
        }
        basic = tuple(one for one in _BASIC if one in known)
        return cls({text: _sounds(text) for text in texts}, denials, basic)

    def nearest(self, heard: Sequence[str]) -> list[str]:
        """Texts that sound most like one of those that were heard, and what denies them."""
        rows = [row for text in heard[:_HEARD] if (row := _sounds(text))]
        distances = {
            text: min((_distance(sounds, row) for row in rows), default=_FAR)
            for text, sounds in self.sounds.items()
        }
        found = sorted(distances, key=lambda text: distances[text])[:_NEAREST]
        denied = (no for text in found for no in self.denials[text])
        return list(dict.fromkeys([*found, *self.basic, *denied]))


def _stem(text: str) -> str:
    """同意 of 是的，我同意 and 我同意了."""
    return text.rpartition("，")[2].removeprefix("我").removesuffix("了").removesuffix("购买")


def _sounds(text: str) -> tuple[str, ...]:
    return tuple(token.sound for token in tokens_of(text))[:_LONGEST]


def _distance(one: Sequence[str], other: Sequence[str]) -> float:
    """Cost of making one row of syllables the other, for each of the longer row."""
    above = [_MISSING * column for column in range(len(other) + 1)]
    for number, sound in enumerate(one, 1):
        row = [_MISSING * number]
        for column, known in enumerate(other):
            changed = above[column] + alike(sound, known)
            row.append(min(changed, above[column + 1] + _MISSING, row[column] + _MISSING))
        above = row
    return above[-1] / max(len(one), len(other), 1)


@dataclass(slots=True)
class _Wait:
    node: Node
    texts: Shortlist


class Awaited:
    """Which answers one participant is asked for, and when.

    Args:
        pack: words of answers.
        subject: the participant.
    """

    def __init__(self, pack: Pack, subject: Subject) -> None:
        self._pack = pack
        self._who = subject.participant_id
        self._roles = Roles(subject)
        self._waits: deque[_Wait] = deque(maxlen=_MOST_NODES)

    def take(self, mark: Mark) -> None:
        """Learns of people and nodes."""
        self._roles.take(mark)
        if mark.kind in {"node.started", "node.ended"} and self._waits:
            node = self._waits[-1].node
            node.end_us = mark.at_us if node.end_us is None else node.end_us
        if mark.kind == "node.started":
            node = Node.begun(mark)
            if node.answer is not None:
                texts = likely_answers(self._pack, node.answer.lexicon)
                self._waits.append(_Wait(node, Shortlist.of(texts)))

    def shortlist(self, start_us: int, end_us: int) -> Shortlist | None:
        """What may have been answered in that time; ``None`` where no answer was waited for."""
        if end_us - start_us > _LONGEST_US:
            return None
        role = self._roles.of(self._who)
        for wait in reversed(self._waits):
            node = wait.node
            is_within = node.start_us < end_us and (node.end_us is None or start_us < node.end_us)
            if is_within and node.answer is not None and node.answer.speaker == role:
                return wait.texts
        return None
