"""The whole measurement: namespaces, a server, two browsers, a page of plots."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from loadtest.netem.tun import why_no_tun
from loadtest.weaknet.result import KEYS
from witness.cli import main

_REASON = why_no_tun()


@pytest.mark.net
@pytest.mark.browser
@pytest.mark.timeout(300)
@pytest.mark.skipif(_REASON is not None, reason=_REASON or "")
def test_a_call_is_measured_where_it_is_bad_and_where_it_is_not(tmp_path: Path) -> None:
    plots = tmp_path / "plots.html"
    command = ["loadtest", "weaknet", "--profile", "random30", "--direction", "down", "--quick"]
    with subprocess.Popen(
        [sys.executable, "-m", "witness", *command, "--json", "--html", str(plots)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        output, progress = process.communicate()
    assert process.returncode == 0, progress
    result = json.loads(output)
    down, up = result["down"], result["up"]
    assert set(KEYS) <= down.keys() & up.keys()
    assert (down["impaired"], up["impaired"]) == (True, False)
    (run,) = result["runs"]
    assert run["problems"] == []
    assert (result["transport"], result["carriers"]) == ("udp", {"udp": 1.0})
    assert run["down"]["path_loss_ratio"] == pytest.approx(0.3, abs=0.06)
    assert run["up"]["path_loss_ratio"] == 0
    # The way alone takes 20 ms, and a frame of sound is as long.
    assert up["mouth_to_ear_ms"] > 40
    assert up["audio_kbps"] > 10
    assert up["video_kbps"] > 10
    assert "measuring" in progress
    assert plots.read_text(encoding="utf-8").count("<svg") == 10
    left = subprocess.run(["ip", "netns", "list"], capture_output=True, text=True, check=True)
    assert f"witness-{process.pid}-" not in left.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--profile", "nothing"], "there is no network profile"),
        (["--seconds", "0.5"], "--seconds must be"),
        (["--runs", "0"], "--runs must be"),
        (["--seed", "-1"], "--seed must be"),
        (["--html", "/nowhere/page.html"], "can't write"),
    ],
)
def test_wrong_use_is_told_before_anything_is_started(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["loadtest", "weaknet", *arguments]) == 2
    assert said in capsys.readouterr().err
