"""How ``witness detector`` is called."""

from pathlib import Path
from typing import TYPE_CHECKING

from witness import commands_detector
from witness.cli_common import add_command, add_commands, add_config, add_json
from witness.i18n import t

__all__ = ["add_detector"]

if TYPE_CHECKING:
    from witness.cli_common import Commands


def add_detector(to: "Commands") -> None:
    """Declares the commands."""
    text = t("detectors: list, explain, begin and try them")
    commands = add_commands(to.add_parser("detector", help=text, description=text))
    one = add_command(
        commands, "list", t("say which detectors there are"), commands_detector.list_detectors
    )
    add_config(one)
    add_json(one)
    one = add_command(
        commands,
        "card",
        t("say what a detector does, needs and can't do"),
        commands_detector.card,
        t("Inputs, settings in force, outcomes, limits, cost, and the models with their digests."),
    )
    one.add_argument("name", metavar=t("NAME"), help=t("name of a detector"))
    add_config(one)
    add_json(one)
    one = add_command(
        commands,
        "new",
        t("begin a detector of your own"),
        commands_detector.new,
        t("Writes a separate package that works, with one detector and its test, to be changed."),
    )
    one.add_argument("name", metavar=t("NAME"), help=t("small letters, digits and underscores"))
    one.add_argument(
        "--in",
        dest="directory",
        type=Path,
        default=Path(),
        metavar=t("DIRECTORY"),
        help=t("where to write it (default: here)"),
    )
    _add_run(commands)


def _add_run(to: "Commands") -> None:
    one = add_command(
        to,
        "run",
        t("run detectors over a file"),
        commands_detector.run,
        t(
            "Gives a detector the picture and sound of a file as if a participant sent them, and"
            " shows what it finds. Needs no server. Detectors whose words or findings it needs run"
            " as well."
        ),
    )
    one.add_argument("name", metavar=t("NAME"), help=t("name of a detector, or all"))
    one.add_argument("file", type=Path, metavar=t("FILE"), help=t("video or sound"))
    one.add_argument(
        "--role",
        choices=("rm", "customer", "expert", "supervisor"),
        default="customer",
        metavar=t("ROLE"),
        help=t("who sends it: rm, customer, expert or supervisor (default: customer)"),
    )
    one.add_argument(
        "--html",
        type=Path,
        metavar=t("FILE"),
        help=t("write a page with a timeline and the frames that caused findings"),
    )
    add_config(one)
    add_json(one)
