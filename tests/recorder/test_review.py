import time
from pathlib import Path

import pytest

from recorder import review
from recorder.log import EventLog
from recorder.review import Catalogue, Criteria, describe_recording
from recorder.sale import Sale
from recorder.session_file import write_session
from recorder.summary import Summary
from tests.recorder.evidence import Shape, record

S = 1_000_000
DAY_NS = 86_400 * 10**9


def alerts(place: Path) -> None:
    with EventLog.open(place) as log:
        log.append("alert.raised", {"track": "t0", "cause": "disk_full"}, at=5 * S)
        log.append("alert.ended", {"track": "t0"}, at=7 * S)
        log.append("alert.raised", {"track": "t1", "cause": "disk_error"}, at=8 * S)


def test_a_recording_is_told_along_its_time(tmp_path: Path) -> None:
    place = record(tmp_path, "s1", Shape(pause=True, gaps=3))
    alerts(place)
    line = '{"from_us":1000000,"to_us":3000000,"speaker":"p-7f","text":"我同意"}\n'
    (place / "transcript.jsonl").write_text(line)
    told = describe_recording(place)
    assert (told["from_us"], told["to_us"], told["state"]) == (0, 35 * S, "stopped")
    assert told["pauses"] == [[10 * S, 15 * S]]
    assert [one["superseded_by"] for one in told["attempts"]] == [2, None]
    (person,) = told["people"]
    assert (person["participant"], person["role"]) == ("p-7f", "customer")
    assert (person["present"], person["speech"]) == ([[0, 35 * S]], [[S, 3 * S]])
    spans = [(one["cause"], one["from_us"], one["to_us"]) for one in told["alerts"]]
    assert spans == [("disk_full", 5 * S, 7 * S), ("disk_error", 8 * S, None)]
    for track in told["tracks"]:
        assert track["captured_us"] + track["missing_us"] == track["expected_us"]
        assert track["filled_us"] == 0
        assert all(gap["cause"] == "network" for gap in track["gaps"])
    assert sum(len(track["gaps"]) for track in told["tracks"]) in range(1, 4)


def test_without_a_transcript_speech_is_unknown(tmp_path: Path) -> None:
    told = describe_recording(record(tmp_path, "s1"))
    assert told["people"][0]["speech"] is None
    assert told["transcript"] == []
    assert told["flow"] is None


def test_a_gap_that_uploads_filled_says_so(tmp_path: Path) -> None:
    place = record(tmp_path, "s1", Shape(uploads=8))
    with EventLog.open(place) as log:
        gap = {"track": "t0", "from_us": 0, "to_us": S, "cause": "network", "packets": 3}
        log.append("gap.declared", gap, at=S)
    track = describe_recording(place)["tracks"][0]
    by_start = {gap["from_us"]: gap["filled"] for gap in track["gaps"]}
    assert by_start[0] is True
    assert False in by_start.values()


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    now_ns = time.time_ns() // DAY_NS * DAY_NS
    for number in range(6):
        room = "sale-1" if number % 2 else "sale-2"
        sale = Sale(order_no=f"o-{number}", customer="c-9")
        started_ns = now_ns - number * DAY_NS
        write_session(tmp_path, session=f"s-{number}", room=room, started_ns=started_ns, sale=sale)
    record(tmp_path, "t-9")
    (tmp_path / "_playback").mkdir()
    return Catalogue(tmp_path)


def names(catalogue: Catalogue, criteria: Criteria) -> list[str]:
    return [item["session"] for item in catalogue.find(criteria)[0]]


def test_recordings_are_found_newest_first_page_by_page(catalogue: Catalogue) -> None:
    seen: list[str] = []
    before = None
    for _ in range(10):
        found, before = catalogue.find(Criteria(limit=2, before=before))
        seen += [item["session"] for item in found]
        if before is None:
            break
    assert sorted(seen) == ["s-0", "s-1", "s-2", "s-3", "s-4", "s-5", "t-9"]
    stored = [name for name in seen if name != "t-9"]
    assert stored == sorted(stored)


@pytest.mark.parametrize(
    ("criteria", "found"),
    [
        (Criteria(text="s-3"), ["s-3"]),
        (Criteria(text="sale-2"), ["s-0", "s-2", "s-4"]),
        (Criteria(text="o-5"), ["s-5"]),
        (Criteria(text="o-"), []),
        (Criteria(text="c-9", limit=1), ["s-0"]),
        (Criteria(state="stopped"), ["t-9"]),
        (Criteria(state="ready", text="s-1"), ["s-1"]),
        (Criteria(to_day="1999-01-01"), []),
        (Criteria(from_day="2999-01-01"), []),
        (Criteria(allowed=lambda room: room == "x"), []),
        (Criteria(before="nowhere"), []),
    ],
)
def test_recordings_are_found_by_what_is_asked(
    catalogue: Catalogue, criteria: Criteria, found: list[str]
) -> None:
    assert names(catalogue, criteria) == found


def test_a_log_that_grew_is_read_again_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    place = record(tmp_path, "s1")
    catalogue = Catalogue(tmp_path)
    assert catalogue.find(Criteria())[0][0]["tracks"] == 2
    with EventLog.open(place) as log:
        log.append("track.opened", {"track": "t9"})
    assert catalogue.find(Criteria())[0][0]["tracks"] == 3
    path = place / "events.jsonl"
    path.write_bytes(path.read_bytes().replace(b"t9", b"t8"))
    assert catalogue.find(Criteria())[0][0]["state"] == "damaged"


def test_a_search_reads_so_much_and_says_where_to_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("s1", "s2", "s3"):
        record(tmp_path, name)
    monkeypatch.setattr(review, "MAX_READ", (tmp_path / "s1/events.jsonl").stat().st_size)
    read: list[str] = []
    summarised = review.summarise

    def noted(place: Path) -> Summary:
        read.append(place.name)
        return summarised(place)

    monkeypatch.setattr(review, "summarise", noted)
    catalogue, before = Catalogue(tmp_path), None
    for count in (1, 2, 3):
        found, before = catalogue.find(Criteria(state="damaged", before=before))
        assert (found, len(read)) == ([], count)
    assert before is None
    assert len(catalogue.find(Criteria())[0]) == 3
    assert len(read) == 3
