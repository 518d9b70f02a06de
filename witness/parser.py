"""``argparse`` in the language of the environment."""

import argparse
import re
import sys
from collections.abc import Iterable
from typing import Any, NoReturn

from witness.i18n import t

__all__ = ["LocalParser"]

# What argparse says in English, and the text it is translated by.
_PATTERNS = (
    (re.compile(r"the following arguments are required: (?P<what>.+)"), "missing: {what}"),
    (re.compile(r"unrecognized arguments: (?P<what>.+)"), "not understood: {what}"),
    (
        re.compile(
            r"argument (?P<what>\S+): invalid choice: (?P<value>'[^']*'|\S+)"
            r" \(choose from (?P<names>.+)\)"
        ),
        "{what} can't be {value}; choose from {names}",
    ),
    (
        re.compile(r"argument (?P<what>\S+): invalid \w+ value: (?P<value>.+)"),
        "{what} can't be {value}",
    ),
    (
        re.compile(r"argument (?P<what>\S+): expected one argument"),
        "{what} needs a value",
    ),
)


class _Formatter(argparse.HelpFormatter):
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
        hint = t("`{command} --help` explains it").format(command=self.prog)
        sys.stderr.write(f"witness: {text}; {hint}\n")
        sys.exit(2)
