"""What analytics are told of a room, and what the plane is told of taps."""

from typing import Any

import pytest

from sfu.errors import IllegalTransitionError, RoomClosedError
from sfu.model import Role
from sfu.tap import RoomTaps, TappedTrack
from tests.sfu.conftest import Scene

ZERO_NS = 5


class Target:
    def __init__(self) -> None:
        self.tracks: dict[str, TappedTrack] = {}
        self.told: list[tuple[Any, ...]] = []

    def participant_joined(self, participant_id: str, role: str) -> None:
        self.told.append(("joined", participant_id, role))

    def participant_left(self, participant_id: str) -> None:
        self.told.append(("left", participant_id))

    def track_started(self, track: TappedTrack) -> None:
        self.tracks[track.track.track_id] = track
        self.told.append(("started", track.track.participant_id, track.codec, track.clock_rate_hz))

    def track_muted(self, track_id: str, muted: bool) -> None:
        self.told.append(("muted", muted))

    def track_ended(self, track_id: str) -> None:
        del self.tracks[track_id]
        self.told.append(("ended",))

    def finished(self) -> None:
        self.told.append(("finished",))

    def of(self, kind: str) -> str:
        return next(key for key, item in self.tracks.items() if item.track.kind.value == kind)


def start(scene: Scene) -> tuple[Target, RoomTaps]:
    target = Target()
    return target, scene.room.start_taps(target, ZERO_NS)


def tap_commands(scene: Scene) -> list[dict[str, Any]]:
    return [arguments for name, arguments in scene.engine.take() if name == "set_tap"]


def test_tracks_that_are_there_and_that_come_are_told(scene: Scene) -> None:
    scene.call(scene.join("a"))
    target, _ = start(scene)
    scene.call(scene.join("b"))
    assert [item[1] for item in target.told if item[0] == "started"] == ["a", "a", "b", "b"]
    assert ("started", "a", "opus", 48_000) in target.told
    assert tap_commands(scene) == []


def test_people_who_are_there_come_and_go_are_told_with_their_roles(scene: Scene) -> None:
    scene.join("rm", Role.RM)
    scene.join("boss", Role.SUPERVISOR)
    target, _ = start(scene)
    customer = scene.join("customer")
    auditor = scene.join("auditor", Role.SUPERVISOR)
    customer.leave("left")
    auditor.leave("left")
    assert target.told == [
        ("joined", "rm", "rm"),
        ("joined", "customer", "customer"),
        ("left", "customer"),
    ]


def test_a_tap_is_opened_changed_refreshed_and_closed(scene: Scene) -> None:
    scene.call(scene.join("a"))
    target, taps = start(scene)
    scene.engine.take()
    number = taps.open(target.of("video"), 180)
    assert number is not None
    assert taps.open(target.of("video"), 90) == number
    sound = taps.open(target.of("audio"))
    first, second, audio = tap_commands(scene)
    assert (first["tap"], first["temporal"], first["zero_ns"]) == (number, 0, ZERO_NS)
    assert second["tap"] == number
    assert (audio["tap"], audio["spatial"], audio["temporal"]) == (sound, 0, 7)
    taps.refresh(target.of("video"))
    assert scene.engine.names()[-1] == "request_keyframe"
    scene.engine.take()
    taps.close(target.of("video"))
    taps.close(target.of("video"))
    taps.refresh(target.of("video"))
    assert [item["tap"] for item in tap_commands(scene)] == [None]
    assert taps.open("t_unknown") is None


def test_muting_is_told(scene: Scene) -> None:
    a = scene.join("a")
    scene.call(a)
    target, _ = start(scene)
    publication = next(iter(scene.room.publications.values()))
    a.publishing.set_muted(publication, True, "a")
    a.publishing.set_muted(publication, False, "a")
    assert [item for item in target.told if item[0] == "muted"] == [
        ("muted", True),
        ("muted", False),
    ]


def test_who_leaves_ends_his_tracks_and_the_last_one_ends_all(scene: Scene) -> None:
    a = scene.join("a")
    scene.call(a)
    target, taps = start(scene)
    taps.open(target.of("audio"))
    scene.engine.take()
    a.leave("left")
    assert target.told[-4:] == [("ended",), ("ended",), ("left", "a"), ("finished",)]
    assert tap_commands(scene) == []
    assert taps.open("t_any") is None


def test_ending_the_taps_tells_the_plane(scene: Scene) -> None:
    scene.call(scene.join("a"))
    target, taps = start(scene)
    taps.open(target.of("audio"))
    taps.open(target.of("video"), 180)
    scene.engine.take()
    scene.room.stop_taps()
    assert [item["tap"] for item in tap_commands(scene)] == [None, None]
    assert target.told[-1] == ("finished",)
    start(scene)


def test_taps_once_at_a_time_and_none_of_a_closed_room(scene: Scene) -> None:
    start(scene)
    with pytest.raises(IllegalTransitionError):
        start(scene)
    room = scene.room
    room.close("done")
    with pytest.raises(RoomClosedError):
        room.start_taps(Target(), 0)
