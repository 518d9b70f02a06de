"""Frames on which the models have already found something, so that no network has to run."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from analytics.detector import Finding, VideoFrame, Watch
from analytics.vision import face as faces_of
from analytics.vision.face import Face, FaceModel
from analytics.vision.geometry import Region

__all__ = ["a_face", "blind", "frame", "run"]

SIZE = (180, 320)


def blind() -> FaceModel:
    """A model that may not be asked: all frames have been looked at."""
    return FaceModel(None)  # type: ignore[arg-type]


def a_face(x: float = 0.5, height: float = 0.4, score: float = 0.95, y: float = 0.5) -> Face:
    """A face in the middle of the picture, in fractions."""
    h = height * SIZE[0]
    w = h * 0.8
    cx, cy = x * SIZE[1], y * SIZE[0]
    return Face(Region(cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2), score)


def frame(
    at_s: float,
    faces: Sequence[Face] = (),
    *,
    light: int = 120,
    image: Any = None,
    track_id: str = "t1",
    participant_id: str = "p1",
) -> VideoFrame:
    """A frame with these faces on it."""
    if image is None:
        image = np.full((*SIZE, 3), light, np.uint8)
    return VideoFrame(
        track_id, participant_id, round(at_s * 1e6), image, {(faces_of.MODEL,): tuple(faces)}
    )


def run(
    watch: Watch, until_s: float, frame_at: Callable[[float], VideoFrame], rate_hz: float = 2.0
) -> list[tuple[float, Finding]]:
    """Feeds frames at a rate; gives what was said and when, seconds."""
    said: list[tuple[float, Finding]] = []
    for index in range(int(until_s * rate_hz) + 1):
        at_s = index / rate_hz
        said += [
            (at_s, item) for item in watch.process(frame_at(at_s)) if isinstance(item, Finding)
        ]
    return said
