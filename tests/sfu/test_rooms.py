"""Rooms: who gets in, limits, muting, speakers, and how rooms end."""

import pytest

from sfu import Grant, MediaState, Role, SfuConfig
from sfu.errors import (
    DrainingError,
    DuplicateParticipantError,
    EngineUnavailableError,
    InvalidIdentifierError,
    RoomClosedError,
    RoomFullError,
    RoomLimitError,
    UnknownTrackError,
)
from tests.fakes.engine import Event
from tests.sfu.conftest import FOREVER, Scene

CUSTOMER = Grant.default_for(Role.CUSTOMER, FOREVER)


def names(scene: Scene) -> list[str]:
    return [name for name, _ in scene.listener.take()]


def test_an_empty_room_closes_itself_here_and_in_the_plane(scene: Scene) -> None:
    room = scene.room
    a, b = scene.join("a"), scene.join("b")
    a.leave("left")
    assert scene.sfu.rooms == {"room": room}
    b.leave("timeout")
    b.leave("again")
    assert not scene.sfu.rooms
    assert scene.engine.empty
    calls = scene.listener.take()
    assert [(n, args[-1]) for n, args in calls if n in ("participant_left", "room_closed")] == [
        ("participant_left", "left"),
        ("participant_left", "timeout"),
        ("room_closed", "empty"),
    ]
    with pytest.raises(RoomClosedError):
        room.admit("c", CUSTOMER)
    assert scene.room is not room


def test_closing_a_room_sends_everybody_away(scene: Scene) -> None:
    a, b = scene.join("a"), scene.join("b")
    scene.call(a)
    scene.call(b)
    scene.listener.take()
    scene.room.close("removed")
    calls = scene.listener.take()
    assert [args[1] for n, args in calls if n == "participant_left"] == ["room_closed"] * 2
    assert calls[-1][0] == "room_closed"
    assert calls[-1][1][1] == "removed"
    assert "negotiation_needed" not in [n for n, _ in calls]
    assert scene.engine.empty
    assert not a.present
    assert not a.published


def test_limits_of_rooms_and_participants() -> None:
    scene = Scene(SfuConfig(max_rooms=2, max_participants_per_room=2))
    scene.join("a")
    scene.join("b")
    with pytest.raises(RoomFullError) as full:
        scene.join("c")
    assert full.value.code == "room_full"
    with pytest.raises(DuplicateParticipantError):
        scene.join("a")
    scene.sfu.open_room("two")
    with pytest.raises(RoomLimitError) as limit:
        scene.sfu.open_room("three")
    assert limit.value.code == "server_full"
    assert scene.sfu.open_room("room") is scene.room


@pytest.mark.parametrize("bad", ["", "x" * 65, "a b", "a\r\na=x", "ä", "a/b", "a:b"])
def test_identifiers_that_do_not_fit_a_description_are_refused(scene: Scene, bad: str) -> None:
    with pytest.raises(InvalidIdentifierError):
        scene.join(bad)
    assert not scene.sfu.rooms
    assert scene.engine.empty


def test_draining_keeps_open_rooms_and_refuses_new_ones(scene: Scene) -> None:
    scene.join("a")
    scene.sfu.refuse_new_rooms()
    scene.join("b")
    with pytest.raises(DrainingError):
        scene.sfu.open_room("new")
    assert scene.sfu.snapshot().draining


def test_rooms_go_to_the_engine_with_the_least_load() -> None:
    scene = Scene(engines=2)
    ports = [scene.sfu.open_room(f"r{index}").port.index for index in range(4)]
    assert ports == [0, 1, 0, 1]
    scene.engines[0].load = 0.5
    scene.now_s += 10
    assert [scene.sfu.open_room(f"s{index}").port.index for index in range(3)] == [1, 1, 1]


def test_muting_pauses_the_producer_and_tells_everybody_once(scene: Scene) -> None:
    a = scene.join("a")
    scene.call(a)
    scene.listener.take()
    track_id = next(iter(a.published))
    scene.engine.take()
    a.set_muted(track_id, True, by="rm")
    a.set_muted(track_id, True, by="rm")
    assert scene.engine.names() == ["set_producer_paused"]
    ((track, by),) = scene.listener.of("track_muted")
    assert (track.track_id, track.muted, by) == (track_id, True, "rm")
    with pytest.raises(UnknownTrackError):
        a.set_muted("nope", True, by="a")


def test_a_video_that_is_unmuted_starts_with_a_keyframe(scene: Scene) -> None:
    a = scene.join("a")
    track_id = scene.call(a).published["1"]
    a.set_muted(track_id, True, by="a")
    scene.engine.take()
    a.set_muted(track_id, False, by="a")
    assert scene.engine.names() == ["set_producer_paused", "request_keyframe"]


def test_media_states_follow_the_transport(scene: Scene) -> None:
    a = scene.join("a")
    assert a.media is MediaState.NONE
    scene.call(a)
    transport = scene.transport_of(a)
    for state, reason in (
        ("connecting", "none"),
        ("connected", "none"),
        ("connected", "none"),
        ("disconnected", "none"),
        ("new", "none"),
        ("connected", "none"),
        ("failed", "consent_expired"),
        ("connected", "none"),
    ):
        scene.emit(Event.TransportStateChanged(transport, state, reason))
    assert [(state.value, reason) for _, state, reason in scene.listener.of("media_changed")] == [
        ("connecting", "none"),
        ("connected", "none"),
        ("disconnected", "none"),
        ("connected", "none"),
        ("failed", "consent_expired"),
    ]
    assert a.present


