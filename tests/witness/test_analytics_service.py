"""What a host is told of calls, which tracks are tapped, and what is taken of what it says."""

import asyncio
import json
from types import SimpleNamespace

import pytest
from prometheus_client.core import Metric

from analytics.detector import Permission
from analytics.link import (
    Consents,
    Greet,
    KeyframeWanted,
    Marked,
    Status,
    TrackEnded,
    TrackStarted,
    Unknown,
    Wants,
)
from sfu.model import Role
from tests.fakes.analytics import FakeSink, FakeWay
from tests.sfu.conftest import Scene
from witness.analytics_metrics import REFUSALS, AnalyticsCollector
from witness.analytics_service import AnalyticsService
from witness.analytics_totals import Totals

PICTURE = Wants(
    permissions=frozenset({"picture"}), video_height=90, video_sources=frozenset({"camera"})
)
FACE = Wants(permissions=frozenset({"face"}), video_height=360, video_sources=frozenset({"camera"}))
VOICE = Wants(permissions=frozenset({"voice"}), audio_sources=frozenset({"microphone"}))
RM = PICTURE.model_copy(update={"roles": frozenset({"rm"})})


class Stage:
    def __init__(
        self, scene: Scene, permissions: dict[str, frozenset[Permission]] | None = None
    ) -> None:
        self.scene = scene
        self.way, self.sink = FakeWay(), FakeSink()
        self.now_ns = 5_000_000_000
        rooms = {scene.room.room_id: scene.room}
        self.service = AnalyticsService(
            rooms,
            self.way,
            ["p", "f", "v"],
            self.sink,
            permissions=permissions,
            clock_ns=lambda: self.now_ns,
        )

    async def start(self) -> None:
        self.service.start()
        assert self.service._task is not None
        await self.service._task
        self.way.came()

    def begin(self) -> None:
        self.service.session_started("s", self.scene.room.room_id, 4_000_000_000)

    def taps(self) -> list[tuple[int | None, int, int]]:
        commands = [arguments for name, arguments in self.scene.engine.take() if name == "set_tap"]
        return [(item["tap"], item["spatial"], item["temporal"]) for item in commands]

    def unknown(self) -> list[tuple[str, str, bool]]:
        items = [item for item in self.sink.items if isinstance(item, Unknown)]
        return [(item.detector, item.cause.value, item.is_open) for item in items]


@pytest.fixture
async def stage() -> Stage:
    stage = Stage(Scene())
    await stage.start()
    assert stage.way.take() == [Greet()]
    return stage


async def test_tracks_are_tapped_as_needed_and_allowed(stage: Stage) -> None:
    stage.scene.call(stage.scene.join("a"))
    stage.way.hello(p=PICTURE, f=FACE, v=VOICE)
    stage.begin()
    (started,) = [item for item in stage.way.take() if isinstance(item, TrackStarted)]
    assert (started.kind, started.participant_id, started.role) == ("video", "a", "customer")
    assert (started.session_id, started.at_us, started.clock_rate_hz) == ("s", 1_000_000, 90_000)
    ((number, _, temporal),) = stage.taps()
    assert (number, temporal) == (started.tap, 0)
    stage.service.consents("s", "a", frozenset({Permission.FACE, Permission.VOICE}))
    said = stage.way.take()
    assert isinstance(said[0], Consents)
    assert said[0].permissions == {"face", "voice"}
    (sound,) = [item for item in said if isinstance(item, TrackStarted)]
    assert sound.kind == "audio"
    assert {tap for tap, _, _ in stage.taps()} == {number, sound.tap}
    stage.service.consents("s", "a", frozenset({Permission.FACE}))
    said = stage.way.take()
    assert [item.track_id for item in said if isinstance(item, TrackEnded)] == [sound.track_id]
    assert [tap for tap, _, _ in stage.taps()] == [None]
    stage.service.consents("s", "a", frozenset())
    assert [tap for tap, _, _ in stage.taps()] == [number], "a smaller picture is enough"
    assert stage.service.tap_count == 1


