"""What ``witness bench …`` does. Heavy parts are imported by the command that needs them."""

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from witness.errors import UsageError
from witness.i18n import t

__all__ = [
    "bench_analytics",
    "bench_capture",
    "bench_compose",
    "bench_cores",
    "bench_forward",
    "bench_isolation",
    "bench_transcript",
]

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Options = TypeVar("Options", bound="DataclassInstance")


def bench_forward(arguments: argparse.Namespace) -> int:
    """``witness bench forward``."""
    _check_rooms(arguments)
    if arguments.quick and arguments.plot is not None:
        raise UsageError(t("--plot needs the growth curve, which --quick leaves out"))
    from witness.bench.command import Output, run_forward
    from witness.bench.forward import ForwardOptions

    options = ForwardOptions.quick() if arguments.quick else ForwardOptions()
    options = _with(options, arguments, rooms="rooms", seconds="seconds", rounds="rounds")
    return run_forward(options, Output(as_json=arguments.json, plot=arguments.plot))


def bench_analytics(arguments: argparse.Namespace) -> int:
    """``witness bench analytics``."""
    import tempfile
    from pathlib import Path

    from analytics.costs import write_costs
    from analytics.errors import AnalyticsError
    from analytics.eval import material
    from analytics.eval.speech_clips import Sentences
    from analytics.models.fetch import RegistrySource
    from witness.bench.analytics import (
        analytics_text,
        hummed,
        make_film,
        measure_analytics,
        measure_costs,
        spoken,
    )
    from witness.errors import BenchError
    from witness.i18n import of_error
    from witness.output import Output
    from witness.recorded import settings_of

    seconds = arguments.seconds or (10.0 if arguments.quick else 60.0)
    speech: Path | None = arguments.speech
    config = settings_of(arguments.config).analytics
    try:
        with tempfile.TemporaryDirectory() as folder:
            path = arguments.file
            if path is None:
                path = Path(folder) / "generated.mkv"
                home = material.install_material(RegistrySource(), lambda _: None)
                sound = spoken(Sentences.read(speech), seconds) if speech else hummed(seconds)
                make_film(material.video(home), sound, path)
            result = measure_analytics(config, path, seconds)
            if arguments.costs is not None:
                write_costs(measure_costs(config, path, seconds), arguments.costs)
    except AnalyticsError as error:
        raise BenchError(of_error(error)) from error
    except OSError as error:
        raise BenchError(
            t("can't write to {path}: {reason}").format(
                path=error.filename, reason=error.strerror or error
            )
        ) from error
    Output(as_json=arguments.json).write(
        page=str, data=result.to_json, text=lambda: analytics_text(result)
    )
    return 0


def bench_transcript(arguments: argparse.Namespace) -> int:
    """``witness bench transcript``."""
    import asyncio

    from analytics.errors import AnalyticsError
    from analytics.eval.speech_clips import Sentences
    from witness.bench.transcript import measure_transcript, script_of, transcript_text
    from witness.errors import BenchError
    from witness.i18n import of_error
    from witness.output import Output
    from witness.recorded import settings_of

    if not 1 <= arguments.count <= 1_000:
        raise UsageError(t("--count must be 1 to 1000"))
    config = settings_of(arguments.config).analytics
    try:
        script = script_of(Sentences.read(arguments.speech), arguments.count)
    except AnalyticsError as error:
        raise BenchError(of_error(error)) from error
    result = asyncio.run(measure_transcript(config, script))
    Output(as_json=arguments.json).write(
        page=str, data=result.to_json, text=lambda: transcript_text(result)
    )
    return 0


def bench_capture(arguments: argparse.Namespace) -> int:
    """``witness bench capture``."""
    _check_rooms(arguments)
    from witness.bench.capture import CaptureOptions
    from witness.bench.command import Output, run_capture

    options = CaptureOptions.quick() if arguments.quick else CaptureOptions()
    options = _with(options, arguments, rooms="rooms", seconds="seconds", rounds="rounds")
    return run_capture(options, Output(as_json=arguments.json))


def bench_isolation(arguments: argparse.Namespace) -> int:
    """``witness bench isolation``."""
    _check_rooms(arguments)
    from witness.bench.command import Output, run_isolation
    from witness.bench.isolation import IsolationOptions

    options = _with(IsolationOptions(), arguments, rooms="rooms", seconds="seconds")
    return run_isolation(options, Output(as_json=arguments.json))


def bench_cores(arguments: argparse.Namespace) -> int:
    """``witness bench cores``."""
    _check_rooms(arguments)
    from witness.bench.command import Output, run_cores
    from witness.bench.cores import CoresOptions

    options = _with(CoresOptions(), arguments, rooms="rooms", seconds="seconds", rounds="rounds")
    return run_cores(options, Output(as_json=arguments.json))


def bench_compose(arguments: argparse.Namespace) -> int:
    """``witness bench compose``."""
    if arguments.seconds is not None and not 2 <= arguments.seconds <= 3_600:
        raise UsageError(t("--seconds must be 2 to 3600"))
    from witness.bench.compose import ComposeBenchOptions, compose_text, measure_compose
    from witness.bench.progress import Progress
    from witness.output import Output

    options = ComposeBenchOptions.quick() if arguments.quick else ComposeBenchOptions()
    options = _with(options, arguments, seconds="seconds")
    result = measure_compose(options, Progress())
    Output(as_json=arguments.json).write(
        page=lambda: "", data=result.json, text=lambda: compose_text(result)
    )
    return 0


def _check_rooms(arguments: argparse.Namespace) -> None:
    if arguments.rooms is not None and not 1 <= arguments.rooms <= 5_000:
        raise UsageError(t("--rooms must be 1 to 5000"))
    if arguments.seconds is not None and not 0.05 <= arguments.seconds <= 3_600:
        raise UsageError(t("--seconds must be 0.05 to 3600"))
    rounds = getattr(arguments, "rounds", None)
    if rounds is not None and not 1 <= rounds <= 1_000:
        raise UsageError(t("--rounds must be 1 to 1000"))


def _with(options: Options, arguments: argparse.Namespace, **fields: str) -> Options:
    """The options with what was given on the command line."""
    given = {field: getattr(arguments, name) for field, name in fields.items()}
    return replace(options, **{name: value for name, value in given.items() if value is not None})
