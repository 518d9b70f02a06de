"""What a killed server left, cut and closed: every place a file can be torn at."""

import struct
from pathlib import Path

import pytest

from recorder.canonical import canonical
from recorder.digests import digests_of
from recorder.log import Event, EventLog, read_events
from recorder.recovery import recover_all, recover_session
from recorder.session_file import read_session, write_session
from recorder.timeline import derive_timeline

STARTED_NS = 1_700_000_000_000_000_000


def block(kind: int, body: bytes) -> bytes:
    body += bytes(-len(body) % 4)
    size = len(body) + 12
    return struct.pack("<II", kind, size) + body + struct.pack("<I", size)


def packet(at_us: int, content: bytes = b"abcde") -> bytes:
    head = struct.pack("<IIIII", 0, at_us >> 32, at_us & 0xFFFFFFFF, len(content), len(content))
    return block(6, head + content)


HEADER = block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1)) + block(1, bytes(8))


def session(tmp_path: Path, *files: tuple[str, bytes], opened: bool = True) -> Path:
    write_session(tmp_path, session="s1", room="r", started_ns=STARTED_NS)
    place = tmp_path / "s1"
    folder = place / "tracks" / "t1"
    folder.mkdir(parents=True)
    for name, data in files:
        (folder / name).write_bytes(data)
    with EventLog.open(place, wall_ns=lambda: STARTED_NS) as log:
        log.append("recording.started", {}, at=0)
        if opened:
            log.append("track.opened", {"track": "t1"}, at=1_000)
    return place


def never(name: str, error: Exception) -> None:
    raise AssertionError(name) from error


def events(place: Path, kind: str) -> list[Event]:
    return [item for item in read_events(place, read_session(place)) if item.type == kind]


def test_a_file_torn_anywhere_keeps_its_whole_packets(tmp_path: Path) -> None:
    whole = HEADER + packet(5_000) + packet(25_000)
    last = packet(45_000)
    for cut in range(len(last)):
        base = tmp_path / str(cut)
        base.mkdir()
        place = session(base, ("000001.pcapng.part", whole + last[:cut]))
        found = recover_session(place)
        assert found is not None
        assert (found.tracks, found.cut_bytes, found.removed) == (1, cut, 0)
        assert (place / "tracks/t1/000001.pcapng").read_bytes() == whole
        (segment,) = events(place, "segment.closed")
        expected = {"from_us": 5_000, "to_us": 25_000, "packets": 2, "bytes": len(whole)}
        assert expected.items() <= segment.payload.items()
        assert digests_of(whole).to_json().items() <= segment.payload.items()
        (gap,) = events(place, "gap.declared")
        assert (gap.payload["from_us"], gap.payload["to_us"]) == (25_000, 1_025_000)
        assert gap.payload["cause"] == "crash"
        assert len(events(place, "track.closed")) == 1
        assert recover_session(place) is None


def test_a_kill_without_an_open_track_is_told_once(tmp_path: Path) -> None:
    place = session(tmp_path, opened=False)
    for _ in range(2):
        recover_all(tmp_path, never)
    (told,) = events(place, "recording.recovered")
    assert told.payload == {"tracks": 0, "files": [], "cut_bytes": 0, "removed": 0}
    with EventLog.open(place) as log:
        log.append("recording.resumed", {}, at=30_000_000)
        log.append("recording.stopped", {}, at=40_000_000)
    timeline = derive_timeline(read_events(place, read_session(place)))
    assert timeline.outages == [(0, 30_000_000)]
    shares = timeline.totals()
    assert (shares.expected_us, shares.missing_us) == (30_000_000, 30_000_000)
    assert recover_all(tmp_path, never) == []


@pytest.mark.parametrize(
    "data",
    [
        b"",
        HEADER,
        HEADER[:-1],
        b"no capture at all, but long enough to hold a block",
        packet(1),
        HEADER + block(6, bytes(20))[:-1] + b"x",
        HEADER + struct.pack("<II", 6, 13) + bytes(32),
        HEADER + struct.pack("<II", 6, 0) + bytes(32),
        HEADER + struct.pack("<II", 6, 1 << 31) + bytes(32),
        HEADER + HEADER + packet(1),
        b"WITNESS\x01" + bytes(20),
        b"WITNESS\x02" + bytes(75),
        b"WITNESS\x02" + bytes(75) + b"\xff\xff",
        b"WITNESS\x03" + bytes(200),
    ],
)
def test_a_file_without_a_packet_is_removed(tmp_path: Path, data: bytes) -> None:
    place = session(tmp_path, ("000001.pcapng.part", data))
    found = recover_session(place)
    assert found is not None
    assert (found.removed, found.closed) == (1, [])
    assert list((place / "tracks/t1").iterdir()) == []
    assert events(place, "segment.closed") == []


