"""What ``witness loadtest …`` does. Heavy parts are imported by the command that needs them."""

import argparse
import json
import sys
from dataclasses import replace
from pathlib import Path

from witness import os_errors
from witness.errors import UsageError
from witness.i18n import t
from witness.output import Output

__all__ = ["join", "matrix", "profiles", "soak", "swarm", "weaknet"]

_MAX_RUNS = 100
_MAX_TRIES = 1_000
_MAX_WITHIN_S = 600
_MAX_SWARM_ROOMS = 100
_MAX_MINUTES = 10_080
_MAX_SOAK_ROOMS = 200


def profiles(arguments: argparse.Namespace) -> int:
    """``witness loadtest profiles``."""
    from witness.netem_profiles import load_profile, names
    from witness.netem_timeline import draw

    chosen = {name: load_profile(name) for name in arguments.profile or names()}
    if arguments.json:
        shown = {name: profile.model_dump(mode="json") for name, profile in chosen.items()}
        sys.stdout.write(json.dumps(shown, ensure_ascii=False, indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(draw(name, profile) for name, profile in chosen.items()))
    return 0


def weaknet(arguments: argparse.Namespace) -> int:
    """``witness loadtest weaknet``."""
    _check_length(arguments)
    _check_speech(arguments)
    _check_seed_and_page(arguments)
    from loadtest.netem.profile import Direction, Traffic
    from loadtest.netem.ways import Way
    from loadtest.weaknet.scene import Plan, Transport
    from witness.netem_profiles import load_profile
    from witness.weaknet import run

    plan = Plan(
        profile=load_profile(arguments.profile, arguments.seed),
        direction=Direction(arguments.direction),
        traffic=Traffic(arguments.traffic),
        transport=Transport(arguments.transport),
        way=Way(arguments.via),
        seconds=arguments.seconds or (15.0 if arguments.quick else 60.0),
        adapt_s=3.0 if arguments.quick else 5.0,
        join_within_s=10.0 if arguments.quick else 45.0,
        prefer=arguments.prefer,
        speech=arguments.speech,
    )
    runs = arguments.runs or (1 if arguments.quick else 3)
    output = Output(as_json=arguments.json, html=arguments.html)
    return run(Path(arguments.profile).stem, plan, runs, output, arguments.text or "")


def join(arguments: argparse.Namespace) -> int:
    """``witness loadtest join``."""
    if arguments.tries is not None and not 1 <= arguments.tries <= _MAX_TRIES:
        raise UsageError(t("--tries must be 1 to {most}").format(most=_MAX_TRIES))
    if arguments.within is not None and not 1 <= arguments.within <= _MAX_WITHIN_S:
        raise UsageError(t("--within must be 1 to {most}").format(most=_MAX_WITHIN_S))
    _check_seed_and_page(arguments)
    from loadtest.joins.scene import JoinPlan
    from loadtest.netem.profile import Direction, Traffic
    from loadtest.netem.ways import Way
    from loadtest.weaknet.scene import Transport
    from witness.joins import run
    from witness.netem_profiles import load_profile

    plan = JoinPlan(
        profile=load_profile(arguments.profile, arguments.seed),
        direction=Direction(arguments.direction),
        traffic=Traffic(arguments.traffic),
        transport=Transport(arguments.transport),
        way=Way(arguments.via),
        tries=arguments.tries or (3 if arguments.quick else 20),
        within_s=arguments.within or (15.0 if arguments.quick else 40.0),
    )
    output = Output(as_json=arguments.json, html=arguments.html)
    return run(Path(arguments.profile).stem, plan, output)


def swarm(arguments: argparse.Namespace) -> int:
    """``witness loadtest swarm``."""
    if arguments.rooms is not None and not 1 <= arguments.rooms <= _MAX_SWARM_ROOMS:
        raise UsageError(t("--rooms must be 1 to {most}").format(most=_MAX_SWARM_ROOMS))
    _check_seconds(arguments)
    _check_seed(arguments)
    from loadtest.crowd import CrowdPlan
    from loadtest.netem.profile import Direction
    from witness.crowd import run
    from witness.netem_profiles import load_profile

    plan = CrowdPlan(
        profile=load_profile(arguments.profile, arguments.seed),
        direction=Direction(arguments.direction),
        rooms=arguments.rooms or (2 if arguments.quick else 5),
        seconds=arguments.seconds or (5.0 if arguments.quick else 30.0),
        adapt_s=1.0 if arguments.quick else 3.0,
    )
    return run(Path(arguments.profile).stem, plan, Output(as_json=arguments.json))


def soak(arguments: argparse.Namespace) -> int:
    """``witness loadtest soak``."""
    if arguments.minutes is not None and not 0.1 <= arguments.minutes <= _MAX_MINUTES:
        raise UsageError(t("--minutes must be 0.1 to {most}").format(most=_MAX_MINUTES))
    if arguments.rooms is not None and not 1 <= arguments.rooms <= _MAX_SOAK_ROOMS:
        raise UsageError(t("--rooms must be 1 to {most}").format(most=_MAX_SOAK_ROOMS))
    _check_seed_and_page(arguments)
    from witness.soak.command import SoakOptions, run_soak

    options = SoakOptions.quick() if arguments.quick else SoakOptions()
    names = ("minutes", "rooms", "seed")
    given = {name: getattr(arguments, name) for name in names}
    options = replace(options, **{k: v for k, v in given.items() if v is not None})
    return run_soak(options, Output(as_json=arguments.json, html=arguments.html))


def matrix(arguments: argparse.Namespace) -> int:
    """``witness loadtest matrix``."""
    _check_length(arguments)
    from witness.weaknet_matrix import MatrixOptions, run

    return run(
        MatrixOptions(
            only=arguments.only,
            seconds=arguments.seconds,
            runs=arguments.runs,
            folder=arguments.results,
            reference=arguments.reference,
            page=arguments.update,
            prefer=arguments.prefer,
        )
    )


def _check_seconds(arguments: argparse.Namespace) -> None:
    if arguments.seconds is not None and not 1 <= arguments.seconds <= 3_600:
        raise UsageError(t("--seconds must be 1 to 3600"))


def _check_speech(arguments: argparse.Namespace) -> None:
    if (arguments.speech is None) != (arguments.text is None):
        raise UsageError(t("--speech and --text belong together"))
    if arguments.speech is not None and not arguments.speech.is_file():
        text = t("can't read {path}: {reason}")
        raise UsageError(text.format(path=arguments.speech, reason=t("no such file")))


def _check_length(arguments: argparse.Namespace) -> None:
    _check_seconds(arguments)
    if arguments.runs is not None and not 1 <= arguments.runs <= _MAX_RUNS:
        raise UsageError(t("--runs must be 1 to {most}").format(most=_MAX_RUNS))


def _check_seed(arguments: argparse.Namespace) -> None:
    if arguments.seed is not None and not 0 <= arguments.seed < 1 << 63:
        raise UsageError(t("--seed must be 0 or more and have less than 64 bits"))


def _check_seed_and_page(arguments: argparse.Namespace) -> None:
    _check_seed(arguments)
    if arguments.html is not None:
        _check_writable(arguments.html)


def _check_writable(path: Path) -> None:
    """Before minutes are spent."""
    try:
        with path.open("ab"):
            pass
    except OSError as error:
        text = t("can't write {path}: {reason}")
        raise UsageError(text.format(path=path, reason=os_errors.reason(error))) from error