async def test_only_roles_that_are_meant_are_tapped(stage: Stage) -> None:
    stage.scene.call(stage.scene.join("a"))
    stage.way.hello(p=RM)
    stage.begin()
    assert stage.taps() == []


async def test_nothing_is_tapped_in_a_pause_or_after_the_end(stage: Stage) -> None:
    stage.scene.call(stage.scene.join("a"))
    stage.way.hello(p=PICTURE)
    stage.begin()
    assert len(stage.taps()) == 1
    stage.service.session_paused("s", True)
    assert [tap for tap, _, _ in stage.taps()] == [None]
    stage.service.session_paused("s", False)
    assert len(stage.taps()) == 1
    stage.way.take()
    stage.service.session_ended("s")
    said = stage.way.take()
    assert isinstance(said[0], TrackEnded)
    assert isinstance(said[-1], Marked)
    assert said[-1].kind == "session.ended"
    assert [tap for tap, _, _ in stage.taps()] == [None]
    assert stage.scene.room.taps is None
    stage.service.marked("s", "challenge")
    stage.service.consents("s", "a", frozenset({Permission.FACE}))
    assert stage.way.take() == []


async def test_without_a_host_all_is_unknown_and_one_that_comes_is_told_all(stage: Stage) -> None:
    stage.scene.call(stage.scene.join("a"))
    stage.begin()
    stage.service.consents("s", "a", frozenset({Permission.FACE}))
    assert stage.taps() == []
    assert stage.way.take() == []
    assert stage.unknown() == [(name, "no_host", True) for name in "fpv"]
    stage.sink.items.clear()
    stage.way.hello(p=PICTURE, f=FACE)
    joined, consents, started = stage.way.take()
    assert (joined.kind, joined.data) == ("participant.joined", {"role": "customer"})
    assert consents.permissions == {"face"}
    assert started.kind == "video"
    assert stage.unknown() == [(name, "no_host", False) for name in "fp"], "v isn't there yet"
    stage.taps()
    # The same host says hello again: nothing is told twice.
    stage.way.hello(p=PICTURE, f=FACE, v=VOICE)
    assert stage.way.take() == []
    assert stage.unknown()[-1] == ("v", "no_host", False)
    stage.sink.items.clear()
    stage.way.gone()
    stage.way.gone()
    assert [tap for tap, _, _ in stage.taps()] == [None]
    assert stage.unknown() == [(name, "no_host", True) for name in "fpv"]
    assert stage.sink.hosts[-1] is None
    stage.way.hello("2", p=PICTURE)
    assert [type(item) for item in stage.way.take()] == [Marked, Consents, TrackStarted]
    assert len(stage.taps()) == 1


async def test_detectors_learn_who_plays_which_part_without_anybody_asking(stage: Stage) -> None:
    scene = stage.scene
    scene.join("rm", Role.RM)
    stage.begin()
    stage.service.consents("s", "a", frozenset({Permission.VOICE}))
    stage.way.hello(v=VOICE)
    customer = scene.join("a")
    told = [item for item in stage.way.take() if isinstance(item, Marked)]
    assert [(one.kind, one.participant_id, one.data) for one in told] == [
        ("participant.joined", "rm", {"role": "rm"}),
        ("participant.joined", "a", {"role": "customer"}),
    ]
    customer.leave("left")
    scene.join("a")
    left, joined, consents = stage.way.take()
    assert (left.kind, joined.kind) == ("participant.left", "participant.joined")
    assert consents.permissions == {"voice"}, "the host forgets whoever leaves"
    stage.way.hello("2", v=VOICE)
    again = [item.participant_id for item in stage.way.take() if isinstance(item, Marked)]
    assert again == ["rm", "a"]


