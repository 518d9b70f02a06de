import pytest

from analytics.speech.tokens import alike, read_numbers, tokens_of


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("年化8%", "年化百分之八"),
        ("年化8.25%左右", "年化百分之八点二五左右"),
        ("15天", "十五天"),
        ("10天", "十天"),
        ("110元", "一百一十元"),
        ("第0期", "第零期"),
        ("1,000,000元", "一百万元"),
        ("10050元", "一万零五十元"),
        ("20000305元", "二千万零三百零五元"),
        ("2026年", "二零二六年"),
        ("30年", "三十年"),
        ("编号007", "编号零零七"),
        ("尾号62220000111122223333", "尾号六二二二零零零零一一一一二二二二三三三三"),
        ("8% a year", "8% a year"),
    ],
)
def test_numbers_are_read_out(written: str, read: str) -> None:
    assert read_numbers(written) == read


@pytest.mark.parametrize(
    ("text", "sounds"),
    [
        ("投资有风险", "tou zi you feng xian"),
        ("银行重新发行", "yin hang chong xin fa xing"),
        ("ＡＢＣ　基金", "abc ji jin"),
        ("Yes, I don’t.", "yes i don't"),
        ("沒問題", "mei wen ti"),
        ("……😀", ""),
        ("", ""),
    ],
)
def test_text_is_a_row_of_sounds(text: str, sounds: str) -> None:
    found = [token.sound for token in tokens_of(text)]
    assert [
        one.replace("ng", "n") if one in {"ng", "en"} else one for one in found
    ] == sounds.split()


@pytest.mark.parametrize(
    ("text", "clauses"),
    [
        ("不保本，有风险", [0, 0, 0, 1, 1, 1]),
        ("不保本 有风险", [0, 0, 0, 1, 1, 1]),
        ("保本、保息", [0, 0, 0, 0]),
        ("no risk. none", [0, 0, 1]),
        ("a 1.5 b", [0, 0]),
        ("，，好", [0]),
    ],
)
def test_clauses_end_at_punctuation_and_pauses(text: str, clauses: list[int]) -> None:
    assert [token.clause for token in tokens_of(text)] == clauses


@pytest.mark.parametrize(
    ("one", "other", "cost"),
    [
        ("bao", "bao", 0.0),
        ("zhi", "zi", 0.2),
        ("feng", "fen", 0.2),
        ("nan", "lan", 0.2),
        ("ben", "bao", 0.6),
        ("tong", "hong", 0.6),
        ("tong", "cai", 1.0),
        ("yes", "no", 1.0),
        ("8", "8", 0.0),
        ("8", "9", 1.0),
    ],
)
def test_how_much_sounds_differ(one: str, other: str, cost: float) -> None:
    assert alike(one, other) == cost
    assert alike(other, one) == cost
