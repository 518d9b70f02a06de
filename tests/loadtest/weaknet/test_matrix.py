import json
from pathlib import Path
from typing import Any

import pytest

from loadtest.netem.profile import Direction
from loadtest.weaknet.figures import Figures
from loadtest.weaknet.matrix import TOLERANCES, cells, chosen, markdown, regressions
from loadtest.weaknet.result import KEYS, Result
from loadtest.weaknet.scene import Measured, Plan
from witness import weaknet_matrix
from witness.cli import main
from witness.netem_profiles import names

GOOD: dict[str, Any] = {
    "impaired": True,
    "concealed_ratio": 0.1,
    "interruptions_per_min": 2.0,
    "video_fps": 20.0,
    "freeze_ratio": 0.1,
    "audio_kbps": 100.0,
    "video_kbps": 1_000.0,
    "mouth_to_ear_ms": 300.0,
    "join_s": 2.0,
}
CLEAN = {**GOOD, "impaired": False}


def test_the_matrix_is_complete_and_has_no_field_twice() -> None:
    everything = [cell.name for cell in cells()]
    assert len(everything) == len(set(everything)) == 28
    assert {cell.profile for cell in cells()} <= set(names())
    for percent in (10, 30, 50, 70):
        for kind in ("random", "burst"):
            for direction in Direction:
                assert f"{kind}{percent}/{direction.value}" in everything


def test_fields_are_chosen_by_profile_or_name() -> None:
    assert len(chosen([])) == 28
    assert [cell.name for cell in chosen(["slow300"])] == ["slow300/both"]
    assert len(chosen(["random*"])) == 12
    assert len(chosen(["*/both"])) == 12
    assert chosen(["nothing"]) == []


@pytest.mark.parametrize(
    ("key", "value", "worse"),
    [
        ("concealed_ratio", 0.12, False),
        ("concealed_ratio", 0.14, True),
        ("concealed_ratio", 0.0, False),
        ("concealed_ratio", None, True),
        ("interruptions_per_min", 6.0, False),
        ("interruptions_per_min", 6.5, True),
        ("video_fps", 14.5, False),
        ("video_fps", 13.5, True),
        ("video_fps", 25.0, False),
        ("freeze_ratio", 0.26, True),
        ("audio_kbps", 141.0, True),
        ("mouth_to_ear_ms", 370.0, False),
        ("mouth_to_ear_ms", 390.0, True),
        ("join_s", 5.5, True),
        ("video_kbps", 9_000.0, False),
    ],
)
def test_worse_than_tolerated_is_a_regression(key: str, value: float | None, worse: bool) -> None:
    now = {**GOOD, key: value}
    found = regressions("f", {"down": GOOD, "up": CLEAN}, {"down": now, "up": now})
    assert found == ([("f", "down", key, GOOD[key], value)] if worse else [])


def test_what_was_unknown_may_be_anything() -> None:
    before = {**GOOD, **dict.fromkeys(KEYS)}
    assert regressions("f", {"down": before, "up": CLEAN}, {"down": GOOD, "up": GOOD}) == []
    assert set(TOLERANCES) < set(KEYS)


def test_the_table_has_a_row_for_every_impaired_direction() -> None:
    unknown = {**GOOD, "mouth_to_ear_ms": None}
    fields = {
        "random70/both": {"down": GOOD, "up": unknown},
        "random70/down": {"down": GOOD, "up": CLEAN},
    }
    rows = markdown(fields).splitlines()
    assert [row.split(" | ")[1:3] for row in rows[2:]] == [
        ["down", "down"],
        ["both", "down"],
        ["both", "up"],
    ]
    assert "| 10.0 % | 2.0 | 20.0 | 10.0 % | 100 | 1000 | 300 ms | 2.0 s |" in rows[2]
    assert "unknown" in rows[4]


@pytest.fixture
def measured(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """What the command measured; every field is good."""
    asked: list[tuple[str, str]] = []

    def measure(name: str, plan: Plan, runs: int, progress: object) -> Result:
        asked.append((name, plan.direction.value))
        ways = plan.direction.ways
        down, up = Figures(impaired="down" in ways), Figures(impaired="up" in ways)
        for one in (down, up):
            for key in KEYS:
                setattr(one, key, GOOD[key])
        stalled_s = plan.seconds if name == "jitter" else 0.0
        return Result(name, plan, [Measured(down, up, stalled_s, [])] * runs)

    monkeypatch.setattr(weaknet_matrix, "measure", measure)
    return asked


def test_the_command_goes_on_where_it_stopped_and_compares(
    tmp_path: Path, measured: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- measured: begin -->\nold\n<!-- measured: end -->\nafter\n")
    reference = tmp_path / "reference.json"
    files = ["--results", str(tmp_path / "kept"), "--reference", str(reference)]
    common = ["loadtest", "matrix", "--only", "random70", "--seconds", "5", *files]
    assert main([*common, "--update", str(page)]) == 0
    assert measured == [("random70", "down"), ("random70", "up"), ("random70", "both")]
    text = page.read_text()
    assert text.startswith("before\n<!--")
    assert text.endswith("end -->\nafter\n")
    assert text.count("| random70 |") == 4
    assert "old" not in text
    assert main(common) == 0
    assert len(measured) == 3, "what is there is not measured again"
    assert (tmp_path / "kept" / "random70-down.html").exists()
    (tmp_path / "kept" / "random70-up.json").write_text("{")
    assert main(common) == 0
    assert measured[3:] == [("random70", "up")], "half a file is no measurement"
    assert main([*common, "--seconds", "6"]) == 0
    assert len(measured) == 7, "another length is another measurement"
    data = json.loads(reference.read_text())
    data["fields"]["random70/down"]["down"]["video_fps"] = 30.0
    reference.write_text(json.dumps(data))
    capsys.readouterr()
    assert main(common) == 1
    assert "random70/down, down: video_fps was 30.0, is 20.0" in capsys.readouterr().err


def test_fields_the_machine_had_no_time_for_are_measured_again_and_never_kept(
    tmp_path: Path, measured: list[tuple[str, str]], capsys: pytest.CaptureFixture[str]
) -> None:
    page = tmp_path / "page.md"
    page.write_text("<!-- measured: begin -->\n<!-- measured: end -->\n")
    reference = tmp_path / "reference.json"
    common = ["loadtest", "matrix", "--results", str(tmp_path / "kept")]
    common += ["--reference", str(reference), "--update", str(page), "--only", "jitter"]
    assert main(common) == 1
    assert "too busy for every field" in capsys.readouterr().err
    assert not reference.exists()
    assert main([*common, "--only", "none"]) == 0
    assert measured == [("jitter", "both")] * 2 + [("none", "both")] + [("jitter", "both")] * 2
    assert "jitter/both" in capsys.readouterr().err
    assert list(json.loads(reference.read_text())["fields"]) == ["none/both"]


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--only", "nothing"], "no field"),
        (["--only", "none", "--seconds", "0"], "--seconds"),
        (["--only", "none", "--runs", "0"], "--runs"),
        (["--only", "none", "--reference", "broken.json"], "no reference"),
        (["--only", "none", "--update", "broken.json"], "no place for the table"),
    ],
)
def test_wrong_use_is_one_sentence(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    measured: list[tuple[str, str]],
    capsys: pytest.CaptureFixture[str],
    more: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("broken.json").write_text("{}")
    assert main(["loadtest", "matrix", "--results", "kept", *more]) == 2
    assert said in capsys.readouterr().err