async def test_what_is_said_of_people_who_were_never_there_is_not_taken(stage: Stage) -> None:
    stage.scene.join("b")
    stage.scene.join("a").leave("left")
    stage.begin()
    stage.way.hello(p=PICTURE)
    stage.sink.items.clear()
    about = {"session_id": "s", "detector": "p", "cause": "crashed", "start_us": 0, "end_us": 1}
    for number, who in enumerate(["", "b", "a", "made_up"]):
        line = Unknown(finding_id=f"u-{number}", participant_id=who, **about).model_dump_json()
        stage.way.heard(line.encode())
    assert [item.participant_id for item in stage.sink.items] == ["", "b"]
    assert stage.service.refused == {"unknown_participant": 2}
    assert stage.service.refused.keys() <= set(REFUSALS), "each reason is a metric"


async def test_consents_may_be_told_before_their_session(stage: Stage) -> None:
    stage.scene.call(stage.scene.join("a"))
    stage.way.hello(f=FACE)
    stage.service.consents("s", "a", frozenset({Permission.FACE}))
    stage.begin()
    assert len(stage.taps()) == 1


async def test_muting_and_lost_decoders_are_passed_on(stage: Stage) -> None:
    a = stage.scene.join("a")
    stage.scene.call(a)
    stage.way.hello(p=PICTURE)
    stage.begin()
    (started,) = [item for item in stage.way.take() if isinstance(item, TrackStarted)]
    publication = next(
        item
        for item in stage.scene.room.publications.values()
        if item.track.track_id == started.track_id
    )
    a.publishing.set_muted(publication, True, "a")
    (mark,) = stage.way.take()
    assert (mark.kind, mark.data["track_id"]) == ("track.muted", started.track_id)
    stage.scene.engine.take()
    for tap in (started.tap, 99):
        stage.way.heard(KeyframeWanted(tap=tap).model_dump_json().encode())
    assert [name for name, _ in stage.scene.engine.take()] == ["request_keyframe"]
    a.leave("left")
    assert any(isinstance(item, TrackEnded) for item in stage.way.take())


FINDING = {
    "finding_id": "1",
    "session_id": "s",
    "detector": "p",
    "detector_version": "1",
    "kind": "k",
    "outcome": "warn",
    "start_us": 1,
    "end_us": 2,
}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({}, None),
        ({"detector": "stranger"}, "unknown_detector"),
        ({"start_us": 3}, "malformed"),
        ({"outcome": "perhaps"}, "malformed"),
        ({"start_us": -1}, "malformed"),
        ({"values": {str(i): i for i in range(17)}}, "malformed"),
        ({"more": 1}, "malformed"),
        ({"kind": ""}, "malformed"),
        ({"values": {"x": 10**400}}, "malformed"),
        ({"values": {"x": -(10**60)}}, None),
        ({"end_us": 10**400}, "malformed"),
    ],
)
async def test_what_the_host_says_is_checked(
    stage: Stage, change: dict[str, object], reason: str | None
) -> None:
    line = json.dumps({"type": "found", **FINDING, **change}).encode()
    stage.way.heard(line)
    assert dict(stage.service.refused) == ({reason: 1} if reason else {})
    assert len(stage.sink.items) == (reason is None)


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"\xff",
        b"[]",
        b'{"type":"hello"}',
        b"{" * 10_000,
        b'{"type":"status","decode_seconds":Infinity}',
        b'{"type":"status","lag_ms":{"p":-1}}',
        b'{"type":"status","refused":-1}',
        b'{"type":"keyframe","tap":' + b"9" * 400 + b"}",
    ],
)
async def test_rubbish_is_counted(stage: Stage, line: bytes) -> None:
    stage.way.heard(line)
    assert stage.service.refused["malformed"] == 1
    assert stage.sink.items == []


