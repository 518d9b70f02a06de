"""How ``witness capture`` is called."""

from pathlib import Path
from typing import TYPE_CHECKING

from witness import commands_capture
from witness.cli_common import add_command, add_commands, add_config, add_json
from witness.i18n import t

__all__ = ["add_capture"]

if TYPE_CHECKING:
    import argparse

    from witness.cli_common import Commands


def add_capture(to: "Commands") -> None:
    """Declares the commands."""
    text = t("files of recorded sessions")
    commands = add_commands(to.add_parser("capture", help=text, description=text))
    decrypt = add_command(
        commands,
        "decrypt",
        t("write plain copies of encrypted files"),
        commands_capture.decrypt,
        t(
            "Writes what an encrypted capture file holds (pcapng, for Wireshark), or all of a"
            " session's. Every frame is checked; nothing is written over. The copies are not"
            " encrypted: keep them as you keep the key."
        ),
    )
    _add_what(decrypt)
    decrypt.add_argument(
        "--key",
        action="append",
        metavar=t("KEY"),
        help=t(
            "file:PATH or PATH, env:NAME, https://…; may be given several times (default:"
            " recording.key and recording.old_keys)"
        ),
    )
    decrypt.add_argument(
        "--out",
        type=Path,
        metavar=t("PATH"),
        help=t(
            "file to write, or directory for a session (default: the name without .enc, or the"
            " session's id with -plain, here)"
        ),
    )
    add_json(decrypt)
    info = add_command(
        commands,
        "info",
        t("say what files are, without a key"),
        commands_capture.info,
        t("Lists size, key and place of a capture file, or of all of a session."),
    )
    _add_what(info)
    add_json(info)


def _add_what(parser: "argparse.ArgumentParser") -> None:
    add_config(parser)
    parser.add_argument("what", metavar=t("SESSION|FILE"), help=t("session, or one of its files"))
