"""A session's recording on the disk: directories of tracks that can't be made at first."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from recorder.log import EventLog
from recorder.session_file import write_session
from sfu import CapturedTrack
from sfu.model import Kind, Source, Track
from witness.recording import SessionRecording


def track(name: str) -> CapturedTrack:
    track = Track("t_1", "p_1", Kind.AUDIO, Source.MICROPHONE)
    return CapturedTrack(track, "customer", name, (), (), None)


def test_a_track_whose_directory_can_not_be_made_at_first_gets_it_later(tmp_path: Path) -> None:
    session = write_session(tmp_path, session="s1", room="r", started_ns=1)
    place = tmp_path / session.session
    # As if the file system refused.
    (place / "tracks").write_bytes(b"")
    worker = ThreadPoolExecutor(1)
    with EventLog.open(place) as log:
        recording = SessionRecording(place, log, worker, lambda: None)
        files = recording.open_track(track("An"))
        assert files is not None
        assert files.directory == place / "tracks" / "t_1"
        worker.submit(recording.write_pending).result()
        assert not files.directory.exists()
        (place / "tracks").unlink()
        worker.submit(recording.write_pending).result()
        about = files.directory / "track.json"
        assert json.loads(about.read_bytes())["name"] == "An"
        # Said anew, it is written anew.
        recording.open_track(track("Bo"))
        worker.submit(recording.write_pending).result()
        assert json.loads(about.read_bytes())["name"] == "Bo"
        assert [path.name for path in files.directory.iterdir()] == ["track.json"]
        worker.shutdown()
