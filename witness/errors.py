"""Errors shown to whoever runs the command line; each is one sentence and an exit code.

WitnessError (1)
├── UsageError (2): wrong arguments
├── ConfigError (2): wrong key or value in a file or an environment variable
├── StartError (3): the server could not start (port taken, certificate unreadable, …)
├── DemoError (4): the demonstration call did not work
├── BenchError (1): a measurement could not be made
├── ComposeError (1): a recorded session could not be made into files
├── DetectorsError (1): a model could not be installed, a detector not run
├── EvidenceError (1): a session could not be sealed
└── MeasureError (1): a call over a bad network could not be measured
"""

from collections.abc import Sequence
from typing import ClassVar

from witness.i18n import t
from witness.problem import Problem

__all__ = [
    "BenchError",
    "ComposeError",
    "ConfigError",
    "DemoError",
    "DetectorsError",
    "EvidenceError",
    "MeasureError",
    "StartError",
    "UsageError",
    "WitnessError",
]


class WitnessError(Exception):
    """Root of the tree. ``str()`` is what the person at the terminal reads."""

    exit_code: ClassVar[int] = 1


class UsageError(WitnessError):
    """The arguments make no sense together."""

    exit_code = 2


class ConfigError(WitnessError):
    """One line per problem, each with its place; at most :attr:`MAX_LINES`.

    Attributes:
        problems: the lines.
        found: the same, taken apart.
    """

    MAX_LINES: ClassVar[int] = 200

    exit_code = 2

    def __init__(self, problems: Sequence[Problem | str]) -> None:
        self.found = [Problem(item) if isinstance(item, str) else item for item in problems]
        self.problems = [str(item) for item in self.found]
        lines = self.problems[: self.MAX_LINES]
        if len(lines) < len(self.problems):
            lines.append(t("and {count} more").format(count=len(self.problems) - len(lines)))
        super().__init__("\n".join(lines))


class StartError(WitnessError):
    """The configuration is right but the machine can't do it."""

    exit_code = 3


class DemoError(WitnessError):
    """Something did not flow."""

    exit_code = 4


class BenchError(WitnessError):
    """The server under test or the load generator did not do its part."""


class MeasureError(WitnessError):
    """Namespaces, server or browsers did not do their part."""


class ComposeError(WitnessError):
    """Files of the session are missing or unreadable, or a film can't be written."""


class DetectorsError(WitnessError):
    """A model is missing, changed or can't be had; a detector can't be had or used."""


class EvidenceError(WitnessError):
    """Session, keys or transparency log can't be used."""
