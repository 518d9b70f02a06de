"""How ``witness compose`` is called."""

from pathlib import Path
from typing import TYPE_CHECKING

from witness import commands_compose
from witness.cli_common import add_command, add_json, add_session
from witness.i18n import t

__all__ = ["add_compose"]

if TYPE_CHECKING:
    from witness.cli_common import Commands

_LAYOUTS = ("side-by-side", "speaker", "document")


def add_compose(to: "Commands") -> None:
    """Declares the command."""
    parser = add_command(
        to,
        "compose",
        t("make files people can play of a recorded session"),
        commands_compose.compose,
        t(
            "Writes every track as it was captured (WebM, Matroska) and a film of all of them (MP4)"
            " with names, roles, time and nodes, chapters, and subtitles where there is a"
            " transcript. What is missing is shown as a slate. The film is for viewing; evidence"
            " is what `witness seal` makes."
        ),
    )
    add_session(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar=t("DIRECTORY"),
        help=t("where the files go (default: the session's id with -files, here)"),
    )
    parser.add_argument(
        "--layout",
        choices=_LAYOUTS,
        default=_LAYOUTS[0],
        help=t("arrangement of the pictures (default: side-by-side)"),
    )
    parser.add_argument(
        "--lang",
        choices=("zh", "en"),
        metavar="zh|en",
        help=t("language of what is written into the film (default: that of the environment)"),
    )
    parser.add_argument(
        "--timezone",
        metavar=t("ZONE"),
        help=t("time zone of the clock in the film, Asia/Shanghai (default: this machine's)"),
    )
    parser.add_argument(
        "--font", type=Path, metavar=t("FILE"), help=t("font of what is written into the film")
    )
    parser.add_argument(
        "--watermark",
        metavar=t("TEXT"),
        help=t("text over every picture (default: that the film is derived)"),
    )
    parser.add_argument(
        "--key",
        metavar=t("KEY"),
        help=t(
            "key of encrypted files: file:PATH or PATH, env:NAME, https://…"
            " (default: recording.key)"
        ),
    )
    parser.add_argument(
        "--film-only", action="store_true", help=t("leave out the files of single tracks")
    )
    add_json(parser)
