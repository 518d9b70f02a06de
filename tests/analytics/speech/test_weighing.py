import pytest

from analytics.detector import Likely
from analytics.speech.answers import Replies, Reply
from analytics.speech.pack import load_pack
from analytics.speech.weighing import Margins, weighed

REPLIES = Replies(load_pack(None))
MARGINS = Margins(sure=2.0, doubt=1.0, behind=3.0)


def judged(text: str, **scores: float) -> Reply:
    likely = [Likely(one, score) for one, score in scores.items()]
    return weighed(REPLIES, REPLIES.judge(text), likely, MARGINS)


@pytest.mark.parametrize(
    ("text", "scores", "reply"),
    [
        # What was written is no word that anybody would answer, and 明白 fits nearly as well.
        ("银牌", {"银牌": -3, "明白": -5, "不明白": -9}, Reply.YES),
        ("银牌", {"银牌": -3, "明白": -5, "不明白": -6}, Reply.NEAR),
        ("银牌", {"银牌": -3, "明白": -9, "不明白": -15}, Reply.NEAR),
        ("一共买", {"一共买": -3, "同意": -7, "不同意": -4}, Reply.NO),
        ("一共买", {"一共买": -3, "同意": -4, "不同意": -5}, Reply.NEAR),
        ("你好啊朋友", {"你好啊朋友": -3, "同意": -20, "不同意": -20}, Reply.OTHER),
        ("深模意思", {"深模意思": -5, "什么意思": -4, "可以": -9}, Reply.ASKING),
        # A yes that a denial fits as well is none.
        ("同意", {"同意": -3, "不同意": -5}, Reply.YES),
        ("同意", {"同意": -3, "没同意": -3.5}, Reply.NEAR),
        ("同意", {"同意": -4, "没同意": -3}, Reply.NO),
        ("同意", {"同意": -4, "再想想": -3}, Reply.NEAR),
        # A denial that sounds like a yes is none; one that sounds otherwise is.
        ("没有疑问", {"没有疑问": -2.1, "没有以问": -2.0, "不是": -9}, Reply.YES),
        ("没有疑问", {"没有疑问": -2.1, "没有一点": -2.2, "不是": -9}, Reply.NEAR),
        ("没有意义", {"没有意义": -1, "没有异议": -8, "没有": -9}, Reply.YES),
        # What fits badly is no yes, though nothing fits better.
        ("嗨", {"嗨": -4.8, "对": -6.5, "不是": -9}, Reply.NEAR),
        ("嗨", {"嗨": -4.8, "明白": -5.5, "不明白": -9}, Reply.YES),
        # One syllable has to fit better than a word.
        ("嗨", {"嗨": -4.8, "对": -4.2, "不是": -9}, Reply.NEAR),
        ("嗨", {"嗨": -4.8, "对": -3.8, "不是": -9}, Reply.YES),
        # Texts that sound the same are no yes if one of them denies what the other doesn't.
        ("每听明白", {"每听明白": -1.9, "没听明白": -1.5, "不是": -9}, Reply.NO),
        ("墨听懂了", {"墨听懂了": -2, "没听懂了": -6, "莫听懂了": -2}, Reply.UNLISTED),
        # Beside a yes, what the same sound may have been besides speaks neither for nor against it.
        ("我认可合同", {"我认可合同": -3, "我认可恶童": -2.5, "不是": -9}, Reply.YES),
        ("我认可恶童声", {"我认可合同": -3, "我认可恶童声": -2.5, "不是": -9}, Reply.UNLISTED),
        # A denial whose negator was misheard.
        ("美同意", {"美同意": -3, "没同意": -5, "对": -13}, Reply.NO),
        # What is no yes never becomes one.
        ("不同意", {"不同意": -9, "同意": -1}, Reply.NO),
        ("我再想想", {"我再想想": -9, "同意": -1}, Reply.HESITANT),
        ("同意什么", {"同意什么": -9, "同意": -1}, Reply.ASKING),
    ],
)
def test_errors_are_not_alike(text: str, scores: dict[str, float], reply: Reply) -> None:
    assert judged(text, **scores) is reply


def test_without_weights_the_text_counts() -> None:
    assert judged("同意") is Reply.YES
    assert judged("银牌") is REPLIES.judge("银牌")
