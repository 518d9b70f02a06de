"""What goes wrong in the demonstration is found, and told to people."""

from collections.abc import Iterator
from typing import Any

import av
import pytest

from analytics.detector import Finding, Subject, VideoFrame
from analytics.detectors.picture_health import PictureHealth, PictureHealthConfig
from loadtest.sources import MEDIA_DIR, ClipVideo, black_pictures, empty_seat, load_clip
from witness.demo_findings import LEAST_S, findings_lines, tell, trouble

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
        (empty_seat(clip), 4.0),
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


async def test_a_short_call_has_nothing_wrong_with_it() -> None:
    await trouble({}, LEAST_S - 1)


def finding(**changes: Any) -> dict[str, Any]:
    about = {"participant": "c-1", "kind": "picture_black", "outcome": "warn", "cause": None}
    span = {"from_us": 5_000_000, "to_us": 9_040_000, "is_open": False}
    return {
        **about,
        **span,
        "title": BOTH,
        "text": {"zh": "亮度 0", "en": "brightness 0"},
        **changes,
    }


def test_findings_are_told_in_a_line_each() -> None:
    unknown = {"kind": "unknown", "outcome": "unknown", "cause": "model_missing", "text": BOTH}
    people = [{"participant": "c-1", "name": "王芳"}]
    lines = findings_lines([finding(), finding(**unknown), finding(**unknown)], people, "en")
    assert [line.strip() for line in lines] == [
        "findings:    1, sealed in checks.jsonl",
        "王芳 · Black picture: brightness 0 (5.0 to 9.0 s)",
        "for some time not known (model_missing): Black picture",
    ]


def test_an_rm_is_told_as_it_comes() -> None:
    said: list[str] = []
    heard = tell(said.append, {"c-1": "王芳"}, "zh")
    heard("recording", {})
    heard("finding", {**finding(), "participant_id": "c-1", "state": "open"})
    assert said == ["found:       王芳 · 画面全黑: 亮度 0 (since 5.0 s)"]
