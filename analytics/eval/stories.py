"""What happens in a clip: one story each, and the labels that go with it."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

import numpy as np

from analytics.eval.labels import ClipEvent
from analytics.eval.material import Person
from analytics.eval.overlays import with_mask, with_phone
from analytics.eval.scene import Placed, Shot

__all__ = ["SCORED", "STORIES", "Cast", "Story"]

SCORED: Final = frozenset(
    {
        "coaching_suspected",
        "extra_person",
        "face_absent",
        "face_cut_off",
        "face_occluded",
        "face_too_dark",
        "face_too_small",
        "hand_at_ear",
        "id_mismatch",
        "person_swapped",
        "phone_at_ear",
        "phone_visible",
        "picture_black",
        "picture_frozen",
        "same_picture",
    }
)
"""Kinds for which the labels of every clip are complete."""

_BEGINS_S: Final = (11.0, 13.0)
"""When it happens; before that the person is there, and becomes known."""


@dataclass(frozen=True, slots=True)
class Cast:
    """Who takes part, and the dice."""

    first: Person
    second: Person
    rng: np.random.Generator

    def placed(self, person: Person, picture: int = 0) -> Placed:
        """Somebody before the camera, not always in the same place."""
        sprite = person.sprites[picture % len(person.sprites)]
        return Placed(
            sprite,
            x=float(self.rng.uniform(0.42, 0.58)),
            y=float(self.rng.uniform(0.38, 0.46)),
            height=float(self.rng.uniform(0.28, 0.42)),
        )


@dataclass(frozen=True, slots=True)
class Story:
    """What the camera sees at each time, and what is true of it."""

    shot: Callable[[float], Shot]
    events: tuple[ClipEvent, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    liveliness: float = 1.0


Tell: TypeAlias = Callable[[Cast, float], Story]


def _event(
    kind: str, start_s: float, end_s: float, within_s: float | None = None, **tags: str
) -> ClipEvent:
    return ClipEvent(
        kind=kind,
        start_us=round(start_s * 1e6),
        end_us=round(end_s * 1e6),
        within_s=within_s,
        optional=within_s is None,
        tags=tags,
    )


def _begins(cast: Cast) -> float:
    return round(float(cast.rng.uniform(*_BEGINS_S)), 2)


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
    at = _begins(cast)

    def shot(now: float) -> Shot:
        if at <= now < at + 2:
            return Shot([])
        return Shot([before if now < at else after])

    del length_s
    return Story(shot, (_event("face_absent", at, at + 2),))


def absent(cast: Cast, length_s: float) -> Story:
    """Leaves the picture sideways and comes back."""
    placed = cast.placed(cast.first)
    begin = _begins(cast)
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
            _event("face_absent", begin, end, 4.0, lasts=f"{lasts} s"),
            _event("face_cut_off", begin - 1, end + 1),
        ),
    )


def swap(cast: Cast, length_s: float) -> Story:
    """Another person is there, at once or after a moment of nobody."""
    before, after = cast.placed(cast.first), cast.placed(cast.second)
    begin = _begins(cast)
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
            _event("person_swapped", begin, length_s, 6.0, how="away" if hidden else "cut"),
            _event("face_occluded", begin, length_s),
            _event("face_too_small", begin, length_s),
        ),
    )


def phone(cast: Cast, length_s: float) -> Story:
    """Holds a phone to the ear."""
    placed = cast.placed(cast.first)
    begin = _begins(cast)
    end = length_s - 2
    sprite, tags = with_phone(placed.sprite, cast.rng)
    calling = replace(placed, sprite=sprite)
    return Story(
        lambda now: Shot([calling if begin <= now < end else placed]),
        (
            _event("phone_at_ear", begin, end, 5.0, **tags),
            *(
                _event(kind, begin, end)
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
    begin = _begins(cast)
    covered = replace(placed, sprite=with_mask(placed.sprite, cast.rng))
    return Story(
        lambda now: Shot([covered if now >= begin else placed]),
        (
            _event("face_occluded", begin, length_s, 6.0),
            _event("person_swapped", begin, length_s),
            _event("face_absent", begin, length_s),
        ),
    )


def dim(cast: Cast, length_s: float) -> Story:
    """The light is turned down."""
    placed = cast.placed(cast.first)
    begin = _begins(cast)
    light = float(cast.rng.uniform(0.1, 0.2))
    return Story(
        lambda now: Shot([placed], light if now >= begin else 1.0),
        (
            _event("face_too_dark", begin, length_s, 6.0),
            _event("face_absent", begin, length_s),
            _event("person_swapped", begin, length_s),
            _event("picture_black", begin, length_s),
        ),
    )


def black(cast: Cast, length_s: float) -> Story:
    """The lens is covered."""
    placed = cast.placed(cast.first)
    begin = _begins(cast)
    return Story(
        lambda now: Shot([placed], 0.0 if now >= begin else 1.0),
        (
            _event("picture_black", begin, length_s, 4.0),
            _event("picture_frozen", begin, length_s),
            _event("face_absent", begin, length_s),
        ),
    )


def frozen(cast: Cast, length_s: float) -> Story:
    """The picture stands still."""
    placed = cast.placed(cast.first)
    begin = _begins(cast)
    return Story(
        lambda now: Shot([placed], frozen=now >= begin),
        (_event("picture_frozen", begin, length_s, 8.0),),
    )


def small(cast: Cast, length_s: float) -> Story:
    """Moves far away from the camera."""
    placed = cast.placed(cast.first)
    begin = _begins(cast)
    far = replace(placed, height=0.1)
    return Story(
        lambda now: Shot([far if now >= begin else placed]),
        (_event("face_too_small", begin, length_s, 6.0), _event("face_absent", begin, length_s)),
    )


def extra(cast: Cast, length_s: float) -> Story:
    """A second person comes into the picture."""
    one = replace(cast.placed(cast.first), x=0.36)
    begin = _begins(cast)
    other = replace(cast.placed(cast.second), x=0.76, height=one.height * 0.8)

    def shot(now: float) -> Shot:
        come = min(max((now - begin + 0.6) / 0.6, 0.0), 1.0)
        return Shot([one] if come <= 0 else [one, replace(other, x=1.4 - 0.64 * come)])

    return Story(shot, (_event("extra_person", begin, length_s, 4.0),))


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
}
