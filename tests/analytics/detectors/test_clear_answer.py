from collections.abc import Sequence

import pytest

from analytics.detector import Finding, Input, Mark, Outcome, Subject
from analytics.detectors.clear_answer import ClearAnswer, ClearAnswerConfig
from analytics.speech.pack import load_pack
from tests.fakes.speech import S, heard, said

DETECTOR = ClearAnswer(ClearAnswerConfig(), load_pack(None))
SUBJECT = Subject("s", roles={"rm": "rm", "customer": "customer"})
QUESTION = said("请问您是否同意购买？", 2, 4)


def begun(*, window_s: int = 10, retries: int = 0, lexicon: Sequence[str] = ()) -> Mark:
    answer = {
        "speaker": "customer",
        "lexicon": list(lexicon),
        "window_s": window_s,
        "retries": retries,
    }
    return Mark("node.started", 0, data={"code": "agree", "kind": "question", "answer": answer})


def ended(at_s: float) -> Mark:
    return Mark("node.ended", int(at_s * S))


def findings(*items: Input, flush_s: float | None = None) -> list[Finding]:
    watch = DETECTOR.watch(SUBJECT)
    found: list[object] = [one for item in items for one in watch.process(item)]
    if flush_s is not None:
        found += watch.flush(int(flush_s * S))
    return [one for one in found if isinstance(one, Finding)]


def verdicts(*items: Input, flush_s: float | None = None) -> list[tuple[str, str, object]]:
    return [
        (one.kind.removeprefix("answer_"), one.outcome.value, one.values["how"])
        for one in findings(*items, flush_s=flush_s)
    ]


def both(until_s: float) -> list[Input]:
    """Everybody was listened to."""
    return [heard(0, until_s), heard(0, until_s, who="customer")]


def answer(text: str, at_s: float = 5, **more: float) -> Input:
    return said(text, at_s, at_s + 1, who="customer", **more)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("我同意。", ("affirmed", "pass", "yes")),
        ("嗯，同意", ("affirmed", "pass", "yes")),
        ("我不同意。", ("refused", "fail", "no")),
        ("嗯……", ("unclear", "fail", "hesitant")),
        ("同意，但是要保本", ("unclear", "fail", "reserved")),
        ("您说的是什么？", ("unclear", "fail", "asking")),
        ("今天天气不错", ("unclear", "fail", "other")),
        ("请问您是否同意购买", ("unclear", "fail", "echo")),
        ("红衣", ("unknown", "unknown", "unsure")),
    ],
)
def test_answers(text: str, verdict: tuple[str, str, str]) -> None:
    assert verdicts(begun(), QUESTION, answer(text), *both(20), ended(20)) == [verdict]


def test_silence_is_no_answer() -> None:
    assert verdicts(begun(), QUESTION, *both(13)) == []
    assert verdicts(begun(), QUESTION, *both(14)) == [("missing", "fail", "silence")]


def test_answer_after_the_window_comes_too_late() -> None:
    items = [begun(window_s=3), QUESTION, answer("我同意", 8), *both(20)]
    assert verdicts(*items) == [("missing", "fail", "silence")]


def test_yes_is_told_once_it_has_settled() -> None:
    items = [begun(), QUESTION, answer("我同意")]
    assert verdicts(*items, *both(7)) == []
    assert verdicts(*items, *both(8)) == [("affirmed", "pass", "yes")]


def test_second_thoughts_count() -> None:
    items = [begun(), QUESTION, answer("同意", 5)]
    assert verdicts(*items, answer("不，不同意", 6.5), *both(20)) == [("refused", "fail", "no")]


def test_no_and_then_yes_is_not_clear() -> None:
    items = [begun(), QUESTION, answer("不同意", 5), answer("同意", 7), *both(20)]
    assert verdicts(*items) == [("unclear", "fail", "no_and_yes")]


def test_hesitation_before_a_yes_does_not_matter() -> None:
    items = [begun(), QUESTION, answer("嗯", 5), answer("同意", 8), *both(20)]
    assert verdicts(*items) == [("affirmed", "pass", "yes")]


def test_answer_before_the_question_was_put_is_none() -> None:
    items = [begun(), answer("同意", 1), QUESTION, *both(20)]
    assert verdicts(*items) == [("missing", "fail", "silence")]


