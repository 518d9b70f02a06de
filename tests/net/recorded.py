"""A server that records, put together for tests: every room, from its first participant on."""

import functools
import time
from pathlib import Path
from typing import Any

import pytest

import witness.engines
import witness.server
from recorder.backfill.examine import PCAPNG as READER
from recorder.backfill.service import BackfillService
from recorder.backfill.token import UploadTokens
from recorder.log import EventLog, read_events
from recorder.session_file import write_session
from sfu import CapturedTrack, CaptureFiles
from sfu._media import Engine, Event
from signaling.server import build_app
from tests.e2e.scene import Scene
from witness.completeness import RecordingUploads
from witness.gap_filling import GapFilling

SEGMENT_S = 2.0


class Recording:
    """The recording of one room. A :class:`sfu.CaptureTarget`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(exist_ok=True)
        write_session(folder, session="s-1", room="call", started_ns=time.time_ns())
        self.place = folder / "s-1"
        self.log = EventLog.open(self.place)
        self.service = BackfillService(READER, window_s=3600)
        self.uploads = RecordingUploads(self.service, UploadTokens.at(folder), 3600)
        self.filling: GapFilling | None = None
        self.events: list[Any] = []

    def begin(self, call: Scene) -> None:
        hub = call.server.hub  # type: ignore[union-attr]
        hub.recordings.completeness = self.uploads
        self.filling = GapFilling(self.service, hub.recordings)
        self.filling.start()

    def record(self, call: Scene) -> None:
        hub = call.server.hub  # type: ignore[union-attr]
        assert self.filling is not None
        self.filling.started("call", "s-1", self.place, self.log)
        hub.sfu.open_room("call").start_capture(self)

    def stop(self, call: Scene) -> None:
        hub = call.server.hub  # type: ignore[union-attr]
        room = hub.sfu.rooms.get("call")
        if room is not None:
            room.stop_capture()

    def logged(self, type_: str) -> list[Any]:
        events = read_events(self.place, self.log.session)
        return [event for event in events if event.type == type_]

    async def end(self) -> None:
        if self.filling is not None:
            await self.filling.stop()
        self.log.close()

    def open_track(self, track: CapturedTrack) -> CaptureFiles:
        folder = self.place / "tracks" / track.track.track_id
        folder.mkdir(parents=True)
        zero_ns = time.monotonic_ns() - self.log.now_us() * 1000
        name = track.track.track_id
        return CaptureFiles(folder, name, name, "{}", zero_ns, time.time_ns() // 1000)

    def on_event(self, track_id: str, event: Any) -> None:
        self.events.append(event)
        if isinstance(event, Event.CaptureSegmentClosed) and self.filling is not None:
            file = f"tracks/{track_id}/{Path(event.file).name}"
            self.filling.segment_closed("s-1", track_id, file, event.from_us, event.to_us)

    def finished(self) -> None:
        if self.filling is not None:
            self.filling.stopped("call")


@pytest.fixture
def recording(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recording:
    made = Recording(tmp_path / "recordings")
    folder = tmp_path / "recordings"
    engine = functools.partial(Engine, capture_directory=folder, capture_segment_s=SEGMENT_S)
    monkeypatch.setattr(witness.engines, "Engine", engine)
    monkeypatch.setattr(
        witness.server, "build_app", functools.partial(build_app, uploads=made.uploads)
    )
    return made
