"""The soak itself, made short; and its page."""

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from dataclasses import replace
from pathlib import Path

import pytest

from loadtest.soak.plan import Act
from loadtest.soak.run import Failure, Freeze, Observed
from loadtest.soak.samples import Sample
from loadtest.soak.stuck import Stuck
from loadtest.soak.verdict import Bounds, judge
from witness.i18n_zh import CATALOGUE
from witness.soak.command import SoakOptions
from witness.soak.page import _ACT_NAMES, page
from witness.soak.report import CHECKS, text_report

SAMPLE = Sample(
    at_s=0, rss_bytes=80 << 20, own_bytes=50 << 20,
    descriptors=20, threads=6, rooms=0, participants=0, transports=0,
    connections=0, waiting_packets=0, waiting_commands=0, lag_s=0.001, packets_in=5, packets_out=5,
    dropped=0,
)  # fmt: skip


def observed() -> Observed:
    samples = [replace(SAMPLE, at_s=5.0 * n, packets_in=100 * n) for n in range(40)]
    seen = Observed(baseline=SAMPLE, samples=samples, final=SAMPLE)
    seen.done["join"] = 3
    seen.dropped["srtp_replay"] = 4
    seen.freezes.append(Freeze(20.0, 3.0))
    seen.failures.append(Failure(70.0, "join", "refused <b>"))
    seen.stuck.found.append(Stuck(60.0, 2, "video", 11.0))
    return seen


@pytest.mark.load
@pytest.mark.timeout(240)
def test_a_short_soak_holds(tmp_path: Path) -> None:
    html = tmp_path / "soak.html"
    done = subprocess.run(
        [sys.executable, "-m", "witness", "loadtest", "soak", "--quick", "--json", "--html", html],
        capture_output=True,
        text=True,
        timeout=220,
        env={**os.environ, "LANG": "C.UTF-8"},
        check=False,
    )
    assert done.stdout, done.stderr
    data = json.loads(done.stdout)
    assert done.returncode == 0, [data["checks"], data["failures"], data["stuck"], done.stderr]
    assert data["held"]
    assert data["done"]["join"] >= 6
    assert len(data["done"]) > 8
    assert data["samples"][-1]["packets_out"] > 10_000
    assert {check["name"] for check in data["checks"]} <= set(CHECKS)
    assert "MiB" in done.stderr
    assert html.read_text(encoding="utf-8").count("<svg") > 10


def test_page_is_well_formed_and_in_both_languages() -> None:
    seen = observed()
    text = page(SoakOptions.quick(), seen, judge(seen, Bounds()))
    body = text.removeprefix("<!doctype html>\n").replace("checked>", 'checked="">')
    # Void elements are no XML.
    for name in ("meta", "input"):
        pieces = body.split(f"<{name}")
        body = pieces[0] + "".join(f"<{name}" + piece.replace(">", "/>", 1) for piece in pieces[1:])
    root = ET.fromstring(body)
    classes = [element.get("class") for element in root.iter("span")]
    assert classes.count("en") == classes.count("zh") > 20
    assert "静" in text
    assert "srtp_replay" in text
    assert "refused &lt;b&gt;" in text
    assert text.index("视频中断了 11.0 秒") < text.index("refused"), "in the order of time"
    assert len(list(root.iter("polyline"))) == 14


def test_every_action_and_check_has_a_text_in_both_languages() -> None:
    assert set(_ACT_NAMES) == {act.value for act in Act} - {Act.EMPTY.value} | {"stay"}
    assert {*_ACT_NAMES.values(), *CHECKS.values()} <= CATALOGUE.keys()


def test_report_says_what_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LC_ALL", "C.UTF-8")
    seen = observed()
    seen.final = replace(SAMPLE, rooms=2)
    text = text_report(seen, judge(seen, Bounds()))
    assert "failed   left behind at the end: 2 rooms" in text
    assert "stood still 1 times" in text
    assert text.endswith("did not hold")


@pytest.mark.parametrize(
    "arguments", [["--minutes", "0"], ["--rooms", "0"], ["--seed", "-1"], ["--html", "/no/x.html"]]
)
def test_arguments_out_of_range_are_named(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    from witness.cli import main

    assert main(["loadtest", "soak", *arguments]) == 2
    assert arguments[0].removeprefix("--html") in capsys.readouterr().err