async def test_metrics_are_of_closed_sets_and_go_on_over_hosts(stage: Stage) -> None:
    stage.way.hello(p=PICTURE)
    taps = [SimpleNamespace(waiting=3, dropped={"ring_full": 2})]
    collector = AnalyticsCollector(stage.service, lambda: taps)
    status = Status(
        seconds={"p": 1.5},
        restarts={"p": 1},
        dropped={"p": {"queue_full": 4}},
        queue_depth={"p": 2},
        lag_ms={"p": 250.0},
        decode_seconds=2.0,
        shed_tracks=5,
        shed_packets=7,
    )
    stage.way.heard(status.model_dump_json().encode())
    stage.way.gone()
    stage.way.hello("2", p=PICTURE)
    stage.way.heard(status.model_dump_json().encode())
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for metric in collector.collect()
        for sample in metric.samples
    }
    assert found["witness_tap_queue_depth", "host"] == 3
    assert found["witness_tap_queue_depth", "p"] == 2
    assert found["witness_tap_dropped_total", "host", "ring_full"] == 2
    assert found["witness_tap_dropped_total", "p", "queue_full"] == 8
    assert found["witness_detector_seconds_total", "p"] == 3
    assert found["witness_detector_seconds_total", "v"] == 0
    assert found["witness_detector_restarts_total", "p"] == 2
    assert found["witness_detector_lag_seconds", "p"] == 0.25
    assert found["witness_analytics_host_up",] == 1
    assert found["witness_tap_decode_seconds_total",] == 4
    assert found["witness_tap_tracks_shed",] == 5
    assert found["witness_tap_dropped_total", "host", "shed"] == 14
    assert all(isinstance(metric, Metric) for metric in collector.collect())


async def test_the_host_says_itself_why_a_detector_is_not_there(stage: Stage) -> None:
    stage.way.hello(p=PICTURE)
    stage.begin()
    assert stage.unknown() == [(name, "no_host", True) for name in "fv"]
    stage.sink.items.clear()
    about = {"finding_id": "u", "session_id": "s", "start_us": 1, "end_us": 1, "is_open": True}
    unknown = Unknown.model_validate({**about, "detector": "f", "cause": "model_missing"})
    stage.way.heard(unknown.model_dump_json().encode())
    assert stage.unknown() == [("f", "model_missing", True), ("f", "no_host", False)]


async def test_a_host_that_comes_is_told_of_the_node_that_runs(stage: Stage) -> None:
    stage.begin()
    stage.service.marked("s", "node.started", "", {"code": "n1"}, at_us=7)
    stage.way.hello(p=PICTURE)
    (mark,) = [item for item in stage.way.take() if isinstance(item, Marked)]
    assert (mark.kind, mark.at_us, mark.data) == ("node.started", 7, {"code": "n1"})
    stage.service.marked("s", "node.ended")
    stage.way.take()
    stage.way.hello("2", p=PICTURE)
    assert stage.way.take() == []


async def test_a_host_can_not_do_without_a_consent_and_wants_nothing_for_strangers() -> None:
    stage = Stage(Scene(), permissions={"p": frozenset({Permission.PICTURE, Permission.FACE})})
    await stage.start()
    stage.scene.call(stage.scene.join("a"))
    stage.way.hello(p=PICTURE, stranger=PICTURE)
    stage.begin()
    assert stage.taps() == []
    stage.service.consents("s", "a", frozenset({Permission.FACE}))
    assert len(stage.taps()) == 1
    (hello,) = [hello for hello in stage.sink.hosts if hello is not None]
    assert (set(hello.detectors), set(hello.wants)) == ({"p"}, {"p"})


