from collections.abc import Sequence

import pytest

from analytics.detector import Finding, Heard, Input, Mark, Subject
from analytics.detectors.required_statements import RequiredStatements, RequiredStatementsConfig
from analytics.speech.pack import load_pack
from tests.fakes.speech import S, heard, said

DETECTOR = RequiredStatements(RequiredStatementsConfig(), load_pack(None))
SUBJECT = Subject("s", roles={"rm": "rm", "rm2": "rm", "customer": "customer"})
PRINCIPAL = {"zh": "本产品不保本，投资有风险。", "en": "The product is not guaranteed."}
REDEEM = {"zh": "产品存续期间不能提前赎回。"}


def begun(at_s: float, *statements: object, code: str = "risk") -> Mark:
    data = {"code": code, "kind": "statement", "required_statements": list(statements)}
    return Mark("node.started", int(at_s * S), data=data)


def ended(at_s: float) -> Mark:
    return Mark("node.ended", int(at_s * S))


def verdicts(*items: Input, flush_s: float | None = None) -> list[tuple[object, str, object]]:
    """Statement, outcome and why of each finding."""
    watch = DETECTOR.watch(SUBJECT)
    found: list[object] = [one for item in items for one in watch.process(item)]
    if flush_s is not None:
        found += watch.flush(int(flush_s * S))
    findings = [one for one in found if isinstance(one, Finding)]
    return [(f.values["statement"], f.outcome.value, f.values["how"]) for f in findings]


def test_statement_passes_as_soon_as_it_is_said() -> None:
    assert verdicts(begun(0, PRINCIPAL), said("本产品不保本，投资有风险", 1)) == [
        (1, "pass", "exact")
    ]


def test_it_may_be_said_in_other_words_and_either_language() -> None:
    assert verdicts(begun(0, REDEEM), said("在存续期内是不可以提前赎回的", 1)) == [
        (1, "pass", "paraphrase")
    ]
    assert verdicts(begun(0, PRINCIPAL), said("The product is not guaranteed", 1)) == [
        (1, "pass", "exact")
    ]


def test_it_may_be_said_in_several_breaths() -> None:
    assert verdicts(begun(0, PRINCIPAL), said("本产品不保本", 1), said("投资有风险", 4)) == [
        (1, "pass", "exact")
    ]


def test_it_is_said_once() -> None:
    items = [begun(0, PRINCIPAL), *(said("本产品不保本，投资有风险", at) for at in (1, 9))]
    assert len(verdicts(*items, heard(0, 20), ended(20), flush_s=30)) == 1


def test_it_fails_when_the_node_has_ended_and_all_was_heard() -> None:
    before = [begun(0, PRINCIPAL, REDEEM), heard(0, 5), said("本产品不保本，投资有风险", 5)]
    assert verdicts(*before, ended(20), heard(5, 19)) == [(1, "pass", "exact")]
    assert verdicts(*before, ended(20), heard(5, 19), heard(19, 20)) == [
        (1, "pass", "exact"),
        (2, "fail", "absent"),
    ]


def test_words_that_come_late_count_for_the_node_they_were_said_in() -> None:
    items = [begun(0, PRINCIPAL), heard(0, 5), ended(10), begun(10, REDEEM, code="next")]
    assert verdicts(*items, said("本产品不保本，投资有风险", 6), heard(5, 12)) == [
        (1, "pass", "exact")
    ]


def test_words_before_the_node_do_not_count() -> None:
    items = [said("本产品不保本，投资有风险", 1), begun(5, PRINCIPAL), heard(0, 9), ended(9)]
    assert verdicts(*items) == [(1, "fail", "absent")]


def test_the_opposite_fails() -> None:
    items = [begun(0, REDEEM), said("产品存续期间可以提前赎回", 1), ended(9), heard(0, 9)]
    assert verdicts(*items) == [(1, "fail", "contrary")]


def test_the_opposite_put_right_passes() -> None:
    items = [begun(0, REDEEM), said("产品存续期间可以提前赎回", 1)]
    assert verdicts(*items, said("说错了，产品存续期间不能提前赎回", 8)) == [(1, "pass", "exact")]


def test_the_customer_saying_it_is_not_enough() -> None:
    items: list[Input] = [begun(0, PRINCIPAL), said("本产品不保本，投资有风险", 1, who="customer")]
    assert verdicts(*items, ended(9), heard(0, 9)) == [(1, "fail", "absent")]


@pytest.mark.parametrize(
    "coverage",
    [
        [heard(0, 4), heard(4, 6, is_known=False), heard(6, 10)],
        [heard(3, 10)],
        [heard(0, 5), heard(7, 10)],
        [heard(0, 10, who="customer"), heard(0, 1)],
        [heard(0, 10), heard(0, 10, who="rm2", is_known=False)],
    ],
)
def test_unknown_where_sound_is_missing(coverage: Sequence[Heard]) -> None:
    assert verdicts(begun(0, REDEEM), *coverage, ended(10), flush_s=40) == [
        (1, "unknown", "not_heard")
    ]


def test_a_cough_hides_no_statement() -> None:
    cough = [heard(0, 4), heard(4, 5, is_known=False), heard(5, 10)]
    assert verdicts(begun(0, REDEEM), *cough, ended(10)) == [(1, "fail", "absent")]


def test_one_of_several_speakers_who_was_always_there_is_enough() -> None:
    items = [begun(0, REDEEM), heard(5, 10, who="rm2"), heard(0, 10), ended(10)]
    assert verdicts(*items) == [(1, "fail", "absent")]


def test_unknown_where_nobody_listens() -> None:
    items: list[Input] = [begun(0, REDEEM), ended(10), Mark("track.muted", 29 * S)]
    assert verdicts(*items) == []
    assert verdicts(*items, Mark("track.muted", 30 * S)) == [(1, "unknown", "not_heard")]
    assert verdicts(*items, flush_s=12) == [(1, "unknown", "not_heard")]


def test_unknown_where_the_recogniser_is_unsure() -> None:
    unsure = said("产品存续期间不能提前赎回", 1, confidence=0.1)
    items = [begun(0, REDEEM), unsure, heard(0, 9), ended(9)]
    assert verdicts(*items) == [(1, "unknown", "unsure")]


def test_next_node_ends_the_one_before() -> None:
    items = [begun(0, REDEEM), begun(9, PRINCIPAL, code="next"), heard(0, 9)]
    assert verdicts(*items) == [(1, "fail", "absent")]


def test_flush_ends_a_node_that_is_open() -> None:
    assert verdicts(begun(0, REDEEM), heard(0, 10), flush_s=10) == [(1, "fail", "absent")]


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"required_statements": None},
        {"required_statements": "本产品"},
        {"required_statements": [{}, None, 5, {"zh": 5}, {"fr": "x"}, []]},
        {"code": 7, "required_statements": [], "answer": "yes"},
    ],
)
def test_what_is_no_flow_requires_nothing(data: dict[str, object]) -> None:
    assert verdicts(Mark("node.started", 0, data=data), ended(9), heard(0, 9), flush_s=9) == []
