"""What an answer is where more than one text fits what was heard."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from analytics.detector import Likely
from analytics.speech.answers import Replies, Reply
from analytics.speech.tokens import tokens_of

__all__ = ["Margins", "weighed"]

_AGAINST: Final = frozenset({Reply.NO, Reply.HESITANT, Reply.RESERVED, Reply.ASKING})
_FAR: Final = 1e9
_VAGUE: Final = frozenset({Reply.NEAR, Reply.OTHER})
_UNCERTAIN: Final = _VAGUE | {Reply.UNLISTED}
"""What speaks neither for a yes nor against it: of 我认可这份合同 one hears 我认可争分合同, too."""


@dataclass(frozen=True, slots=True)
class Margins:
    """Differences of scores, in nats.

    Attributes:
        sure: by which an affirmative answer that was not recognised as one has to fit better than
            all that is none.
        doubt: by which one that was recognised has to fit better than a denial.
        behind: what was recognised may fit better than the answer by so much.
        least: of an affirmative answer that was not recognised as one: with less it fits badly,
            even where nothing else fits better (啊 as 对).
        least_of_one: the same of one syllable: next to anything fits that (啊 as 好 with −5).
    """

    sure: float = 2.0
    doubt: float = 2.0
    behind: float = 3.0
    least: float = -6.0
    least_of_one: float = -4.0


def weighed(replies: Replies, reply: Reply, likely: Iterable[Likely], margins: Margins) -> Reply:
    """What an answer is, by what was recognised and by how well likely answers fit.

    A yes is only ever taken where it beats every denial: the errors are not alike.

    Args:
        replies: judges texts.
        reply: what the recognised text is.
        likely: texts that were weighed; none: nothing changes.
        margins: how sure it has to be.
    """
    best = _best(replies, likely, margins)
    if not best:
        return reply
    yes = best.get(Reply.YES, -_FAR)
    no = best.get(Reply.NO, -_FAR)
    contrary = max(_AGAINST & best.keys(), key=lambda kind: best[kind], default=Reply.OTHER)
    against = best[contrary] if contrary in _AGAINST else -_FAR
    other = max((best[kind] for kind in _UNCERTAIN & best.keys()), default=-_FAR)
    if reply is Reply.YES:
        if yes >= against + margins.doubt:
            return Reply.YES
        return Reply.NO if no > yes else Reply.NEAR
    if reply not in _VAGUE:
        return reply
    if yes >= max(against + margins.sure, other - margins.behind, margins.least):
        return Reply.YES
    if against >= yes + margins.sure and against >= other - margins.behind:
        return contrary
    return Reply.NEAR if yes >= other - 2 * margins.behind else reply


def _best(replies: Replies, likely: Iterable[Likely], margins: Margins) -> dict[Reply, float]:
    """The best score of each kind of answer.

    Texts that sound the same are one, for nobody can hear which it is: affirmative if one of them
    is (没有以问 and 没有疑问, 没有意义 and 没有异议), but not if another has a negator where that
    one has none (每听明白 and 没听明白).
    """
    heard: dict[tuple[str, ...], list[tuple[Likely, Reply]]] = {}
    for one in likely:
        heard.setdefault(_sounds(one.text), []).append((one, replies.judge(one.text)))
    best: dict[Reply, float] = {}
    for sounds, row in heard.items():
        top = max(one.score for one, _ in row)
        is_yes = _is_yes(replies, row)
        if is_yes and len(sounds) == 1 and top < margins.least_of_one:
            kinds = [(Reply.NEAR, top)]
        elif is_yes:
            kinds = [(Reply.YES, top)]
        else:
            kinds = [(kind, one.score) for one, kind in row if kind is not Reply.YES]
        for kind, score in kinds:
            best[kind] = max(score, best.get(kind, score))
    return best


def _is_yes(replies: Replies, row: Sequence[tuple[Likely, Reply]]) -> bool:
    """Whether texts that sound the same are affirmative."""
    yes = [one.text for one, kind in row if kind is Reply.YES]
    denials = [replies.negators(one.text) for one, kind in row if kind is Reply.NO]
    return bool(yes) and all(_has_too(text, denial) for text in yes for denial in denials)


def _has_too(text: str, negators: Mapping[int, str]) -> bool:
    """Whether a text has the negators of another that sounds the same."""
    tokens = tokens_of(text)
    return all(tokens[place].text == written for place, written in negators.items())


def _sounds(text: str) -> tuple[str, ...]:
    return tuple(token.sound for token in tokens_of(text))
