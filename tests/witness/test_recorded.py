"""Sessions by name, and the list of them."""

import json
from pathlib import Path

import pytest

from recorder.log import EventLog
from recorder.session_file import write_session
from tests.recorder.evidence import Office, Shape, record
from witness.cli import main
from witness.errors import EvidenceError
from witness.recorded import find_session


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A configured recording directory with three sessions; elsewhere is the current one."""
    folder = tmp_path / "recordings"
    folder.mkdir()
    (folder / "upload.key").touch()
    for name in ("s-20260101-aa", "s-20260101-bb", "s-20260102-cc"):
        write_session(folder, session=name, room="r", started_ns=1)
    monkeypatch.setenv("WITNESS_RECORDING__DIRECTORY", str(folder))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder


@pytest.mark.parametrize("name", ["s-20260102-cc", "s-20260102", "../recordings/s-20260102-cc"])
def test_a_session_is_found_by_id_by_its_beginning_and_by_path(folder: Path, name: str) -> None:
    assert find_session(name, folder) == folder / "s-20260102-cc"


def test_a_directory_needs_no_configuration(folder: Path) -> None:
    assert find_session(str(folder / "s-20260101-aa"), None) == folder / "s-20260101-aa"


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("s-20260101", "several sessions begin with s-20260101: s-20260101-bb, s-20260101-aa"),
        ("x", "recordings holds s-20260102-cc, s-20260101-bb, s-20260101-aa"),
        ("upload.key", "there is no session upload.key"),
        ("../nowhere", "there is no session ../nowhere"),
    ],
)
def test_what_can_not_be_meant_is_answered_with_what_there_is(
    folder: Path, name: str, said: str
) -> None:
    with pytest.raises(EvidenceError, match=said):
        find_session(name, folder)


def test_one_name_for_two_sessions_is_refused(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    write_session(other, session="s-20260102-cc", room="r", started_ns=2)
    with pytest.raises(EvidenceError, match=r"is both .*elsewhere.* and .*recordings"):
        find_session("s-20260102-cc", folder)
    assert find_session("./s-20260102-cc", folder) == other / "s-20260102-cc"


def test_a_long_list_is_cut(folder: Path) -> None:
    for number in range(9):
        write_session(folder, session=f"t{number}", room="r", started_ns=1)
    with pytest.raises(EvidenceError, match=r"t8, .* and 2 more$"):
        find_session("x", folder)


@pytest.mark.parametrize(
    ("directory", "said"),
    [(None, "recording.directory is not set"), ("nowhere", "can't use the recording directory")],
)
def test_a_place_that_is_none_is_named(
    directory: str | None, said: str, folder: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    if directory is None:
        monkeypatch.delenv("WITNESS_RECORDING__DIRECTORY")
    else:
        monkeypatch.setenv("WITNESS_RECORDING__DIRECTORY", directory)
    for arguments in (["recordings"], ["compose", "s-1"]):
        assert main(arguments) == 1
        assert said in capsys.readouterr().err


def test_sessions_are_listed_with_what_is_known_of_them(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = record(folder, "s-20990101-aa", Shape(tracks=2, pause=True))
    record(folder, "s-20990101-bb", Shape(tracks=1, segments=1, uploads=4))
    with EventLog.open(folder / "s-20260101-aa") as log:
        log.append("recording.started", {}, at=0)
    sealed = Office.made(tmp_path / "office").seal(whole, tmp_path / "s.zip")
    broken = folder / "s-20260102-cc"
    (broken / "events.jsonl").write_bytes(b"{}\n")
    assert main(["recordings", "--json"]) == 0
    told = {item["session"]: item for item in json.loads(capsys.readouterr().out)}
    assert len(told) == 5
    assert told["s-20990101-aa"] | {"started_at": ""} == {
        "session": "s-20990101-aa", "room": "sale-1", "started_at": "", "state": "stopped",
        "length_us": 35_000_000, "tracks": 2, "captured": 1.0, "filled": 0.0, "open_gaps": 0,
        "outage_us": 0, "completeness": {"audio": None, "video": None},
        "sealed": True, "packages": [sealed.package], "problem": None,
    }  # fmt: skip
    uploaded = told["s-20990101-bb"]
    assert uploaded["completeness"] == {"audio": None, "video": 0.75}
    assert (uploaded["captured"], uploaded["filled"], uploaded["open_gaps"]) == (0.9, 0, 1)
    assert told["s-20260101-aa"]["state"] == "recording"
    assert told["s-20260101-bb"]["state"] == "ready"
    assert (told["s-20260102-cc"]["state"], told["s-20260102-cc"]["problem"]) == (
        "damaged",
        "line 1 of the event log is not what was written",
    )
    assert main(["recordings"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7
    assert lines[0].split("  ")[0] == "session"
    assert lines[-1] == "s-20260102-cc: line 1 of the event log is not what was written"
    (row,) = (line for line in lines if "s-20990101-bb" in line)
    assert "0:00:10" in row
    assert "90.00 %" in row
    assert "75.00 %" in row


def test_an_empty_place_is_said_in_chinese_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WITNESS_RECORDING__DIRECTORY", str(tmp_path))
    monkeypatch.setenv("LANG", "zh_CN.UTF-8")
    assert main(["recordings"]) == 0
    assert capsys.readouterr().out == f"{tmp_path} 中没有会话\n"
