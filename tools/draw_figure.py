"""Draws ``figure.mp4`` and ``room.png`` of ``loadtest/media``: a person who talks, and her room.

Run it from the root of the repository after changing it: ``python tools/draw_figure.py``.
"""

import math
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

TARGET = Path("loadtest/media/figure.mp4")
ROOM = Path("loadtest/media/room.png")
WIDTH, HEIGHT, FRAMES_PER_S = 352, 288, 25
FRAMES = 150
"""Pictures until the movement repeats."""

_WALL, _WINDOW, _SHELF = (222, 229, 224), (196, 216, 228), (150, 118, 92)
_HAIR, _SKIN, _SHADE, _DARK = (44, 32, 34), (240, 204, 178), (222, 178, 152), (52, 34, 34)
_BLUSH = (236, 184, 164)
_JACKET, _SHIRT, _LIPS, _WHITE = (28, 78, 96), (244, 242, 236), (176, 66, 70), (252, 252, 250)
_PLANT, _POT = (74, 128, 92), (178, 96, 66)
_BLINK = (30, 31, 32, 91, 92, 93)

Canvas = NDArray[np.float32]
Colour = tuple[int, int, int]


def main() -> None:
    """Draws a woman at her desk who looks at the camera, talks and blinks, and encodes it."""
    room = _room(WIDTH, HEIGHT)
    _write_room(room)
    with av.open(str(TARGET), "w") as container:
        stream = container.add_stream("libx264", rate=FRAMES_PER_S)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "yuv420p"
        stream.options = {"crf": "24", "preset": "veryslow"}
        for index in range(FRAMES):
            picture = _picture(room.copy(), index)
            picture.pts, picture.time_base = index, Fraction(1, FRAMES_PER_S)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))


def _write_room(room: Canvas) -> None:
    """The room without her: what a camera shows when she has left."""
    rgb = np.clip(room, 0, 255).astype(np.uint8)
    with av.open(str(ROOM), "w", format="image2") as container:
        stream = container.add_stream("png", rate=1)
        stream.width, stream.height, stream.pix_fmt = WIDTH, HEIGHT, "rgb24"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(rgb, format="rgb24")))
        container.mux(stream.encode(None))


def _picture(canvas: Canvas, index: int) -> av.VideoFrame:
    phase = 2 * math.pi * index / FRAMES
    sway, nod = 0.012 * math.sin(phase), 0.008 * math.sin(2 * phase)
    # Syllables of two lengths; both fit the loop a whole number of times.
    mouth = abs(math.sin(10 * phase)) * (0.55 + 0.45 * math.sin(3 * phase + 1))
    _body(canvas, sway)
    _head(canvas, 0.5 + sway, 0.43 + nod, mouth=max(0.0, mouth), blinks=index in _BLINK)
    rgb = np.clip(canvas, 0, 255).astype(np.uint8)
    return av.VideoFrame.from_ndarray(rgb, format="rgb24").reformat(format="yuv420p")


def _room(width: int, height: int) -> Canvas:
    canvas = np.empty((height, width, 3), np.float32)
    canvas[:] = _WALL
    # Light falls in from the left.
    canvas *= np.linspace(1.04, 0.9, width, dtype=np.float32)[None, :, None]
    _box(canvas, (0.04, 0.10, 0.24, 0.56), _WHITE)
    _box(canvas, (0.055, 0.12, 0.225, 0.54), _WINDOW)
    _box(canvas, (0.135, 0.12, 0.145, 0.54), _WHITE)
    _box(canvas, (0.76, 0.40, 0.99, 0.42), _SHELF)
    for left, colour in ((0.78, (120, 70, 70)), (0.81, (70, 96, 120)), (0.84, (196, 160, 92))):
        _box(canvas, (left, 0.25, left + 0.024, 0.40), colour)
    _box(canvas, (0.90, 0.34, 0.95, 0.40), _POT)
    for x, y in ((0.905, 0.29), (0.925, 0.25), (0.945, 0.29)):
        _oval(canvas, (x, y), (0.016, 0.06), _PLANT)
    return canvas


def _body(canvas: Canvas, sway: float) -> None:
    x = 0.5 + sway / 2
    _oval(canvas, (0.5 + sway, 0.52), (0.155, 0.30), _HAIR)
    _oval(canvas, (x, 1.06), (0.30, 0.34), _JACKET)
    _oval(canvas, (x, 0.80), (0.085, 0.12), _SHIRT)
    _oval(canvas, (x, 0.70), (0.055, 0.12), _SHADE)


def _head(canvas: Canvas, x: float, y: float, *, mouth: float, blinks: bool) -> None:
    _oval(canvas, (x, y - 0.05), (0.135, 0.235), _HAIR)
    _oval(canvas, (x, y + 0.01), (0.112, 0.205), _SKIN)
    _oval(canvas, (x - 0.012, y - 0.175), (0.118, 0.078), _HAIR)
    for side in (-1, 1):
        eye = x + side * 0.045
        _oval(canvas, (eye + side * 0.022, y + 0.075), (0.022, 0.026), _BLUSH)
        _oval(canvas, (eye, y - 0.062), (0.027, 0.009), _HAIR)
        if blinks:
            _oval(canvas, (eye, y - 0.008), (0.020, 0.005), _DARK)
        else:
            _oval(canvas, (eye, y - 0.012), (0.021, 0.020), _WHITE)
            _oval(canvas, (eye, y - 0.010), (0.011, 0.018), _DARK)
    _oval(canvas, (x, y + 0.055), (0.010, 0.012), _BLUSH)
    _oval(canvas, (x, y + 0.120), (0.034, 0.012 + 0.026 * mouth), _LIPS)
    _oval(canvas, (x, y + 0.120), (0.024, 0.002 + 0.018 * mouth), _DARK)


def _box(canvas: Canvas, sides: tuple[float, float, float, float], colour: Colour) -> None:
    height, width = canvas.shape[:2]
    left, top, right, bottom = sides
    rows = slice(round(top * height), round(bottom * height))
    canvas[rows, round(left * width) : round(right * width)] = colour


def _oval(
    canvas: Canvas, centre: tuple[float, float], radii: tuple[float, float], colour: Colour
) -> None:
    """Fills an ellipse with soft edges; all in fractions of width and height."""
    height, width = canvas.shape[:2]
    x, y, a, b = centre[0] * width, centre[1] * height, radii[0] * width, radii[1] * height
    left, right = max(0, int(x - a) - 1), min(width, int(x + a) + 3)
    top, bottom = max(0, int(y - b) - 1), min(height, int(y + b) + 3)
    rows, columns = np.ogrid[top:bottom, left:right]
    distance = np.hypot((columns + 0.5 - x) / a, (rows + 0.5 - y) / b)
    cover = np.clip((1 - distance) * min(a, b) + 0.5, 0, 1).astype(np.float32)[..., None]
    part = canvas[top:bottom, left:right]
    part += cover * (np.array(colour, np.float32) - part)


if __name__ == "__main__":
    main()
