"""What an answer is where more than one text fits what was heard."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from analytics.detector import Likely
from analytics.speech.answers import Replies, Reply
from analytics.speech.tokens import tokens_of

__all__ = ["Margins", "weighed"]

_AGAINST: Final = frozenset({Reply.NO, Reply.HESITANT, Reply.RESERVED, Reply.ASKING})
_FAR: Final = 1e9
_VAGUE: Final = frozenset({Reply.NEAR, Reply.OTHER})


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
    """

    sure: float = 2.0
    doubt: float = 2.0
    behind: float = 3.0
    least: float = -6.0


def weighed(replies: Replies, reply: Reply, likely: Iterable[Likely], margins: Margins) -> Reply:
    """What an answer is, by what was recognised and by how well likely answers fit.

    A yes is only ever taken where it beats every denial: the errors are not alike.

    Args:
        replies: judges texts.
        reply: what the recognised text is.
        likely: texts that were weighed; none: nothing changes.
        margins: how sure it has to be.
    """
    best = _best(replies, likely)
    if not best:
        return reply
    yes = best.get(Reply.YES, -_FAR)
    no = best.get(Reply.NO, -_FAR)
    contrary = max(_AGAINST & best.keys(), key=lambda kind: best[kind], default=Reply.OTHER)
    against = best[contrary] if contrary in _AGAINST else -_FAR
    other = max((best[kind] for kind in _VAGUE & best.keys()), default=-_FAR)
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


def _best(replies: Replies, likely: Iterable[Likely]) -> dict[Reply, float]:
    """The best score of each kind of answer.

    Texts that sound the same are one, and affirmative if one of them is: nobody can hear which it
    is of 没有以问 and 没有疑问, or 没有意义 and 没有异议.
    """
    heard: dict[tuple[str, ...], list[tuple[Reply, float]]] = {}
    for one in likely:
        heard.setdefault(_sounds(one.text), []).append((replies.judge(one.text), one.score))
    best: dict[Reply, float] = {}
    for row in heard.values():
        top = max(score for _, score in row)
        is_yes = any(kind is Reply.YES for kind, _ in row)
        for kind, score in [(Reply.YES, top)] if is_yes else row:
            best[kind] = max(score, best.get(kind, score))
    return best


def _sounds(text: str) -> tuple[str, ...]:
    return tuple(token.sound for token in tokens_of(text))
