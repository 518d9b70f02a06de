import pytest

from analytics.speech.pack import load_pack
from analytics.speech.statements import Likeness, Statement, judge
from analytics.speech.tokens import tokens_of

PACK = load_pack(None)
PRINCIPAL = "本产品不保本，投资有风险，您可能会损失全部本金。"
PAST = "产品的过往业绩不代表未来表现。"
DAYS = "您有十五天的犹豫期。"
REDEEM = "产品存续期间不能提前赎回。"
AGENT = "本产品由我行代理销售，不是我行发行的产品。"
RECORDED = "本次销售过程将全程录音录像。"
ENGLISH = "This product is not guaranteed and you may lose your money."


def likeness(statement: str, said: str) -> Likeness:
    return judge(Statement.of(statement, PACK), tokens_of(PACK.plain(said)), PACK).likeness


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (PRINCIPAL, PRINCIPAL),
        (PRINCIPAL, "好的，那我继续。本产品不宝本 投资有风险您可能会损失全部本金 下面看第二条"),
        (PAST, "產品的過往業績不代表未來表現"),
        (DAYS, "您有15天的犹豫期"),
        (RECORDED, "本次销售过成将全程录音录相。"),
        (ENGLISH, "This product is not guaranteed, and you may lose your money"),
    ],
)
def test_said_word_for_word(statement: str, said: str) -> None:
    assert likeness(statement, said) is Likeness.EXACT


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (PRINCIPAL, "这款产品是不保本的，投资有风险，您的本金有可能全部亏掉。"),
        (PAST, "过去的业绩并不能代表将来的表现。"),
        (DAYS, "从签收合同开始，您可以享受十五天的冷静期。"),
        (REDEEM, "产品在存续期内是不可以提前赎回的。"),
        (AGENT, "这个产品是我们银行代销的，并非我行自己发行。"),
        (RECORDED, "我们这次的销售过程会全程进行录音和录像。"),
    ],
)
def test_said_in_other_words(statement: str, said: str) -> None:
    assert likeness(statement, said) in {Likeness.EXACT, Likeness.PARAPHRASE}


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (PRINCIPAL, "本产品保本，投资没有风险，您不可能会损失全部本金。"),
        (PAST, "过往业绩就代表未来表现。"),
        (REDEEM, "产品存续期间可以提前赎回。"),
        (REDEEM, "产品存续期间不是不能提前赎回。"),
        (DAYS, "您有十天的犹豫期。"),
        (DAYS, "您有二十五天的犹豫期。".replace("二十五", "二十")),
        (AGENT, "本产品由我行发行，不是代理销售的产品。"),
        ("赎回款将在三个工作日内到账。", "赎回款将在五个工作日内到账。"),
        (ENGLISH, "This product is guaranteed and you may not lose your money."),
    ],
)
def test_the_opposite_is_not_the_statement(statement: str, said: str) -> None:
    assert likeness(statement, said) is Likeness.CONTRARY


@pytest.mark.parametrize(
    ("said", "is_it"),
    [
        ("最坏的情况下，您的本金也能全部保住。", Likeness.UNSURE),
        ("最坏的情况下，您的本金也会全部亏掉。", Likeness.PARAPHRASE),
        ("最坏的情况下，您的本金也会全部孙氏。", Likeness.PARAPHRASE),
    ],
)
def test_other_words_have_to_have_what_it_is_about(said: str, is_it: Likeness) -> None:
    assert likeness("最坏的情况下，您可能会损失全部本金。", said) is is_it


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (PRINCIPAL, ""),
        (PRINCIPAL, "今天天气不错。"),
        (PRINCIPAL, "这个产品零风险。"),
        (PAST, "我是本行的理财经理，这是我的工作证。"),
        (DAYS, "犹豫期"),
        (ENGLISH, "Please sign here."),
        ("", "好"),
    ],
)
def test_something_else_is_not_the_statement(statement: str, said: str) -> None:
    assert likeness(statement, said) is Likeness.ABSENT


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        (DAYS, "您有很长的犹豫期。"),
        (REDEEM, "产品存续期间布能提前赎回。"),
    ],
)
def test_what_can_not_be_told_is_unsure(statement: str, said: str) -> None:
    assert likeness(statement, said) is Likeness.UNSURE
