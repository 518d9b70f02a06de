"""Things drawn over a head: phones at the ear in many shapes, and masks."""

from dataclasses import replace
from typing import Any, Final

import numpy as np

from analytics.eval.hands import skin_of
from analytics.eval.material import Sprite
from analytics.vision.network import Image

__all__ = ["with_mask", "with_phone"]

_COLOURS: Final = (
    (18, 18, 20),
    (40, 42, 46),
    (200, 200, 205),
    (235, 235, 235),
    (30, 50, 90),
    (150, 30, 40),
    (20, 80, 60),
)


def with_phone(sprite: Sprite, rng: np.random.Generator) -> tuple[Sprite, dict[str, str]]:
    """A phone held at an ear, with fingers; gives how it was drawn as well."""
    import cv2

    face = sprite.face
    side = int(rng.choice([-1, 1]))
    length = face.height * rng.uniform(0.6, 0.95)
    breadth = length * rng.uniform(0.44, 0.54)
    angle = float(rng.uniform(-5, 40)) * side
    x = face.centre[0] + side * face.width * rng.uniform(0.5, 0.68)
    y = face.centre[1] + face.height * rng.uniform(-0.05, 0.2)
    colour = _COLOURS[int(rng.integers(len(_COLOURS)))]
    canvas, solid = _drawn_phone(int(breadth), int(length), colour, rng)
    pad = max(canvas.shape[:2])
    matrix = cv2.getRotationMatrix2D((canvas.shape[1] / 2, canvas.shape[0] / 2), angle, 1.0)
    matrix[:, 2] += (pad - canvas.shape[1] / 2, pad - canvas.shape[0] / 2)
    canvas = cv2.warpAffine(canvas, matrix, (2 * pad, 2 * pad), flags=cv2.INTER_LINEAR)
    solid = cv2.warpAffine(solid, matrix, (2 * pad, 2 * pad), flags=cv2.INTER_LINEAR)
    made = _pasted(sprite, canvas, solid, (int(x) - pad, int(y) - pad))
    fingers = bool(rng.random() < 0.7)
    if fingers:
        made = _with_fingers(made, (x, y), breadth, length, side, rng)
    light = "light" if sum(colour) > 450 else "dark"
    return made, {
        "side": "left" if side < 0 else "right",
        "case": light,
        "fingers": "yes" if fingers else "no",
        "angle": "steep" if abs(angle) > 20 else "upright",
    }


def _drawn_phone(
    breadth: int, length: int, colour: tuple[int, int, int], rng: np.random.Generator
) -> tuple[Any, Any]:
    import cv2

    canvas = np.zeros((length, breadth, 3), np.uint8)
    solid = np.zeros((length, breadth), np.uint8)
    corner = max(int(breadth * 0.14), 2)
    for image, value in ((canvas, colour), (solid, 255)):
        cv2.rectangle(image, (corner, 0), (breadth - corner, length), value, -1)
        cv2.rectangle(image, (0, corner), (breadth, length - corner), value, -1)
        for cx in (corner, breadth - corner - 1):
            for cy in (corner, length - corner - 1):
                cv2.circle(image, (cx, cy), corner, value, -1)
    # The back is seen: a block of lenses, a sheen, the rim of a case.
    edge = tuple(min(part + 45, 255) for part in colour)
    cv2.rectangle(canvas, (2, 2), (breadth - 3, length - 3), edge, max(breadth // 40, 1))
    block = int(breadth * rng.uniform(0.3, 0.45))
    at = (int(breadth * 0.1), int(breadth * 0.1))
    cv2.rectangle(canvas, at, (at[0] + block, at[1] + block), (35, 35, 38), -1)
    for lens in range(int(rng.integers(1, 4))):
        place = (
            at[0] + block * (1 + 2 * (lens % 2)) // 4,
            at[1] + block * (1 + 2 * (lens // 2)) // 4,
        )
        cv2.circle(canvas, place, max(block // 6, 1), (5, 5, 8), -1)
        cv2.circle(canvas, place, max(block // 6, 1), (110, 110, 115), 1)
    sheen = np.linspace(0, rng.uniform(10, 40), breadth)[None, :, None]
    return np.clip(canvas + sheen, 0, 255).astype(np.uint8), solid


def _with_fingers(
    sprite: Sprite,
    middle: tuple[float, float],
    breadth: float,
    length: float,
    side: int,
    rng: np.random.Generator,
) -> Sprite:
    import cv2

    face = sprite.face
    skin = skin_of(sprite)
    image, alpha = sprite.image.copy(), sprite.alpha.copy()
    thick = int(length * 0.075)
    for finger in range(int(rng.integers(3, 5))):
        y = int(middle[1] + length * (-0.1 + 0.15 * finger))
        tip = int(middle[0] - side * breadth * rng.uniform(0.1, 0.35))
        root = int(middle[0] + side * breadth * 0.75)
        shade = tuple(int(value) for value in np.clip(skin * rng.uniform(0.8, 1.0), 0, 255))
        for target, value in ((image, shade), (alpha, 255)):
            cv2.line(target, (tip, y), (root, y + thick), value, 2 * thick)
            cv2.circle(target, (tip, y), thick, value, -1)
    palm = (int(middle[0] + side * breadth * 0.7), int(middle[1] + length * 0.3))
    arm = (int(palm[0] + side * face.width * 0.2), image.shape[0])
    shade = tuple(int(value) for value in skin * 0.9)
    for target, value in ((image, shade), (alpha, 255)):
        cv2.ellipse(target, palm, (int(breadth * 0.35), int(length * 0.3)), 0, 0, 360, value, -1)
        cv2.line(target, palm, arm, value, int(length * 0.3))
    return replace(sprite, image=image, alpha=alpha)


def _pasted(sprite: Sprite, canvas: Any, solid: Any, at: tuple[int, int]) -> Sprite:
    image, alpha = sprite.image.copy(), sprite.alpha.copy()
    height, width = alpha.shape
    top, left = max(at[1], 0), max(at[0], 0)
    bottom, right = min(at[1] + canvas.shape[0], height), min(at[0] + canvas.shape[1], width)
    rows, columns = slice(top, bottom), slice(left, right)
    part = (slice(top - at[1], bottom - at[1]), slice(left - at[0], right - at[0]))
    weight = solid[part][:, :, None].astype(np.float32) / 255
    image[rows, columns] = image[rows, columns] * (1 - weight) + canvas[part] * weight
    alpha[rows, columns] = np.maximum(alpha[rows, columns], solid[part])
    return replace(sprite, image=image, alpha=alpha)


def with_mask(sprite: Sprite, rng: np.random.Generator) -> Sprite:
    """A mask over mouth and nose."""
    import cv2

    face = sprite.face
    image: Image = sprite.image.copy()
    colour = [(205, 220, 235), (240, 240, 240), (30, 30, 34)][int(rng.integers(3))]
    x, w, h = face.centre[0], face.width, face.height
    outline = [(-0.5, 0.48), (0, 0.4), (0.5, 0.48), (0.44, 0.85), (0, 1.04), (-0.44, 0.85)]
    corners = np.array([[x + a * w, face.top + b * h] for a, b in outline], np.int32)
    cv2.fillPoly(image, [corners], colour)
    for fold in (0.6, 0.7, 0.8):
        y = int(face.top + fold * h)
        shade = tuple(int(part * 0.85) for part in colour)
        cv2.line(image, (int(x - 0.42 * w), y), (int(x + 0.42 * w), y), shade, 2)
    return replace(sprite, image=image)
