import stat
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from recorder import transcript
from recorder.digests import digests_of
from recorder.errors import SealError, SessionStateError
from recorder.log import EventLog, read_events
from recorder.playback.opening import open_recording
from recorder.session_file import read_session
from recorder.transcript import Spoken, Transcript, append_lines, close_transcript, is_closed
from tests.recorder.evidence import Office, record
from witness_verify import verify
from witness_verify.asn1 import load_pem

LINE: dict[str, Any] = {"from_us": 1_000_000, "to_us": 2_000_000, "text": "我同意"}


def spoken(**changed: Any) -> Spoken:
    return Spoken.model_validate(LINE | changed)


def test_lines_become_subtitles(tmp_path: Path) -> None:
    place = record(tmp_path, "s1")
    append_lines(place, [spoken(speaker="customer-1", source="asr@1.2")])
    append_lines(place, [spoken(from_us=0, text="请问您同意吗")])
    said = open_recording(place).transcript
    assert [(line.speaker, line.text) for line in said] == [
        ("", "请问您同意吗"),
        ("customer-1", "我同意"),
    ]


@pytest.mark.parametrize(
    "changed",
    [
        {"from_us": -1},
        {"from_us": 1.5},
        {"from_us": "0"},
        {"to_us": 1_000_000},
        {"to_us": 2**53},
        {"text": ""},
        {"text": "x" * 2_001},
        {"text": "two\nlines"},
        {"text": "half \ud800"},
        {"text": None},
        {"speaker": "../x"},
        {"speaker": "x" * 65},
        {"source": "<b>"},
        {"confidence": 1},
    ],
)
def test_what_is_no_line_is_refused(changed: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        spoken(**changed)


def test_half_a_line_of_a_crash_is_cut_off(tmp_path: Path) -> None:
    append_lines(tmp_path, [spoken()])
    path = tmp_path / "transcript.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + whole[:10])
    append_lines(tmp_path, [spoken()])
    assert path.read_bytes() == whole * 2


def test_a_transcript_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    size = append_lines(tmp_path, [spoken()])
    monkeypatch.setattr(transcript, "_MAX_BYTES", size + 1)
    with pytest.raises(SessionStateError):
        append_lines(tmp_path, [spoken()])
    assert (tmp_path / "transcript.jsonl").stat().st_size == size


def test_closing_logs_the_digests_and_takes_no_more(tmp_path: Path) -> None:
    place = record(tmp_path, "s1")
    append_lines(place, [spoken()])
    with EventLog.open(place) as log:
        close_transcript(place, log, "asr-1")
    path = place / "transcript.jsonl"
    *_, last = read_events(place, read_session(place))
    assert (last.type, last.actor, last.payload["lines"]) == ("transcript.closed", "asr-1", 1)
    assert last.payload["sm3"] == digests_of(path.read_bytes()).sm3
    assert is_closed(place)
    with pytest.raises(SessionStateError, match="closed"):
        append_lines(place, [spoken()])


def test_one_that_is_kept_open_sees_what_others_do(tmp_path: Path) -> None:
    place = record(tmp_path, "s1")
    kept = Transcript(place)
    kept.append([spoken()])
    path = place / "transcript.jsonl"
    whole = path.read_bytes()
    append_lines(place, [spoken()])
    with path.open("ab") as file:
        file.write(whole[:-1] + b" " * 40_000)
    assert kept.append([spoken()]) == 3 * len(whole)
    assert path.read_bytes() == whole * 3
    with EventLog.open(place) as log:
        log.append("mark", {}, durable=True)
        kept.append([spoken()])
        close_transcript(place, log, "asr-1")
    for _ in range(2):
        with pytest.raises(SessionStateError, match="closed"):
            kept.append([spoken()])
    assert path.read_bytes() == whole * 4


def test_neither_the_log_nor_the_transcript_is_read_again(tmp_path: Path) -> None:
    place = record(tmp_path, "s1")
    kept = Transcript(place)
    kept.append([spoken()])
    log = place / "events.jsonl"
    # What was looked at may be anything by now: only what follows counts.
    log.write_bytes(b"x" * (log.stat().st_size - 1) + b"\n")
    assert not is_closed(place)
    kept.append([spoken()])
    with log.open("ab") as file:
        file.write(b'{"seq":9,"type":"transcript.closed"}\n')
    with pytest.raises(SessionStateError, match="closed"):
        kept.append([spoken()])


def test_a_seal_closes_the_transcript_and_holds_it_to_the_log(tmp_path: Path) -> None:
    office, place = Office.made(tmp_path / "office"), record(tmp_path, "s1")
    append_lines(place, [spoken()])
    office.seal(place, tmp_path / "one.zip")
    trusted = [one for trust in office.trust for one in load_pem(trust.read_bytes())]
    with (tmp_path / "one.zip").open("rb") as file:
        assert verify(file, trusted).exit_code == 0
    *_, closed, _ = read_events(place, read_session(place))
    assert closed.type == "transcript.closed"
    path = place / "transcript.jsonl"
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    path.write_bytes(path.read_bytes().replace("同意".encode(), "拒绝".encode()))
    path.chmod(stat.S_IRUSR)
    with pytest.raises(SealError, match="is not the file"):
        office.seal(place, tmp_path / "two.zip")
    path.unlink()
    with pytest.raises(SealError, match="missing"):
        office.seal(place, tmp_path / "two.zip")


def test_what_the_log_closed_takes_no_more_whatever_the_mode_of_the_file(tmp_path: Path) -> None:
    place = record(tmp_path, "s1")
    append_lines(place, [spoken()])
    path = place / "transcript.jsonl"
    path.chmod(0o400)
    assert not is_closed(place)
    path.chmod(0o600)
    with EventLog.open(place) as log:
        log.append("flow.note", {"said": ',"type":"transcript.closed"}'})
        assert not is_closed(place)
        close_transcript(place, log)
    # As after a crash between the two, or in a copy.
    path.chmod(0o600)
    with pytest.raises(SessionStateError, match="closed"):
        append_lines(place, [spoken()])
    assert stat.S_IMODE(path.stat().st_mode) == 0o400
