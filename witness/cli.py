"""The ``witness`` command: what it understands, and how errors become one sentence."""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from witness import commands, os_errors
from witness.cli_analytics import add_analytics
from witness.cli_archive import add_archive
from witness.cli_bench import add_bench
from witness.cli_capture import add_capture
from witness.cli_common import add_command, add_commands, add_config, add_session
from witness.cli_compose import add_compose
from witness.cli_detector import add_detector
from witness.cli_evidence import add_evidence
from witness.cli_loadtest import add_loadtest
from witness.cli_models import add_models
from witness.errors import WitnessError
from witness.i18n import t
from witness.parser import LocalParser

__all__ = ["build_parser", "main"]

_INTERRUPTED = 130
_OUTPUT_ERRORS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command and returns the exit code of the process.

    0 done, 1 failed, 2 wrong usage or configuration, 3 the server can't start, 4 the
    demonstration did not work, 5 done but files of a recording are damaged, 130 interrupted.
    """
    parsed = build_parser().parse_args(arguments)
    try:
        code: int = parsed.run(parsed)
        sys.stdout.flush()
    except WitnessError as error:
        for line in str(error).splitlines():
            sys.stderr.write(f"witness: {line}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # The reader of a pipe went away.
        _forget_output()
        return 1
    except OSError as error:
        if error.errno not in _OUTPUT_ERRORS:
            raise
        _forget_output()
        text = t("can't write the output: {reason}").format(reason=os_errors.reason(error))
        sys.stderr.write(f"witness: {text}\n")
        return 1
    return code


def _forget_output() -> None:
    """A second failure at exit would print a traceback."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def build_parser() -> argparse.ArgumentParser:
    """All commands, in the language of the environment."""
    parser = LocalParser(
        prog="witness",
        description=t("Media server for recorded financial sales."),
        epilog=t(
            "`witness COMMAND --help` explains a command. Exit codes: 0 done, 1 failed, 2 wrong"
            " usage or configuration, 3 the server can't start, 4 the demonstration did not work,"
            " 5 done but files of a recording are damaged, 130 interrupted."
        ),
    )
    commands_ = add_commands(parser)
    _add_serve(commands_)
    _add_demo(commands_)
    add_bench(commands_)
    add_loadtest(commands_)
    add_capture(commands_)
    add_compose(commands_)
    add_evidence(commands_)
    _add_play(commands_)
    add_archive(commands_)
    add_models(commands_)
    add_detector(commands_)
    add_analytics(commands_)
    _add_token(commands_)
    _add_staff_token(commands_)
    _add_cert(commands_)
    _add_config(commands_)
    _add(commands_, "schema", t("print the JSON Schema of the signaling messages"), commands.schema)
    health = _add(
        commands_, "health", t("say whether the server on this machine is alive"), commands.health
    )
    add_config(health)
    _add(commands_, "version", t("print the version"), commands.show_version)
    return parser


if TYPE_CHECKING:
    from witness.cli_common import Commands


def _add(
    to: "Commands", name: str, text: str, run: commands.Command, more: str = ""
) -> LocalParser:
    return add_command(to, name, text, run, more or text[:1].upper() + text[1:] + t("."))


def _add_serve(to: "Commands") -> None:
    parser = _add(
        to,
        "serve",
        t("run the server"),
        commands.serve,
        t(
            "Runs the server until SIGTERM or SIGINT. Then new rooms are refused and running"
            " calls may end by themselves, at most server.drain_s seconds; a second signal ends"
            " them at once."
        ),
    )
    add_config(parser)


def _add_demo(to: "Commands") -> None:
    parser = _add(
        to,
        "demo",
        t("a call on this machine: server, two participants, a report, a sealed recording"),
        commands.demo,
        t(
            "Starts a server for this machine only, joins an RM and a customer who send real"
            " sound and pictures, and reports what each of them received. Then it seals the"
            " recording with keys made for this demonstration, verifies the package and says where"
            " it lies; of a call up to 30 s it makes a film. Interrupted before the"
            " report it ends with code 130; with --keep, once the call is up, with code 0."
        ),
    )
    parser.add_argument("--keep", action="store_true", help=t("stay up until Ctrl+C"))
    parser.add_argument(
        "--port",
        type=int,
        default=8080,
        metavar=t("PORT"),
        help=t("preferred TCP port, another one if it is taken (default: 8080)"),
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=20.0,
        metavar="N",
        help=t("length of the call before the report (default: 20)"),
    )
    parser.add_argument(
        "--directory",
        type=Path,
        metavar=t("DIRECTORY"),
        help=t(
            "where recordings stay, of the last five demonstrations"
            " (default: ~/.local/share/witness/demo)"
        ),
    )
    parser.add_argument("--json", action="store_true", help=t("print the report as JSON"))


def _add_play(to: "Commands") -> None:
    parser = _add(
        to,
        "play",
        t("show a recording on the playback page, on this machine"),
        commands.play,
        t(
            "Serves the playback page for one recording to browsers on this machine, and prints"
            " its link, until Ctrl+C. Views are logged as on a server."
        ),
    )
    add_session(parser)
    parser.add_argument(
        "--port", type=int, default=0, metavar="N", help=t("TCP port (default: any that is free)")
    )
    parser.add_argument("--no-browser", action="store_true", help=t("open no browser"))


