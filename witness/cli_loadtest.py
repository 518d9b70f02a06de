"""Arguments of ``witness loadtest``."""

from pathlib import Path
from typing import TYPE_CHECKING

from witness import commands_loadtest
from witness.cli_common import add_command, add_commands, add_json, add_report
from witness.i18n import t
from witness.parser import LocalParser

__all__ = ["add_loadtest"]

if TYPE_CHECKING:
    from witness.cli_common import Commands


def add_loadtest(to: "Commands") -> None:
    """Adds ``loadtest`` and its measurements."""
    parser = to.add_parser(
        "loadtest",
        help=t("measure calls over bad networks"),
        description=t(
            "Puts a bad network between participants and a server on this machine and measures"
            " what they hear and see. What is being done is said on standard error."
        ),
    )
    actions = add_commands(parser)
    profiles = add_command(
        actions,
        "profiles",
        t("list the network profiles, drawn over time"),
        commands_loadtest.profiles,
    )
    profiles.add_argument("--json", action="store_true", help=t("print the profiles as JSON"))
    profiles.add_argument(
        "profile", nargs="*", metavar=t("PROFILE"), help=t("names or YAML files (default: all)")
    )
    _add_weaknet(actions)
    _add_join(actions)
    _add_swarm(actions)
    _add_soak(actions)
    _add_matrix(actions)


def _add_weaknet(actions: "Commands") -> None:
    parser = add_command(
        actions,
        "weaknet",
        t("two browsers in a call over a bad network"),
        commands_loadtest.weaknet,
    )
    _add_profile(parser)
    _add_impairment(parser)
    parser.add_argument(
        "--seconds", type=float, metavar="N", help=t("length of one measurement (default: 60)")
    )
    parser.add_argument(
        "--runs", type=int, metavar="N", help=t("measurements; the worst counts (default: 3)")
    )
    parser.add_argument("--seed", type=int, metavar="N", help=t("in place of the profile's seed"))
    _add_prefer(parser)
    parser.add_argument("--quick", action="store_true", help=t("one short run, in under 45 s"))
    parser.add_argument(
        "--speech",
        type=Path,
        metavar=t("FILE"),
        help=t("say this at both ends, and recognise what is heard; no delay is measured then"),
    )
    parser.add_argument("--text", metavar=t("TEXT"), help=t("what the speech says"))
    add_report(parser)


def _add_swarm(actions: "Commands") -> None:
    parser = add_command(
        actions,
        "swarm",
        t("rooms of light participants over a bad network, without browsers or root"),
        commands_loadtest.swarm,
    )
    _add_profile(parser)
    parser.add_argument(
        "--direction",
        choices=("down", "up", "both"),
        default="both",
        help=t("what is bad: down to one participant, up from it, both (default: both)"),
    )
    parser.add_argument("--rooms", type=int, metavar="N", help=t("rooms of two (default: 5)"))
    parser.add_argument(
        "--seconds", type=float, metavar="N", help=t("length of the measurement (default: 30)")
    )
    parser.add_argument("--seed", type=int, metavar="N", help=t("in place of the profile's seed"))
    parser.add_argument("--quick", action="store_true", help=t("two rooms, 5 s"))
    add_json(parser)


def _add_soak(actions: "Commands") -> None:
    parser = add_command(
        actions,
        "soak",
        t("rooms full of people who come and go, for long, and what is left of it"),
        commands_loadtest.soak,
    )
    parser.add_argument(
        "--minutes", type=float, metavar="N", help=t("until everybody leaves (default: 30)")
    )
    parser.add_argument("--rooms", type=int, metavar="N", help=t("rooms at most (default: 6)"))
    parser.add_argument(
        "--seed", type=int, metavar="N", help=t("of what everybody does (default: 1)")
    )
    parser.add_argument(
        "--quick", action="store_true", help=t("everything once, in about 40 s; no trend")
    )
    add_report(parser)


def _add_matrix(actions: "Commands") -> None:
    parser = add_command(
        actions,
        "matrix",
        t("every bad network in turn, compared with the reference"),
        commands_loadtest.matrix,
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar=t("PATTERN"),
        help=t("fields such as random70/down, 'burst*' or '*/both'; may be repeated"),
    )
    parser.add_argument(
        "--seconds",
        type=float,
        default=60.0,
        metavar="N",
        help=t("length of one measurement (default: 60)"),
    )
    parser.add_argument(
        "--runs",
        type=int,
        default=1,
        metavar="N",
        help=t("measurements of each field; the worst counts (default: 1)"),
    )
    _add_prefer(parser)
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("target/weaknet"),
        metavar=t("FOLDER"),
        help=t(
            "keeps what was measured; what is there is not measured again (default: target/weaknet)"
        ),
    )
    parser.add_argument(
        "--reference",
        type=Path,
        default=Path("docs/weak-networks.json"),
        metavar=t("FILE"),
        help=t("what to compare with (default: docs/weak-networks.json)"),
    )
    parser.add_argument(
        "--update",
        type=Path,
        metavar=t("FILE"),
        help=t("make this the reference, and write its table into a Markdown file"),
    )


def _add_join(actions: "Commands") -> None:
    parser = add_command(
        actions,
        "join",
        t("fresh pages that join over a bad network, one after the other"),
        commands_loadtest.join,
    )
    _add_profile(parser)
    _add_impairment(parser)
    parser.add_argument("--tries", type=int, metavar="N", help=t("joins (default: 20)"))
    parser.add_argument(
        "--within",
        type=float,
        metavar="N",
        help=t("seconds after which a join has failed (default: 40)"),
    )
    parser.add_argument("--seed", type=int, metavar="N", help=t("in place of the profile's seed"))
    parser.add_argument("--quick", action="store_true", help=t("three joins of 15 s at most"))
    add_report(parser)


def _add_impairment(parser: LocalParser) -> None:
    parser.add_argument(
        "--direction",
        choices=("down", "up", "both"),
        default="both",
        help=t("what is bad: down to one participant, up from it, both (default: both)"),
    )
    parser.add_argument(
        "--traffic",
        choices=("udp", "all"),
        default="udp",
        help=t("what is impaired: udp, all with signaling too (default: udp)"),
    )
    parser.add_argument(
        "--transport",
        choices=("udp", "any"),
        default="udp",
        help=t("what media may go over: udp alone, or any, TCP too, as in life (default: udp)"),
    )
    parser.add_argument(
        "--via",
        choices=("tun", "tc", "relay"),
        default="tun",
        help=t(
            "what makes the network bad: tun, an emulator between namespaces (root); tc, the "
            "kernel's netem (root); relay, for UDP alone, without root (default: tun)"
        ),
    )


def _add_prefer(parser: LocalParser) -> None:
    parser.add_argument(
        "--prefer",
        action="store_true",
        help=t("run before everything else on this machine; needs root, slows others down"),
    )


def _add_profile(parser: LocalParser) -> None:
    parser.add_argument(
        "--profile",
        default="none",
        metavar=t("PROFILE"),
        help=t("name of a network profile, or a YAML file (default: none)"),
    )
