"""What a server that records says of a call."""

from pathlib import Path
from typing import Any

from recorder.backfill.ledger import Counts
from recorder.config import RecordedRooms, RecordingConfig
from recorder.log import read_events
from recorder.session_file import read_session
from tests.e2e.scene import Scene
from tests.net.far import far_settings
from witness.config import Settings
from witness.server import WitnessServer

__all__ = ["Recorded", "recording_settings"]


def recording_settings(directory: Path) -> Settings:
    """A server in the namespaces that records every room, in files of two seconds."""
    directory.mkdir()
    recording = RecordingConfig(directory=directory, rooms=RecordedRooms.ALL, segment_seconds=2)
    settings = far_settings()
    # A page that was closed keeps its place, and the room its recording, for no longer than this.
    signaling = settings.signaling.model_copy(update={"resume_window_s": 10.0})
    return settings.model_copy(update={"recording": recording, "signaling": signaling})


class Recorded:
    """The only session of a server."""

    def __init__(self, call: Scene, directory: Path) -> None:
        assert isinstance(call.server, WitnessServer)
        assert call.server.backfill is not None
        self._service = call.server.backfill
        self._directory = directory

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
