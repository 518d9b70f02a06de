"""Light participants behind a bad network, with a real server."""

import json

import pytest

from witness.cli import main


@pytest.mark.load
@pytest.mark.timeout(120)
def test_two_runs_with_one_seed_agree(capsys: pytest.CaptureFixture[str]) -> None:
    results = []
    for _ in range(2):
        command = ["loadtest", "swarm", "--profile", "random30", "--direction", "up", "--quick"]
        assert main([*command, "--json"]) == 0
        output, progress = capsys.readouterr()
        assert "measuring" in progress
        results.append(json.loads(output))
    first, second = results
    for result in results:
        assert (result["participants"], result["rooms"]) == (4, 2)
        assert (result["up"]["impaired"], result["down"]["impaired"]) == (True, False)
        assert result["up"]["path_loss_ratio"] == pytest.approx(0.3, abs=0.06)
        assert result["down"]["path_loss_ratio"] == 0
        assert result["up"]["relay_refused"] == result["down"]["relay_refused"] == 0
        # 50 packets of 120 bytes a second each, before encryption and headers; 4 participants.
        assert result["up"]["audio_kbps"] > 4 * 50 * 120 * 8 / 1000 * 0.8
    losses = [result["up"]["path_loss_ratio"] for result in (first, second)]
    assert losses[0] == pytest.approx(losses[1], abs=0.03)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--profile", "nothing"], "there is no network profile"),
        (["--rooms", "0"], "--rooms must be"),
        (["--seconds", "0.5"], "--seconds must be"),
        (["--seed", "-1"], "--seed must be"),
    ],
)
def test_wrong_use_is_told_before_anything_is_started(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["loadtest", "swarm", *arguments]) == 2
    assert said in capsys.readouterr().err
