import io
import json
from pathlib import Path

import pytest

from recorder.backfill.form import Frame, pack
from recorder.errors import RecorderError
from recorder.log import EventLog
from recorder.playback.errors import RecordingError
from recorder.playback.opening import open_recording
from recorder.playback.pcapng import read_items
from recorder.playback.survey import survey_participant
from tests.recorder.capture_files import block, capture_file, datagram, header, write_recording
from tests.recorder.encoders import pattern
from tests.recorder.scene import Link, ListedTrack, video_track

STARTED_NS = 1_790_000_000_123_000_000


def track() -> ListedTrack:
    return video_track("v", "vp8", pattern(50), Link(), name="李雷")


def test_a_session_is_read_as_it_was_written(tmp_path: Path) -> None:
    sent = track()
    place = write_recording(tmp_path, "s1", [sent], 2_000_000, started_ns=STARTED_NS)
    recording = open_recording(place)
    (source,) = recording.sources
    assert list(source.read()) == sent.items
    assert (source.info.name, source.info.role) == ("李雷", "customer")
    assert recording.timeline.to_us == 2_000_000
    assert recording.started_ns == STARTED_NS


def test_the_codec_is_that_of_the_packets(tmp_path: Path) -> None:
    place = write_recording(tmp_path, "s1", [track()], 2_000_000, started_ns=STARTED_NS)
    (found,) = survey_participant(open_recording(place).sources)
    assert found.info.codec == "vp8"
    assert found.info.payload_types == {96}


def test_titles_and_transcript_are_read_where_they_are(tmp_path: Path) -> None:
    place = write_recording(tmp_path, "s1", [track()], 2_000_000, started_ns=STARTED_NS)
    assert open_recording(place).transcript == []
    flow = {"nodes": [{"code": "risk", "title": {"zh": "风险", "en": "Risk"}}, {"code": "x"}]}
    (place / "flow.json").write_text(json.dumps(flow))
    said = [
        {"from_us": 5, "to_us": 9, "text": "好", "speaker": "李雷"},
        {"from_us": 1, "to_us": 2, "text": "a"},
    ]
    (place / "transcript.jsonl").write_text("\n".join(map(json.dumps, said)))
    recording = open_recording(place, "en")
    assert recording.titles == {"risk": "Risk"}
    assert [(line.speaker, line.text) for line in recording.transcript] == [
        ("", "a"),
        ("李雷", "好"),
    ]
    wrong = (
        b'{"from_us": "x"}',
        b"[1, 2]",
        b"\xff\xfe\0",
        b'{"from_us": 1e400, "to_us": 2, "text": "x"}',
        b'{"from_us": -1, "to_us": 2, "text": "x"}',
        b'{"from_us": 1, "to_us": 900000000000000000000000, "text": "x"}',
    )
    for content in wrong:
        (place / "transcript.jsonl").write_bytes(content)
        with pytest.raises(RecordingError, match=r"line 1 of .* is no line of a transcript"):
            open_recording(place)
    with pytest.raises(RecordingError, match=r"line 1 of .* is no line of a transcript"):
        open_recording(place)


def test_uploads_are_found_by_the_log(tmp_path: Path) -> None:
    place = write_recording(tmp_path, "s1", [track()], 2_000_000, started_ns=STARTED_NS)
    (place / "tracks" / "v" / "backfill").mkdir()
    file = "tracks/v/backfill/41.frames"
    (place / file).write_bytes(pack([Frame(10, b"one"), Frame(3_610, b"two")]))
    rows = [
        [22, 10, 3_610, 2, 22, "…"],
        [22, 7_210, 9_000, 3, 33, "…"],
        [22, 9_010, 9_900, 3, 33, "…"],
    ]
    with EventLog.open(place) as log:
        log.append("digest.batch", {"track": "v", "codec": "vp8", "from_seq": 41, "chunks": rows})
        span = {"from_us": 700_000, "to_us": 800_000}
        filled = {"track": "v", "chunk": 41, "ssrc": 22, **span, "file": file}
        log.append("chunk.backfilled", filled)
        log.append("chunk.verified", {"track": "v", "chunks": [41, 42]})
    (source,) = open_recording(place).sources
    (item,) = source.uploads.files()
    assert (item.seq, item.from_us, item.is_complete) == (41, 700_000, True)
    assert [f.data for f in source.uploads.frames(item)] == [b"one", b"two"]
    assert source.uploads.is_whole(22, 10, 7_210)
    assert not source.uploads.is_whole(22, 10, 9_010)


