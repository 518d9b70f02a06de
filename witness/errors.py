"""Errors shown to whoever runs the command line; each is one sentence and an exit code.

WitnessError (1)
├── UsageError (2): wrong arguments
├── ConfigError (2): wrong key or value in a file or an environment variable
├── StartError (3): the server could not start (port taken, certificate unreadable, …)
└── DemoError (4): the demonstration call did not work
"""

from typing import ClassVar

__all__ = ["ConfigError", "DemoError", "StartError", "UsageError", "WitnessError"]


class WitnessError(Exception):
    """Root of the tree. ``str()`` is what the person at the terminal reads."""

    exit_code: ClassVar[int] = 1


class UsageError(WitnessError):
    """The arguments make no sense together."""

    exit_code = 2


class ConfigError(WitnessError):
    """One line per problem, each with its place."""

    exit_code = 2

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class StartError(WitnessError):
    """The configuration is right but the machine can't do it."""

    exit_code = 3


class DemoError(WitnessError):
    """Something did not flow."""

    exit_code = 4
