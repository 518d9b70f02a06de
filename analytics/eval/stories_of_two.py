"""Stories of two cameras, and of two people before one."""

from dataclasses import replace

from analytics.eval.scene import Shot
from analytics.eval.story import Cast, Other, Story, begins, event

__all__ = ["neighbours", "same", "together", "twice"]

_SAME_WITHIN_S = 45.0


def twice(cast: Cast, length_s: float) -> Story:
    """Both cameras show one picture, each through a channel of its own."""
    placed = cast.placed(cast.first)
    return Story(
        lambda _: Shot([placed]),
        (
            event("same_picture", 0.0, length_s, 8.0),
            event("same_person", 0.0, length_s),
        ),
        other=Other(),
    )


def neighbours(cast: Cast, length_s: float) -> Story:
    """Two people before two cameras, each before a background of his own."""
    del length_s
    one, other = cast.placed(cast.first), cast.placed(cast.second)
    return Story(lambda _: Shot([one]), other=Other(lambda _: Shot([other])))


def same(cast: Cast, length_s: float) -> Story:
    """One person sits before both cameras, which see different rooms."""
    one, again = cast.placed(cast.first), cast.placed(cast.first)
    return Story(
        lambda _: Shot([one]),
        (event("same_person", 0.0, length_s, _SAME_WITHIN_S),),
        other=Other(lambda _: Shot([again])),
    )


def together(cast: Cast, length_s: float) -> Story:
    """Two people have to be in a branch's picture; one of them leaves it for eight seconds."""
    one = replace(cast.placed(cast.first), x=0.33)
    other = replace(cast.placed(cast.second), x=0.7, height=one.height * 0.9)
    begin = begins(cast) - 2
    end = min(begin + 8, length_s - 4)

    def shot(now: float) -> Shot:
        gone = min(max((now - begin + 0.6) / 0.6, 0.0), max((end + 0.6 - now) / 0.6, 0.0), 1.0)
        people = [one] if gone >= 1 else [one, replace(other, x=0.7 + 0.7 * gone)]
        return Shot(people)

    return Story(
        shot,
        (event("together_missing", begin, end, 7.0), event("person_swapped", 0.0, length_s)),
        role="branch",
    )
