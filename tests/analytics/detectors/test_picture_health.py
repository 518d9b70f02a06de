"""Black and frozen pictures, against noise of a camera."""

import numpy as np

from analytics.detector import Subject, VideoFrame
from analytics.detectors.picture_health import (
    PictureHealth,
    PictureHealthConfig,
    PictureHealthWatch,
)
from tests.fakes.faces import frame, run

SCENE = np.kron(
    np.random.default_rng(3).integers(40, 200, (9, 16, 3), np.uint8), np.ones((20, 20, 1), np.uint8)
)


def watch() -> PictureHealthWatch:
    return PictureHealth(PictureHealthConfig()).watch(Subject("s1", "p1", "t1"))


def noisy(at_s: float, scene: np.ndarray = SCENE, sigma: float = 3.0) -> VideoFrame:
    noise = np.random.default_rng(round(at_s * 1000)).normal(0, sigma, scene.shape)
    return frame(at_s, image=np.clip(scene + noise, 0, 255).astype(np.uint8))


def test_black_picture_is_reported_dim_room_is_not() -> None:
    said = run(watch(), 10, lambda t: noisy(t, SCENE * 0, 2))
    assert [(t, f.kind, f.is_open) for t, f in said] == [(2, "picture_black", True)]
    assert run(watch(), 10, lambda t: noisy(t, (SCENE * 0.25).astype(np.uint8), 2)) == []


def test_repeated_frame_is_frozen() -> None:
    still = noisy(0).image
    said = run(watch(), 10, lambda t: frame(t, image=still))
    assert [(f.kind, f.is_open) for _, f in said] == [("picture_frozen", True)]
    assert said[0][0] <= 6


def test_still_person_before_a_camera_with_noise_is_not_frozen() -> None:
    assert run(watch(), 60, lambda t: noisy(t, sigma=1.5)) == []


def test_encoder_at_work_on_a_still_picture_is_frozen_all_the_same() -> None:
    still = noisy(0).image
    said = run(
        watch(), 12, lambda t: noisy(t, still, 1.5) if t % 3 < 0.5 else frame(t, image=still)
    )
    assert [f.kind for _, f in said] == ["picture_frozen"]


def test_movement_ends_it() -> None:
    still = noisy(0).image
    said = run(watch(), 20, lambda t: noisy(t) if t >= 10 else frame(t, image=still))
    assert [f.is_open for _, f in said] == [True, False]
    assert said[0][1].start_us <= 500_000
    assert 10 <= said[1][1].end_us / 1e6 <= 14


def test_black_isnt_frozen_too_and_flush_ends_it() -> None:
    subject = watch()
    said = run(subject, 20, lambda t: frame(t, image=SCENE * 0))
    assert {f.kind for _, f in said} == {"picture_black"}
    assert [f.kind for f in subject.flush(20_000_000)] == ["picture_black"]
    assert subject.flush(21_000_000) == []
