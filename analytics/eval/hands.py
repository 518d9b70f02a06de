"""Hands with nothing in them, drawn beside and over a head: at the ear, and where people put them
while they listen; and one that holds a cup.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias

import numpy as np

from analytics.eval.material import Sprite

__all__ = ["PLACES", "drinking", "skin_of", "with_hand"]

_Range: TypeAlias = tuple[float, float]
_Draw: TypeAlias = Callable[[Any, Any, Any, float], None]
_SHAPES: Final = ("open", "closed", "cupped")


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a hand is; ranges to choose from, in widths (across) and heights (down) of the face.

    Across is away from the middle of the head, on the side of the hand.

    Attributes:
        across, down: the middle of the fingers, from the middle of the face.
        wrist: from there.
        elbow: from the wrist.
    """

    across: _Range
    down: _Range
    wrist: tuple[_Range, _Range]
    elbow: tuple[_Range, _Range]


PLACES: Final = {
    "ear": _Place((0.5, 0.66), (-0.05, 0.15), ((0.2, 0.45), (0.5, 0.66)), ((0.3, 0.9), (1.1, 1.2))),
    "cheek": _Place((0.3, 0.45), (0.2, 0.36), ((0.05, 0.3), (0.5, 0.66)), ((0.1, 0.5), (1, 1.2))),
    "hair": _Place(
        (0.25, 0.55), (-0.62, -0.42), ((0.4, 0.65), (0.3, 0.5)), ((0.1, 0.6), (1.1, 1.3))
    ),
    "cup": _Place((0.2, 0.3), (0.3, 0.36), ((0.35, 0.5), (0.16, 0.3)), ((0.2, 0.6), (1, 1.2))),
}


def skin_of(sprite: Sprite) -> Any:
    """Colour of the cheeks, ``(3,)``."""
    face = sprite.face
    cheek = sprite.image[int(face.centre[1]) : int(face.bottom), int(face.left) : int(face.right)]
    return np.median(cheek.reshape(-1, 3), axis=0)


def with_hand(
    sprite: Sprite, rng: np.random.Generator, place: str = "ear", shape: str | None = None
) -> tuple[Sprite, dict[str, str]]:
    """A hand and its forearm; gives how it was drawn as well.

    Args:
        sprite: whose hand it is.
        rng: for what is left to chance.
        place: one of :data:`PLACES`.
        shape: ``open`` (fingers stretched), ``closed`` (as around a phone) or ``cupped``; without
            it one of them.
    """
    made = _copy(sprite)
    return made, _draw_hand(made, skin_of(sprite), rng, place, shape)


def _copy(sprite: Sprite) -> Sprite:
    return replace(sprite, image=sprite.image.copy(), alpha=sprite.alpha.copy())


def _draw_hand(
    made: Sprite, skin: Any, rng: np.random.Generator, place: str, shape: str | None
) -> dict[str, str]:
    face = made.face
    side = int(rng.choice([-1, 1]))
    shape = shape or _SHAPES[int(rng.integers(len(_SHAPES)))]
    skin = skin * rng.uniform(0.8, 1.05)
    sleeve = made.image[-8, int(face.centre[0])] * 0.72
    where = PLACES[place]

    def chosen(across: _Range, down: _Range) -> Any:
        return np.array(
            [side * face.width * rng.uniform(*across), face.height * rng.uniform(*down)]
        )

    fingers = np.asarray(face.centre, np.float64) + chosen(where.across, where.down)
    wrist = fingers + chosen(*where.wrist)
    elbow = wrist + chosen(*where.elbow)
    thick = face.width * rng.uniform(0.1, 0.125)
    draw = _pen(made)
    arm, palm = elbow - wrist, fingers - wrist
    draw(wrist + 0.3 * arm, elbow, sleeve, 4.6 * thick)
    draw(wrist, wrist + 0.4 * arm, skin * 0.9, 2.4 * thick)
    draw(wrist, wrist + 0.2 * arm, skin * 0.84, 2.2 * thick)
    draw(wrist + 0.3 * palm, wrist + 0.62 * palm, skin * 0.97, 3.6 * thick)
    _FINGERS[shape](draw, _Hand(wrist, palm, thick, side), skin)
    return {"side": "left" if side < 0 else "right", "shape": shape}


