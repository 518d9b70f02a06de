"""Arguments of ``witness bench``."""

from pathlib import Path
from typing import TYPE_CHECKING

from witness import commands_bench
from witness.cli_common import add_command, add_commands, add_config, add_json
from witness.i18n import t
from witness.parser import LocalParser

__all__ = ["add_bench"]

if TYPE_CHECKING:
    from witness.cli_common import Commands


def add_bench(to: "Commands") -> None:
    """Adds ``bench`` and its measurements."""
    parser = to.add_parser(
        "bench",
        help=t("measure what forwarding costs on this machine"),
        description=t(
            "Starts a server and a load generator on this machine and measures. Needs two CPUs"
            " and some quiet; what is being done is said on standard error."
        ),
    )
    actions = add_commands(parser)
    _add_forward(actions)
    isolation = add_command(
        actions,
        "isolation",
        t("packet delay while Python is kept busy"),
        commands_bench.bench_isolation,
    )
    _add_common(isolation)
    cores = add_command(actions, "cores", t("one engine beside two"), commands_bench.bench_cores)
    _add_common(cores)
    _add_rounds(cores)
    capture = add_command(
        actions, "capture", t("what recording costs the media thread"), commands_bench.bench_capture
    )
    _add_common(capture)
    _add_rounds(capture)
    capture.add_argument("--quick", action="store_true", help=t("in about half a minute"))
    _add_compose(actions)
    _add_analytics(actions)
    _add_transcript(actions)


def _add_compose(actions: "Commands") -> None:
    parser = add_command(
        actions,
        "compose",
        t("how fast a recorded call of three becomes a film"),
        commands_bench.bench_compose,
    )
    parser.add_argument("--seconds", type=float, help=t("length of the call (default: 120)"))
    parser.add_argument("--quick", action="store_true", help=t("a call of 30 s"))
    add_json(parser)


def _add_analytics(actions: "Commands") -> None:
    parser = add_command(
        actions,
        "analytics",
        t("what detectors cost, and how many participants a core can watch"),
        commands_bench.bench_analytics,
    )
    add_config(parser)
    film = parser.add_mutually_exclusive_group()
    film.add_argument(
        "--file",
        type=Path,
        metavar=t("FILE"),
        help=t("video of one participant (default: made of a pinned package's)"),
    )
    film.add_argument(
        "--speech",
        type=Path,
        metavar=t("DIRECTORY"),
        help=t("what is said in it: a directory with sentences.json (default: somebody hums)"),
    )
    parser.add_argument("--seconds", type=float, metavar="N", help=t("of it (default: 60)"))
    parser.add_argument("--quick", action="store_true", help=t("10 s of it"))
    parser.add_argument(
        "--costs",
        type=Path,
        metavar=t("FILE"),
        help=t("write what each detector costs alone, for its card (analytics.costs)"),
    )
    add_json(parser)


def _add_transcript(actions: "Commands") -> None:
    parser = add_command(
        actions,
        "transcript",
        t("how long after a sentence its text is there"),
        commands_bench.bench_transcript,
    )
    add_config(parser)
    parser.add_argument(
        "--speech",
        type=Path,
        required=True,
        metavar=t("DIRECTORY"),
        help=t("directory of spoken sentences with their list, sentences.json"),
    )
    parser.add_argument(
        "--count", type=int, default=30, metavar="N", help=t("sentences (default: 30)")
    )
    add_json(parser)


def _add_forward(actions: "Commands") -> None:
    parser = add_command(
        actions,
        "forward",
        t("CPU per forwarded packet, delay, memory, and how they grow"),
        commands_bench.bench_forward,
    )
    _add_common(parser)
    _add_rounds(parser)
    parser.add_argument(
        "--quick", action="store_true", help=t("all but the growth curve, in under 45 s")
    )
    parser.add_argument(
        "--plot", type=Path, metavar=t("FILE"), help=t("draw the growth curve (SVG)")
    )


def _add_common(parser: LocalParser) -> None:
    parser.add_argument("--rooms", type=int, help=t("three-party rooms under load"))
    parser.add_argument("--seconds", type=float, help=t("length of one measurement"))
    add_json(parser)


def _add_rounds(parser: LocalParser) -> None:
    parser.add_argument("--rounds", type=int, help=t("measurements of each kind"))
