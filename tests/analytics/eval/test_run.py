"""Detectors run over a clip as a host would: rates, scopes, others' findings; and the page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Self

import numpy as np
import pytest

from analytics.detector import (
    Card,
    DetectorConfig,
    Finding,
    FindingKind,
    Input,
    Mark,
    Needs,
    Permission,
    Scope,
    Subject,
    Text,
    VideoFrame,
    VideoNeed,
)
from analytics.errors import EvalError
from analytics.eval.coding import Channel, record
from analytics.eval.labels import Clip, ClipEvent, ClipMark, ClipTrack
from analytics.eval.limits import PICTURES, limits_of
from analytics.eval.report import as_json, as_page
from analytics.eval.run import run_clip
from analytics.eval.score import judge, score

SAME = Text(zh="同", en="same")


class Noting:
    """Notes what it is given; says a finding on the third frame, and ends it when flushed."""

    name: ClassVar[str] = "noting"
    version: ClassVar[str] = "1"
    Config: ClassVar[type[DetectorConfig]] = DetectorConfig
    card: ClassVar[Card] = Card(
        title=SAME,
        summary=SAME,
        scope=Scope.TRACK,
        permissions=frozenset({Permission.PICTURE}),
        kinds=(FindingKind("a", SAME, SAME),),
        limits=SAME,
        unknown_when=SAME,
    )

    def __init__(self, needs: Needs) -> None:
        self._needs = needs
        self.watches: list[Noted] = []

    @classmethod
    def load(cls, config: Any, models: Any) -> Self:
        raise NotImplementedError

    @property
    def needs(self) -> Needs:
        return self._needs

    def watch(self, subject: Subject) -> "Noted":
        self.watches.append(Noted(subject))
        return self.watches[-1]


class Listening(Noting):
    name: ClassVar[str] = "listening"
    card: ClassVar[Card] = Card(
        title=SAME,
        summary=SAME,
        scope=Scope.PARTICIPANT,
        permissions=frozenset({Permission.PICTURE}),
        kinds=(),
        limits=SAME,
        unknown_when=SAME,
    )


class Noted:
    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.items: list[Input] = []

    def process(self, item: Input) -> Sequence[Finding]:
        self.items.append(item)
        frames = [one for one in self.items if isinstance(one, VideoFrame)]
        if isinstance(item, VideoFrame) and len(frames) == 3:
            return [Finding("a", item.pts_us, item.pts_us, is_open=True)]
        return []

    def flush(self, at_us: int) -> Sequence[Finding]:
        frames = [one.pts_us for one in self.items if isinstance(one, VideoFrame)]
        return [Finding("a", frames[2], at_us)] if len(frames) >= 3 else []


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("clips")
    image = np.full((360, 640, 3), 90, np.uint8)
    for name in ("one.mkv", "two.mkv"):
        record([image] * 40, Channel("h264"), folder / name, 1)
    return folder


def clip(*events: ClipEvent) -> Clip:
    return Clip(
        name="c",
        duration_us=4_000_000,
        tracks=(
            ClipTrack(track_id="t1", participant_id="p1", role="customer", file="one.mkv"),
            ClipTrack(track_id="t2", participant_id="p2", role="branch", file="two.mkv"),
        ),
        scored=frozenset({"a"}),
        events=events,
        marks=(ClipMark(kind="challenge", at_us=1_000_000),),
    )


def frames_of(noted: Noted) -> list[tuple[str, float]]:
    return [(one.track_id, one.pts_us / 1e6) for one in noted.items if isinstance(one, VideoFrame)]


def test_each_detector_is_fed_at_its_own_rate_with_its_own_subject(directory: Path) -> None:
    slow = Noting(Needs(video=VideoNeed(rate_hz=1)))
    fast = Noting(Needs(video=VideoNeed(rate_hz=5), marks=True, roles=frozenset({"customer"})))
    run = run_clip(clip(), directory, [slow, fast])
    assert [one.subject.track_id for one in slow.watches] == ["t1", "t2"]
    assert frames_of(slow.watches[0]) == [("t1", 0), ("t1", 1), ("t1", 2), ("t1", 3)]
    assert len(frames_of(fast.watches[0])) == 20
    # Of another role it is given no media, but what happens in the session.
    assert {type(item) for item in fast.watches[1].items} == {Mark}
    assert not any(isinstance(item, Mark) for item in slow.watches[0].items)
    said = [(one.said_us / 1e6, one.finding.is_open, one.finding.end_us) for one in run.said]
    assert said == [(0.4, False, 4_000_000), (2.0, False, 4_000_000), (2.0, False, 4_000_000)]
    assert set(run.seconds) == {"noting"}


def test_findings_go_to_whoever_needs_them_about_the_same_person(directory: Path) -> None:
    source = Noting(Needs(video=VideoNeed(rate_hz=1), roles=frozenset({"customer"})))
    listening = Listening(Needs(findings=frozenset({"a"})))
    run_clip(clip(), directory, [source, listening])
    heard = {
        one.subject.participant_id: [i.kind for i in one.items if isinstance(i, Finding)]
        for one in listening.watches
    }
    assert heard["p1"] == ["a", "a"]


def test_page_shows_what_went_wrong_and_says_what_figures_dont_show(directory: Path) -> None:
    missed = ClipEvent(kind="a", start_us=100_000, end_us=200_000, within_s=1, track_id="t1")
    detector = Noting(Needs(video=VideoNeed(rate_hz=1)))
    judged = judge(run_clip(clip(missed), directory, [detector]))
    scores = score([judged])
    one = scores["a"]
    assert (one.found, one.late, one.false_alarms) == (0, 1, 1)
    figures = as_json([judged], scores)
    assert figures["kinds"]["a"]["recall"] == 0
    assert figures["limits"]["en"] == [line.en for line in PICTURES]
    page = as_page([(directory, judged)], scores)
    assert page.count("data:image/jpeg") >= 3
    for text in ("late", "太迟", "false alarm", "误报", PICTURES[0].zh[:20]):
        assert text in page


def test_sound_has_limits_of_its_own() -> None:
    sound = clip().model_copy(
        update={
            "tracks": (ClipTrack(track_id="t", participant_id="p", kind="audio", file="a.ogg"),)
        }
    )
    assert not set(limits_of([sound])) & set(PICTURES)
    assert set(PICTURES) <= set(limits_of([sound, clip()]))


def test_photo_of_a_document_that_can_not_be_opened_is_named(directory: Path) -> None:
    about = clip().model_copy(update={"id_photo": {"p1": "none.jpg"}})
    with pytest.raises(EvalError, match=r"none\.jpg can't be opened"):
        run_clip(about, directory, [Listening(Needs())])