@dataclass(frozen=True, slots=True)
class _Hand:
    """A hand: its wrist, the way from there to the fingers, how thick a finger is."""

    wrist: Any
    palm: Any
    thick: float
    side: int

    @property
    def across(self) -> Any:
        """One finger's thickness away from the face."""
        normal = np.array([-self.palm[1], self.palm[0]]) * self.thick
        return self.side * normal / max(float(np.linalg.norm(self.palm)), 1.0)


def _stretched(draw: _Draw, hand: _Hand, skin: Any, length: float = 0.52) -> None:
    for finger in range(4):
        root = hand.wrist + 0.6 * hand.palm + hand.across * (finger - 1.5) * 0.95
        tip = root + hand.palm * (length + 0.08 * (finger in {1, 2}))
        draw(root, tip, skin * (0.8 if finger % 2 else 1.0), 0.95 * hand.thick)
    thumb = hand.wrist + 0.45 * hand.palm - hand.across * 1.4
    draw(thumb, thumb + 0.45 * hand.palm - hand.across, skin * 0.88, hand.thick)


def _bent(draw: _Draw, hand: _Hand, skin: Any) -> None:
    """Fingers laid across the palm, their tips towards the face."""
    for finger in range(4):
        root = hand.wrist + hand.palm * (0.62 + 0.17 * finger) + hand.across * 1.2
        tip = root - hand.across * (3.1 if finger in {1, 2} else 2.7)
        draw(root, tip, skin * (0.82 if finger % 2 else 1.0), 1.25 * hand.thick)
    thumb = hand.wrist + 0.4 * hand.palm - hand.across * 1.2
    draw(thumb, thumb + 0.6 * hand.palm, skin * 0.9, 1.1 * hand.thick)


def _cupped(draw: _Draw, hand: _Hand, skin: Any) -> None:
    """Short fingers close together: those of a hand behind an ear."""
    _stretched(draw, hand, skin, 0.3)


_FINGERS: Final = {"open": _stretched, "closed": _bent, "cupped": _cupped}


def drinking(sprite: Sprite, rng: np.random.Generator) -> tuple[Sprite, dict[str, str]]:
    """A cup at the mouth, and the hand that holds it."""
    import cv2

    face = sprite.face
    made = _copy(sprite)
    colour = tuple(int(part) for part in rng.integers(20, 245, 3))
    middle = np.array([face.centre[0], face.centre[1] + face.height * rng.uniform(0.3, 0.42)])
    wide, high = face.width * rng.uniform(0.19, 0.26), face.height * rng.uniform(0.17, 0.26)
    shape = np.array([(-1, -1), (1, -1), (0.8, 1), (-0.8, 1)])
    corners = (middle + shape * (wide, high)).astype(np.int32)
    rim = (int(middle[0]), int(middle[1] - high))
    dark = tuple(int(part * 0.7) for part in colour)
    for target, body, edge in ((made.image, colour, dark), (made.alpha, (255,), (255,))):
        cv2.fillConvexPoly(target, corners, body, cv2.LINE_AA)
        cv2.ellipse(target, rim, (int(wide), max(int(high * 0.2), 1)), 0, 0, 360, edge, -1)
    tags = _draw_hand(made, skin_of(sprite), rng, "cup", "closed")
    return made, {**tags, "cup": "light" if sum(colour) > 400 else "dark"}


def _pen(sprite: Sprite) -> _Draw:
    """Draws thick lines with round ends on a sprite, from one place to another."""
    import cv2

    def draw(start: Any, end: Any, colour: Any, width: float) -> None:
        ends = [tuple(int(part) for part in point) for point in (start, end)]
        shade = tuple(int(part) for part in np.clip(colour, 0, 255))
        for target, value in ((sprite.image, shade), (sprite.alpha, (255,))):
            cv2.line(target, ends[0], ends[1], value, max(int(width), 1), cv2.LINE_AA)

    return draw
