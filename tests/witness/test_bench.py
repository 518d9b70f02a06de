"""The measurements themselves, with tiny sizes: that they run and that their figures fit together.

How fast anything is, no test may say: that depends on the machine and its other work. They run
alone all the same: load is looked for until the server keeps up with it, and on a machine full of
other tests it never does.
"""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

from witness.bench.forward import _bucket_quantile
from witness.bench.load import AUDIO_BYTES, VIDEO_BYTES, Spread, calls, packets
from witness.bench.machine import stolen_s
from witness.bench.plot import Curve, growth_svg

DOCUMENTED = {
    "us_per_packet_1100", "us_per_packet_120", "raw_limit_us_1100", "ratio_to_limit",
    "pps_per_core", "delay_p50_ms", "delay_p99_ms", "delay_p999_ms", "rooms_per_core",
    "mib_per_participant", "growth_300_over_10",
}  # fmt: skip


def bench(*arguments: str) -> tuple[dict[str, Any], str]:
    """JSON and progress of ``witness bench``."""
    done = subprocess.run(
        [sys.executable, "-m", "witness", "bench", *arguments, "--json"],
        capture_output=True,
        text=True,
        timeout=150,
        env={**os.environ, "LANG": "C.UTF-8"},
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout), done.stderr


@pytest.mark.bench
@pytest.mark.timeout(160)
def test_forwarding_is_measured_and_the_figures_fit_together() -> None:
    data, progress = bench(
        "forward", "--quick", "--rooms", "2", "--seconds", "0.2", "--rounds", "1"
    )
    assert data.keys() >= DOCUMENTED
    for key in DOCUMENTED - {"growth_300_over_10"}:
        assert data[key] > 0, key
    assert data["growth_300_over_10"] is None
    ratio = data["us_per_packet_1100"] / data["raw_limit_us_1100"]
    assert data["ratio_to_limit"] == pytest.approx(ratio, rel=0.02)
    assert data["pps_per_core"] == pytest.approx(1e6 / data["us_per_packet_1100"], rel=0.02)
    assert data["engine_us_per_packet_1100"] <= data["us_per_packet_1100"]
    assert data["delay_p50_ms"] <= data["delay_p99_ms"] <= data["delay_p999_ms"]
    assert data["delay_stolen_ms"] >= 0
    assert data["scheduling"] in {"realtime", "nicer", "short_slices", "usual"}
    assert "2 of 2 rooms are open" in progress


@pytest.mark.bench
@pytest.mark.timeout(160)
def test_isolation_shows_every_phase() -> None:
    data, _ = bench("isolation", "--seconds", "1")
    names = [phase["name"] for phase in data["phases"]]
    assert names == [
        "calm", "blocked handler", "garbage collection", "joins", "detectors",
        "findings at full rate", "hung detector", "calm again"
    ]  # fmt: skip
    for phase in data["phases"]:
        assert phase["packets"] > 0
        assert phase["delay_p50_ms"] <= phase["delay_p99_ms"]
    shares = {phase["name"]: phase["python_share"] for phase in data["phases"]}
    assert shares["blocked handler"] > shares["calm again"]
    findings = {phase["name"]: phase["findings_per_s"] for phase in data["phases"]}
    usual = findings.pop("detectors")
    assert usual > 5
    assert findings.pop("findings at full rate") > usual
    assert findings.pop("hung detector") > 5, "the others go on"
    assert set(findings.values()) == {0.0}
    hung = next(phase for phase in data["phases"] if phase["name"] == "hung detector")
    assert hung["unknown"] + hung["restarts"] > 0
    assert data["worst_over_calm"] > 0


@pytest.mark.bench
@pytest.mark.timeout(160)
@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two CPUs")
def test_one_engine_and_two_are_compared() -> None:
    data, _ = bench("cores", "--rooms", "2", "--seconds", "0.3", "--rounds", "1")
    assert sum(data["rooms_per_engine"]) == 4
    ratio = 2 * data["us_per_packet_alone"] / data["us_per_packet_beside"]
    assert data["scaling"] == pytest.approx(ratio, abs=0.02)
    assert data["packets_one"] > 0
    assert data["packets_two"] > 0


@pytest.mark.parametrize(
    "arguments",
    [
        ["forward", "--rooms", "0"],
        ["forward", "--seconds", "0"],
        ["cores", "--rounds", "0"],
        ["forward", "--quick", "--plot", "x.svg"],
    ],
)
def test_arguments_out_of_range_are_named(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    from witness.cli import main

    assert main(["bench", *arguments]) == 2
    assert arguments[-2 if "--plot" not in arguments else 2] in capsys.readouterr().err


def test_figure_is_well_formed_and_shows_every_point(tmp_path: Path) -> None:
    curves = [
        Curve("one & all", "#000000", [(1, 2.5), (10, 2.0), (300, 2.2)]),
        Curve("<none>", "#ffffff", []),
    ]
    text = growth_svg(curves, title="t", across="a", upwards="u", limit=("l", 1.5))
    root = ET.fromstring(text)
    names = [element.tag.rpartition("}")[2] for element in root.iter()]
    assert names.count("circle") == 3
    labels = [element.text for element in root.iter() if element.tag.endswith("}text")]
    assert {"1", "10", "300", "one & all", "<none>"} <= set(labels)


def test_quantile_of_buckets_is_an_upper_bound() -> None:
    counts = [50, 40, 9, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
    assert _bucket_quantile(counts, 0.5) == 0.000_05
    assert _bucket_quantile(counts, 0.9) == 0.000_1
    assert _bucket_quantile(counts, 0.99) == 0.000_2
    assert _bucket_quantile(counts, 0.999) is None


def test_what_the_host_takes_is_that_of_a_cpu_or_of_all(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = ["cpu  9 9 9 9 9 9 9 700 0 0", "cpu1 9 9 9 9 9 9 9 300 0 0", "intr 1 2"]
    tick_s = 1 / os.sysconf("SC_CLK_TCK")
    monkeypatch.setattr(Path, "read_text", lambda *_: "\n".join(lines))
    assert stolen_s(None) == pytest.approx(700 * tick_s)
    assert stolen_s(1) == pytest.approx(300 * tick_s)
    assert stolen_s(0) is None, "no such CPU"
    lines[0] = "cpu  9 9 9 9"
    assert stolen_s(None) is None, "an old kernel"


def test_loads_are_those_of_a_call() -> None:
    load = calls()
    assert load.packets_per_s == 220
    assert load.video[0] * VIDEO_BYTES * 8 == pytest.approx(1.5e6, rel=0.01)
    doubled = load.times(2)
    assert doubled.packets_per_s == 440
    assert doubled.video[1:] == load.video[1:]
    assert packets(AUDIO_BYTES).audio[0] == 0


def test_spread_is_median_and_extremes() -> None:
    assert Spread.of([3.0, 1.0, 2.0, 9.0]) == Spread(2.5, 1.0, 9.0)
