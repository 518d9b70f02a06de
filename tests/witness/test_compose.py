import json
from pathlib import Path

import av
import pytest

from recorder.compose.fonts import CANDIDATES
from tests.recorder.capture_files import write_recording
from tests.recorder.compose.test_film import beeps, flashes
from tests.recorder.scene import Link, audio_track, video_track
from witness.cli import main

STARTED_NS = 1_790_000_000_123_000_000
needs_font = pytest.mark.skipif(
    not Path(CANDIDATES[0]).exists(), reason="fonts-noto-cjk is not installed"
)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    tracks = [
        video_track("v1", "vp8", flashes(2), Link(), name="李雷"),
        audio_track("a1", beeps(2), Link(), name="李雷"),
    ]
    return write_recording(tmp_path, "s1", tracks, 2_000_000, started_ns=STARTED_NS)


@needs_font
def test_a_session_becomes_files(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    arguments = ["compose", str(place), "--out", str(out), "--lang", "en", "--timezone", "UTC"]
    assert main([*arguments, "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert {path.name for path in out.iterdir()} == {"film.mp4", "v1.webm", "a1.webm"}
    assert told["film"]["seconds"] == 2
    assert told["film"]["chapters"] == 3
    assert {track["track"]: track["frames"] for track in told["tracks"]} == {"v1": 50, "a1": 100}
    with av.open(str(out / "film.mp4")) as film:
        assert [s.codec_context.name for s in film.streams if s.type != "data"] == ["h264", "aac"]
        titles = [chapter["metadata"]["title"] for chapter in film.chapters()]
    assert titles == ["between nodes", "node risk", "between nodes"]
    head = (out / "film.mp4").read_bytes()
    assert head.index(b"moov") < head.index(b"mdat")
    assert main([*arguments, "--film-only"]) == 0
    assert "film: " in capsys.readouterr().out


@needs_font
@pytest.mark.parametrize("is_gone", [False, True])
def test_a_damaged_file_is_a_slate_and_the_rest_is_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], *, is_gone: bool
) -> None:
    tracks = [
        video_track("v1", "vp8", flashes(2), Link(), gop=25),
        audio_track("a1", beeps(2), Link()),
    ]
    place = write_recording(tmp_path, "s1", tracks, 2_000_000, started_ns=0, sealable=True)
    path = place / "tracks/v1/000001.pcapng"
    data = bytearray(path.read_bytes())
    start = len(data) // 4
    data[start : start + 2_000] = bytes(2_000)
    path.write_bytes(data)
    if is_gone:
        path.unlink()
    arguments = ["compose", str(place), "--out", str(tmp_path / "out"), "--lang", "en"]
    assert main([*arguments, "--json"]) == 5
    told = json.loads(capsys.readouterr().out)
    (damaged,) = told["damaged"]
    assert (damaged["track"], damaged["file"]) == ("v1", "tracks/v1/000001.pcapng")
    assert ("is not there" if is_gone else "is damaged at byte") in damaged["reason"]
    lost_us = damaged["to_us"] - damaged["from_us"]
    assert 500_000 < lost_us < 1_100_000
    (slate_s,) = told["film"]["slates_s"].values()
    assert slate_s == pytest.approx(lost_us / 1e6, abs=0.2)
    frames = {track["track"]: track["frames"] for track in told["tracks"]}
    assert frames["a1"] == 100
    assert 25 <= frames["v1"] < (27 if is_gone else 40)
    assert main([*arguments, "--film-only"]) == 5
    assert "damaged: " in capsys.readouterr().out


@needs_font
def test_where_nothing_can_be_read_the_damage_is_the_reason(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for path in place.glob("tracks/*/*.pcapng"):
        path.write_bytes(b"RIFF")
    assert main(["compose", str(place), "--out", str(tmp_path / "out")]) == 1
    assert "is no capture file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (["--timezone", "Mars/Olympus"], "there is no time zone 'Mars/Olympus'"),
        (["--font", "/nowhere.ttf"], "there is no font file /nowhere.ttf"),
        (["--watermark", "x" * 201], "--watermark has 201 characters: at most 200"),
    ],
)
def test_what_is_wrong_is_named(
    place: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    text: str,
) -> None:
    given = ["compose", str(place), "--out", str(tmp_path / "out"), *arguments]
    assert main(given) in {1, 2}
    assert text in capsys.readouterr().err


def test_a_directory_without_a_session_is_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["compose", str(tmp_path)]) == 1
    assert "session.json" in capsys.readouterr().err
