from typing import Any

import pytest

from analytics.detector import Finding, Mark, Outcome, Subject, Word
from analytics.detectors.prohibited_promises import ProhibitedPromises, ProhibitedPromisesConfig
from analytics.speech.pack import load_pack
from tests.fakes.speech import said

DETECTOR = ProhibitedPromises(ProhibitedPromisesConfig(), load_pack(None))
SUBJECT = Subject("s", roles={"rm": "rm", "customer": "customer"})


def found(text: str, *marks: Mark, who: str = "rm", **more: Any) -> dict[object, Outcome]:
    watch = DETECTOR.watch(SUBJECT)
    for mark in marks:
        watch.process(mark)
    findings = list(watch.process(said(text, 1.0, who=who, **more)))
    assert all(isinstance(one, Finding) for one in findings)
    return {one.values["promise"]: one.outcome for one in findings if isinstance(one, Finding)}


@pytest.mark.parametrize(
    ("text", "promise"),
    [
        ("这个产品是保本的。", "principal_guaranteed"),
        ("这个产品保证收益，您放心。", "return_guaranteed"),
        ("我们保证您的年化收益。", "return_guaranteed"),
        ("年化收益肯定有8%。", "return_guaranteed"),
        ("我们承诺宝本。", "principal_guaranteed"),
        ("穏赚不赔，绝对不会亏。", "no_loss"),
        ("这个产品零风险。", "no_risk"),
        ("它没有任何风险", "no_risk"),
        ("跟存款一样安全。", "like_a_deposit"),
        ("这款跟定期存款没有区别", "like_a_deposit"),
        ("我保证每年有百分之六", "return_guaranteed"),
        ("到期一定能拿到百分之五", "return_guaranteed"),
        ("亏了算我们的", "no_loss"),
        ("合同您不用看，直接签字就行。", "unread"),
        ("这个产品不是不保本。", "principal_guaranteed"),
        ("它不但保本，还有收益", "principal_guaranteed"),
        ("不用担心，保本。", "principal_guaranteed"),
        ("您是不是担心？它保本", "principal_guaranteed"),
        ("你就说你同意", "prompts_the_answer"),
        ("This fund has a guaranteed return.", "return_guaranteed"),
        ("There is no risk at all.", "no_risk"),
    ],
)
def test_promises_are_found(text: str, promise: str) -> None:
    assert found(text).get(promise) is Outcome.FAIL


@pytest.mark.parametrize(
    "text",
    [
        "本产品不保本，投资有风险。",
        "我们不能保证收益。",
        "本产品不承诺保本保收益。",
        "没有人能保证稳赚不赔。",
        "市场上没有零风险的产品。",
        "保本是不可能的。",
        "任何人都不得承诺保证收益。",
        "它跟存款不一样。",
        "请您看完合同以后再签字。",
        "We can't offer a guaranteed return.",
        "There is never a guaranteed return.",
        "保。本",
        "",
    ],
)
def test_what_is_denied_or_is_none_is_not(text: str) -> None:
    assert found(text) == {}


def test_customers_may_say_it() -> None:
    assert found("这个产品保本", who="customer") == {}
    assert found("这个产品保本", who="stranger") == {}


def test_partial_results_are_waited_for() -> None:
    assert found("这个产品保本", is_final=False) == {}


@pytest.mark.parametrize(("text", "confidence"), [("这个产品保本", 0.3), ("这个产品布保本", 0.9)])
def test_in_doubt_somebody_has_to_listen(text: str, confidence: float) -> None:
    assert found(text, confidence=confidence) == {"principal_guaranteed": Outcome.WARN}


@pytest.mark.parametrize("text", ["本金不是绝对安全的", "收益不是固定的"])
def test_negator_within_a_phrase_leaves_a_doubt(text: str) -> None:
    assert set(found(text).values()) == {Outcome.WARN}


def test_phrases_of_the_flow_count_in_their_node() -> None:
    node = Mark("node.started", 0, data={"code": "a", "prohibited_phrases": ["内部消息"]})
    following = Mark("node.started", 1, data={"code": "b"})
    assert found("我有内部消息", node) == {"flow": Outcome.FAIL}
    assert found("我有内部消息", node, following) == {}
    assert found("我有内部消息") == {}


def test_words_that_caused_it_are_named() -> None:
    text = "产品保本"
    words = tuple(Word(one, i * 100, i * 100 + 100) for i, one in enumerate(text))
    utterance = said(text, 0.0)
    utterance = type(utterance)(
        utterance.participant_id, utterance.track_id, 0, 400, text, words, 0.9
    )
    (finding,) = DETECTOR.watch(SUBJECT).process(utterance)
    assert isinstance(finding, Finding)
    assert [word.text for word in finding.words] == ["保", "本"]
    assert (finding.start_us, finding.end_us) == (200, 400)