@pytest.mark.parametrize(
    ("about", "text"),
    [
        ("{", "is no JSON"),
        ("[]", "is no JSON"),
        ("{}", "does not describe a track"),
        ('{"kind": "audio"}', "does not describe a track"),
        ('{"kind": "audio", "participant": "p", "clock_rate": 1e400}', "does not describe a track"),
        ('{"kind": "audio", "participant": "p", "clock_rate": 4}', "does not describe a track"),
        ('{"kind": "audio", "participant": "p", "clock_rate": -1}', "does not describe a track"),
        ('{"kind": "smell", "participant": "p", "codec": "opus"}', "does not describe a track"),
        ('{"kind": "audio", "participant": "p", "formats": [1]}', "does not describe a track"),
        ('{"kind": "audio", "participant": "p", "codec": "pcmu"}', "codec pcmu"),
        ('{"kind": "audio", "participant": "p"}', "codec unknown"),
    ],
)
def test_a_track_that_is_not_described_is_refused(tmp_path: Path, about: str, text: str) -> None:
    place = write_recording(tmp_path, "s1", [track()], 2_000_000, started_ns=STARTED_NS)
    (place / "tracks" / "v" / "track.json").write_text(about)
    with pytest.raises(RecordingError, match=text):
        open_recording(place)


def test_a_directory_that_is_no_session_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RecorderError, match=r"session\.json"):
        open_recording(tmp_path)


PACKET = datagram(7, 5_004, b"\x80" * 20)

MALFORMED = {
    "not pcapng": b"RIFF1234",
    "no section first": PACKET,
    "big-endian": block(0x0A0D0D0A, b"\x1a\x2b\x3c\x4d" + bytes(12)),
    "ethernet": header()[:28] + block(1, b"\x01\0\0\0\0\0\0\0"),
    "block too short": header() + b"\x06\0\0\0\x08\0\0\0",
    "block of odd length": header() + b"\x06\0\0\0\x0d\0\0\0" + bytes(20),
    "block too long": header() + b"\x06\0\0\0\xff\xff\xff\x7f" + bytes(20),
    "block cut": header() + PACKET[:-5],
    "head cut": header() + PACKET[:6],
    "lengths differ": header() + PACKET[:-4] + b"\x0c\0\0\0",
    "packet block too short": header() + block(6, bytes(8)),
    "packet longer than block": header() + block(6, bytes(12) + b"\xff\xff\0\0" + bytes(20)),
    "no ip": header() + block(6, bytes(12) + b"\x1c\0\0\0\x1c\0\0\0" + bytes(28)),
    "ip cut": header() + block(6, bytes(12) + b"\x10\0\0\0\x10\0\0\0\x45" + bytes(15)),
    "udp length": header() + PACKET.replace(b"\x00\x1c\x00\x00\x80", b"\x00\x1d\x00\x00\x80"),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_damaged_files_are_refused(name: str) -> None:
    with pytest.raises(RecordingError, match=r"capture file|damaged at byte"):
        list(read_items(io.BytesIO(MALFORMED[name]), "x.pcapng"))


def test_what_is_no_media_is_passed_over() -> None:
    other = (
        header() + block(5, bytes(8)) + datagram(1, 53, b"dns") + datagram(2, 5_005, b"\x81\xc9")
    )
    assert next(iter(read_items(io.BytesIO(other + PACKET), "x"))).arrival_us == 7
    assert list(read_items(io.BytesIO(capture_file([])), "x")) == []
