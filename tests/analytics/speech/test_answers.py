import pytest

from analytics.speech.answers import Replies, Reply
from analytics.speech.pack import load_pack

REPLIES = Replies(load_pack(None), lexicon=("听清楚了", "没意见"))
QUESTION = "请问您是否已经清楚了解产品的风险等级，并同意购买？"


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ("同意。", Reply.YES),
        ("我同意，我清楚了解。", Reply.YES),
        ("嗯，我同意。", Reply.YES),
        ("是。", Reply.YES),
        ("是的是的", Reply.YES),
        ("沒問題", Reply.YES),
        ("清楚，没有疑问。", Reply.YES),
        ("没意见", Reply.YES),
        ("Yes, I agree.", Reply.YES),
        ("我不同意。", Reply.NO),
        ("不", Reply.NO),
        ("不是。", Reply.NO),
        ("我不清楚这个风险。", Reply.NO),
        ("不同一个买", Reply.NO),
        ("我不太清楚", Reply.NO),
        ("同意不了", Reply.NO),
        ("I do not agree", Reply.NO),
        ("no, thanks", Reply.NO),
        ("我不想买。", Reply.NO),
        ("还没看过合同", Reply.NO),
        ("不许本人。", Reply.NO),
        ("不得不说", Reply.OTHER),
        ("没关系", Reply.NEAR),
        ("不好说", Reply.HESITANT),
        ("昨天我的朋友说他不想去那里吃饭", Reply.OTHER),
        ("嗯……", Reply.HESITANT),
        ("嗯，我再考虑一下。", Reply.HESITANT),
        ("还没有想好", Reply.HESITANT),
        ("还没有想好的", Reply.HESITANT),
        ("同意吧", Reply.HESITANT),
        ("我不是不同意", Reply.HESITANT),
        ("not sure", Reply.HESITANT),
        # What stands before an answer and isn't listed: no list has all that takes one back.
        ("明天同意", Reply.RESERVED),
        ("我媳妇同意", Reply.RESERVED),
        ("差点同意", Reply.UNLISTED),
        ("能保本我同意", Reply.UNLISTED),
        ("我完全清楚", Reply.YES),
        ("您刚才说的我都明白", Reply.YES),
        ("同意，我撤回", Reply.RESERVED),
        ("唔同意", Reply.NO),
        ("唔，同意", Reply.YES),
        # What is said after it: of myself or of somebody else, with another object, of a part.
        ("好的，我问一下我老伴", Reply.UNLISTED),
        ("行，去问问孩子", Reply.UNLISTED),
        ("好，看看合同", Reply.UNLISTED),
        ("好的你接着讲", Reply.UNLISTED),
        ("是的，他签的", Reply.UNLISTED),
        ("同意喝杯水", Reply.UNLISTED),
        ("可以讲慢点", Reply.UNLISTED),
        ("我清楚你的套路", Reply.UNLISTED),
        ("看完了第一页", Reply.UNLISTED),
        ("知道点儿", Reply.UNLISTED),
        ("清楚一半", Reply.UNLISTED),
        ("同意个锤子", Reply.UNLISTED),
        ("是的，信号断断续续", Reply.UNLISTED),
        ("好，改日", Reply.RESERVED),
        ("同意啥", Reply.RESERVED),
        ("Yes, hold on", Reply.RESERVED),
        ("I agree when my son agrees", Reply.UNLISTED),
        ("同意嘛", Reply.HESITANT),
        ("清楚一切", Reply.YES),
        ("可以，您录吧", Reply.YES),
        ("我知道你们不兜底", Reply.YES),
        ("我知道是你们代销的产品", Reply.YES),
        ("明白，盈亏自负嘛", Reply.YES),
        ("犹豫期我知道", Reply.YES),
        # One word that nobody listed, and words that are misheard behind one that is not.
        ("可以等", Reply.YES),
        ("是，我同一购买", Reply.YES),
        # What was explained well is no answer, and takes none back.
        ("经理讲得很清楚", Reply.NEAR),
        ("经理讲得很清楚，我明白了", Reply.YES),
        ("您讲得不清楚，我同意", Reply.NO),
        ("经理同意，我也同意", Reply.RESERVED),
        # What is not so of the product denies no answer, unless it stands right before one.
        ("我知道不是存款", Reply.YES),
        ("不是存款我知道", Reply.YES),
        ("知道，收益不固定", Reply.YES),
        ("我不保证同意", Reply.NO),
        ("不是存款我不同意", Reply.NO),
        ("没人逼我，是自愿的", Reply.YES),
        ("没什么不清楚的", Reply.YES),
        ("有没有不清楚的", Reply.ASKING),
        ("我再说一遍，同意", Reply.YES),
        ("好的买吧", Reply.YES),
        ("行开始吧", Reply.YES),
        ("是开始吧", Reply.OTHER),
        ("同意购买吧", Reply.HESITANT),
        # What is for later, or for a price.
        ("没问题我再确认", Reply.RESERVED),
        ("再次确认", Reply.YES),
        ("费用减一半我就接受", Reply.RESERVED),
        ("减一半，我就同意", Reply.RESERVED),
        ("那我就同意", Reply.YES),
        ("好，我就同意", Reply.YES),
        ("我本来就清楚", Reply.YES),
        # 吧 doubts the answer, but not what is to be done.
        ("好，就这么办吧", Reply.YES),
        ("可以的，录吧", Reply.YES),
        ("好，同意吧", Reply.HESITANT),
        ("确认吧", Reply.HESITANT),
        # Words that ask or hesitate, as part of those that agree.
        ("没什么问题", Reply.YES),
        ("没什么同意", Reply.ASKING),
        ("同意，应该的", Reply.YES),
        ("应该同意", Reply.HESITANT),
        ("心里有数", Reply.YES),
        ("我特别清楚", Reply.YES),
        ("心里没有数", Reply.NO),
        ("不晓得", Reply.NO),
        # What sounds like a negator, within three words.
        ("每听明白", Reply.NEAR),
        ("普接受这个风险", Reply.NEAR),
        ("每条都明白", Reply.YES),
        ("费用我都清楚了", Reply.YES),
        ("同意，但是要保本", Reply.RESERVED),
        ("Yes, but later", Reply.RESERVED),
        ("您是说同意购买吗？", Reply.ASKING),
        ("我同意什么", Reply.ASKING),
        ("同意不同意", Reply.ASKING),
        # What is denied beside the answer, unless it is only known.
        ("好的我不懂", Reply.RESERVED),
        ("清楚，我没签过字。", Reply.RESERVED),
        ("我知道不保本", Reply.YES),
        ("没有疑问同意", Reply.YES),
        ("确认，没有异议。", Reply.YES),
        ("我理解了。", Reply.YES),
        ("确定。", Reply.YES),
        ("没有别的问题了", Reply.YES),
        ("对，信息没有错", Reply.YES),
        ("我不理解", Reply.NO),
        ("我不确定", Reply.HESITANT),
        ("还有别的问题", Reply.NO),
        ("是不是有错", Reply.ASKING),
        ("确认没有意义", Reply.YES),
        ("我全部清楚了", Reply.YES),
        # On a condition, in part, or somebody else.
        ("如果保本我就同意", Reply.RESERVED),
        ("大部分清楚", Reply.RESERVED),
        ("我爱人同意", Reply.RESERVED),
        ("你们同意就行", Reply.RESERVED),
        ("您说的我明白", Reply.YES),
        ("He agreed", Reply.RESERVED),
        ("美同意的", Reply.NEAR),
        ("红衣", Reply.NEAR),
        ("普通一共买", Reply.NEAR),
        ("我布同意", Reply.NEAR),
        ("今天天气不错。", Reply.OTHER),
        ("", Reply.HESITANT),
    ],
)
def test_what_an_answer_is(said: str, reply: Reply) -> None:
    assert REPLIES.judge(said) is reply


@pytest.mark.parametrize(
    ("said", "reply"),
    [
        ("清楚了解产品的风险等级，并同意购买", Reply.ECHO),
        ("请问您是否已经清楚了借产品的风险等级并同意购买", Reply.ECHO),
        ("我清楚了解产品的风险等级，并同意购买", Reply.YES),
        ("同意购买", Reply.YES),
    ],
)
def test_the_question_itself_is_no_answer(said: str, reply: Reply) -> None:
    assert REPLIES.judge(said, QUESTION) is reply


def test_words_of_time_have_to_be_written_so() -> None:
    pack = load_pack(None)
    answers = pack.answers.model_copy(update={"beside": ()})
    replies = Replies(pack.model_copy(update={"answers": answers}))
    assert replies.judge("原本就同意") is Reply.YES
    assert replies.judge("缘本就同意") is Reply.RESERVED
