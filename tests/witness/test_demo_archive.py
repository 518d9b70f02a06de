"""What stays of a demonstration."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.recorder.evidence import Shape, record
from witness.demo_archive import DemoArchive, Evidence, default_directory
from witness.errors import DemoError

NOW = datetime(2026, 11, 22, 15, 0, tzinfo=UTC)


def test_it_stays_where_data_of_the_user_belong(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/li")
    usual = Path("/home/li/.local/share/witness/demo")
    assert default_directory({}) == usual
    assert default_directory({"XDG_DATA_HOME": "relative"}) == usual
    assert default_directory({"XDG_DATA_HOME": "/data"}) == Path("/data/witness/demo")


def test_without_a_home_it_says_what_to_give(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(_: object) -> Path:
        raise RuntimeError

    monkeypatch.setattr(Path, "home", classmethod(none))
    with pytest.raises(DemoError, match="give --directory"):
        default_directory({})


def test_the_last_five_stay_and_nothing_else_is_touched(tmp_path: Path) -> None:
    foreign = ["demo-mine", "demo-20260101-000000", "notes"]
    for name in foreign:
        (tmp_path / name).mkdir()
    made = [DemoArchive.begin(tmp_path, NOW.replace(hour=hour)).place.name for hour in range(1, 8)]
    assert {path.name for path in tmp_path.iterdir()} == {*foreign, *made[-5:]}


def test_what_was_recorded_is_sealed_and_verified_with_keys_of_its_own(tmp_path: Path) -> None:
    archive = DemoArchive.begin(tmp_path)
    assert archive.recording.directory is not None
    record(archive.recording.directory, "s1", Shape(gaps=2))
    (made,) = archive.finish()
    assert (made.exit_code, made.code) == (1, "")
    assert made.package == archive.place / "s1.zip"
    # Its packets hold no pictures: the film has slates.
    assert made.film is not None
    assert made.film.is_file()
    assert not made.no_film
    assert {path.parent for path in made.trust} == {archive.place / "keys"}


def test_without_a_recording_nothing_is_sealed(tmp_path: Path) -> None:
    assert DemoArchive.begin(tmp_path).finish() == []


def test_what_can_not_be_done_is_a_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DemoError, match="file"):
        DemoArchive.begin(tmp_path / "file")
    archive = DemoArchive.begin(tmp_path)
    assert archive.recording.directory is not None
    place = record(archive.recording.directory, "s1")
    (place / "tracks/t0/000001.pcapng").write_bytes(b"")
    with pytest.raises(DemoError, match="is not the file the event log tells of"):
        archive.finish()
    monkeypatch.setenv("PATH", "")
    with pytest.raises(DemoError, match="need the openssl command"):
        DemoArchive.begin(tmp_path)


EVIDENCE = Evidence(
    session=Path("/d/demo 1/recordings/s1"),
    package=Path("/d/demo 1/s1.zip"),
    bytes=2 * 2**20,
    missing_us=1_500_000,
    exit_code=1,
    code="",
    film=Path("/d/demo 1/files/film.mp4"),
    no_film="",
    trust=(Path("/d/demo 1/keys/seal-sm2.crt"),),
)


def test_people_read_where_it_lies_and_what_the_verdict_is() -> None:
    assert EVIDENCE.lines() == [
        "recording:   /d/demo 1/recordings/s1",
        "package:     /d/demo 1/s1.zip, 2.0 MiB",
        "verdict:     PASS WITH DECLARED GAPS (1.5 s of all tracks together are declared missing)",
        "check it:    witness verify '/d/demo 1/s1.zip' --trust '/d/demo 1/keys'/*.crt",
        "watch it:    witness play '/d/demo 1/recordings/s1'",
        "film:        /d/demo 1/files/film.mp4",
    ]
    without = replace(EVIDENCE, film=None, no_film="no font", exit_code=2, code="hole").lines()
    assert "verdict:     FAIL (hole)" in without[2]
    assert without[5:] == [
        "no film:     no font",
        "make a film: witness compose '/d/demo 1/recordings/s1' --out '/d/demo 1/files'",
    ]


def test_people_read_it_in_chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    lines = EVIDENCE.lines()
    assert lines[2] == "校验结论:   通过，但有已声明的缺口（各轨道合计有 1.5 秒已声明缺失）"
    assert lines[5].startswith("影片:")
