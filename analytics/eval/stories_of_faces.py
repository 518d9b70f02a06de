"""Stories of one face: challenges, hands at the head, who comes back, and whose document it is."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Final, TypeAlias

import numpy as np

from analytics.detector import Outcome
from analytics.eval.grimaces import blinking, mouth_open, turned
from analytics.eval.hands import drinking, with_hand
from analytics.eval.labels import ClipEvent, ClipMark
from analytics.eval.material import Sprite
from analytics.eval.scene import Shot
from analytics.eval.story import Cast, Story, begins, event
from analytics.vision.network import Image

__all__ = ["back", "challenge", "cheek", "cup", "document", "hair", "hand"]

_Drawn: TypeAlias = Callable[[Sprite, np.random.Generator], tuple[Sprite, dict[str, str]]]

_ASKS: Final = ("blink", "turn_left", "turn_right", "open_mouth")
_WITHIN_S: Final = 8.0
_FURTHEST: Final = 45.0
_STEPS: Final = 5
_PORTRAIT: Final = (358, 441)
"""As identity cards of China have it."""


def challenge(cast: Cast, length_s: float) -> Story:
    """Is asked to do something; does it, does something else, or does nothing."""
    placed = cast.placed(cast.first)
    asked_s = begins(cast)
    ask = _ASKS[int(cast.rng.integers(len(_ASKS)))]
    does = str(cast.rng.choice(["it", "it", "other", "nothing"]))
    done = ask if does == "it" else _ASKS[(_ASKS.index(ask) + 2) % len(_ASKS)]
    poses = [] if does == "nothing" else _poses(placed.sprite, done)
    starts_s = asked_s + float(cast.rng.uniform(1.0, 3.0))
    # Half a second there, a second in it, half a second back.
    lasts_s = 2.0

    def shot(now: float) -> Shot:
        share = (now - starts_s) / lasts_s
        if not poses or not 0 <= share < 1:
            return Shot([placed])
        depth = min(4 * share, 1.0, 4 * (1 - share))
        sprite = poses[min(int(depth * len(poses)), len(poses) - 1)]
        return Shot([replace(placed, sprite=sprite)])

    start_us, end_us = round(asked_s * 1e6), round((asked_s + _WITHIN_S) * 1e6)
    seen = ClipEvent(
        kind="challenge_seen" if does == "it" else "challenge_missed",
        start_us=start_us,
        end_us=end_us,
        outcome=Outcome.UNKNOWN if does == "it" else Outcome.WARN,
        within_s=_WITHIN_S + 1.0,
        tags={"ask": ask, "does": does},
    )
    data = {"ask": ask, "within_s": _WITHIN_S}
    mark = ClipMark(
        kind="challenge", at_us=start_us, participant_id="customer", data=dict(data.items())
    )
    # A head turned far shows a narrow face.
    side = [
        event("face_occluded", asked_s, asked_s + 8),
        event("person_swapped", asked_s, length_s),
    ]
    return Story(shot, (seen, *side), {"ask": ask, "does": does}, marks=(mark,))


def _poses(sprite: Sprite, ask: str) -> list[Sprite]:
    """The movement, from a little of it to all of it."""
    shares = [(step + 1) / _STEPS for step in range(_STEPS)]
    match ask:
        case "blink":
            return [blinking(sprite)]
        case "open_mouth":
            return [mouth_open(sprite, 0.7 * share) for share in shares]
    side = 1 if ask == "turn_left" else -1
    return [turned(sprite, side * _FURTHEST * share) for share in shares]


def hand(cast: Cast, length_s: float) -> Story:
    """Holds a hand to the ear, with nothing in it."""
    return _held(cast, length_s, "hand_at_ear", partial(with_hand, place="ear"))


def cheek(cast: Cast, length_s: float) -> Story:
    """Props the head up on a hand."""
    return _held(cast, length_s, None, partial(with_hand, place="cheek"))


def hair(cast: Cast, length_s: float) -> Story:
    """Touches the hair."""
    return _held(cast, length_s, None, partial(with_hand, place="hair"))


def cup(cast: Cast, length_s: float) -> Story:
    """Drinks from a cup, for long."""
    return _held(cast, length_s, None, drinking)


def _held(cast: Cast, length_s: float, kind: str | None, drawn: _Drawn) -> Story:
    """From some time on a hand is at the head; without ``kind`` it is no hand at the ear, though
    it may be taken for one.
    """
    placed = cast.placed(cast.first)
    begin, end = begins(cast), length_s - 2
    sprite, tags = drawn(placed.sprite, cast.rng)
    held = replace(placed, sprite=sprite)
    told = event("hand_at_ear", begin, end, 8.0 if kind else None, **tags)
    beside = ("face_occluded", "person_swapped", "face_absent")
    return Story(
        lambda now: Shot([held if begin <= now < end else placed]),
        (told, *(event(one, begin, end) for one in beside)),
        tags,
    )


def back(cast: Cast, length_s: float) -> Story:
    """Another person is there for eight seconds, then the first again."""
    before, after = cast.placed(cast.first), cast.placed(cast.second)
    begin = begins(cast) - 3
    end = min(begin + 8, length_s - 5)
    return Story(
        lambda now: Shot([after if begin <= now < end else before]),
        (
            event("person_swapped", begin, end, 6.0, how="back"),
            event("face_occluded", begin, end),
            event("face_too_small", begin, end),
        ),
    )


def document(cast: Cast, length_s: float) -> Story:
    """The document shows whoever is there, or somebody else."""
    placed = cast.placed(cast.first)
    is_own = bool(cast.rng.random() < 0.5)
    shown = cast.first if is_own else cast.second
    told = ClipEvent(
        kind="id_match" if is_own else "id_mismatch",
        start_us=0,
        end_us=round(length_s * 1e6),
        outcome=Outcome.PASS if is_own else Outcome.FAIL,
        within_s=10.0,
        tags={"document": "own" if is_own else "another's"},
    )
    return Story(lambda _: Shot([placed]), (told,), photo=_portrait(shown.sprites[0]))


def _portrait(sprite: Sprite) -> Image:
    """A head before white, a little pale and blurred, as printed on a card."""
    import cv2

    width, height = _PORTRAIT
    scale = 0.5 * height / sprite.face.height
    x, y = sprite.face.centre
    matrix = np.array([[scale, 0, width / 2 - scale * x], [0, scale, height * 0.48 - scale * y]])
    head = cv2.warpAffine(sprite.image, matrix, _PORTRAIT).astype(np.float32)
    alpha = cv2.warpAffine(sprite.alpha, matrix, _PORTRAIT).astype(np.float32)[:, :, None] / 255
    made = head * alpha + 245 * (1 - alpha)
    pale = cv2.GaussianBlur(35 + made * 0.82, (0, 0), 1.6)
    return np.clip(pale, 0, 255).astype(np.uint8)
