"""A session's recording on the disk: directories of tracks that can't be made at first."""

import json
from pathlib import Path

from recorder.digests import digests_of
from recorder.log import EventLog, read_events
from recorder.log_writer import LogWriter, SessionLog
from recorder.session_file import write_session
from sfu import CapturedTrack
from sfu._media import Event
from sfu.model import Kind, Source, Track
from witness.recording import SessionRecording


def track(name: str, ssrc: int | None = None) -> CapturedTrack:
    track = Track("t_1", "p_1", Kind.AUDIO, Source.MICROPHONE)
    return CapturedTrack(track, "customer", name, (), (), ssrc)


def test_a_track_whose_directory_can_not_be_made_at_first_gets_it_later(tmp_path: Path) -> None:
    session = write_session(tmp_path, session="s1", room="r", started_ns=1)
    place = tmp_path / session.session
    # As if the file system refused.
    (place / "tracks").write_bytes(b"")
    writer = LogWriter()
    with EventLog.open(place) as log:
        queued = SessionLog(place, log, writer)
        recording = SessionRecording(place, queued, writer, lambda: None)
        files = recording.open_track(track("An"))
        assert files is not None
        assert files.directory == place / "tracks" / "t_1"
        assert writer.settle()
        assert not files.directory.exists()
        (place / "tracks").unlink()
        writer.wake(queued)
        assert writer.settle()
        about = files.directory / "track.json"
        assert json.loads(about.read_bytes())["name"] == "An"
        # Said anew, it is written anew.
        recording.open_track(track("Bo"))
        assert writer.settle()
        assert json.loads(about.read_bytes())["name"] == "Bo"
        assert [path.name for path in files.directory.iterdir()] == ["track.json"]
        assert writer.close()


def test_who_sends_a_track_stands_in_the_log_before_its_first_packet(tmp_path: Path) -> None:
    session = write_session(tmp_path, session="s1", room="r", started_ns=1)
    place = tmp_path / session.session
    writer = LogWriter()
    with EventLog.open(place) as log:
        recording = SessionRecording(place, SessionLog(place, log, writer), writer, lambda: None)
        recording.open_track(track("An", ssrc=7))
        # Another producer brings it: the page was loaded again.
        recording.track_changed(track("An", ssrc=8))
        assert writer.close()
    first, second = (one.payload for one in read_events(place, session))
    written = digests_of((place / "tracks/t_1/track.json").read_bytes())
    assert first.pop("about") == written.to_json()
    assert first == {
        "track": "t_1",
        "participant": "p_1",
        "role": "customer",
        "kind": "audio",
        "source": "microphone",
        "codec": None,
        "ssrc": 7,
    }
    assert second == {**first, "ssrc": 8}


def test_a_gap_between_packets_of_one_instant_can_be_filled(tmp_path: Path) -> None:
    session = write_session(tmp_path, session="s1", room="r", started_ns=1)
    place = tmp_path / session.session
    writer = LogWriter()
    with EventLog.open(place) as log:
        queued = SessionLog(place, log, writer)
        recording = SessionRecording(place, queued, writer, lambda: None)
        recording.on_event("t_1", Event.CaptureGap(3, 500, 500, "network", 1, None))
        assert writer.settle()
        (gap,) = (event for event in read_events(place, session) if event.type == "gap.declared")
        assert (gap.payload["from_us"], gap.payload["to_us"]) == (500, 501)
        assert writer.close()
