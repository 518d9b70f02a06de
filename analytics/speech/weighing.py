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
    """

    sure: float = 2.0
    doubt: float = 2.0
    behind: float = 3.0


def weighed(replies: Replies, reply: Reply, likely: Iterable[Likely], margins: Margins) -> Reply:
    """What an answer is, by what was recognised and by how well likely answers fit.

    A yes is only ever taken where it beats every denial: the errors are not alike.

    Args:
        replies: judges texts.
        reply: what the recognised text is.
        likely: texts that were weighed; none: nothing changes.
        margins: how sure it has to be.
    """
    judged = [(one, replies.judge(one.text)) for one in likely]
    if not judged:
        return reply
    answers = {_sounds(one.text) for one, kind in judged if kind is Reply.YES}
    best: dict[Reply, float] = {}
    for one, kind in judged:
        # 没有以问 is no denial where 没有疑问 is an answer: nobody can hear the difference.
        if kind is not Reply.NO or _sounds(one.text) not in answers:
            best[kind] = max(one.score, best.get(kind, one.score))
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
    if yes >= against + margins.sure and yes >= other - margins.behind:
        return Reply.YES
    if against >= yes + margins.sure and against >= other - margins.behind:
        return contrary
    return Reply.NEAR if yes >= other - 2 * margins.behind else reply


def _sounds(text: str) -> tuple[str, ...]:
    return tuple(token.sound for token in tokens_of(text))
