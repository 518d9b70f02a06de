"""``checks.jsonl``: made of the log when a session is sealed, with digests in the log."""

import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from recorder.findings import CHECKS_FILE, CLOSED, write_checks
from recorder.log import EventLog, read_events
from recorder.review import describe_recording
from recorder.session_file import read_session
from tests.recorder.evidence import Office, Shape, record
from witness_verify import verify

S = 1_000_000


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Office:
    return Office.made(tmp_path_factory.mktemp("office"))


def finding(name: str, span: tuple[int, int], **changes: Any) -> dict[str, Any]:
    about: dict[str, Any] = {
        "finding": name,
        "detector": "face_presence",
        "version": "1",
        "kind": "face_absent",
        "outcome": "warn",
        "participant": "p-7f",
        "track": "t0",
        "from_us": span[0],
        "to_us": span[1],
        "open": False,
        "score": "0.9",
        "values": {"seconds": 4},
        "frames": [],
        "words": [],
        "models": {"face": "0a" * 32},
    }
    return {**about, **changes}


def found(place: Path) -> None:
    with EventLog.open(place) as log:
        both = {"zh": "{seconds} 秒", "en": "{seconds} s"}
        kinds = {"face_absent": {"severity": "warning", "title": both, "explanation": both}}
        card = {"detector": "face_presence", "version": "1", "title": both, "kinds": kinds}
        log.append("detector.used", card)
        log.append("finding", finding("f-1", (8 * S, 9 * S), open=True))
        log.append("finding", finding("f-1", (8 * S, 12 * S)))
        log.append("finding.acknowledged", {"finding": "f-1"}, actor="rm")
        unknown = {"finding": "u-1", "detector": "phone", "cause": "crashed", "participant": ""}
        span = {"track": "", "from_us": S, "to_us": 2 * S, "open": False}
        log.append("analytics.unknown", {**unknown, **span})
        log.append("findings.lost", {"count": 3})


def test_checks_name_what_was_looked_at_and_by_what(tmp_path: Path, office: Office) -> None:
    place = record(tmp_path, "s1")
    found(place)
    office.seal(place, out := tmp_path / "s1.zip")
    unknown, check = map(json.loads, (place / CHECKS_FILE).read_text("utf-8").splitlines())
    assert (unknown["outcome"], unknown["cause"]) == ("unknown", "crashed")
    assert check["models"] == {"face": "0a" * 32}
    assert check["inputs"]["to_us"] == 12 * S
    assert [Path(one["file"]).name for one in check["inputs"]["segments"]] == [
        "000001.pcapng",
        "000002.pcapng",
    ]
    assert check["acknowledged"]["by"] == "rm"
    with zipfile.ZipFile(out) as box:
        report = box.read("report.html").decode()
    assert "4 秒 / 4 s" in report
    assert "(crashed)" in report
    with out.open("rb") as file:
        result = verify(file)
    documents = next(step for step in result.steps if step.name == "documents")
    assert (documents.outcome, CHECKS_FILE in documents.detail) == ("pass", True)


def test_they_are_written_again_only_where_something_came(tmp_path: Path) -> None:
    place = record(tmp_path, "s1")
    with EventLog.open(place) as log:
        assert not write_checks(place, log)
    found(place)

    def closed() -> int:
        with EventLog.open(place) as log:
            assert write_checks(place, log)
        events = read_events(place, read_session(place))
        return sum(event.type == CLOSED for event in events)

    assert [closed(), closed()] == [1, 1]
    with EventLog.open(place) as log:
        log.append("finding", finding("f-2", (S, 2 * S)))
    assert closed() == 2


def test_whoever_seals_other_checks_than_the_log_has_is_found_out(
    tmp_path: Path, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = record(tmp_path, "s1")
    found(place)

    def write(place: Path, log: EventLog) -> bool:
        written = write_checks(place, log)
        (place / CHECKS_FILE).write_bytes(b"{}")
        return written

    monkeypatch.setattr("recorder.seal.write_checks", write)
    with pytest.raises(Exception, match="not the file the event log tells of"):
        office.seal(place, tmp_path / "s1.zip")


def test_who_watches_sees_findings_with_their_texts(tmp_path: Path) -> None:
    place = record(tmp_path, "s1", Shape())
    found(place)
    unknown, told = describe_recording(place)["findings"]
    assert (unknown["kind"], unknown["severity"]) == ("unknown", "info")
    assert told["text"] == {"zh": "4 秒", "en": "4 s"}