async def test_keyframes_are_asked_for_once_a_second_and_hellos_have_an_end(stage: Stage) -> None:
    stage.scene.call(stage.scene.join("a"))
    stage.way.hello(p=PICTURE)
    stage.begin()
    (started,) = [item for item in stage.way.take() if isinstance(item, TrackStarted)]
    stage.scene.engine.take()
    line = KeyframeWanted(tap=started.tap).model_dump_json().encode()
    for _ in range(1_000):
        stage.way.heard(line)
    assert len(stage.scene.engine.take()) == 1
    stage.now_ns += 1_000_000_000
    stage.way.heard(line)
    assert len(stage.scene.engine.take()) == 1
    assert stage.service.refused["too_often"] == 999
    for _ in range(7):
        stage.way.hello(p=PICTURE)
    assert stage.way.ended == 0
    stage.way.hello(p=PICTURE)
    assert stage.way.ended == 1
    assert len(stage.sink.hosts) == 8


async def test_a_host_that_says_rubbish_all_the_time_is_ended(stage: Stage) -> None:
    for _ in range(100):
        stage.way.heard(b"{")
    assert stage.way.ended == 0
    stage.now_ns += 1_000_000_000
    for _ in range(101):
        stage.way.heard(b"{")
    assert stage.way.ended == 1


async def test_a_line_that_can_not_be_taken_ends_nothing(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    def found(_: object) -> None:
        raise OverflowError

    monkeypatch.setattr(stage.sink, "found", found)
    stage.way.heard(json.dumps({"type": "found", **FINDING}).encode())
    assert stage.service.refused == {"failed": 1}


async def test_a_way_that_has_failed_does_not_keep_the_server_from_stopping() -> None:
    stage = Stage(Scene())

    async def run(*_: object) -> None:
        raise OSError("no more descriptors")

    stage.way.run = run  # type: ignore[method-assign, assignment]
    stage.service.start()
    await asyncio.sleep(0)
    await stage.service.stop()


def test_what_a_host_makes_up_is_not_counted() -> None:
    totals = Totals(["p"])
    totals.add(
        Status(seconds={"x": 1.0}, restarts={"x": 1}, dropped={"p": {"x": 1}, "x": {"down": 1}})
    )
    assert (set(totals.seconds), set(totals.restarts)) == ({"p"}, {"p"})
    assert {name for name, _ in totals.dropped} == {"p"}
    assert sum(totals.dropped.values()) == 0


def test_counters_that_run_backwards_add_nothing() -> None:
    totals = Totals(["p"])
    totals.add(Status(seconds={"p": 5.0}, restarts={"p": 3}))
    totals.add(Status(seconds={"p": 1.0}, restarts={"p": 1}))
    totals.add(Status(seconds={"p": 2.0}, restarts={"p": 2}))
    assert (totals.seconds["p"], totals.restarts["p"]) == (6.0, 4)


async def test_nothing_is_known_of_a_session_whose_room_hands_out_no_media(stage: Stage) -> None:
    stage.begin()
    stage.sink.items.clear()
    stage.service.session_started("again", stage.scene.room.room_id, 4_000_000_000)
    stage.service.session_started("nowhere", "no-such-room", 4_000_000_000)
    refused = [(name, "no_media", True) for name in "fpv"]
    assert stage.unknown() == refused * 2
    stage.way.hello(p=PICTURE, f=FACE, v=VOICE)
    open_now = {(i.session_id, i.detector, i.is_open) for i in stage.sink.items}
    assert not any(not is_open for name, _, is_open in open_now if name != "s"), "a host is no help"
    stage.way.gone()
    assert len([one for one in stage.unknown() if one[1] == "no_media"]) == 6
    stage.sink.items.clear()
    stage.service.session_ended("nowhere")
    assert stage.unknown() == [(name, "no_media", False) for name in "fpv"]


async def test_no_host_says_or_ends_what_the_server_says_itself(stage: Stage) -> None:
    stage.begin()
    first = stage.sink.items[0]
    stage.sink.items.clear()
    over = first.model_copy(update={"is_open": False})
    for message in (over, over.model_copy(update={"finding_id": "no-host-mine"})):
        stage.way.heard(message.model_dump_json().encode())
    assert stage.sink.items == []
    assert stage.service.refused == {"malformed": 2}
