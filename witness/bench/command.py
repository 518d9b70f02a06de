"""``witness bench …``: runs a measurement and prints it."""

import json
import sys
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

from loadtest.errors import LoadtestError
from sfu._media import MediaError
from witness.bench.capture import CaptureOptions, capture_text, measure_capture
from witness.bench.cores import CoresOptions, measure_cores
from witness.bench.forward import ForwardOptions, measure_forwarding
from witness.bench.isolation import IsolationOptions, measure_isolation
from witness.bench.progress import Progress
from witness.bench.report import cores_text, forward_text, isolation_text, write_plot
from witness.errors import BenchError
from witness.runner import run_until_complete

__all__ = ["Output", "run_capture", "run_cores", "run_forward", "run_isolation"]


@dataclass(frozen=True, slots=True)
class Output:
    """Where the result goes: JSON or a table on standard output, and a figure if asked for."""

    as_json: bool = False
    plot: Path | None = None


class _Result(Protocol):
    def json(self) -> dict[str, Any]: ...


R = TypeVar("R", bound=_Result)


def run_forward(options: ForwardOptions, output: Output) -> int:
    """``witness bench forward``.

    Raises:
        BenchError: it could not be measured.
    """
    result = _measure(measure_forwarding(options, Progress()))
    _print(result, forward_text, output)
    if output.plot is not None:
        write_plot(result, output.plot)
    return 0


def run_isolation(options: IsolationOptions, output: Output) -> int:
    """``witness bench isolation``.

    Raises:
        BenchError: it could not be measured.
    """
    _print(_measure(measure_isolation(options, Progress())), isolation_text, output)
    return 0


def run_cores(options: CoresOptions, output: Output) -> int:
    """``witness bench cores``.

    Raises:
        BenchError: it could not be measured.
    """
    _print(_measure(measure_cores(options, Progress())), cores_text, output)
    return 0


def run_capture(options: CaptureOptions, output: Output) -> int:
    """``witness bench capture``.

    Raises:
        BenchError: it could not be measured.
    """
    _print(_measure(measure_capture(options, Progress())), capture_text, output)
    return 0


def _measure(work: Coroutine[Any, Any, R]) -> R:
    try:
        return run_until_complete(work)
    except (LoadtestError, MediaError) as error:
        raise BenchError(str(error)) from error


def _print(result: R, text: Callable[[R], str], output: Output) -> None:
    shown = json.dumps(result.json(), indent=2) if output.as_json else text(result)
    sys.stdout.write(shown + "\n")
    sys.stdout.flush()
