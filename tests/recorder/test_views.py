import json
from pathlib import Path

import pytest

from recorder.errors import LogDamagedError, SessionFileError
from recorder.log import EventLog
from recorder.session_file import write_session
from recorder.views import open_views, playback_place, read_views
from witness.cli import main


def opened(root: Path) -> tuple[Path, EventLog]:
    write_session(root, session="s1", room="sale-1", started_ns=1)
    place = playback_place(root / "_playback", "s1")
    return place, open_views(place, root / "s1")


def watch(log: EventLog, view: str = "v1") -> None:
    about = {"view": view, "role": "auditor", "purpose": "audit", "note": "季度检查"}
    log.append("view.opened", about, actor="a-7", durable=True)
    for start in (0, 100):
        span = {"view": view, "what": "film", "from": start, "to": start + 100, "of": 200}
        log.append("view.fetched", span, actor="a-7")


def test_views_are_read_as_they_were(tmp_path: Path) -> None:
    place, log = opened(tmp_path)
    watch(log)
    log.close()
    with open_views(place, tmp_path / "s1") as again:
        watch(again, "v2")
    session, views, last = read_views(place)
    assert session.session == "s1"
    assert [view.view for view in views] == ["v1", "v2"]
    first = views[0].to_json()
    assert (first["who"], first["purpose"], first["note"]) == ("a-7", "audit", "季度检查")
    assert (first["requests"], first["fetched_bytes"]) == (2, {"film": 200})
    assert last is not None
    assert last.seq == 6


def test_views_outlive_the_session(tmp_path: Path) -> None:
    place, log = opened(tmp_path)
    watch(log)
    log.close()
    (tmp_path / "s1" / "session.json").unlink()
    (tmp_path / "s1").rmdir()
    assert len(read_views(place)[1]) == 1


@pytest.mark.parametrize("fault", ["edit", "delete", "swap", "insert", "other session"])
def test_a_change_shows(tmp_path: Path, fault: str) -> None:
    place, log = opened(tmp_path)
    watch(log)
    log.close()
    path = place / "views.jsonl"
    lines = path.read_bytes().splitlines(keepends=True)
    match fault:
        case "edit":
            lines[0] = lines[0].replace(b'"audit"', b'"other"')
        case "delete":
            del lines[1]
        case "swap":
            lines[1], lines[2] = lines[2], lines[1]
        case "insert":
            lines.insert(1, lines[0])
        case "other session":
            about = place / "session.json"
            about.write_bytes(about.read_bytes().replace(b"sale-1", b"sale-2"))
    path.write_bytes(b"".join(lines))
    with pytest.raises(LogDamagedError):
        read_views(place)


def test_what_nobody_watched_has_no_views(tmp_path: Path) -> None:
    with pytest.raises(SessionFileError):
        read_views(playback_place(tmp_path, "s1"))
    with pytest.raises(SessionFileError):
        open_views(playback_place(tmp_path, "s1"), tmp_path / "s1")


def test_the_command_tells_of_views_and_of_a_broken_chain(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    place, log = opened(tmp_path)
    monkeypatch.setenv("WITNESS_RECORDING__DIRECTORY", str(tmp_path))
    watch(log)
    log.close()
    assert main(["recordings", "views", "s1"]) == 0
    shown = capsys.readouterr().out
    assert "a-7" in shown
    assert "季度检查" in shown
    assert "the chain is whole: 3 lines" in shown
    assert main(["recordings", "views", str(tmp_path / "s1"), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["session"], told["events"]) == ("s1", 3)
    assert told["views"][0]["fetched_bytes"] == {"film": 200}
    path = place / "views.jsonl"
    path.write_bytes(path.read_bytes().replace(b"audit", b"other"))
    assert main(["recordings", "views", "s1"]) != 0
    assert "line 1 of the event log" in capsys.readouterr().err
    write_session(tmp_path, session="s2", room="sale-1", started_ns=1)
    assert main(["recordings", "views", "s2"]) == 0
    assert "nobody has watched s2" in capsys.readouterr().out
