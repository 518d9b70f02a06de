"""Evidence adds up, fades, and is explained."""

import pytest
from pydantic import ValidationError

from analytics.detector import Finding, Mark, Outcome, Subject
from analytics.detectors.coaching import Coaching, CoachingConfig, CoachingWatch

S = 1_000_000


def watch(**settings: object) -> CoachingWatch:
    config = CoachingConfig.model_validate(settings)
    return Coaching(config).watch(Subject("s1", "p1"))


def evidence(kind: str, start: int, end: int, score: float = 1.0, is_open: bool = False) -> Finding:
    return Finding(kind, start * S, end * S, score=score, is_open=is_open)


@pytest.mark.parametrize(
    ("kinds", "outcome"),
    [
        (["phone_visible"], None),
        (["hand_at_ear", "phone_visible"], None),
        (["second_voice"], None),
        (["phone_at_ear"], Outcome.WARN),
        (["second_voice", "answer_follows_whisper"], Outcome.WARN),
        (["phone_at_ear", "second_voice", "answer_follows_whisper"], Outcome.FAIL),
        (["picture_black", "unheard_of"], None),
    ],
)
def test_evidence_adds_up(kinds: list[str], outcome: Outcome | None) -> None:
    subject = watch()
    said = [f for kind in kinds for f in subject.process(evidence(kind, 10, 12))]
    assert (said[-1].outcome if said else None) == outcome


def test_explanation_names_what_counted() -> None:
    subject = watch()
    subject.process(evidence("second_voice", 10, 12))
    (said,) = subject.process(evidence("phone_at_ear", 14, 15, is_open=True))
    assert said.values["phone_at_ear"] == 0.65
    assert said.values["answer_follows_whisper"] == 0
    assert 0 < float(said.values["second_voice"]) <= 0.45
    assert said.start_us == 10 * S
    assert said.is_open


def test_evidence_that_is_over_fades() -> None:
    subject = watch()
    assert subject.process(evidence("second_voice", 10, 12)) == []
    assert subject.process(evidence("answer_follows_whisper", 200, 202)) == []
    assert subject.process(Mark("node.started", 1000 * S)) == []


def test_suspicion_ends_when_evidence_has_faded() -> None:
    subject = watch()
    (opened,) = subject.process(evidence("phone_at_ear", 10, 30, is_open=True))
    assert subject.process(Mark("tick", 200 * S)) == []  # still at the ear
    assert subject.process(evidence("phone_at_ear", 10, 210)) == []
    (ended,) = subject.process(Mark("tick", 300 * S))
    assert (ended.start_us, ended.is_open, ended.end_us) == (opened.start_us, False, 300 * S)


def test_unknown_and_passes_are_no_evidence() -> None:
    for outcome in (Outcome.UNKNOWN, Outcome.PASS):
        finding = Finding("phone_at_ear", 0, S, outcome, score=1.0)
        assert watch().process(finding) == []


def test_weights_come_from_the_settings() -> None:
    assert watch(weights={"phone_visible": 0.9}).process(evidence("phone_visible", 1, 2))
    assert watch(weights={}).process(evidence("phone_at_ear", 1, 2)) == []
    detector = Coaching(CoachingConfig(weights={"phone_visible": 0.9, "second_voice": 0}))
    assert detector.needs.findings == {"phone_visible"}


@pytest.mark.parametrize("weights", [{"phone": 0.5}, {"phone_visible": 1.5}])
def test_wrong_weights_are_refused(weights: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="phone"):
        CoachingConfig(weights=weights)


def test_flood_of_findings_is_bounded() -> None:
    subject = watch()
    for index in range(10_000):
        subject.process(Finding("phone_visible", index, index, score=0.0))
    assert len(subject._pieces) <= 64


def test_flush_ends_it() -> None:
    subject = watch()
    subject.process(evidence("phone_at_ear", 10, 12))
    assert [f.is_open for f in subject.flush(20 * S)] == [False]
    assert subject.flush(30 * S) == []
