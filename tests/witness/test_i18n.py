import ast
import string
from pathlib import Path

import pytest

import witness
from witness import config_load, parser
from witness.i18n import language, t
from witness.i18n_zh import CATALOGUE

PACKAGE = Path(witness.__file__).parent


def literal_texts() -> set[str]:
    texts = set()
    for path in PACKAGE.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "t":
                match node.args[0]:
                    case ast.Constant(value=str(text)):
                        texts.add(text)
    return texts


def table_texts() -> set[str]:
    return {
        *config_load._MESSAGES.values(),
        *(text for _, text in parser._PATTERNS),
        "audio",
        "video",
    }


def fields(text: str) -> set[str]:
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}


def test_every_text_has_a_chinese_counterpart() -> None:
    assert (literal_texts() | table_texts()) - CATALOGUE.keys() == set()


def test_no_translation_is_left_over() -> None:
    assert CATALOGUE.keys() - (literal_texts() | table_texts()) == set()


@pytest.mark.parametrize("text", sorted(CATALOGUE))
def test_translation_fills_in_the_same_values(text: str) -> None:
    assert fields(text) == fields(CATALOGUE[text])


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "en"),
        ({"LANG": "zh_CN.UTF-8"}, "zh"),
        ({"LANG": "en_US.UTF-8"}, "en"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "C", "LC_MESSAGES": "zh_TW"}, "zh"),
        ({"LANG": "zh_CN.UTF-8", "LC_ALL": ""}, "zh"),
    ],
)
def test_language_follows_posix_precedence(environ: dict[str, str], expected: str) -> None:
    assert language(environ) == expected


def test_text_without_translation_stays_english(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert t("nobody translated this") == "nobody translated this"
    assert t("run the server") == "运行服务器"
