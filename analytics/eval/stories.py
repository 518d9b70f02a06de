"""What happens in a clip: one story each, and the labels that go with it."""

from dataclasses import replace
from typing import Final

from analytics.eval.overlays import with_mask, with_phone
from analytics.eval.scene import Shot
from analytics.eval.stories_of_faces import back, challenge, cheek, cup, document, hair, hand
from analytics.eval.stories_of_two import neighbours, same, together, twice
from analytics.eval.story import SCORED, Cast, Story, Tell, begins, event

__all__ = ["SCORED", "STORIES", "Cast", "Story"]


def clean(cast: Cast, length_s: float) -> Story:
    """Nothing happens."""
    del length_s
    placed = cast.placed(cast.first)
    return Story(lambda _: Shot([placed]))


def still(cast: Cast, length_s: float) -> Story:
    """Somebody who hardly moves: only the camera's noise and a little swaying are left."""
    return replace(clean(cast, length_s), liveliness=0.12)


def returns(cast: Cast, length_s: float) -> Story:
    """Goes for two seconds and comes back, in another picture where there is one."""
    before, after = cast.placed(cast.first), cast.placed(cast.first, 1)
    at = begins(cast)

    def shot(now: float) -> Shot:
        if at <= now < at + 2:
            return Shot([])
        return Shot([before if now < at else after])

    del length_s
    return Story(shot, (event("face_absent", at, at + 2),))


def absent(cast: Cast, length_s: float) -> Story:
    """Leaves the picture sideways and comes back."""
    placed = cast.placed(cast.first)
    begin = begins(cast)
    lasts = float(cast.rng.choice([3.8, 5.0, 8.0]))
    end = min(begin + lasts, length_s - 3)
    side = float(cast.rng.choice([-1, 1]))
    # Outside of the picture altogether after 0.6 s.
    slide_s, away = 0.6, 0.95 * side

    def shot(now: float) -> Shot:
        gone = min(max((now - begin + slide_s) / slide_s, 0.0), 1.0)
        gone = min(gone, max((end + slide_s - now) / slide_s, 0.0))
        return Shot([] if gone >= 1 else [replace(placed, x=placed.x + away * gone)])

    return Story(
        shot,
        (
            event("face_absent", begin, end, 4.0, lasts=f"{lasts} s"),
            event("face_cut_off", begin - 1, end + 1),
        ),
    )


def swap(cast: Cast, length_s: float) -> Story:
    """Another person is there, at once or after a moment of nobody."""
    before, after = cast.placed(cast.first), cast.placed(cast.second)
    begin = begins(cast)
    hidden = bool(cast.rng.random() < 0.5)
    if not hidden:
        after = replace(after, x=before.x, y=before.y, height=before.height)
    leaves = begin - (1.5 if hidden else 0.0)

    def shot(now: float) -> Shot:
        if leaves <= now < begin:
            return Shot([])
        return Shot([before if now < begin else after])

    return Story(
        shot,
        (
            event("person_swapped", begin, length_s, 6.0, how="away" if hidden else "cut"),
            event("face_occluded", begin, length_s),
            event("face_too_small", begin, length_s),
        ),
    )


def phone(cast: Cast, length_s: float) -> Story:
    """Holds a phone to the ear."""
    placed = cast.placed(cast.first)
    begin = begins(cast)
    end = length_s - 2
    sprite, tags = with_phone(placed.sprite, cast.rng)
    calling = replace(placed, sprite=sprite)
    return Story(
        lambda now: Shot([calling if begin <= now < end else placed]),
        (
            event("phone_at_ear", begin, end, 5.0, **tags),
            *(
                event(kind, begin, end)
                for kind in (
                    "phone_visible",
                    "hand_at_ear",
                    "coaching_suspected",
                    "face_occluded",
                    "person_swapped",
                    "face_absent",
                )
            ),
        ),
    )


def mask(cast: Cast, length_s: float) -> Story:
    """Puts a mask on."""
    placed = cast.placed(cast.first)
    begin = begins(cast)
    covered = replace(placed, sprite=with_mask(placed.sprite, cast.rng))
    return Story(
        lambda now: Shot([covered if now >= begin else placed]),
        (
            event("face_occluded", begin, length_s, 6.0),
            event("person_swapped", begin, length_s),
            event("face_absent", begin, length_s),
        ),
    )


def dim(cast: Cast, length_s: float) -> Story:
    """The light is turned down."""
    placed = cast.placed(cast.first)
    begin = begins(cast)
    light = float(cast.rng.uniform(0.1, 0.2))
    return Story(
        lambda now: Shot([placed], light if now >= begin else 1.0),
        (
            event("face_too_dark", begin, length_s, 6.0),
            event("face_absent", begin, length_s),
            event("person_swapped", begin, length_s),
            event("picture_black", begin, length_s),
        ),
    )


def black(cast: Cast, length_s: float) -> Story:
    """The lens is covered."""
    placed = cast.placed(cast.first)
    begin = begins(cast)
    return Story(
        lambda now: Shot([placed], 0.0 if now >= begin else 1.0),
        (
            event("picture_black", begin, length_s, 4.0),
            event("picture_frozen", begin, length_s),
            event("face_absent", begin, length_s),
            event("face_too_dark", begin, length_s),
        ),
    )


def frozen(cast: Cast, length_s: float) -> Story:
    """The picture stands still."""
    placed = cast.placed(cast.first)
    begin = begins(cast)
    return Story(
        lambda now: Shot([placed], frozen=now >= begin),
        (event("picture_frozen", begin, length_s, 8.0),),
    )


def small(cast: Cast, length_s: float) -> Story:
    """Moves far away from the camera."""
    placed = cast.placed(cast.first)
    begin = begins(cast)
    far = replace(placed, height=0.1)
    return Story(
        lambda now: Shot([far if now >= begin else placed]),
        (event("face_too_small", begin, length_s, 6.0), event("face_absent", begin, length_s)),
    )


def extra(cast: Cast, length_s: float) -> Story:
    """A second person comes into the picture."""
    one = replace(cast.placed(cast.first), x=0.36)
    begin = begins(cast)
    other = replace(cast.placed(cast.second), x=0.76, height=one.height * 0.8)

    def shot(now: float) -> Shot:
        come = min(max((now - begin + 0.6) / 0.6, 0.0), 1.0)
        return Shot([one] if come <= 0 else [one, replace(other, x=1.4 - 0.64 * come)])

    return Story(shot, (event("extra_person", begin, length_s, 4.0),))


STORIES: Final[dict[str, Tell]] = {
    "clean": clean,
    "still": still,
    "returns": returns,
    "absent": absent,
    "swap": swap,
    "phone": phone,
    "mask": mask,
    "dim": dim,
    "black": black,
    "frozen": frozen,
    "small": small,
    "extra": extra,
    "challenge": challenge,
    "hand": hand,
    "cheek": cheek,
    "hair": hair,
    "cup": cup,
    "back": back,
    "document": document,
    "twice": twice,
    "neighbours": neighbours,
    "same": same,
    "together": together,
}
