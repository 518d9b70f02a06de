"""Detectors with their models, on people before a drawn camera."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

from analytics.detector import Detector, Finding, Outcome, Subject, VideoFrame
from analytics.detectors.face_presence import FacePresence
from analytics.detectors.face_quality import FaceQuality
from analytics.detectors.person_swap import PersonSwap, PersonSwapConfig
from analytics.detectors.phone import Phone
from analytics.detectors.picture_health import PictureHealth
from analytics.detectors.same_person import SamePerson, SamePersonConfig
from analytics.eval.overlays import with_phone
from analytics.eval.scene import Camera, Placed, Shot
from tests.fakes.pictures import astronaut, everybody, models_with


def said(
    detector: type[Detector],
    shot: Callable[[float], Shot],
    until_s: int,
    roles: dict[str, Any] | None = None,
    **settings: object,
) -> list[tuple[float, str]]:
    """When an alarm was first said, and its kind."""
    models = models_with(*detector.card.models)
    one = detector.load(detector.Config.model_validate(settings), models)
    watch = one.watch(Subject("s1", "p1", "t1", "customer", **(roles or {})))
    camera = Camera(4)
    found = []
    need = one.needs.video
    assert need is not None
    for index in range(int(until_s * need.rate_hz)):
        at_s = index / need.rate_hz
        item = VideoFrame("t1", "p1", round(at_s * 1e6), camera.frame(shot(at_s), at_s))
        found += [
            (at_s, output.kind)
            for output in watch.process(item)
            if isinstance(output, Finding) and output.is_open and output.outcome is Outcome.WARN
        ]
    return found


def test_absence_is_found_and_presence_is_not_doubted() -> None:
    one = Placed(everybody()[0].sprites[0])
    found = said(FacePresence, lambda at: Shot([] if 6 <= at < 12 else [one]), 16)
    assert [(6 <= at <= 10, kind) for at, kind in found] == [(True, "face_absent")]


def test_swap_is_found_and_movement_is_none() -> None:
    one, other = (Placed(person.sprites[0]) for person in (everybody()[0], everybody()[1]))
    found = said(PersonSwap, lambda at: Shot([one if at < 6 else other]), 12)
    assert [(6 < at <= 12, kind) for at, kind in found] == [(True, "person_swapped")]
    assert said(PersonSwap, lambda _: Shot([one]), 10) == []


def test_photo_of_the_document_is_the_persons_or_anothers() -> None:
    models = models_with(*PersonSwap.card.models)
    photo = astronaut()
    for place, kind, outcome in ((0, "id_match", Outcome.PASS), (1, "id_mismatch", Outcome.FAIL)):
        watch = PersonSwap.load(PersonSwapConfig(), models).watch(
            Subject("s1", "p1", id_photo=photo)
        )
        camera, one = Camera(4), Placed(everybody()[place].sprites[0])
        found: list[Finding] = []
        for second in range(5):
            image = camera.frame(Shot([one]), second)
            found += watch.process(VideoFrame("t1", "p1", second * 1_000_000, image))
        assert [(output.kind, output.outcome) for output in found] == [(kind, outcome)]


def test_phone_at_the_ear_is_found_and_its_absence_is_too() -> None:
    one = Placed(everybody()[0].sprites[0])
    sprite, _ = with_phone(one.sprite, np.random.default_rng(4))
    calling = replace(one, sprite=sprite)
    found = said(Phone, lambda at: Shot([one if at < 4 else calling]), 10)
    assert "phone_at_ear" in {kind for _, kind in found}
    assert all(4 <= at <= 9 for at, _ in found)


def test_small_and_dark_faces_are_found() -> None:
    one = Placed(everybody()[0].sprites[0])
    far = replace(one, height=0.1)
    assert {kind for _, kind in said(FaceQuality, lambda _: Shot([far]), 8)} == {"face_too_small"}
    assert {kind for _, kind in said(FaceQuality, lambda _: Shot([one], 0.15), 8)} == {
        "face_too_dark"
    }
    assert said(FaceQuality, lambda _: Shot([one]), 20) == []


def test_still_person_is_not_frozen() -> None:
    one = Placed(everybody()[0].sprites[0])
    camera_only = said(PictureHealth, lambda _: Shot([one]), 10)
    assert camera_only == []
    frozen = said(PictureHealth, lambda at: Shot([one], frozen=at > 2), 10)
    assert [kind for _, kind in frozen] == ["picture_frozen"]


def test_one_person_on_two_cameras_is_found() -> None:
    models = models_with(*SamePerson.card.models)
    detector = SamePerson.load(SamePersonConfig(sample_every_s=1), models)
    for second, kinds in ((0, ["same_person"]), (1, [])):
        watch = detector.watch(Subject("s1"))
        people = [Placed(everybody()[0].sprites[0]), Placed(everybody()[second].sprites[0])]
        cameras = [Camera(1), Camera(2)]
        found = []
        for index in range(6):
            for place in (0, 1):
                image = cameras[place].frame(Shot([people[place]]), index)
                item = VideoFrame(f"t{place}", f"p{place}", index * 1_000_000 + place, image)
                found += watch.process(item)
        assert [one.kind for one in found] == kinds
