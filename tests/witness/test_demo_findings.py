"""What goes wrong in the demonstration is found, and told to people."""

from collections.abc import Iterator
from typing import Any

import av
import pytest

from analytics.detector import Finding, Subject, VideoFrame
from analytics.detectors.picture_health import PictureHealth, PictureHealthConfig
from analytics.link import UnknownCause
from analytics.registry import the_registry
from loadtest.sources import MEDIA_DIR, ClipVideo, black_pictures, empty_seat, load_clip
from witness.demo_findings import _WHY, findings_lines
from witness.demo_story import SCENES, Pace, Scene, Story

BOTH = {"zh": "画面全黑", "en": "Black picture"}


def seconds_of(pictures: list[Any], seconds: float, from_s: float) -> Iterator[VideoFrame]:
    for index in range(int(seconds * 2)):
        planes = av.VideoFrame.from_ndarray(pictures[index % len(pictures)], format="yuv420p")
        image = planes.to_ndarray(format="rgb24")
        yield VideoFrame("t", "p", int((from_s + index / 2) * 1e6), image)


def test_a_covered_lens_is_found_and_an_empty_seat_is_none() -> None:
    clip = load_clip(MEDIA_DIR / "figure.mp4")
    watch = PictureHealth(PictureHealthConfig()).watch(Subject("s", "p", "t"))
    found: list[Finding] = []
    at_s = 0.0
    for pictures, lasts_s in (
        (clip, 3.0),
        (black_pictures(clip), 4.0),
        (empty_seat(), 4.0),
        (clip, 2.0),
    ):
        for frame in seconds_of(pictures, lasts_s, at_s):
            found += [one for one in watch.process(frame) if isinstance(one, Finding)]
        at_s += lasts_s
    assert {one.kind for one in found} == {"picture_black"}
    over = [one for one in found if not one.is_open]
    assert (over[-1].start_us, over[-1].end_us) == (3_000_000, pytest.approx(7_000_000, abs=6e5))


async def test_a_camera_shows_other_pictures_for_a_while() -> None:
    clip = load_clip(MEDIA_DIR / "figure.mp4")
    camera = ClipVideo(clip, frames_per_s=100)
    black = black_pictures(clip)

    async def luma() -> float:
        return float((await camera.recv()).to_ndarray(format="yuv420p")[:288].mean())

    before = await luma()
    camera.show_instead(black, 3600)
    assert await luma() == pytest.approx(16)
    camera.show_instead(black, 0)
    assert await luma() == pytest.approx(before, abs=5)


def finding(**changes: Any) -> dict[str, Any]:
    about = {"participant": "c-1", "kind": "picture_black", "outcome": "warn", "cause": None}
    span = {"from_us": 5_000_000, "to_us": 9_040_000, "is_open": False}
    return {
        **about,
        **span,
        "severity": "warning",
        "title": BOTH,
        "text": {"zh": "亮度 0", "en": "brightness 0"},
        **changes,
    }


def test_findings_are_told_in_a_line_each_notes_and_what_nobody_knows_in_one() -> None:
    unknown = {"kind": "unknown", "outcome": "unknown", "cause": "model_missing", "text": BOTH}
    note = {"severity": "info", "outcome": "pass", "title": {"zh": "说话", "en": "Speaking"}}
    loading = [
        finding(**{**unknown, "cause": "no_host", "title": {"zh": str(n), "en": str(n)}})
        for n in range(5)
    ]
    people = [{"participant": "c-1", "name": "王芳"}]
    found = [finding(), finding(**unknown), finding(**unknown), finding(**note), finding(**note)]
    lines = findings_lines([*found, *loading, finding(outcome="unknown")], people, "en")
    assert [line.strip() for line in lines] == [
        "findings:    3, sealed in checks.jsonl",
        "王芳 · Black picture: brightness 0 (5.0 to 9.0 s)",
        "only noted: Speaking × 2",
        "for some time not known: Black picture (too little to tell)",
        "for some time not known: Black picture (models are not installed)",
        "for some time not known: 5 detectors (models were being loaded)",
    ]


def test_every_cause_is_explained() -> None:
    assert _WHY.keys() == {"", *UnknownCause}


class Camera(ClipVideo):
    """Tells the RM what it shows, as detectors would."""

    def __init__(self) -> None:
        super().__init__(load_clip(MEDIA_DIR / "figure.mp4")[:2])
        self.story: Story
        self.shown: list[bool] = []
        """Whether it shows something else, each time that changes."""
        self.is_found = True
        self.ends = True

    def show_instead(self, pictures: list[Any], seconds: float) -> None:
        super().show_instead(pictures, seconds)
        is_other = pictures is not self.pictures
        self.shown.append(is_other)
        if is_other and self.is_found:
            scene = SCENES[self.shown.count(True) - 1]
            self.tell(scene.kind, "open")
        elif not is_other and self.ends:
            self.tell(SCENES[self.shown.count(True) - 1].kind, "over")

    def tell(self, kind: str, state: str) -> None:
        about = {"participant_id": "c-1", "state": state, "kind": kind}
        self.story.heard("finding", finding(**about))


def staged(pace: Pace) -> tuple[Camera, Story, list[str]]:
    camera, said = Camera(), []  # type: Camera, list[str]
    story = camera.story = Story({"customer": camera}, {"c-1": "王芳"}, said.append, "zh", pace)
    return camera, story, said


async def test_each_scene_goes_on_until_it_is_found_and_its_end_told() -> None:
    camera, story, said = staged(Pace(before=0, least=0, most=60, over=60))
    await story.play()
    assert camera.shown == [True, False] * 2
    assert [line.split(":")[0] for line in said] == ["happens", "found", "over"] * 2
    assert "told 0.0 s after it began" in said[1]
    assert "王芳 · 画面全黑" in said[1]
    assert all(after_s is not None for after_s in story.found_s.values())


async def test_a_scene_that_nobody_finds_ends_all_the_same_and_is_said_to() -> None:
    camera, story, said = staged(Pace(before=0, least=0, most=0, over=0))
    camera.is_found = camera.ends = False
    await story.play(SCENES[:1])
    assert camera.shown == [True, False]
    assert [line.split(":")[0] for line in said] == ["happens", "not found"]
    assert story.found_s == {SCENES[0].kind: None}


async def test_what_is_no_part_of_the_story_is_told_too() -> None:
    camera, story, said = staged(Pace())
    story.heard("recording", {})
    camera.tell("sound_clipped", "open")
    assert said == ["found:       王芳 · 画面全黑: 亮度 0 (since 5.0 s)"]
    await story.play(())
    assert camera.shown == []


@pytest.mark.parametrize("scene", SCENES, ids=lambda scene: scene.kind)
def test_scenes_ask_for_findings_that_there_are(scene: Scene) -> None:
    card = the_registry().find(scene.detector).card
    assert scene.kind in {kind.kind for kind in card.kinds}
    camera = load_clip(MEDIA_DIR / "figure.mp4")[:1]
    shown = scene.pictures(camera)
    assert {picture.shape for picture in shown} == {camera[0].shape}
