import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest

from analytics import cards
from analytics.cards import card_of
from analytics.config import AnalyticsConfig
from analytics.detector import Finding
from analytics.detectors.picture_health import PictureHealth
from analytics.filepage import explained
from analytics.registry import BUILTIN, WITNESS, Origin, Registry
from witness import commands_detector
from witness.cli import main

ROOT = Path(__file__).parents[2]
DARK_S, LIGHT_S = 4, 2
Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def surroundings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LC_ALL", "C")
    monkeypatch.delenv("WITNESS_CONFIG", raising=False)
    monkeypatch.setenv("WITNESS_MODELS", str(tmp_path / "no models"))


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Four seconds of darkness, two of noise, and a tone."""
    path = tmp_path / "a film.mp4"
    rng = np.random.default_rng(1)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 160, 120, "yuv420p"
        audio = container.add_stream("aac", rate=16_000, layout="mono")
        for index in range((DARK_S + LIGHT_S) * 10):
            image = rng.integers(80, 255, (120, 160, 3), np.uint8)
            image = image if index >= DARK_S * 10 else image // 64
            container.mux(video.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
            tone = np.sin(np.arange(1_600) * 0.2).astype(np.float32)[None] * 0.3
            sound = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            sound.sample_rate, sound.pts = 16_000, index * 1_600
            container.mux(audio.encode(sound))
        for stream in (video, audio):
            container.mux(stream.encode())
    return path


def told(capsys: Capture) -> Any:
    return json.loads(capsys.readouterr().out)


def test_list_tells_each_detector_and_what_it_lacks(capsys: Capture) -> None:
    assert main(["detector", "list", "--json"]) == 0
    cards = {card["name"]: card for card in told(capsys)["detectors"]}
    assert {"face_presence", "transcript", "coaching"} <= cards.keys()
    assert main(["detector", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split()[:3] == ["detector", "version", "package"]
    assert any(re.match(r"transcript .*lacks silero_vad, whisper", line) for line in lines)


def test_list_tells_what_keeps_a_detector_from_running(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    foreign = [
        ("dim_light", Origin("bank-detectors", "analytics.detectors.phone:Phone")),
        ("gone", Origin("bank-detectors", "no_such_module:Gone")),
    ]
    own = [(name, Origin(WITNESS, target)) for name, target in BUILTIN.items()]
    monkeypatch.setattr(commands_detector, "the_registry", lambda: Registry([*own, *foreign]))
    monkeypatch.setattr(cards, "find_spec", lambda _: None)
    assert main(["detector", "list"]) == 1
    said = capsys.readouterr()
    lines = said.out.splitlines()
    assert any(re.match(r"transcript .*lacks .*faster_whisper", line) for line in lines)
    assert any(re.match(r"gone .*can't be had", line) for line in lines)
    assert any(re.match(r"dim_light .*can't be had", line) for line in lines), "it is no such one"
    assert "no_such_module" in said.err


def test_detector_of_a_package_runs_only_where_the_settings_name_it() -> None:
    class Foreign(PictureHealth):
        name = "foreign"

    config, models = PictureHealth.Config(), AnalyticsConfig().models()
    for is_named in (False, True):
        card = card_of(Foreign, config, models, package="bank", is_named=is_named)
        assert card["runs"] is is_named
    assert card_of(PictureHealth, config, models, package="witness", is_named=False)["runs"]


def test_switched_off_detector_is_said_to_be(
    capsys: Capture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "w.yaml"
    config.write_text("analytics:\n  detectors:\n    transcript: {enabled: false}\n")
    assert main(["detector", "list", "--config", str(config)]) == 0
    assert "switched off" in capsys.readouterr().out


def test_card_tells_settings_limits_and_digests(
    capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["detector", "card", "transcript"]) == 0
    said = capsys.readouterr().out
    assert "threads: 2" in said
    assert "unknown: A model is not installed" in said
    assert "model whisper: missing" in said
    monkeypatch.setenv("LC_ALL", "zh_CN.UTF-8")
    assert main(["detector", "card", "transcript"]) == 0
    assert "语音转写" in capsys.readouterr().out


@pytest.mark.parametrize("command", [["card", "nonsense"], ["run", "nonsense", "{film}"]])
def test_unknown_detector_is_named(command: list[str], film: Path, capsys: Capture) -> None:
    assert main(["detector", *(part.format(film=film) for part in command)]) == 1
    assert "no detector is called nonsense; there are " in capsys.readouterr().err


def test_findings_of_a_file_come_as_a_table_and_a_page(
    film: Path, tmp_path: Path, capsys: Capture
) -> None:
    page = tmp_path / "page.html"
    assert main(["detector", "run", "picture_health", str(film), "--html", str(page)]) == 0
    said = capsys.readouterr().out
    assert re.search(r"0\.\d-\d\.\d s .*\[warn\]", said), said
    text = page.read_text()
    assert "<title>a film.mp4</title>" in text
    assert "data:image/jpeg;base64," in text
    assert "<section class=" in text


def test_findings_of_a_file_come_as_json(film: Path, capsys: Capture) -> None:
    assert main(["detector", "run", "picture_health", str(film), "--json", "--role", "rm"]) == 0
    result = told(capsys)
    assert result["duration_us"] == pytest.approx((DARK_S + LIGHT_S) * 1_000_000, abs=200_000)
    assert result["findings"]
    assert {one["detector"] for one in result["findings"]} == {"picture_health"}


def test_detector_without_its_model_says_what_to_install(film: Path, capsys: Capture) -> None:
    assert main(["detector", "run", "face_presence", str(film)]) == 1
    assert "run: witness models install fr_detect" in capsys.readouterr().err


def test_all_leaves_out_those_without_models(film: Path, capsys: Capture) -> None:
    assert main(["detector", "run", "all", str(film), "--json"]) == 0
    out, err = capsys.readouterr()
    assert "transcript" in json.loads(out)["left_out"]
    assert "transcript is left out: the model silero_vad is not installed" in err


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "can't be opened"), (b"no film", "can't be opened")],
)
def test_what_is_no_film_is_named(
    content: bytes | None, message: str, tmp_path: Path, capsys: Capture
) -> None:
    path = tmp_path / "x.mp4"
    if content is not None:
        path.write_bytes(content)
    assert main(["detector", "run", "picture_health", str(path)]) == 1
    assert message in capsys.readouterr().err


def test_explanation_keeps_the_name_of_a_missing_value() -> None:
    from analytics.registry import the_registry

    detector = the_registry().find("transcript")
    _, text = explained(
        [detector],  # type: ignore[list-item]
        Finding("speech_unrecognised", 0, 1),
    )
    assert text.en.endswith("({cause}).")


@pytest.mark.parametrize("name", ["", "Smile", "1smile", "smile_", "a__b", "a-b", "a" * 41, "../x"])
def test_wrong_name_begins_nothing(name: str, tmp_path: Path, capsys: Capture) -> None:
    assert main(["detector", "new", name, "--in", str(tmp_path)]) == 1
    assert "is no name: small letters" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path, capsys: Capture) -> None:
    assert main(["detector", "new", "smile", "--in", str(tmp_path)]) == 0
    assert main(["detector", "new", "smile", "--in", str(tmp_path)]) == 1
    assert "exists already" in capsys.readouterr().err


@pytest.fixture
def within(tmp_path: Path) -> Callable[..., str]:
    """Runs a command in an environment in which the new package is installed."""
    site = tmp_path / "site"

    def run(*command: str) -> str:
        environ = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}"}
        done = subprocess.run(
            command, env=environ, cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return run


@pytest.mark.timeout(240)
def test_new_detector_is_a_package_that_works(
    film: Path, tmp_path: Path, within: Callable[..., str], capsys: Capture
) -> None:
    assert main(["detector", "new", "dim_light", "--in", str(tmp_path)]) == 0
    home = tmp_path / "witness-dim-light"
    uv = str(Path(sys.executable).with_name("uv"))
    # Its build backend is a part of uv: no network is needed.
    within(uv, "pip", "install", "-q", "--offline", "--no-deps", "--python", sys.executable,
           "--target", str(tmp_path / "site"), str(home))  # fmt: skip
    tests = within(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(home))
    assert re.search(r"\b6 passed", tests), tests
    witness = [sys.executable, "-m", "witness", "detector"]
    cards = json.loads(within(*witness, "list", "--json"))["detectors"]
    (card,) = [card for card in cards if card["name"] == "dim_light"]
    assert card["package"] == "witness-dim-light"
    found = json.loads(within(*witness, "run", "dim_light", str(film), "--json"))["findings"]
    assert [one["kind"] for one in found] == ["dim_light_dark"]
    assert found[0]["end_us"] == pytest.approx(DARK_S * 1_000_000, abs=600_000)
    style = subprocess.run(
        [Path(sys.executable).with_name("ruff"), "check", "--isolated", "."],
        cwd=home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert style.returncode == 0, style.stdout