def test_speakers_are_those_who_may_be_seen_and_heard(scene: Scene) -> None:
    a, b = scene.join("a"), scene.join("b")
    scene.call(a)
    scene.call(b)
    mine, other = scene.producer_of(a), scene.producer_of(b)
    room = scene.room.plane_id
    scene.listener.take()
    scene.emit(Event.AudioLevels(room, [(mine, 30), (other, 127), (4711, 1)]))
    scene.emit(Event.ActiveSpeaker(room, mine), Event.ActiveSpeaker(room, mine))
    first, second = scene.listener.of("speakers_changed")
    assert [(t.participant_id, level) for t, level in first[2]] == [("a", -30), ("b", -127)]
    assert first[1] is None
    assert second[1].participant_id == "a"
    a.set_muted(second[1].track_id, True, by="a")
    scene.listener.take()
    scene.emit(Event.AudioLevels(room, [(mine, 10), (other, 20)]))
    ((_, active, levels),) = scene.listener.take("speakers_changed")
    assert active is None
    assert [t.participant_id for t, _ in levels] == ["b"]
    a.leave("left")
    scene.listener.take()
    scene.emit(Event.ActiveSpeaker(room, mine), Event.AudioLevels(room, [(mine, 3)]))
    assert not scene.listener.take("speakers_changed")


def test_hidden_participants_never_appear_as_speakers(scene: Scene) -> None:
    a = scene.join("a")
    scene.call(a)
    producer = scene.producer_of(a)
    a.grant = Grant(a.grant.role, a.grant.publish, a.grant.subscribe, True, FOREVER)
    scene.listener.take()
    scene.emit(Event.AudioLevels(scene.room.plane_id, [(producer, 3)]))
    scene.emit(Event.ActiveSpeaker(scene.room.plane_id, producer))
    assert not scene.listener.take("speakers_changed")


def test_a_panic_ends_one_room_and_no_other(scene: Scene) -> None:
    a = scene.join("a")
    scene.call(a)
    other = scene.sfu.open_room("other")
    survivor = other.admit("x", CUSTOMER)
    scene.listener.take()
    scene.engine.take()
    scene.engine.panic(scene.room.plane_id)
    scene.sfu.handle_events(scene.engine)
    assert names(scene)[-2:] == ["participant_left", "room_closed"]
    assert not scene.engine.commands
    assert not a.present
    assert scene.sfu.rooms == {"other": other}
    assert survivor.present


def test_a_dead_engine_closes_its_rooms_and_gets_no_new_ones() -> None:
    scene = Scene(engines=2)
    a = scene.join("a")
    scene.call(a)
    scene.sfu.open_room("r2").admit("x", CUSTOMER)
    scene.engine.closed = True
    scene.listener.take()
    scene.emit(Event.EngineFailed("thread ended"))
    ((room, reason),) = scene.listener.of("room_closed")
    assert (room.room_id, reason) == ("room", "engine_failed")
    assert list(scene.sfu.rooms) == ["r2"]
    assert scene.sfu.open_room("again").port.index == 1
    scene.engines[1].closed = True
    scene.engines[1].emit(Event.EngineFailed("gone"))
    scene.sfu.handle_events(scene.engines[1])
    with pytest.raises(EngineUnavailableError):
        scene.sfu.open_room("none")


def test_closing_closes_all_rooms(scene: Scene) -> None:
    scene.call(scene.join("a"))
    scene.sfu.open_room("two")
    scene.sfu.close()
    scene.sfu.close()
    assert [reason for _, reason in scene.listener.of("room_closed")] == ["shutdown"] * 2
    assert scene.engine.empty


def test_commands_that_failed_and_lost_events_are_counted_and_states_caught_up(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    from types import SimpleNamespace

    a = scene.join("a")
    scene.call(a)
    scene.engine.stats.transports = [
        SimpleNamespace(transport=scene.transport_of(a), state="connected", rtt_s=None),
        SimpleNamespace(transport=98765, state="connected", rtt_s=None),
    ]
    scene.now_s += 5
    scene.emit(
        Event.CommandFailed("add_consumer", 5, "secret text"),
        Event.EventsDropped(3),
        Event.TransportSecured(scene.transport_of(a)),
        Event.TransportMoved(scene.transport_of(a)),
    )
    assert a.media is MediaState.CONNECTED
    (engine,) = scene.sfu.snapshot().engines
    assert (engine.commands_failed, engine.events_lost) == (1, 3)
    assert "command failed" in caplog.text
    assert "secret text" not in caplog.text
    assert "192.0.2.77" not in str([record.__dict__ for record in caplog.records])


def test_the_snapshot_counts_everything(scene: Scene) -> None:
    a = scene.join("a", Role.RM)
    scene.call(a)
    b = scene.join("b")
    scene.call(b, "audio")
    scene.join("s", Role.SUPERVISOR)
    snapshot = scene.sfu.snapshot()
    assert snapshot.participants_by_role == {
        Role.RM: 1,
        Role.CUSTOMER: 1,
        Role.EXPERT: 0,
        Role.SUPERVISOR: 1,
    }
    assert snapshot.tracks_by_kind == {"audio": 2, "video": 1}
    assert snapshot.subscriptions_by_state == {"pending": 4, "active": 2, "unavailable": 0}
    assert snapshot.participants_by_media[MediaState.CONNECTING] == 2
    (room,) = snapshot.rooms
    assert [item.participant_id for item in room.participants] == ["a", "b", "s"]
    assert snapshot.engines[0].rooms == 1
    assert snapshot.engines[0].participants == 3
