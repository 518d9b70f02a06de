"""What the YAML parser complains of, said so that one can mend it."""

import re

import yaml

from witness.i18n import marked, t
from witness.problem import Place, Problem

__all__ = ["explain"]

_TEXTS = tuple(
    (re.compile(pattern), text)
    for pattern, text in (
        (
            r"found character '\\t' that cannot start any token|tab",
            marked("a tab; YAML is indented with spaces"),
        ),
        (
            r"found character (?P<what>'.+') that cannot start any token",
            marked("a value may not begin with {what}; put it in quotes"),
        ),
        (
            r"mapping values are not allowed here",
            marked(
                "no `key: value` may stand here; check the indentation and the line above, or put"
                " a text that holds a colon in quotes"
            ),
        ),
        (
            r"could not find expected ':'",
            marked("a colon and a space must follow the key"),
        ),
        (
            r"sequence entries are not allowed here|mapping keys are not allowed here",
            marked("no entry of a list may stand here; check the indentation"),
        ),
        (
            r"expected <block end>, but found '<scalar>'",
            marked("something stands behind the value; put all of it in quotes"),
        ),
        (
            r"expected <block end>, but found .*",
            marked("the indentation does not fit the lines above"),
        ),
        (
            r"expected ',' or '(?P<what>[\]}])', but got .*",
            marked("a comma or {what} is missing"),
        ),
        (
            r"expected alphabetic or numeric character, but found .*",
            marked("a value may not begin with * or &; put it in quotes"),
        ),
        (r"found unexpected end of stream", marked("a quote is not closed")),
        (
            r"found unexpected document separator|but found another document",
            marked("the file must hold one document only; remove the `---` in the middle"),
        ),
        (
            r"found unknown escape character .*|expected escape sequence .*",
            marked("an unknown escape; put the text in single quotes"),
        ),
        (r"expected the node content, but found .*", marked("a value is missing")),
        (r"nested too deeply", marked("nested too deeply")),
    )
)


def explain(error: yaml.YAMLError, source: str, text: str) -> Problem:
    """The parser's complaint with its place.

    Args:
        error: from the parser.
        source: name of the file.
        text: its content.
    """
    if isinstance(error, yaml.reader.ReaderError):
        before = text[: error.position]
        column = error.position - before.rfind("\n")
        place = Place(source, before.count("\n") + 1, column)
        return Problem(t("a control character; remove it"), place)
    if not isinstance(error, yaml.MarkedYAMLError):
        return Problem(t("no valid YAML: {reason}").format(reason=error), Place(source))
    mark = error.problem_mark or error.context_mark
    place = Place(source, mark.line + 1, mark.column + 1) if mark else Place(source)
    said = error.problem or error.context or ""
    if _is_indented_by_tab(text, mark):
        said = "tab"
    for pattern, better in _TEXTS:
        found = pattern.fullmatch(said)
        if found:
            return Problem(t(better).format(**found.groupdict()), place)
    return Problem(t("no valid YAML: {reason}").format(reason=said), place)


def _is_indented_by_tab(text: str, mark: yaml.Mark | None) -> bool:
    """Whether the line of the complaint begins with a tab, which has many symptoms."""
    if mark is None:
        return False
    lines = text.splitlines()
    line = lines[mark.line] if mark.line < len(lines) else ""
    return "\t" in line[: len(line) - len(line.lstrip())]
