"""``argparse`` in the language of the environment."""

import argparse
import re
import sys
import unicodedata
from collections.abc import Iterable
from typing import Any, NoReturn

from witness.i18n import marked, t

__all__ = ["LocalParser"]

# What argparse says in English, and the text it is translated by.
_PATTERNS = (
    (re.compile(r"the following arguments are required: (?P<what>.+)"), marked("missing: {what}")),
    (re.compile(r"unrecognized arguments: (?P<what>.+)"), marked("not understood: {what}")),
    (
        re.compile(
            r"argument (?P<what>\S+): invalid choice: (?P<value>'[^']*'|\S+)"
            r" \(choose from (?P<names>.+)\)"
        ),
        marked("{what} can't be {value}; choose from {names}"),
    ),
    (
        re.compile(r"argument (?P<what>\S+): invalid int value: (?P<value>.+)"),
        marked("{what} can't be {value}; it must be a whole number"),
    ),
    (
        re.compile(r"argument (?P<what>\S+): invalid float value: (?P<value>.+)"),
        marked("{what} can't be {value}; it must be a number"),
    ),
    (
        re.compile(r"argument (?P<what>\S+): ignored explicit argument (?P<value>.+)"),
        marked("{what} takes no value ({value})"),
    ),
    (
        re.compile(r"argument (?P<what>\S+): invalid \w+ value: (?P<value>.+)"),
        marked("{what} can't be {value}"),
    ),
    (
        re.compile(r"argument (?P<what>\S+): expected one argument"),
        marked("{what} needs a value"),
    ),
)


_PIECES = re.compile(r"\s+|[\u2e80-\uffef][，。；：、）？]*|[^\s\u2e80-\uffef]+[，。；：、）？]*")
"""Between two of these a line may end; a line begins with no closing punctuation."""

_FILLER = "\0"


def _filled(text: str) -> str:
    """A filler behind each wide character, so that ``len()`` is the width on a terminal."""
    return "".join(c + _FILLER if unicodedata.east_asian_width(c) in "WF" else c for c in text)


def _wrapped(text: str, width: int) -> list[str]:
    """Lines of at most ``width`` columns where that is possible."""
    lines = [""]
    for piece in _PIECES.findall(" ".join(text.split())):
        if lines[-1] and len(_filled(lines[-1] + piece.rstrip())) > width:
            lines.append("")
        lines[-1] += piece.lstrip() if not lines[-1] else piece
    return [line.rstrip() for line in lines]


class _Formatter(argparse.HelpFormatter):
    """Aligns and wraps Chinese too, which argparse counts and breaks like Latin letters."""

    def add_argument(self, action: argparse.Action) -> None:
        super().add_argument(action)
        if action.choices is not None and action.nargs == argparse.PARSER:
            # The names of commands are indented; argparse forgets to make room for that.
            self._action_max_length += self._indent_increment

    def format_help(self) -> str:
        return super().format_help().replace(_FILLER, "")

    def _format_action_invocation(self, action: argparse.Action) -> str:
        return _filled(super()._format_action_invocation(action))

    def _split_lines(self, text: str, width: int) -> list[str]:
        return _wrapped(text, width)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return "\n".join(indent + line for line in _wrapped(text, width - len(indent)))

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[Any],
        prefix: str | None = None,
    ) -> None:
        super().add_usage(usage, actions, groups, t("usage: ") if prefix is None else prefix)


class LocalParser(argparse.ArgumentParser):
    """Headings, ``--help`` and errors are translated; errors are one sentence, exit code 2."""

    def __init__(self, **kwargs: Any) -> None:
        kwargs["add_help"] = False
        kwargs.setdefault("formatter_class", _Formatter)
        kwargs.setdefault("allow_abbrev", False)
        super().__init__(**kwargs)
        # argparse has no other way to rename the headings of its two built-in groups.
        self._positionals.title = t("arguments")
        self._optionals.title = t("options")
        self.add_argument("-h", "--help", action="help", help=t("show this help"))

    def error(self, message: str) -> NoReturn:
        """Prints what is wrong and how to get help."""
        text = message
        for pattern, template in _PATTERNS:
            match = pattern.fullmatch(message)
            if match:
                text = t(template).format(**match.groupdict())
                break
        hint = t("`{command} --help` explains it").format(command=self.prog)
        sys.stderr.write(f"witness: {text}; {hint}\n")
        sys.exit(2)
