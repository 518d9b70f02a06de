"""What was measured, as tables for people."""

from collections.abc import Sequence
from pathlib import Path

from witness.bench.cores import CoresResult
from witness.bench.forward import ForwardResult
from witness.bench.growth import Growth
from witness.bench.isolation import IsolationResult
from witness.bench.load import AUDIO_BYTES, VIDEO_BYTES, Spread
from witness.bench.plot import Curve, growth_svg
from witness.errors import BenchError
from witness.i18n import t
from witness.table import render

__all__ = ["cores_text", "forward_text", "isolation_text", "write_plot"]


def forward_text(result: ForwardResult) -> str:
    """Figures of ``witness bench forward`` beside what they should be."""
    samples, data = result.samples, result.json()
    large, small = samples.us("large"), samples.us("small")
    raw = samples.raw_us(VIDEO_BYTES)
    delays = " / ".join(
        _number(data[key], 2) for key in ("delay_p50_ms", "delay_p99_ms", "delay_p999_ms")
    )
    rows = [
        [t("figure"), t("measured"), t("least to most"), t("target")],
        [t("server CPU per 1,100-byte packet"), _us(large.median), _range(large), "≤ 2.5 µs"],
        [t("… packets of a picture spaced out"), *_median(samples.us("spaced")), ""],
        [t("server CPU per 120-byte packet"), _us(small.median), _range(small), ""],
        [t("raw limit, 1,100 bytes"), _us(raw.median), _range(raw), ""],
        [t("raw limit, 120 bytes"), *_median(samples.raw_us(AUDIO_BYTES)), ""],
        [t("ratio to the raw limit"), _number(data["ratio_to_limit"], 2), "", "≤ 1.4"],
        [t("packets per second and core"), f"{data['pps_per_core']:,}", "", ""],
        [t("added delay p50 / p99 / p99.9"), f"{delays} ms", "", t("p99 ≤ 1 ms")],
        [t("… taken by the machine's host"), f"{_number(data['delay_stolen_ms'], 0)} ms", "", ""],
        [t("three-party 720p rooms per core"), _number(data["rooms_per_core"], 0), "", "≥ 150"],
        [t("memory per participant"), f"{data['mib_per_participant']:.2f} MiB", "", "≤ 1 MiB"],
    ]
    growth = result.growth
    if growth is not None:
        ratio = growth.ratio
        row = [t("cost at 300 rooms over cost at 10, median and quartiles")]
        row += [_number(None, 2), ""] if ratio is None else [f"{ratio.median:.2f}", _range(ratio)]
        rows.append([*row, "≤ 1.2"])
    text = render(rows, left={0})
    return text if growth is None else f"{text}\n\n{_growth(growth)}"


def _growth(growth: Growth) -> str:
    rows = [
        [t("rooms"), t("µs, same rate"), t("… media thread"), t("µs, calls"), t("cores, calls")]
    ]
    rows += [
        [
            str(point.rooms),
            _number(point.us_constant, 2),
            _number(point.us_engine, 2),
            _number(point.us_calls, 2),
            _number(point.busy_calls, 2),
        ]
        for point in growth.points
    ]
    return render(rows, left=set())


def isolation_text(result: IsolationResult) -> str:
    """Delays in each phase."""
    rows = [
        [
            t("phase"),
            "p50",
            "p99",
            "p99.9",
            t("packets"),
            t("lost"),
            t("Python, cores"),
            t("findings/s"),
            t("unknown"),
            t("restarts"),
        ]
    ]
    rows += [
        [
            t(phase.name),
            *(
                f"{_number(value, 2)} ms"
                for value in (phase.delay_p50_ms, phase.delay_p99_ms, phase.delay_p999_ms)
            ),
            f"{phase.packets:,}",
            str(phase.lost),
            f"{phase.python_share:.2f}",
            f"{phase.findings_per_s:,.0f}",
            str(phase.unknown),
            str(phase.restarts),
        ]
        for phase in result.phases
    ]
    return render(rows, left={0})


def cores_text(result: CoresResult) -> str:
    """One engine and two."""
    rows = [
        [t("engine"), t("µs per packet"), t("least to most")],
        [t("the first, alone"), *_median(result.us_alone)],
        [t("the first, beside the second"), *_median(result.us_beside)],
        [t("the second, beside the load generator"), *_median(result.us_second)],
        [t("scaling"), f"{result.scaling:.2f}", ""],
    ]
    return render(rows, left={0})


def write_plot(result: ForwardResult, path: Path) -> None:
    """The growth curve as SVG.

    Raises:
        BenchError: there is no curve, or the file can't be written.
    """
    growth = result.growth
    if growth is None:
        raise BenchError(t("a quick measurement has no growth curve to draw"))
    whole = [(p.rooms, p.us_constant) for p in growth.points if p.us_constant is not None]
    engine = [(p.rooms, p.us_engine) for p in growth.points if p.us_engine is not None]
    if not whole:
        raise BenchError(t("the server kept up at no point of the growth curve"))
    curves = [
        Curve(t("whole server"), "#0969da", whole),
        Curve(t("media thread alone"), "#1a7f37", engine),
    ]
    raw = result.samples.raw_us(VIDEO_BYTES).median
    text = growth_svg(
        curves,
        title=t("Server CPU per forwarded packet"),
        across=t("three-party rooms"),
        upwards=t("µs per packet of 1,100 bytes, at {rate} packets per second").format(
            rate=f"{growth.rate:,.0f}"
        ),
        limit=(t("raw limit: AES-GCM and one sendto"), raw),
    )
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise BenchError(
            t("can't write {path}: {reason}").format(path=path, reason=error.strerror)
        ) from error


def _us(value: float) -> str:
    return f"{value:.2f} µs"


def _range(spread: Spread) -> str:
    return f"{spread.least:.2f}–{spread.most:.2f}"


def _median(spread: Spread) -> Sequence[str]:
    return _us(spread.median), _range(spread)


def _number(value: float | None, digits: int) -> str:
    return t("unknown") if value is None else f"{value:.{digits}f}"
