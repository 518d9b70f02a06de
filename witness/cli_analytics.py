"""How ``witness analytics`` is called."""

from pathlib import Path
from typing import TYPE_CHECKING

from witness import commands_analytics
from witness.cli_common import add_command, add_commands, add_json
from witness.i18n import t
from witness.parser import LocalParser

__all__ = ["add_analytics"]

if TYPE_CHECKING:
    from witness.cli_common import Commands


def add_analytics(to: "Commands") -> None:
    """Declares the commands."""
    text = t("how right detectors are: clips, eval")
    commands = add_commands(to.add_parser("analytics", help=text, description=text))
    _add_clips(commands)
    _add_eval(commands)


def _add_clips(to: "Commands") -> None:
    one = add_command(
        to,
        "clips",
        t("make labelled clips"),
        commands_analytics.clips,
        t(
            "Makes clips in which something happens, or nothing, through real codecs at several"
            " bit rates and losses, each with a label of what is true. Pictures come out of pinned"
            " packages and are installed first; the same seed makes the same clips."
        ),
    )
    one.add_argument("directory", type=Path, metavar=t("DIRECTORY"), help=t("where to put them"))
    one.add_argument(
        "--quick", action="store_true", help=t("four clips for a first look, no figures to quote")
    )
    one.add_argument(
        "--speech",
        type=Path,
        metavar=t("DIRECTORY"),
        help=t("clips of what is said instead, of the sentences in this directory"),
    )
    one.add_argument(
        "--clean-minutes",
        type=int,
        metavar=t("MINUTES"),
        help=t("time in which nothing happens, for false alarms (default: 60; of speech: 0)"),
    )
    one.add_argument(
        "--story",
        action="append",
        dest="stories",
        metavar=t("NAME"),
        help=t("only clips of this story; may be given again"),
    )
    one.add_argument(
        "--channel",
        action="append",
        dest="channels",
        metavar=t("NAME"),
        help=t("speech only over this channel; may be given again"),
    )
    one.add_argument("--seed", type=int, default=1, metavar="N", help=t("makes other clips"))
    one.add_argument(
        "--faces",
        type=Path,
        metavar=t("DIRECTORY"),
        help=t("pictures of more people, one directory for each person"),
    )
    one.add_argument(
        "--from",
        dest="source",
        type=Path,
        metavar=t("DIRECTORY"),
        help=t("take the packages of pictures from this directory"),
    )
    _add_workers(one)
    add_json(one)


def _add_eval(to: "Commands") -> None:
    one = add_command(
        to,
        "eval",
        t("compare what detectors find with what is true"),
        commands_analytics.evaluate_clips,
        t(
            "Runs detectors over labelled clips and gives recall, precision, delay and false"
            " alarms per hour, with a page of timelines and pictures of what went wrong."
        ),
    )
    one.add_argument("directory", type=Path, metavar=t("DIRECTORY"), help=t("labelled clips"))
    one.add_argument(
        "--detector",
        action="append",
        dest="detectors",
        metavar=t("NAME"),
        help=t("only this detector; may be given again (default: all that the labels are about)"),
    )
    one.add_argument(
        "--settings",
        type=Path,
        metavar=t("FILE"),
        help=t("YAML file with settings of detectors, by name"),
    )
    one.add_argument(
        "--report",
        type=Path,
        metavar=t("FILE"),
        help=t("page to write (default: report.html beside the clips)"),
    )
    one.add_argument("--strict", action="store_true", help=t("code 1 when a target is not reached"))
    _add_workers(one)
    add_json(one)


def _add_workers(parser: LocalParser) -> None:
    parser.add_argument(
        "--workers", type=int, default=1, metavar="N", help=t("processes (default: 1)")
    )