def _add_token(to: "Commands") -> None:
    parser = _add(
        to,
        "token",
        t("sign a token that lets somebody into a room"),
        commands.token,
        t(
            "Signs a token with an HS256 key of the configuration and prints it. Tokens signed"
            " with EdDSA or ES256 are made by your own system: the server only knows their public"
            " key."
        ),
    )
    add_config(parser)
    parser.add_argument("--room", required=True, metavar="ID", help=t("room id"))
    parser.add_argument(
        "--role",
        required=True,
        choices=("rm", "customer", "expert", "supervisor"),
        metavar=t("ROLE"),
        help=t("rm, customer, expert or supervisor"),
    )
    parser.add_argument("--name", default="", metavar=t("NAME"), help=t("name shown to the others"))
    parser.add_argument(
        "--id", dest="participant_id", metavar="ID", help=t("participant id (default: random)")
    )
    parser.add_argument(
        "--ttl", default="1h", metavar=t("TIME"), help=t("validity: 90s, 30m, 1h (default: 1h)")
    )
    parser.add_argument("--kid", metavar="ID", help=t("key id (default: the first HS256 key)"))
    parser.add_argument(
        "--page",
        metavar="URL",
        help=t("print a link to the call page of the server at URL instead of the bare token"),
    )


def _add_staff_token(to: "Commands") -> None:
    parser = _add(
        to,
        "staff-token",
        t("sign a token for people and services that take part in no call"),
        commands.staff_token,
        t(
            "Signs a token for the playback page and the programs of analytics and CRM, with an"
            " HS256 key of the configuration. Who watches recordings is logged by --id: give the"
            " person's id in your directory."
        ),
    )
    add_config(parser)
    roles = ("reviewer", "auditor", "supervisor", "detector", "crm")
    parser.add_argument(
        "--role", required=True, choices=roles, metavar=t("ROLE"), help=", ".join(roles)
    )
    parser.add_argument("--id", dest="subject", required=True, metavar="ID", help=t("whose it is"))
    parser.add_argument(
        "--room",
        action="append",
        metavar="ID",
        help=t("recordings of this room only; may be repeated (default: of all rooms)"),
    )
    parser.add_argument("--name", default="", metavar=t("NAME"), help=t("name of the person"))
    parser.add_argument(
        "--ttl", default="1h", metavar=t("TIME"), help=t("validity: 90s, 30m, 1h (default: 1h)")
    )
    parser.add_argument("--kid", metavar="ID", help=t("key id (default: the first HS256 key)"))
    parser.add_argument(
        "--page",
        metavar="URL",
        help=t("print a link to the playback page of the server at URL instead of the bare token"),
    )


def _add_cert(to: "Commands") -> None:
    parser = _add(
        to,
        "cert",
        t("make a self-signed certificate for tests on a local network"),
        commands.cert,
        t(
            "Browsers give camera and microphone only to https pages (and localhost). This makes"
            " a certificate for a server on your own network; the browser will ask whether to"
            " trust it. Not for production."
        ),
    )
    parser.add_argument(
        "--host",
        action="append",
        required=True,
        metavar=t("NAME"),
        help=t("host name, *.domain or IP address of the server; may be repeated"),
    )
    parser.add_argument(
        "--days", type=int, default=90, metavar="N", help=t("validity in days (default: 90)")
    )
    parser.add_argument(
        "--cert",
        type=Path,
        default=Path("witness-cert.pem"),
        metavar=t("FILE"),
        dest="cert_path",
        help=t("certificate to write (default: witness-cert.pem)"),
    )
    parser.add_argument(
        "--key",
        type=Path,
        default=Path("witness-key.pem"),
        metavar=t("FILE"),
        dest="key_path",
        help=t("key to write, readable by you only (default: witness-key.pem)"),
    )


def _add_config(to: "Commands") -> None:
    parser = to.add_parser(
        "config",
        help=t("check, show or explain the configuration"),
        description=t("Check, show or explain the configuration."),
    )
    actions = parser.add_subparsers(
        title=t("commands"), metavar=t("COMMAND"), required=True, parser_class=LocalParser
    )
    check = _add(
        actions,
        "check",
        t("name every wrong key or value with its place"),
        commands.config_check,
        t(
            "Names everything the server would stumble on: wrong keys and values of the file and"
            " of WITNESS_ variables, each with its place, and files and addresses they name that"
            " can't be used. Code 2 if there is any; warnings don't count."
        ),
    )
    check.add_argument("--json", action="store_true", help=t("print the findings as JSON"))
    check.add_argument(
        "file",
        type=Path,
        nargs="?",
        metavar=t("FILE"),
        help=t("file to check (default: $WITNESS_CONFIG)"),
    )
    add_config(check)
    show = _add(
        actions, "show", t("print the settings in force, secrets hidden"), commands.config_show
    )
    add_config(show)
    _add(
        actions,
        "reference",
        t("print a commented file with every key and its default"),
        commands.config_reference,
    )