@pytest.mark.parametrize(
    "header",
    [
        b"WITNESS\x01" + bytes(75),
        b"WITNESS\x02" + bytes(75) + (24).to_bytes(2, "big") + b"s1/t1/000001.pcapng.enc.",
    ],
)
def test_an_encrypted_file_keeps_its_whole_frames(tmp_path: Path, header: bytes) -> None:
    frame = (40).to_bytes(4, "big") + bytes(40)
    for cut in (0, 3, 4, 43):
        base = tmp_path / str(cut)
        base.mkdir()
        place = session(base, ("000001.pcapng.enc.part", header + 2 * frame + frame[:cut]))
        found = recover_session(place)
        assert found is not None
        assert found.cut_bytes == cut
        assert (place / "tracks/t1/000001.pcapng.enc").read_bytes() == header + 2 * frame
        (segment,) = events(place, "segment.closed")
        assert segment.payload["packets"] is None
        assert segment.payload["from_us"] <= segment.payload["to_us"]


def test_no_frame_is_shorter_than_its_tag(tmp_path: Path) -> None:
    frame = (40).to_bytes(4, "big") + bytes(40)
    header = b"WITNESS\x01" + bytes(75)
    torn = header + frame + (15).to_bytes(4, "big") + bytes(15)
    place = session(tmp_path, ("000001.pcapng.enc.part", torn))
    found = recover_session(place)
    assert found is not None
    assert found.cut_bytes == 19
    assert (place / "tracks/t1/000001.pcapng.enc").read_bytes() == header + frame


def test_a_torn_file_never_takes_the_place_of_a_finished_one(tmp_path: Path) -> None:
    finished, torn = HEADER + packet(7), HEADER + packet(8)
    place = session(tmp_path, ("000001.pcapng", finished), ("000001.pcapng.part", torn))
    found = recover_session(place)
    assert found is not None
    folder = place / "tracks/t1"
    assert (folder / "000001.pcapng").read_bytes() == finished
    assert (folder / "000002.pcapng").read_bytes() == torn
    assert found.closed == ["t1/000001.pcapng", "t1/000002.pcapng"]
    assert [item.payload["segment"] for item in events(place, "segment.closed")] == [1, 2]


def test_after_the_stop_only_tracks_that_were_open_are_finished(tmp_path: Path) -> None:
    data = HEADER + packet(7_000)
    for is_closed in (True, False):
        base = tmp_path / str(is_closed)
        base.mkdir()
        place = session(base, ("000001.pcapng.part", data))
        with EventLog.open(place, wall_ns=lambda: STARTED_NS) as log:
            if is_closed:
                log.append("track.closed", {"track": "t1"}, at=8_000)
            log.append("recording.stopped", {}, at=9_000)
        found = recover_session(place)
        names = [path.name for path in (place / "tracks/t1").iterdir()]
        if is_closed:
            assert found is None
            assert names == ["000001.pcapng.part"]
            assert events(place, "segment.closed") == []
            continue
        assert found is not None
        assert names == ["000001.pcapng"]
        (gap,) = events(place, "gap.declared")
        assert (gap.payload["from_us"], gap.payload["to_us"]) == (7_000, 9_000)
        assert len(events(place, "track.closed")) == 1


def test_a_finished_file_the_log_does_not_know_is_told(tmp_path: Path) -> None:
    place = session(tmp_path, ("000001.pcapng", HEADER + packet(7)), opened=False)
    found = recover_session(place)
    assert found is not None
    assert found.closed == ["t1/000001.pcapng"]
    assert len(events(place, "track.opened")) == len(events(place, "track.closed")) == 1


def test_a_name_given_twice_by_a_kill_between_link_and_unlink_is_one_file(tmp_path: Path) -> None:
    place = session(tmp_path, ("000001.pcapng", HEADER + packet(7)))
    path = place / "tracks/t1/000001.pcapng"
    path.with_name(path.name + ".part").hardlink_to(path)
    assert recover_session(place) is not None
    assert list(path.parent.iterdir()) == [path]


def test_a_session_somebody_writes_is_left_alone(tmp_path: Path) -> None:
    place = session(tmp_path, ("000001.pcapng.part", HEADER + packet(7)))
    with EventLog.open(place):
        assert recover_all(tmp_path, never) == []
    assert [item.session for item in recover_all(tmp_path, never)] == ["s1"]


