"""What every detector keeps to, those of separate packages that are installed too."""

import string
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analytics.detector import (
    AudioChunk,
    Defers,
    Detector,
    Finding,
    Heard,
    Input,
    Mark,
    Outcome,
    Output,
    Prepares,
    Scope,
    Subject,
    Text,
    Utterance,
    VideoFrame,
    Watch,
    Word,
)
from analytics.errors import ModelError, ModelMissingError
from analytics.models import InstalledModels, ModelFile
from analytics.registry import the_registry
from tests.models import installed

REGISTRY = the_registry()
SECOND = 1_000_000
TRACKS = (("rm-cam", "rm"), ("cu-cam", "customer"))
FLOW_NODE = {
    "code": "n1",
    "kind": "statement",
    "required_statements": [{"text": "本产品不保本，投资有风险"}],
    "prohibited_phrases": ["保本"],
    "answer": {"prompt": "是否清楚", "window_s": 5},
}


@pytest.fixture(params=REGISTRY.names)
def kind(request: pytest.FixtureRequest) -> type[Detector]:
    return REGISTRY.find(request.param)


@pytest.fixture
def detector(kind: type[Detector]) -> Detector:
    return kind.load(kind.Config(), installed(*kind.card.models))


def is_said(text: Text) -> bool:
    return bool(text.zh.strip() and text.en.strip()) and any(
        "\u4e00" <= character <= "\u9fff" for character in text.zh
    )


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((0, 0, 3), np.uint8),
        np.zeros((4, 0, 3), np.uint8),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
    ],
    ids=lambda image: f"{image.shape}-{image.dtype}",
)
def test_what_is_no_picture_never_reaches_a_detector(image: Any) -> None:
    with pytest.raises(ValueError, match="a picture is"):
        VideoFrame("t", "p", 0, image)


def test_card_is_complete_in_both_languages(kind: type[Detector]) -> None:
    card = kind.card
    for text in (card.title, card.summary, card.limits, card.unknown_when):
        assert is_said(text), text
    assert card.permissions
    assert len({one.kind for one in card.kinds}) == len(card.kinds)
    for one in card.kinds:
        assert one.kind.replace("_", "").isalnum(), one.kind
        assert one.kind.islower(), one.kind
        assert is_said(one.title), one.kind
        assert is_said(one.explanation), one.kind
        assert fields(one.explanation.zh) == fields(one.explanation.en), one.kind


def test_settings_are_explained_and_have_defaults(kind: type[Detector]) -> None:
    for name, info in kind.Config.model_fields.items():
        assert info.description or name == "enabled", name
        assert not info.is_required(), name
    assert kind.Config().model_config["extra"] == "forbid"


def test_missing_model_is_an_error_that_names_the_command(
    kind: type[Detector], tmp_path: Path
) -> None:
    if not kind.card.models:
        kind.load(kind.Config(), InstalledModels(tmp_path))
        return
    with pytest.raises(ModelMissingError, match="witness models install"):
        kind.load(kind.Config(), InstalledModels(tmp_path))


def test_each_model_of_the_card_is_one_that_is_used(kind: type[Detector]) -> None:
    models = installed(*kind.card.models)

    asked: set[str] = set()

    class Asked(InstalledModels):
        def find(self, name: str) -> ModelFile:
            asked.add(name)
            return models.find(name)

    kind.load(kind.Config(), Asked(Path("nowhere")))
    assert asked == set(kind.card.models)


def pictures(seed: int, at_us: int, case: int) -> Iterator[VideoFrame]:
    """Noise, black, white, one of one pixel, narrow ones; of both participants."""
    rng = np.random.default_rng([seed, at_us])
    images = (
        rng.integers(0, 256, (180, 320, 3), np.uint8),
        np.zeros((180, 320, 3), np.uint8),
        np.full((180, 320, 3), 255, np.uint8),
        np.full((1, 1, 3), 7, np.uint8),
        rng.integers(0, 256, (2, 640, 3), np.uint8),
        rng.integers(0, 256, (640, 2, 3), np.uint8),
        np.tile(np.arange(320, dtype=np.uint8)[None, :, None], (180, 1, 3)),
    )
    for track_id, participant_id in TRACKS:
        image = images[case % len(images)]
        image.flags.writeable = False
        yield VideoFrame(track_id, participant_id, at_us, image)


