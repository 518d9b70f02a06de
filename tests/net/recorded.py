"""What a server that records says of a call, and what becomes of the recording."""

import shutil
from pathlib import Path
from typing import Any

import av

from recorder.backfill.ledger import Counts
from recorder.backfill.store import read_stored
from recorder.compose.session import survey_all
from recorder.config import RecordedRooms, RecordingConfig
from recorder.envelope import MasterKeys
from recorder.log import read_events
from recorder.playback.opening import open_recording
from recorder.playback.remux import remux_track
from recorder.playback.source import TrackSource
from recorder.playback.survey import TrackSurvey
from recorder.session_file import read_session
from tests.e2e.scene import Scene
from tests.net.far import far_settings
from tests.recorder.evidence import Office
from witness.config import Settings
from witness.server import WitnessServer
from witness_verify import Result, verify
from witness_verify.asn1 import load_pem

__all__ = [
    "Recorded",
    "playable_frames",
    "recording_settings",
    "sealed_and_verified",
    "shown_uploads",
    "uploaded_frames",
]


def recording_settings(directory: Path, *, encrypted: bool = False) -> Settings:
    """A server in the namespaces that records every room, in files of two seconds."""
    directory.mkdir()
    key = directory.with_name("recording.key")
    if encrypted:
        key.write_bytes(bytes(range(32)))
    recording = RecordingConfig(
        directory=directory,
        rooms=RecordedRooms.ALL,
        segment_seconds=2,
        key_file=key if encrypted else None,
    )
    settings = far_settings()
    # A page that was closed keeps its place, and the room its recording, for no longer than this.
    signaling = settings.signaling.model_copy(update={"resume_window_s": 10.0})
    return settings.model_copy(update={"recording": recording, "signaling": signaling})


class Recorded:
    """The only session of a server."""

    def __init__(self, call: Scene, directory: Path, keys: MasterKeys | None = None) -> None:
        assert isinstance(call.server, WitnessServer)
        assert call.server.backfill is not None
        self._service = call.server.backfill
        self._directory = directory
        self.keys = keys

    @property
    def place(self) -> Path:
        """Its directory."""
        (place,) = (path for path in self._directory.iterdir() if path.is_dir())
        return place

    @property
    def figures(self) -> dict[str, Counts]:
        """Frames by kind of track."""
        return self._service.completeness(self.place.name) or {}

    @property
    def refused(self) -> int:
        """Uploads and chunks that were refused."""
        return self._service.refused.total()

    def logged(self, type_: str) -> list[dict[str, Any]]:
        """Payloads of events of a type."""
        events = read_events(self.place, read_session(self.place))
        return [event.payload for event in events if event.type == type_]

    def copied(self, to: Path) -> Path:
        """The session as it lies on the disk; the server keeps its own."""
        return Path(shutil.copytree(self.place, to / self.place.name))


def sealed_and_verified(place: Path, root: Path) -> Result:
    """What the verifier says of a session's package."""
    office = Office.made(root / "office")
    package = office.seal(place, root / f"{place.name}.zip").path
    trusted = [one for path in office.trust for one in load_pem(path.read_bytes())]
    with package.open("rb") as file:
        return verify(file, trusted)


def uploaded_frames(place: Path, track: str, keys: MasterKeys | None = None) -> list[bytes]:
    """Frames that were uploaded of a track."""
    files = sorted((place / "tracks" / track / "backfill").glob("*.frames*"))
    names = [file.relative_to(place).as_posix() for file in files]
    return [frame.data for name in names for frame in read_stored(place, name, keys)]


def playable_frames(
    place: Path, out: Path, keys: MasterKeys | None = None
) -> dict[str, tuple[list[bytes], list[bytes]]]:
    """By track, frames of the file that ``witness compose`` makes of it, and those that were
    uploaded of the encoding that is shown at their time.
    """
    recording, surveys = survey_all(open_recording(place, keys=keys))
    found = {}
    for source, survey in zip(recording.sources, surveys, strict=True):
        made = remux_track(source, survey, out, epoch_us=0)
        if made.file is not None:
            with av.open(str(made.file)) as container:
                frames = [bytes(one) for one in container.demux() if one.size]
            found[made.track] = frames, shown_uploads(source, survey)
    return found


def shown_uploads(source: TrackSource, survey: TrackSurvey) -> list[bytes]:
    """Uploaded frames of the encoding that is shown at their time."""
    return [
        frame.data
        for item in source.uploads.files()
        for frame in source.uploads.frames(item)
        if survey.selection.at(survey.clocks[item.ssrc].session_us(frame.timestamp, item.from_us))
        == item.ssrc
    ]
