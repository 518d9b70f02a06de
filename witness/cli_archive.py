"""How ``witness archive`` is called."""

from pathlib import Path
from typing import TYPE_CHECKING

from witness import commands_archive
from witness.cli_common import add_command, add_commands, add_config, add_json
from witness.commands import Command
from witness.i18n import t
from witness.parser import LocalParser

__all__ = ["add_archive"]

if TYPE_CHECKING:
    from witness.cli_common import Commands


def add_archive(to: "Commands") -> None:
    """Declares the commands."""
    text = t("where sealed sessions are kept")
    commands = add_commands(to.add_parser("archive", help=text, description=text))
    one = _add(
        commands,
        "init",
        t("begin the archive"),
        commands_archive.init,
        t("Once, before anything else: afterwards a directory that isn't mounted is noticed."),
    )
    one.add_argument(
        "--adopt", action="store_true", help=t("take over a storage whose directory was lost")
    )
    _add_put(commands)
    _add(commands, "status", t("say what is archived and what waits"), commands_archive.status)
    _add_list(commands)
    one = _add(
        commands,
        "verify",
        t("read archived sessions again and compare them"),
        commands_archive.verify,
        t(
            "Reads every object from beginning to end, compares its digest, and has the verifier"
            " look at the package as it lies in the storage."
        ),
    )
    _add_sessions(one)
    for name, run, text in (
        ("hold", commands_archive.hold, t("keep sessions for a case, whatever their day")),
        ("release", commands_archive.release, t("say that a case needs sessions no longer")),
    ):
        one = _add(commands, name, text, run)
        _add_sessions(one)
        one.add_argument("--case", required=True, metavar=t("CASE"), help=t("name of the case"))
        _add_reason(one)
    _add_retain(commands)
    _add_expire(commands)
    _add_fetch(commands)
    _add(
        commands,
        "reindex",
        t("make the catalogue anew from what is stored"),
        commands_archive.reindex,
    )
    one = _add(commands, "journal", t("say who did what, and why"), commands_archive.journal)
    one.add_argument("--session", metavar=t("SESSION"), help=t("of this session only"))


def _add(to: "Commands", name: str, text: str, run: Command, more: str = "") -> LocalParser:
    parser = add_command(to, name, text, run, more)
    add_config(parser)
    parser.add_argument(
        "--by", metavar=t("NAME"), help=t("who does it, for the journal (default: your user name)")
    )
    add_json(parser)
    return parser


def _add_put(to: "Commands") -> None:
    parser = _add(
        to,
        "put",
        t("archive sealed sessions"),
        commands_archive.put,
        t(
            "Copies packages into the archive and reads them again to compare. Called again it"
            " goes on where it was cut off. Originals are removed only with"
            " archive.remove_originals, and only after that."
        ),
    )
    parser.add_argument(
        "sessions",
        nargs="*",
        metavar=t("SESSION"),
        help=t("id of a session, or its directory"),
    )
    parser.add_argument(
        "--all-sealed", action="store_true", help=t("all that are sealed and not archived")
    )


def _add_list(to: "Commands") -> None:
    parser = _add(to, "list", t("search the archive"), commands_archive.find)
    for name, metavar, text in (
        ("session", t("SESSION"), t("id of a session, or its beginning")),
        ("room", "ID", t("room id")),
        ("order", "NO", t("order or contract number")),
        ("customer", "ID", t("customer's pseudonymous id")),
        ("participant", "ID", t("id of somebody who took part")),
        ("cursor", "CURSOR", t("go on where a page ended")),
    ):
        parser.add_argument(f"--{name}", metavar=metavar, help=text)
    parser.add_argument(
        "--from", dest="since", metavar=t("DAY"), help=t("recorded on this day (UTC) or later")
    )
    parser.add_argument(
        "--to", dest="until", metavar=t("DAY"), help=t("recorded on this day (UTC) or before")
    )
    parser.add_argument(
        "--state",
        choices=("archived", "deleted", "held", "due"),
        metavar="archived|deleted|held|due",
        help=t("only those; due: its day has passed"),
    )
    parser.add_argument(
        "--limit", type=int, default=100, metavar="N", help=t("at most so many (default: 100)")
    )


def _add_retain(to: "Commands") -> None:
    parser = _add(
        to,
        "retain",
        t("say from when the time of keeping counts"),
        commands_archive.retain,
        t("The time of keeping counts from the contract's end; it can only become longer."),
    )
    parser.add_argument("session", metavar=t("SESSION"), help=t("archived session"))
    parser.add_argument("--contract-end", metavar=t("DAY"), help=t("last day of the contract"))
    parser.add_argument("--dispute-end", metavar=t("DAY"), help=t("day a dispute was settled"))
    parser.add_argument(
        "--repeat", metavar=t("DAY"), help=t("the same day again, if it is over 60 years away")
    )
    _add_reason(parser)


def _add_expire(to: "Commands") -> None:
    parser = _add(
        to,
        "expire",
        t("say what may be deleted today, or delete it"),
        commands_archive.expire,
        t(
            "Lists sessions whose day has passed and that no case needs. With --delete they are"
            " deleted; what the storage keeps stays."
        ),
    )
    parser.add_argument(
        "--today", metavar=t("DAY"), help=t("which day it is (UTC); the clock has to agree")
    )
    parser.add_argument("--delete", action="store_true", help=t("delete them"))
    parser.add_argument("--reason", metavar=t("TEXT"), help=t("why, for the journal"))


def _add_fetch(to: "Commands") -> None:
    parser = _add(to, "fetch", t("copy a session out of the archive"), commands_archive.fetch)
    parser.add_argument("session", metavar=t("SESSION"), help=t("archived session"))
    parser.add_argument(
        "--out", type=Path, metavar=t("DIRECTORY"), help=t("where to (default: here)")
    )
    parser.add_argument("--all", action="store_true", help=t("films too"))
    _add_reason(parser)


def _add_sessions(parser: LocalParser) -> None:
    parser.add_argument("sessions", nargs="+", metavar=t("SESSION"), help=t("archived session"))


def _add_reason(parser: LocalParser) -> None:
    parser.add_argument(
        "--reason", required=True, metavar=t("TEXT"), help=t("why, for the journal")
    )