def sounds(seed: int, at_us: int, case: int, *, after_gap: bool) -> Iterator[AudioChunk]:
    """Noise, silence, clipping, a constant, a tone, a click; of both participants."""
    rng = np.random.default_rng([seed, at_us, 1])
    n = 1536
    click = np.zeros(n, np.float32)
    click[5] = 1
    kinds = (
        rng.normal(0, 0.1, n).clip(-1, 1).astype(np.float32),
        np.zeros(n, np.float32),
        np.where(rng.random(n) > 0.5, 1, -1).astype(np.float32),
        np.full(n, 0.5, np.float32),
        np.sin(np.arange(n) * 0.2).astype(np.float32),
        click,
    )
    for track_id, participant_id in TRACKS:
        samples = kinds[case % len(kinds)]
        samples.flags.writeable = False
        name = track_id.replace("cam", "mic")
        yield AudioChunk(name, participant_id, at_us, samples, is_after_gap=after_gap)


def said(at_us: int, case: int) -> Iterator[Utterance | Heard]:
    """What people may say, in part and whole, doubtful, and nothing at all."""
    texts = ("", "保本", "我同意，我清楚了解。", "本产品不保本，投资有风险。", "…！？", "a" * 500)
    text = texts[case % len(texts)]
    for track_id, participant_id in TRACKS:
        name = track_id.replace("cam", "mic")
        words = (Word(text[:1], at_us, at_us + 1),) if text and case % 2 else ()
        until = at_us + 400_000
        common = (participant_id, name, at_us, until)
        yield Utterance(*common, text, words, confidence=0.2, language="zh", is_final=False)
        yield Utterance(*common, text, words, language="zh")
        yield Heard(participant_id, name, at_us, at_us + SECOND // 2, is_known=case % 3 != 0)


def scene(seed: int, wanted: frozenset[str]) -> list[Input]:
    """A quarter of a minute of everything, with gaps, a jump in time, and marks in every order."""
    items: list[Input] = [
        Mark("participant.joined", 0, participant, {"role": role})
        for participant, role in (("rm", "rm"), ("customer", "customer"))
    ]
    items += [
        Mark("node.started", 0, "", FLOW_NODE),
        Mark("challenge", 0, "customer", {"kind": "turn"}),
        Mark("challenge", 0, "customer", {"kind": "blink"}),
    ]
    at_us = 0
    for step in range(30):
        at_us += SECOND // 2 if step != 16 else 3_600 * SECOND
        case = step // 2 if step < 16 else step
        items += pictures(seed, at_us, case)
        items += sounds(seed, at_us, case, after_gap=step % 7 == 0)
        items += said(at_us, case)
        items += (
            Finding(name, at_us, at_us, score=0.9, participant_id="customer", track_id="cu-cam")
            for name in sorted(wanted)
        )
        if step == 12:
            items += [
                Mark("node.ended", at_us, "", {"code": "n1"}),
                Mark("node.ended", at_us, "", {"code": "never-begun"}),
                Mark("node.started", at_us, "", {}),
                Mark("track.muted", at_us, "customer", {"kind": "video"}),
                Mark("something.else", at_us, "nobody", {"x": [1, None]}),
            ]
    items.append(Mark("participant.left", at_us, "customer"))
    return items


def subject(scope: Scope, detector: Detector) -> Subject:
    roles = {"rm": "rm", "customer": "customer"}
    if scope is Scope.SESSION:
        return Subject("s1", roles=roles)
    track = "cu-cam" if detector.needs.video else "cu-mic"
    photo = np.random.default_rng(3).integers(0, 256, (96, 72, 3), np.uint8)
    return Subject(
        "s1",
        participant_id="customer",
        track_id=track if scope is Scope.TRACK else "",
        role="customer",
        roles=roles,
        id_photo=photo,
    )


def concerns(item: Input, detector: Detector, about: Subject) -> bool:
    """Whether the host would give it this input."""
    needs = detector.needs
    if about.participant_id and getattr(item, "participant_id", "") not in {
        "",
        about.participant_id,
    }:
        return False
    match item:
        case VideoFrame():
            return needs.video is not None
        case AudioChunk():
            return needs.audio is not None
        case Utterance() | Heard():
            return needs.words
        case Mark():
            return needs.marks
        case Finding(kind=kind):
            return kind in needs.findings


class Run:
    """One watch, and all that it said."""

    def __init__(self, detector: Detector, *, about: Subject | None = None) -> None:
        self.detector = detector
        self.about = about or subject(detector.card.scope, detector)
        self.watch: Watch = detector.watch(self.about)
        self.said: list[Output] = []

    def give(self, items: Sequence[Input]) -> "Run":
        for item in items:
            if not concerns(item, self.detector, self.about):
                continue
            if isinstance(item, VideoFrame) and isinstance(self.detector, Prepares):
                self.detector.prepare([item])
            self.said += self.watch.process(item)
            while isinstance(self.detector, Defers) and self.detector.waiting:
                worked = self.detector.work()
                assert worked is not None
                owner, more = worked
                if owner is self.watch:
                    self.said += more
        return self

    def flush(self, at_us: int) -> "Run":
        self.said += self.watch.flush(at_us)
        return self

    def findings(self) -> list[Finding]:
        return [item for item in self.said if isinstance(item, Finding)]


def end_of(items: Sequence[Input]) -> int:
    return max(
        max(getattr(item, name, 0) for name in ("at_us", "pts_us", "end_us")) for item in items
    )


def fresh(items: Sequence[Input]) -> list[Input]:
    """The same input, of which nothing is remembered in ``shared``."""
    from dataclasses import replace

    return [
        replace(item, shared={}) if isinstance(item, VideoFrame | AudioChunk) else item
        for item in items
    ]


def test_whatever_comes_is_taken_and_answered_with_what_is_declared(detector: Detector) -> None:
    items = scene(1, detector.needs.findings)
    end_us = end_of(items)
    kinds = {one.kind: one for one in detector.card.kinds}
    run = Run(detector).give(items).flush(end_us)
    for finding in run.findings():
        declared = kinds[finding.kind]
        assert 0 <= finding.start_us <= finding.end_us <= end_us, finding
        assert finding.score is None or 0 <= finding.score <= 1, finding
        assert fields(declared.explanation.en) <= finding.values.keys(), finding
        assert len(finding.frames) <= 16
        assert len(finding.values) <= 16
        assert all(
            isinstance(value, str | int) or np.isfinite(value) for value in finding.values.values()
        ), finding
        for frame in finding.frames:
            assert 0 <= frame.at_us <= end_us
    for item in run.said:
        if isinstance(item, Utterance | Heard):
            assert 0 <= item.start_us <= item.end_us <= end_us


def test_flush_closes_everything(detector: Detector) -> None:
    items = scene(2, detector.needs.findings)
    run = Run(detector).give(items).flush(end_of(items))
    last = {(one.kind, one.start_us, one.participant_id): one for one in run.findings()}
    assert [one for one in last.values() if one.is_open] == []


def test_same_input_gives_the_same_findings(detector: Detector) -> None:
    items = scene(3, detector.needs.findings)
    one = Run(detector).give(fresh(items)).flush(end_of(items))
    other = Run(detector).give(fresh(items)).flush(end_of(items))
    assert one.said == other.said


def test_two_watches_share_no_state(detector: Detector) -> None:
    items, others = (scene(seed, detector.needs.findings) for seed in (4, 5))
    alone = Run(detector).give(fresh(items)).flush(end_of(items))
    one, other = Run(detector), Run(detector)
    for mine, theirs in zip(fresh(items), fresh(others), strict=True):
        one.give([mine])
        other.give([theirs])
    other.flush(end_of(others))
    assert one.flush(end_of(items)).said == alone.said


def test_nothing_seen_is_no_finding_but_unknown(detector: Detector) -> None:
    run = Run(detector).flush(SECOND)
    assert all(one.outcome is Outcome.UNKNOWN for one in run.findings())
    again = Run(detector)
    again.flush(0)
    again.flush(0)


def test_settings_with_nonsense_are_refused(kind: type[Detector]) -> None:
    from analytics.config import config_of
    from analytics.errors import DetectorConfigError

    with pytest.raises(DetectorConfigError, match=rf"detectors.{kind.name}.nonsense"):
        config_of(kind, {"nonsense": 1})


def test_model_that_is_none_is_refused(kind: type[Detector], tmp_path: Path) -> None:
    if not kind.card.models:
        pytest.skip("runs no model")
    wrong = tmp_path / "wrong.onnx"
    wrong.write_bytes(b"no model at all")
    own = dict.fromkeys(kind.card.models, wrong)
    with pytest.raises(ModelError):
        kind.load(kind.Config(), InstalledModels(tmp_path, own))