def test_answer_that_begins_while_the_question_ends_counts() -> None:
    items = [begun(), QUESTION, answer("同意", 3.5), *both(20)]
    assert verdicts(*items) == [("affirmed", "pass", "yes")]


def test_lexicon_of_the_flow_counts() -> None:
    items = [QUESTION, answer("说定了"), *both(20)]
    assert verdicts(begun(lexicon=["说定了"]), *items) == [("affirmed", "pass", "yes")]
    assert verdicts(begun(), *items)[0][0] != "affirmed"


def test_answer_of_somebody_else_is_none() -> None:
    items = [begun(), QUESTION, said("我同意", 5), *both(20)]
    assert verdicts(*items) == [("missing", "fail", "silence")]


@pytest.mark.parametrize(
    "coverage",
    [
        [heard(0, 20), heard(0, 4, who="customer")],
        [heard(0, 20), heard(6, 20, who="customer")],
        [heard(0, 20), heard(0, 20, who="customer", is_known=False)],
        [heard(0, 20)],
    ],
)
def test_unknown_where_the_answer_was_not_heard(coverage: Sequence[Input]) -> None:
    assert verdicts(begun(), QUESTION, *coverage, ended(20), flush_s=20) == [
        ("unknown", "unknown", "not_heard")
    ]


def test_unknown_where_the_recogniser_is_unsure() -> None:
    items = [begun(), QUESTION, answer("我同意", confidence=0.2), *both(20)]
    assert verdicts(*items) == [("unknown", "unknown", "unsure")]


def test_question_may_be_put_again() -> None:
    again = said("您是否同意？", 20, 21)
    items = [begun(retries=1), QUESTION, *both(15), again, answer("同意", 22)]
    found = findings(*items, heard(15, 40), heard(15, 40, who="customer"), ended(40))
    assert [(one.kind, one.outcome, one.is_open, one.values["try"]) for one in found] == [
        ("answer_missing", Outcome.WARN, True, 1),
        ("answer_affirmed", Outcome.PASS, False, 2),
    ]


def test_last_try_fails() -> None:
    again = said("您是否同意？", 20, 21)
    items = [begun(retries=1), QUESTION, *both(15), again]
    found = findings(*items, heard(15, 40), heard(15, 40, who="customer"))
    assert [(one.outcome, one.is_open) for one in found] == [
        (Outcome.WARN, True),
        (Outcome.FAIL, False),
    ]


def test_what_was_not_put_again_fails_with_the_node() -> None:
    found = findings(begun(retries=1), QUESTION, *both(20), ended(19), *both(21))
    assert [(one.kind, one.outcome, one.is_open) for one in found] == [
        ("answer_missing", Outcome.WARN, True),
        ("answer_missing", Outcome.FAIL, False),
    ]
    assert len({one.start_us for one in found}) == 1


def test_question_in_two_breaths_is_one() -> None:
    first, second = said("请问您是否清楚风险？", 1, 2), said("并且同意购买吗？", 3, 4)
    assert verdicts(begun(), first, second, answer("同意"), *both(20), ended(20)) == [
        ("affirmed", "pass", "yes")
    ]


def test_thanks_after_the_answer_are_no_question() -> None:
    items = [begun(), QUESTION, answer("同意"), said("好的，谢谢", 8), *both(30), ended(30)]
    assert verdicts(*items) == [("affirmed", "pass", "yes")]


def test_question_that_was_not_recognised_as_one_counts_too() -> None:
    items = [begun(), said("那您同意购买", 2, 4), answer("同意"), *both(20), ended(20)]
    assert verdicts(*items) == [("affirmed", "pass", "yes")]


def test_question_that_was_not_put() -> None:
    assert verdicts(begun(), *both(20), ended(20)) == [("missing", "fail", "not_asked")]
    assert verdicts(begun(), ended(20), flush_s=20) == [("unknown", "unknown", "not_heard")]


def test_nobody_listened_for_long() -> None:
    items: list[Input] = [begun(), QUESTION, ended(20), Mark("x", 60 * S)]
    assert verdicts(*items) == [("unknown", "unknown", "not_heard")]


def test_nodes_without_answer_are_none_of_its_business() -> None:
    mark = Mark("node.started", 0, data={"code": "a", "kind": "statement"})
    assert verdicts(mark, QUESTION, *both(20), ended(20), flush_s=20) == []
