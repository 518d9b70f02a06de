"""Joining through a bad network, with real pages."""

import json
from pathlib import Path

import pytest

from loadtest.joins.scene import STAGES
from loadtest.netem.tun import why_no_tun
from witness.cli import main

_REASON = why_no_tun()


@pytest.mark.net
@pytest.mark.browser
@pytest.mark.timeout(300)
@pytest.mark.skipif(_REASON is not None, reason=_REASON or "")
def test_fresh_pages_join_one_after_the_other(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plots = tmp_path / "plots.html"
    command = ["loadtest", "join", "--profile", "random30", "--traffic", "all", "--tries", "2"]
    assert main([*command, "--json", "--html", str(plots)]) == 0
    output, progress = capsys.readouterr()
    result = json.loads(output)
    assert result["tries"] == len(result["each"]) == 2
    assert result["carriers"].keys() == {"udp"}
    for one in result["each"]:
        # A request may have let it in before the socket was open.
        joined, *later = (one[f"{stage}_s"] for stage in STAGES if stage != "socket")
        assert None not in later
        assert 0 < joined <= later[0] <= min(later[1:])
    assert "try 2 of 2" in progress
    assert "<polyline" in plots.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--profile", "nothing"], "there is no network profile"),
        (["--tries", "0"], "--tries must be"),
        (["--within", "0.5"], "--within must be"),
        (["--seed", "-1"], "--seed must be"),
        (["--html", "/nowhere/page.html"], "can't write"),
    ],
)
def test_wrong_use_is_told_before_anything_is_started(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["loadtest", "join", *arguments]) == 2
    assert said in capsys.readouterr().err
