"""What an answer is where more than one text fits what was heard."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from analytics.detector import Likely
from analytics.speech.answers import Replies, Reply

__all__ = ["Margins", "weighed"]

_AGAINST: Final = frozenset({Reply.NO, Reply.HESITANT, Reply.RESERVED, Reply.ASKING})
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
    doubt: float = 1.0
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
    best: dict[Reply, float] = {}
    for one in likely:
        kind = replies.judge(one.text)
        best[kind] = max(one.score, best.get(kind, one.score))
    if not best:
        return reply
    yes = best.get(Reply.YES, -_FAR)
    no = best.get(Reply.NO, -_FAR)
    against = max((best[kind] for kind in _AGAINST & best.keys()), default=-_FAR)
    other = max((best[kind] for kind in _VAGUE & best.keys()), default=-_FAR)
    if reply is Reply.YES:
        return Reply.YES if yes >= against + margins.doubt else Reply.NEAR
    if reply not in _VAGUE:
        return reply
    if yes >= against + margins.sure and yes >= other - margins.behind:
        return Reply.YES
    if no >= yes + margins.sure and no >= other - margins.behind:
        return Reply.NO
    return Reply.NEAR if yes >= other - 2 * margins.behind else reply


_FAR: Final = 1e9
