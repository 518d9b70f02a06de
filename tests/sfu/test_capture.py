"""A room's recording: tracks that come, go, come back, and a recording that ends."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sfu.capture import CapturedTrack, CaptureFiles
from sfu.errors import IllegalTransitionError, RoomClosedError
from tests.fakes.engine import Event
from tests.sfu.conftest import Scene


class Target:
    def __init__(self) -> None:
        self.tracks: list[CapturedTrack] = []
        self.changed: list[CapturedTrack] = []
        self.events: list[tuple[str, Any]] = []
        self.ended = 0
        self.refuse: set[str] = set()

    def open_track(self, track: CapturedTrack) -> CaptureFiles | None:
        self.tracks.append(track)
        if track.track.kind.value in self.refuse:
            return None
        return CaptureFiles(Path("/r") / track.track.track_id, track.track.track_id, "", "{}", 5, 7)

    def track_changed(self, track: CapturedTrack) -> None:
        self.changed.append(track)

    def on_event(self, track_id: str, event: Any) -> None:
        self.events.append((track_id, event))

    def finished(self) -> None:
        self.ended += 1


def capture_commands(scene: Scene) -> list[str]:
    return [name for name in scene.engine.names() if "capture" in name]


def test_tracks_that_are_there_and_tracks_that_come_are_recorded(scene: Scene) -> None:
    target = Target()
    scene.call(scene.join("a"))
    scene.room.start_capture(target)
    scene.call(scene.join("b"))
    assert [item.track.participant_id for item in target.tracks] == ["a", "a", "b", "b"]
    audio = next(item for item in target.tracks if item.track.kind.value == "audio")
    assert (audio.formats[0].codec, audio.formats[0].clock_rate) == ("opus", 48_000)
    assert audio.role == "customer"
    assert capture_commands(scene) == ["open_capture", "set_capture"] * 4
    assert all(item.capture is not None for item in scene.engine.producers.values())


def test_a_track_that_another_producer_brings_is_told_of_where_it_is_described_otherwise(
    scene: Scene,
) -> None:
    target = Target()
    scene.call(scene.join("a"))
    scene.room.start_capture(target)
    capture = scene.room.capture
    assert capture is not None
    publication = next(iter(scene.room.publications.values()))
    capture.bring(publication)
    assert target.changed == []
    publication.settings = replace(publication.settings, ssrcs=(77,))
    capture.bring(publication)
    capture.bring(publication)
    assert [item.ssrc for item in target.changed] == [77]
    assert len(target.tracks) == len(scene.engine.captures) == 2


def test_events_reach_the_recording_by_track_until_it_is_closed(scene: Scene) -> None:
    target = Target()
    a = scene.join("a")
    scene.call(a)
    scene.room.start_capture(target)
    first, second = sorted(scene.engine.captures)
    scene.emit(Event.CaptureOpened(first, 3), Event.CaptureGap(second, 1, 2))
    tracks = [item.track.track_id for item in target.tracks]
    assert [track for track, _ in target.events] == tracks
    scene.room.stop_capture()
    assert target.ended == 0
    assert not scene.engine.captures
    scene.emit(Event.CaptureClosed(first), Event.CaptureClosed(second))
    assert target.ended == 1
    scene.emit(Event.CaptureClosed(first), Event.CaptureOpened(99))
    assert len(target.events) == 4
    scene.room.start_capture(Target())


def test_a_pause_holds_for_tracks_that_come_in_it(scene: Scene) -> None:
    scene.room.start_capture(Target())
    scene.call(scene.join("a"))
    scene.engine.take()
    scene.room.pause_capture(True)
    scene.room.pause_capture(True)
    assert capture_commands(scene) == ["pause_capture"] * 2
    scene.call(scene.join("b"))
    scene.engine.take()
    scene.room.pause_capture(False)
    assert [item["paused"] for _, item in scene.engine.take()] == [False] * 4


def test_a_room_that_closes_ends_its_recording(scene: Scene) -> None:
    target = Target()
    scene.room.start_capture(target)
    scene.call(scene.join("a"))
    captures = set(scene.engine.captures)
    scene.room.close("done")
    assert not scene.engine.captures
    scene.emit(*[Event.CaptureClosed(capture) for capture in captures])
    assert target.ended == 1
    assert not scene.sfu._registry.captures


def test_a_dead_engine_ends_it_at_once(scene: Scene) -> None:
    target = Target()
    scene.room.start_capture(target)
    scene.call(scene.join("a"))
    scene.emit(Event.EngineFailed())
    assert target.ended == 1
    assert not scene.sfu._registry.captures


def test_who_leaves_ends_the_files_of_his_tracks(scene: Scene) -> None:
    scene.room.start_capture(Target())
    a = scene.join("a")
    scene.join("b")
    scene.call(a)
    a.leave("left")
    assert capture_commands(scene)[-2:] == ["close_capture"] * 2


def test_a_track_the_recording_does_not_want_is_left_alone(scene: Scene) -> None:
    target = Target()
    target.refuse = {"video"}
    scene.room.start_capture(target)
    scene.call(scene.join("a"))
    assert len(scene.engine.captures) == 1


def test_one_recording_at_a_time_and_none_of_a_closed_room(scene: Scene) -> None:
    scene.room.start_capture(Target())
    with pytest.raises(IllegalTransitionError):
        scene.room.start_capture(Target())
    room = scene.room
    room.close("done")
    with pytest.raises(RoomClosedError):
        room.start_capture(Target())