def test_a_damaged_session_keeps_no_other_from_being_finished(tmp_path: Path) -> None:
    write_session(tmp_path, session="s0", room="r", started_ns=STARTED_NS)
    with EventLog.open(tmp_path / "s0") as log:
        log.append("recording.started", {}, at=0)
    path = tmp_path / "s0/events.jsonl"
    path.write_bytes(path.read_bytes().replace(b"started", b"stopped"))
    session(tmp_path, ("000001.pcapng.part", HEADER + packet(7)))
    before = path.read_bytes()
    told: list[str] = []
    found = recover_all(tmp_path, lambda name, _: told.append(name))
    assert [item.session for item in found] == ["s1"]
    assert told == ["s0"]
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "name",
    ["copy.pcapng", "000001 (1).pcapng", "1.pcapng", "copy.pcapng.part", "000001.pcapng.bak"],
)
def test_files_of_others_are_not_touched(tmp_path: Path, name: str) -> None:
    place = session(tmp_path, ("000001.pcapng.part", HEADER + packet(7)), (name, HEADER))
    (place / "tracks/.DS_Store").write_bytes(b"x")
    found = recover_session(place)
    assert found is not None
    assert found.closed == ["t1/000001.pcapng"]
    assert (place / "tracks/t1" / name).read_bytes() == HEADER


def test_who_sent_a_track_is_told_where_a_crash_kept_the_log_from_it(tmp_path: Path) -> None:
    about = canonical({"track": "t1", "participant": "p1", "ssrc": 7, "formats": [], "name": "An"})
    first = ("000001.pcapng.part", HEADER + packet(7))
    place = session(tmp_path, first, ("track.json", about))
    assert recover_session(place) is not None
    (told,) = events(place, "track.described")
    digests = digests_of(about).to_json()
    who = {"track": "t1", "participant": "p1", "ssrc": 7}
    assert told.payload == {**who, "about": digests, "recovered": True}
    (place / "tracks/t1/000002.pcapng").write_bytes(HEADER + packet(9))
    with EventLog.open(place) as log:
        log.append("track.opened", {"track": "t1"}, at=8)
    assert recover_session(place) is not None
    assert len(events(place, "track.described")) == 1


@pytest.mark.parametrize("about", [b'{"a": 1}', b"[]", b"{", b'{"a":1.5}', b"{}{}"])
def test_a_description_that_is_not_the_recorders_is_not_told(tmp_path: Path, about: bytes) -> None:
    place = session(tmp_path, ("000001.pcapng.part", HEADER + packet(7)), ("track.json", about))
    assert recover_session(place) is not None
    assert events(place, "track.described") == []


def test_a_packet_of_an_impossible_time_counts_and_has_none(tmp_path: Path) -> None:
    place = session(tmp_path, ("000001.pcapng.part", HEADER + packet(7) + packet(1 << 55)))
    assert recover_session(place) is not None
    (segment,) = events(place, "segment.closed")
    assert (segment.payload["packets"], segment.payload["to_us"]) == (2, 7)


def test_a_finished_session_is_read_again_only_when_its_log_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = session(tmp_path, ("000001.pcapng.part", HEADER + packet(7)))
    with EventLog.open(place, wall_ns=lambda: STARTED_NS) as log:
        log.append("recording.stopped", {}, at=9_000)
    assert len(recover_all(tmp_path, never)) == 1
    assert recover_all(tmp_path, never) == []
    read: list[Path] = []

    def look(place: Path) -> None:
        read.append(place)

    monkeypatch.setattr("recorder.recovery.recover_session", look)
    assert recover_all(tmp_path, never) == []
    assert read == []
    with EventLog.open(place, wall_ns=lambda: STARTED_NS) as log:
        log.append("mark", {"label": "later"}, at=9_000)
    assert recover_all(tmp_path, never) == []
    assert read == [place]


def test_a_plain_copy_beside_an_encrypted_file_is_no_segment(tmp_path: Path) -> None:
    sealed = b"WITNESS\x01" + bytes(75) + (40).to_bytes(4, "big") + bytes(40)
    files = ("000001.pcapng.enc.part", sealed), ("000001.pcapng", HEADER + packet(7))
    place = session(tmp_path, *files)
    found = recover_session(place)
    assert found is not None
    assert found.closed == ["t1/000001.pcapng.enc"]
    assert len(events(place, "segment.closed")) == 1
    assert (place / "tracks/t1/000001.pcapng").is_file()
