"""What a story is: what cameras see at each time, and the labels that go with it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final, TypeAlias

import numpy as np

from analytics.eval.labels import ClipEvent, ClipMark
from analytics.eval.material import Person
from analytics.eval.scene import Placed, Shot
from analytics.vision.network import Image

__all__ = ["SCORED", "Cast", "Other", "Story", "Tell", "begins", "event"]

SCORED: Final = frozenset(
    {
        "challenge_missed",
        "challenge_seen",
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
        "same_person",
        "same_picture",
        "together_missing",
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
class Other:
    """A second camera: that of the manager.

    Attributes:
        shot: what it sees; ``None``: the picture of the first one, a little darker.
    """

    shot: Callable[[float], Shot] | None = None


@dataclass(frozen=True, slots=True)
class Story:
    """What the camera sees at each time, and what is true of it.

    Attributes:
        role: whose camera it is.
        marks: what happens in the session.
        photo: the photo on the document of whose camera it is.
    """

    shot: Callable[[float], Shot]
    events: tuple[ClipEvent, ...] = ()
    tags: dict[str, str] = field(default_factory=dict)
    liveliness: float = 1.0
    role: str = "customer"
    marks: tuple[ClipMark, ...] = ()
    other: Other | None = None
    photo: Image | None = None


Tell: TypeAlias = Callable[[Cast, float], Story]


def event(
    kind: str, start_s: float, end_s: float, within_s: float | None = None, **tags: str
) -> ClipEvent:
    """What ought to be found within so many seconds; without ``within_s`` it may be, or not."""
    return ClipEvent(
        kind=kind,
        start_us=round(start_s * 1e6),
        end_us=round(end_s * 1e6),
        within_s=within_s,
        optional=within_s is None,
        tags=tags,
    )


def begins(cast: Cast) -> float:
    """When it happens."""
    return round(float(cast.rng.uniform(*_BEGINS_S)), 2)
