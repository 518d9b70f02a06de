"""How ``recordings``, ``seal``, ``verify``, ``keys`` and ``log`` are called."""

from pathlib import Path
from typing import TYPE_CHECKING

from witness import commands_evidence, recorded
from witness.cli_common import add_command, add_commands, add_config, add_json, add_session
from witness.i18n import t
from witness.parser import LocalParser

__all__ = ["add_evidence"]

if TYPE_CHECKING:
    from witness.cli_common import Commands


def add_evidence(to: "Commands") -> None:
    """Declares the commands."""
    _add_recordings(to)
    _add_seal(to)
    _add_verify(to)
    _add_keys(to)
    _add_log(to)


def _add_recordings(to: "Commands") -> None:
    parser = add_command(
        to,
        "recordings",
        t("list the recorded sessions"),
        recorded.recordings,
        t(
            "Lists the sessions in recording.directory: room, start, length, tracks, how much of"
            " the time was captured live and how much uploads filled, gaps that are left, how much"
            " of what clients sent is there (uploads included), and whether there is a package."
        ),
    )
    add_config(parser)
    add_json(parser)
    about = parser.add_subparsers(
        title=t("commands"), metavar=t("COMMAND"), parser_class=LocalParser
    )
    searches = add_command(
        about,
        "searches",
        t("tell who looked for recordings, when and by what"),
        recorded.searches,
        t(
            "Checks the log of searches on the playback page and prints it. --head is the digest"
            " of a line as the server's log has it: what was cut off shows."
        ),
    )
    searches.add_argument("--who", metavar="ID", help=t("of this person only"))
    searches.add_argument("--head", metavar="SHA256", help=t("a line that has to be there"))
    add_json(searches)
    views = add_command(
        about,
        "views",
        t("tell who watched a recording, when and why"),
        recorded.views,
        t(
            "Checks the log of a recording's views and prints it: who, role, purpose, what was"
            " fetched. Its last digest is to be compared with those in the server's log."
        ),
    )
    add_session(views)
    add_json(views)


def _add_seal(to: "Commands") -> None:
    parser = add_command(
        to,
        "seal",
        t("make the evidence package of a recorded session"),
        commands_evidence.seal,
        t(
            "Seals a session whose recording was stopped: media, event log, gaps, digests,"
            " signatures, time-stamp and an entry in the transparency log in one file that"
            " `witness verify` checks without this server."
        ),
    )
    add_session(parser)
    parser.add_argument(
        "--out",
        type=Path,
        metavar=t("FILE"),
        help=t(
            "package to write (default: the session's id with .zip, in"
            " evidence.packages_directory or here)"
        ),
    )
    parser.add_argument(
        "--now",
        action="store_true",
        help=t("don't wait for uploads: what they would bring is declared missing"),
    )
    parser.add_argument(
        "--metrics",
        type=Path,
        metavar=t("FILE"),
        help=t("write how long it took, for the textfile collector of Prometheus"),
    )
    add_json(parser)


def _add_verify(to: "Commands") -> None:
    parser = add_command(
        to,
        "verify",
        t("check an evidence package, offline"),
        commands_evidence.verify,
        t(
            "Checks a package step by step. Exit codes: 0 PASS, 1 PASS WITH DECLARED GAPS, 2 FAIL;"
            " what can't be checked is no pass."
        ),
    )
    parser.add_argument("package", type=Path, metavar=t("FILE"), help=t("evidence package"))
    parser.add_argument(
        "--trust",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        metavar=t("FILE"),
        help=t("certificates (PEM) of those who seal and stamp, or of who certified them"),
    )
    parser.add_argument(
        "--head",
        type=Path,
        metavar=t("FILE"),
        help=t("head of the transparency log that was kept elsewhere"),
    )
    parser.add_argument(
        "--device-key",
        action="append",
        default=[],
        metavar=t("SHA256"),
        help=t("SHA-256 of a device's key that has to have signed digests; may be given again"),
    )
    add_json(parser)
    parser.add_argument(
        "--lang",
        choices=("zh", "en"),
        metavar="zh|en",
        help=t("language (default: that of the environment)"),
    )


def _add_keys(to: "Commands") -> None:
    parser = to.add_parser("keys", help=t("keys to seal with"), description=t("Keys to seal with."))
    init = add_command(
        add_commands(parser),
        "init",
        t("make the keys that packages are sealed with"),
        commands_evidence.keys_init,
        t(
            "Makes an Ed25519 and an SM2 key with self-signed certificates in"
            " evidence.keys_directory. Give the certificates to whoever will verify packages, or"
            " have your own authority certify the keys."
        ),
    )
    add_config(init)
    init.add_argument(
        "--name", default="witness", metavar=t("NAME"), help=t("name in the certificates")
    )
    init.add_argument(
        "--days", type=int, default=3_650, metavar="N", help=t("validity in days (default: 3650)")
    )
    init.add_argument(
        "--local-tsa",
        action="store_true",
        help=t("also make a key for time-stamps of this machine, for tests"),
    )


def _add_log(to: "Commands") -> None:
    parser = to.add_parser(
        "log", help=t("the transparency log"), description=t("The transparency log.")
    )
    head = add_command(
        add_commands(parser),
        "head",
        t("print the signed head, for somebody else to keep"),
        commands_evidence.log_head,
        t(
            "Prints the newest signed head. Whoever keeps it can tell later that no package"
            " before it was taken back, exchanged or put in (`witness verify --head`)."
        ),
    )
    add_config(head)
    head.add_argument(
        "--from",
        dest="from_size",
        type=int,
        default=0,
        metavar="N",
        help=t("prove that it grew out of the log's first N entries"),
    )
