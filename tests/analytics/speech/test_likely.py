import pytest

from analytics.detector import Mark, Subject
from analytics.speech.answers import Replies, Reply
from analytics.speech.likely import MOST, Awaited, Shortlist, likely_answers
from analytics.speech.pack import load_pack
from tests.fakes.speech import S

PACK = load_pack(None)
CUSTOMER = Subject("s", "p", "p-mic", "customer")


def asking(at_s: float, speaker: str = "customer", *lexicon: str) -> Mark:
    answer = {"speaker": speaker, "lexicon": list(lexicon), "window_s": 5, "retries": 0}
    return Mark("node.started", int(at_s * S), data={"code": "n", "answer": answer})


def test_whatever_affirms_is_weighed_with_its_denial() -> None:
    texts = likely_answers(PACK, ["认购"])
    assert len(texts) == len(set(texts)) <= MOST
    for word in ("同意", "清楚", "明白", "认购"):
        assert {word, f"我{word}", f"不{word}", f"没{word}", f"我不{word}"} <= set(texts)
    assert {"嗯", "再想想", "什么", "不是"} <= set(texts)


def test_where_there_is_no_room_nothing_is_left_without_its_denial() -> None:
    lexicon = [chr(0x6000 + index) + "购" for index in range(100)]
    texts = set(likely_answers(PACK, lexicon))
    assert MOST - 20 < len(texts) <= MOST
    assert {"不同意", "没同意", "没有同意"} <= texts
    known = [one for one in lexicon if one in texts]
    assert 0 < len(known) < 100
    assert all(f"不{one}" in texts and f"没有{one}" in texts for one in known)


def test_only_chinese_and_only_what_is_short() -> None:
    long = "我已经仔细阅读并且完全理解了"
    assert not {"yes", "I agree", long, ""} & set(likely_answers(PACK, ["I agree", long, ""]))


def test_most_denials_are_judged_as_such() -> None:
    replies = Replies(PACK)
    denied = [
        text for text in likely_answers(PACK) if text.startswith(("不", "没", "我不", "我没"))
    ]
    passed = {text for text in denied if replies.judge(text) is Reply.YES}
    kept = {"没错", "没问题", "没有问题", "没疑问", "没有疑问", "没异议", "没有异议"}
    none_left = {"没有别的问题", "没有其他问题", "没有错", "没意见", "没有意见"}
    none_left |= {"没什么问题", "没有什么问题", "没什么疑问"}
    none_left |= {"没有任何问题", "没有任何疑问", "没有任何异议", "没啥问题", "没毛病", "没得问题"}
    none_left |= {f"没{a}不{b}" for a in ("有", "什么", "有什么") for b in ("清楚", "明白")}
    none_left |= {"没有不同意"}
    assert passed <= kept | none_left


@pytest.mark.parametrize(
    ("start_s", "end_s", "is_asked"),
    [
        (0.2, 0.9, False),
        (1.2, 2.0, True),
        (0.8, 1.5, True),
        (1.2, 4.0, False),
        (4.5, 5.5, True),
        (5.1, 5.9, False),
    ],
)
def test_short_answers_while_a_node_waits_for_one(
    start_s: float, end_s: float, *, is_asked: bool
) -> None:
    awaited = Awaited(PACK, CUSTOMER)
    awaited.take(asking(1))
    awaited.take(Mark("node.ended", 5 * S))
    assert (awaited.shortlist(int(start_s * S), int(end_s * S)) is not None) is is_asked


def test_only_of_whoever_is_asked() -> None:
    awaited = Awaited(PACK, CUSTOMER)
    awaited.take(asking(1, "rm"))
    assert awaited.shortlist(2 * S, 3 * S) is None
    awaited.take(asking(4, "customer", "认购"))
    shortlist = awaited.shortlist(5 * S, 6 * S)
    assert shortlist is not None
    assert {"认购", "不认购"} <= set(shortlist.nearest(["任购"]))
    assert awaited.shortlist(2 * S, 3 * S) is None


def test_role_may_come_later() -> None:
    awaited = Awaited(PACK, Subject("s", "p", "p-mic"))
    awaited.take(asking(1))
    assert awaited.shortlist(2 * S, 3 * S) is None
    awaited.take(Mark("participant.joined", 2 * S, "p", {"role": "customer"}))
    assert awaited.shortlist(2 * S, 3 * S) is not None


def test_nodes_that_ask_for_nothing_end_the_wait() -> None:
    awaited = Awaited(PACK, CUSTOMER)
    awaited.take(asking(1))
    awaited.take(Mark("node.started", 2 * S, data={"code": "m"}))
    assert awaited.shortlist(3 * S, 4 * S) is None


@pytest.mark.parametrize(
    ("heard", "meant"),
    [("银牌", "明白"), ("美容", "没有"), ("铜衣", "同意"), ("部同一", "不同意")],
)
def test_what_sounds_alike_is_on_the_shortlist(heard: str, meant: str) -> None:
    found = Shortlist.of(likely_answers(PACK)).nearest([heard, "鸟牌"])
    assert meant in found
    assert len(found) < 100


def test_denials_come_with_what_they_deny() -> None:
    found = Shortlist.of(likely_answers(PACK)).nearest(["我同意了"])
    assert found[0] == "我同意了"
    assert {"不同意", "我不同意", "没同意", "没有同意", "还不同意"} <= set(found)
