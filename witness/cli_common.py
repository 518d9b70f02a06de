"""What the parsers of all commands have in common."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from witness.commands import Command
from witness.i18n import t
from witness.parser import LocalParser

__all__ = ["add_command", "add_commands", "add_config", "add_json", "add_report", "add_session"]

if TYPE_CHECKING:
    # argparse has no public name for what add_subparsers() returns.
    Commands = argparse._SubParsersAction[LocalParser]  # noqa: SLF001


def add_commands(parser: argparse.ArgumentParser) -> "Commands":
    """A place for commands below this one, of which one has to be named."""
    return parser.add_subparsers(
        title=t("commands"), metavar=t("COMMAND"), required=True, parser_class=LocalParser
    )


def add_command(
    to: "Commands", name: str, text: str, run: Command, description: str = ""
) -> LocalParser:
    """A command that runs something; described by ``text`` where there is no more to say."""
    parser = to.add_parser(name, help=text, description=description or text[:1].upper() + text[1:])
    parser.set_defaults(run=run)
    return parser


def add_config(parser: argparse.ArgumentParser) -> None:
    """Which configuration: ``--config``."""
    parser.add_argument(
        "-c",
        "--config",
        type=Path,
        metavar=t("FILE"),
        help=t("configuration file (default: $WITNESS_CONFIG, else built-in defaults)"),
    )


def add_session(parser: argparse.ArgumentParser) -> None:
    """Which configuration, and which recorded session of it."""
    add_config(parser)
    parser.add_argument(
        "session",
        metavar=t("SESSION"),
        help=t("id of the session in recording.directory, or a directory"),
    )


def add_json(parser: argparse.ArgumentParser) -> None:
    """``--json``."""
    parser.add_argument("--json", action="store_true", help=t("print the result as JSON"))


def add_report(parser: LocalParser) -> None:
    """How the result of a measurement is shown: ``--json``, ``--html``."""
    add_json(parser)
    parser.add_argument(
        "--html", type=Path, metavar=t("FILE"), help=t("write a page with plots to look at")
    )
