"""The verifier stays as small as its page says, so that people read it."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

import witness_verify

SOURCES = sorted(Path(witness_verify.__file__).parent.glob("*.py"))
PAGE = Path(__file__).parents[2] / "docs/evidence.md"
MOST = 1_830
SILENT = {
    tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT,
    tokenize.ENDMARKER,
}  # fmt: skip


def lines_of_code(path: Path) -> int:
    """Without blank ones, comments and docstrings."""
    text = path.read_text()
    silent: set[int] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(
            node
        ):
            first = node.body[0]
            silent |= set(range(first.lineno, (first.end_lineno or 0) + 1))
    spoken: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in SILENT:
            spoken |= set(range(token.start[0], token.end[0] + 1))
    return len(spoken - silent)


def test_the_verifier_can_be_read() -> None:
    assert sum(map(lines_of_code, SOURCES)) <= MOST


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_the_page_says_in_which_order_and_how_long(path: Path) -> None:
    if path.name == "__init__.py":
        return
    found = re.search(rf"^\| \d+\. `{path.name}`[^|]*\| (\d+) \|", PAGE.read_text(), re.MULTILINE)
    assert found is not None
    assert abs(int(found[1]) - lines_of_code(path)) <= 15
