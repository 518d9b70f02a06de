"""Where a phone is, and a hand: scripted things and joints, no network."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from analytics.detector import Finding, Subject, VideoFrame
from analytics.detectors.phone import Phone, PhoneConfig, PhoneWatch, is_at_ear, is_hand_at_ear
from analytics.vision.geometry import Region
from analytics.vision.network import Array
from analytics.vision.objects import PERSON, PHONE, REMOTE, Thing
from tests.fakes.faces import a_face, blind, frame, run

FACE = a_face().region
AT_EAR = FACE.square(FACE.height * 0.6)
AT_EAR = Region(
    AT_EAR.left + FACE.width * 0.6, AT_EAR.top, AT_EAR.right + FACE.width * 0.6, AT_EAR.bottom
)
ON_DESK = Region(10, 150, 40, 175)


class Things:
    """Finds what the script has at that time; counts the searches, and those that turn.

    Args:
        script: what there is.
        turned: how likely it looks turned to that side; without it what tilts isn't known.
    """

    def __init__(
        self, script: Callable[[float], Sequence[Thing]], turned: dict[float, float] | None = None
    ) -> None:
        self.script = script
        self.turned = turned or {}
        self.searches = 0
        self.turns: list[float] = []

    def things(
        self, item: VideoFrame, part: Region | None = None, turned_deg: float = 0.0
    ) -> tuple[Thing, ...]:
        self.searches += 1
        found = self.script(item.pts_us / 1e6)
        if turned_deg:
            self.turns.append(item.pts_us / 1e6)
            score = self.turned.get(turned_deg, 0.0)
            found = [replace(thing, score=score) for thing in found if score]
        if part is None:
            return tuple(found)
        return tuple(
            thing
            for thing in found
            if part.left <= thing.region.centre[0] <= part.right
            and part.top <= thing.region.centre[1] <= part.bottom
        )


class Joints:
    def __init__(self, wrist: tuple[float, float] | None) -> None:
        self.found = joints(wrist)
        self.at_us: list[int] = []

    @property
    def looks(self) -> int:
        return len(self.at_us)

    def joints(self, item: VideoFrame) -> Array:
        self.at_us.append(item.pts_us)
        return self.found


def joints(wrist: tuple[float, float] | None, score: float = 0.8) -> Array:
    found = np.zeros((17, 3), np.float32)
    found[3] = [FACE.right, FACE.centre[1], 0.9]
    found[4] = [FACE.left, FACE.centre[1], 0.9]
    if wrist is not None:
        found[9] = [*wrist, score]
    return found


def watch(
    script: Callable[[float], Sequence[Thing]],
    wrist: tuple[float, float] | None = None,
    turned: dict[float, float] | None = None,
) -> tuple[PhoneWatch, Things]:
    things = Things(script, turned)
    detector = Phone(PhoneConfig(), blind(), things, Joints(wrist))  # type: ignore[arg-type]
    return detector.watch(Subject("s1", "p1", "t1")), things


def said(
    script: Callable[[float], Sequence[Thing]], faces: bool = True
) -> list[tuple[float, Finding]]:
    subject, _ = watch(script)
    return run(subject, 40, lambda t: frame(t, [a_face()] if faces else []))


def test_phone_at_the_ear_is_found_within_five_seconds() -> None:
    for offset in np.arange(0, 3, 0.25):
        at = 10 + float(offset)
        phone = Thing(PHONE, AT_EAR, 0.5)
        found = said(lambda t: [phone] if at <= t < at + 15 else [])  # noqa: B023
        opened = {f.kind: t for t, f in found if f.is_open}
        assert set(opened) == {"phone_visible", "phone_at_ear"}
        assert opened["phone_at_ear"] - at <= 5
        assert {f.kind for _, f in found if not f.is_open} == set(opened)


@pytest.mark.parametrize(
    ("things", "kinds"),
    [
        ([Thing(PHONE, ON_DESK, 0.5)], {"phone_visible"}),
        ([Thing(REMOTE, AT_EAR, 0.5)], {"phone_visible", "phone_at_ear"}),
        ([Thing(REMOTE, ON_DESK, 0.5)], set()),
        ([Thing(PHONE, AT_EAR, 0.22)], set()),
        ([Thing(PERSON, AT_EAR, 0.9)], set()),
        ([Thing(PHONE, FACE, 0.9)], {"phone_visible"}),
    ],
)
def test_what_and_where_decide(things: list[Thing], kinds: set[str]) -> None:
    assert {f.kind for _, f in said(lambda t: things)} == kinds


@pytest.mark.parametrize(
    ("score", "wrist", "kinds"),
    [
        (0.3, None, {"phone_visible", "phone_at_ear"}),
        (0.3, (FACE.right + 4, FACE.centre[1] + 6), {"hand_at_ear"}),
        (
            0.45,
            (FACE.right + 4, FACE.centre[1] + 6),
            {"phone_visible", "phone_at_ear", "hand_at_ear"},
        ),
    ],
)
def test_what_looks_a_little_like_a_phone_is_none_in_a_hand_at_the_ear(
    score: float, wrist: tuple[float, float] | None, kinds: set[str]
) -> None:
    subject, _ = watch(lambda t: [Thing(PHONE, AT_EAR, score)], wrist)
    found = run(subject, 20, lambda t: frame(t, [a_face()]))
    assert {finding.kind for _, finding in found} == kinds


@pytest.mark.parametrize("degrees", [-25.0, 25.0])
def test_what_may_be_a_phone_that_tilts_is_turned_upright_within_five_seconds(
    degrees: float,
) -> None:
    phone = Thing(PHONE, AT_EAR, 0.12)
    for at in (10.0, 10.5, 11.0, 11.5):
        subject, _ = watch(lambda t: [phone] if t >= at else [], turned={degrees: 0.5})  # noqa: B023
        opened = {f.kind: t for t, f in run(subject, 20, lambda t: frame(t, [a_face()]))}
        assert set(opened) == {"phone_visible", "phone_at_ear"}
        assert opened["phone_at_ear"] - at <= 3


@pytest.mark.parametrize(("score", "turned"), [(0.12, 0.35), (0.12, 0.0), (0.09, 0.9)])
def test_what_looks_like_none_turned_either_is_none(score: float, turned: float) -> None:
    phone = Thing(PHONE, AT_EAR, score)
    subject, things = watch(lambda t: [phone], turned={25.0: turned})
    assert run(subject, 40, lambda t: frame(t, [a_face()])) == []
    assert bool(things.turns) is (score >= 0.1)


def test_a_doubt_that_stays_is_looked_at_rarely_again() -> None:
    subject, things = watch(lambda t: [Thing(PHONE, AT_EAR, 0.2)] if t < 40 or t >= 60 else [])
    run(subject, 80, lambda t: frame(t, [a_face()]))
    at = sorted(set(things.turns))
    assert at[:6] == [0.0, 0.5, 1.0, 1.5, 2.0, 4.0]
    assert len([t for t in at if 4 <= t < 40]) == 18
    assert [t - 60 for t in at if t >= 60][:5] == [0.0, 0.5, 1.0, 1.5, 2.0]


@pytest.mark.parametrize(("turned", "kinds"), [(0.45, set()), (0.55, {"phone_at_ear"})])
def test_with_a_hand_at_the_ear_what_is_turned_has_to_look_more_like_a_phone(
    turned: float, kinds: set[str]
) -> None:
    phone = Thing(PHONE, AT_EAR, 0.2)
    wrist = (FACE.right + 4, FACE.centre[1] + 6)
    subject, things = watch(lambda t: [phone], wrist, {25.0: turned})
    found = run(subject, 20, lambda t: frame(t, [a_face()]))
    assert {f.kind for _, f in found} & {"phone_at_ear"} == kinds
    if not kinds:
        assert sorted(set(things.turns)) == [2.0 * n for n in range(11)]


def test_what_is_sure_is_not_turned() -> None:
    subject, things = watch(lambda t: [Thing(PHONE, AT_EAR, 0.5)])
    run(subject, 20, lambda t: frame(t, [a_face()]))
    assert things.turns == []


def test_joints_are_looked_for_once_a_frame() -> None:
    poses = Joints((FACE.right + 4, FACE.centre[1] + 6))
    things = Things(lambda t: [Thing(PHONE, AT_EAR, 0.3)])
    subject = Phone(PhoneConfig(), blind(), things, poses).watch(Subject("s1", "p1", "t1"))  # type: ignore[arg-type]
    run(subject, 20, lambda t: frame(t, [a_face()]))
    assert 0 < poses.looks == len(set(poses.at_us))


def test_single_hits_are_not_enough() -> None:
    phone = Thing(PHONE, AT_EAR, 0.9)
    assert said(lambda t: [phone] if t in {10.5, 25.5} else []) == []


def test_gaps_of_the_detector_dont_end_it() -> None:
    phone = Thing(PHONE, AT_EAR, 0.9)
    found = said(lambda t: [phone] if t % 4 < 2 else [])
    assert [f.kind for _, f in found] == ["phone_visible", "phone_at_ear"]


def test_without_a_face_the_whole_picture_is_searched_and_nothing_said_of_the_ear() -> None:
    found = said(lambda t: [Thing(PHONE, AT_EAR, 0.9)], faces=False)
    assert {f.kind for _, f in found} == {"phone_visible"}


def test_face_that_the_phone_covers_is_still_where_it_was() -> None:
    subject, _ = watch(lambda t: [Thing(PHONE, AT_EAR, 0.9)] if t >= 10 else [])
    found = run(subject, 30, lambda t: frame(t, [a_face()] if t < 10 else []))
    assert {f.kind for _, f in found} == {"phone_visible", "phone_at_ear"}
    assert all(f.is_open for _, f in found)


def test_searching_is_rare_while_nothing_is_found() -> None:
    subject, things = watch(lambda t: [])
    run(subject, 60, lambda t: frame(t, [a_face()]))
    assert things.searches <= 60 / 2 * 6 / 5 + 2


def test_hand_at_the_ear_is_said() -> None:
    subject, _ = watch(lambda t: [], (FACE.right + 5, FACE.centre[1] + 10))
    found = run(subject, 10, lambda t: frame(t, [a_face()]))
    assert [f.kind for _, f in found] == ["hand_at_ear"]
    assert [f.kind for f in subject.flush(20_000_000)] == ["hand_at_ear"]


def test_hands_are_looked_for_rarely_until_one_is_there() -> None:
    for wrist, looks in ((None, 15), ((FACE.right + 5, FACE.centre[1]), 30)):
        subject, _ = watch(lambda t: [], wrist)
        run(subject, 60, lambda t: frame(t, [a_face()]))
        poses = subject._detector.poses
        assert abs(poses.looks - looks) <= 1  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("wrist", "score", "is_there"),
    [
        ((FACE.right + 8, FACE.centre[1]), 0.8, True),
        ((FACE.left - 8, FACE.bottom), 0.8, True),
        ((FACE.right + 8, FACE.centre[1]), 0.2, False),
        ((FACE.centre[0], FACE.centre[1]), 0.8, False),
        ((FACE.right + 8, FACE.bottom + FACE.height), 0.8, False),
        ((FACE.right + 3 * FACE.width, FACE.centre[1]), 0.8, False),
    ],
)
def test_hand_is_at_the_ear_only_beside_the_head(
    wrist: tuple[float, float], score: float, is_there: bool
) -> None:
    assert is_hand_at_ear(joints(wrist, score), FACE, 0.3) is is_there


def test_a_thing_larger_than_the_head_is_no_phone_at_the_ear() -> None:
    assert is_at_ear(AT_EAR, FACE)
    assert not is_at_ear(AT_EAR.square(3 * FACE.height), FACE)
    assert not is_at_ear(AT_EAR, Region(5, 5, 5, 5))
