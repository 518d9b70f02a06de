"""What a host tells its workers and the server; without workers."""

from collections import Counter
from typing import Any

import pytest

from analytics.detector import AudioNeed, Burst, Likely, Needs, VideoNeed
from analytics.host.core import Host
from analytics.host.watches import MOST_SAID
from analytics.host.wire import FrameAt, Loaded, Out, Unwatch, WatchThis
from analytics.link import Found, Greet, Said, Unknown
from tests.analytics.host.media import Camera
from tests.analytics.host.scene import Scene, config

IDENTITY = frozenset({"identity"})


class Orders:
    """In place of the workers: remembers what they would be told."""

    def __init__(self, host: Host) -> None:
        self._pool = host.pool
        self.orders: list[Any] = []
        self.withdrawn: list[int] = []
        self.given: list[tuple[Any, dict[str, list[int]]]] = []
        self.lost: dict[str, Any] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    def order(self, detector: str, order: Any) -> bool:
        self.orders.append(order)
        return True

    def withdraw(self, detector: str, watch: int) -> None:
        self.withdrawn.append(watch)

    def put(self, item: Any, watches: dict[str, list[int]]) -> None:
        self.given.append((item, watches))
        if isinstance(item, FrameAt):
            self._pool.frames.hold(item.offset)

    def dropped(self) -> dict[str, Any]:
        return self.lost

    def forget(self, allowed: Any) -> None:
        pass

    def begun(self) -> list[int]:
        return [order.watch for order in self.orders if isinstance(order, WatchThis)]

    def ended(self) -> list[int]:
        return [order.watch for order in self.orders if isinstance(order, Unwatch)]


class Desk(Scene):
    """A scene whose workers only remember."""

    def __init__(self, *names: str) -> None:
        super().__init__(config({name: {} for name in names}))
        self.orders = Orders(self.host)
        self.host.pool = self.host._media._pool = self.orders  # type: ignore[assignment]

    def load(self, name: str, **changes: Any) -> None:
        about = {
            "version": "1",
            "scope": "session",
            "permissions": IDENTITY,
            "kinds": frozenset({"k"}),
            "models": {},
            "needs": Needs(video=VideoNeed(rate_hz=10.0, height=90)),
        }
        self.host.loaded(name, Loaded.model_validate({**about, **changes}))

    def find(self, watch: int, **more: Any) -> None:
        data = {"kind": "k", "outcome": "warn", "start_us": 0, "end_us": 0, **more}
        assert self.host.out(Out(watch=watch, kind="finding", data=data)) is None

    def unknowns(self, detector: str) -> list[Unknown]:
        return [item for item in self.of(Unknown) if item.detector == detector]

    def two(self) -> None:
        """Two people with cameras, who allow all."""
        for tap, who in enumerate("ab", start=1):
            self.join(who)
            self.allow("identity", "face", who=who)
            self.start(who=who, tap=tap)


async def test_a_watch_of_all_begins_anew_when_one_of_them_withdraws() -> None:
    desk = Desk("d")
    desk.load("d")
    desk.two()
    (first,) = desk.orders.begun()
    desk.find(first, is_open=True)
    desk.now_us = 1_000_000
    desk.allow("face", who="a")
    assert desk.orders.withdrawn == [first]
    assert desk.orders.ended() == [], "no last words of what was seen of him"
    _, again = desk.orders.begun()
    assert again != first
    assert [item.is_open for item in desk.of(Found)] == [True, False]
    said = [(item.participant_id, item.cause, item.is_open) for item in desk.unknowns("d")]
    assert said[-1] == ("a", "no_consent", True)
    before = len(desk.said)
    desk.find(first)
    assert len(desk.said) == before, "what the old watch still says is not heard"
    desk.allow("face", who="b")
    assert desk.orders.withdrawn == [first, again]
    assert len(desk.orders.begun()) == 2
    assert desk.unknowns("d")[-1].participant_id == ""


async def test_a_permission_that_nobody_asked_for_changes_nothing() -> None:
    desk = Desk("d")
    desk.load("d")
    desk.two()
    desk.allow("identity", who="a")
    assert (desk.orders.withdrawn, len(desk.orders.begun())) == ([], 1)


async def test_a_watch_of_all_begins_anew_when_the_media_of_one_of_them_end() -> None:
    desk = Desk("d")
    desk.load("d")
    desk.two()
    (first,) = desk.orders.begun()
    desk.end(who="a")
    assert desk.orders.ended() == [first]
    assert len(desk.orders.begun()) == 2
    desk.mark("session.ended", who="")
    assert len(desk.orders.ended()) == 2
    assert len(desk.orders.begun()) == 2


async def test_while_a_detector_loads_nothing_is_known_of_it() -> None:
    desk = Desk("d", "e")
    desk.allow("identity")
    desk.mark("node.started", who="")
    for name in "de":
        (loading,) = desk.unknowns(name)
        assert (loading.cause, loading.is_open, loading.participant_id) == ("no_host", True, "")
    desk.now_us = 2_000_000
    desk.load("d", permissions=frozenset())
    last = desk.unknowns("d")[-1]
    assert (last.is_open, last.end_us) == (False, 2_000_000)
    desk.host.down("e", "config")  # type: ignore[arg-type]
    _, over, why = desk.unknowns("e")
    assert (over.cause, over.is_open, over.end_us) == ("no_host", False, 2_000_000)
    assert (why.cause, why.is_open) == ("config", True)
    desk.mark("session.ended", who="")
    assert not any(item.is_open for item in (desk.unknowns(name)[-1] for name in "de"))
    assert list(desk.host.board.sessions) == []


async def test_a_track_that_brings_nothing_is_not_known() -> None:
    desk = Desk("d")
    desk.load("d")
    desk.two()
    desk.said.clear()
    for _ in range(5):
        desk.now_us += 1_000_000
        desk.host.take_tap(desk.camera.message(desk.now_us, tap=1))
        desk.host.tick()
    (silent,) = desk.unknowns("d")
    assert (silent.cause, silent.is_open, silent.start_us) == ("no_media", True, 0)
    desk.mark("track.muted", who="b", track_id="video-b")
    desk.host.tick()
    assert [item.is_open for item in desk.unknowns("d")] == [True, False]
    desk.mark("track.unmuted", who="b", track_id="video-b")
    desk.host.tick()
    assert len(desk.unknowns("d")) == 2, "it has three seconds again"


async def test_pictures_that_had_to_go_for_want_of_room_are_an_overload() -> None:
    desk = Desk("d")
    desk.load("d")
    desk.two()
    desk.said.clear()
    for count in range(1, 4):
        desk.orders.lost = {"d": Counter({"no_memory": count})}
        desk.host.tick()
    assert desk.host.status().dropped == {"d": {"no_memory": 3}}
    assert [(item.cause, item.is_open) for item in desk.unknowns("d")] == [("overloaded", True)]


async def test_who_watches_nobody_is_not_late() -> None:
    desk = Desk("d")
    desk.load("d")
    desk.two()
    (watch,) = desk.orders.begun()
    frame = FrameAt("video-a", "a", 0, 0, (2, 2, 3))
    desk.now_us = 700_000
    desk.host.done([(frame, (watch,))], {})
    assert desk.host.tick().lag_ms == {"d": 700.0}
    desk.mark("session.ended", who="")
    desk.host.done([Unwatch(number, 0) for number in desk.orders.ended()], {})
    assert desk.host.tick().lag_ms == {}


async def test_a_watch_that_begins_is_told_of_the_node_that_runs() -> None:
    desk = Desk("d")
    desk.load("d", needs=Needs(video=VideoNeed(rate_hz=10.0, height=90), marks=True))
    desk.mark("node.started", who="", code="n1")
    assert desk.orders.given == []
    desk.two()
    desk.end(who="a")
    first, again = desk.orders.begun()
    nodes = [
        (item.data, numbers) for item, numbers in desk.orders.given if item.kind == "node.started"
    ]
    assert nodes == [({"code": "n1"}, {"d": [first]}), ({"code": "n1"}, {"d": [again]})]
    desk.mark("node.ended", who="")
    desk.end(who="b")
    desk.start(who="b", tap=2)
    nodes = [item for item, _ in desk.orders.given if item.kind == "node.started"]
    assert len(nodes) == 2


async def test_watches_learn_of_roles_with_the_first_track_if_nobody_told_them() -> None:
    desk = Desk("d")
    desk.load("d", needs=Needs(video=VideoNeed(rate_hz=10.0, height=90), marks=True))
    desk.two()
    desk.orders.given.clear()
    desk.allow("identity", who="c")
    desk.start(who="c", tap=3)
    ((mark, numbers),) = desk.orders.given
    assert (mark.kind, mark.participant_id) == ("participant.joined", "c")
    assert mark.data == {"role": "customer"}
    assert numbers == {"d": desk.orders.begun()}
    desk.end(who="c")
    desk.orders.given.clear()
    desk.start(who="c", tap=3)
    assert desk.orders.given == [], "once is enough"


def frames(desk: Desk, cameras: dict[int, Camera], seconds: float) -> list[FrameAt]:
    """Those that are handed over while each camera gives 25 a second."""
    desk.orders.given.clear()
    for _ in range(round(25 * seconds)):
        desk.now_us += 40_000
        for tap, camera in cameras.items():
            desk.host.take_tap(camera.message(desk.now_us, tap=tap))
        if desk.now_us % 1_000_000 == 0:
            desk.host.tick()
    found = [item for item, _ in desk.orders.given if isinstance(item, FrameAt)]
    for item in found:
        desk.orders._pool.frames.release(item.offset)
    return found


async def test_a_watch_of_all_sees_every_camera_at_its_rate() -> None:
    desk = Desk("d")
    desk.load("d", needs=Needs(video=VideoNeed(rate_hz=1.0, height=90)))
    desk.two()
    given = frames(desk, {1: Camera(), 2: Camera()}, 8)
    counts = Counter(item.participant_id for item in given)
    assert set(counts) == {"a", "b"}
    assert all(7 <= count <= 9 for count in counts.values()), counts


async def test_more_pictures_come_for_a_while_to_whom_they_are_about() -> None:
    desk = Desk("d")
    burst = Burst("challenge", 5.0, 4.0)
    needs = Needs(video=VideoNeed(rate_hz=0.5, height=90, burst=burst), marks=True)
    desk.load("d", scope="participant", needs=needs)
    desk.two()
    cameras = {1: Camera(), 2: Camera()}
    assert len(frames(desk, cameras, 4)) <= 6
    desk.mark("challenge", who="a", ask="turn", within_s=3)
    counts = Counter(item.participant_id for item in frames(desk, cameras, 3))
    assert 14 <= counts["a"] <= 17, counts
    assert counts["b"] <= 2, counts
    converted = desk.host._media["video-a"].video.converted  # type: ignore[union-attr]
    assert len(frames(desk, cameras, 6)) <= 9
    assert desk.host._media["video-a"].video.converted - converted <= 9  # type: ignore[union-attr]


async def test_a_watch_that_floods_is_its_detectors_fault() -> None:
    desk = Desk("d")
    desk.load("d")
    desk.two()
    (watch,) = desk.orders.begun()
    for _ in range(5):
        desk.now_us += 1_000_000
        for number in range(MOST_SAID):
            desk.find(watch, start_us=number, end_us=number)
    before = len(desk.said)
    data = {"kind": "k", "outcome": "warn", "start_us": 0, "end_us": 0}
    assert desk.host.out(Out(watch=watch, kind="finding", data=data)) == "d"
    assert len(desk.said) == before


async def test_a_line_that_can_not_be_taken_is_counted_but_no_withdrawal_is_passed_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk("d")
    desk.load("d")
    desk.two()

    def fail(*_: object) -> None:
        raise LookupError

    monkeypatch.setattr(desk.host, "_marked", fail)
    desk.mark("challenge")
    assert desk.host.status().refused == 1
    monkeypatch.setattr(desk.host, "_settle", fail)
    with pytest.raises(LookupError):
        desk.allow("face")
    monkeypatch.undo()
    desk.mark("challenge")
    assert desk.host.status().refused == 1


async def test_media_that_can_not_be_read_end_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    desk = Desk("d")
    desk.load("d")
    desk.two()
    video = desk.host._media["video-a"].video

    def fail(*_: object) -> None:
        raise IndexError

    monkeypatch.setattr(video, "push", fail)
    for tap in (1, 2):
        desk.now_us += 1_000_000
        desk.host.take_tap(Camera().message(desk.now_us, tap=tap))
    assert desk.host.status().refused == 1
    assert [item.track_id for item, _ in desk.orders.given if isinstance(item, FrameAt)] == [
        "video-b"
    ]


async def test_a_tap_that_two_tracks_say_is_theirs_stays_the_second_ones() -> None:
    desk = Desk("d")
    desk.load("d")
    for who in "ab":
        desk.join(who)
        desk.allow("identity", who=who)
        desk.start(who=who, tap=1)
    desk.end(who="a")
    desk.now_us += 1_000_000
    desk.host.take_tap(desk.camera.message(desk.now_us, tap=1))
    assert [item.track_id for item, _ in desk.orders.given] == ["video-b"]


@pytest.mark.parametrize("way", ["ended", "greeted"])
async def test_thousands_of_taps_come_and_go_and_leave_nothing(way: str) -> None:
    names = [f"d{number}" for number in range(4)]
    desk = Desk(*names)
    for name, scope in zip(names, ("session", "participant", "track", "track"), strict=True):
        desk.load(name, scope=scope)
    host, calls = desk.host, 500
    for number in range(calls):
        for tap, who in enumerate(("a", "b"), start=2 * number):
            desk.session = f"s-{number}"
            desk.join(who)
            desk.allow("identity", who=who)
            desk.start(who=f"{who}", tap=tap, track=f"t-{tap}")
    assert len(host._watches) == calls * (1 + 3 * 2)
    desk.now_us = 5_000_000
    host.tick()
    lost = [item for item in desk.of(Unknown) if item.is_open and item.cause == "no_media"]
    assert len(lost) == len(host._watches)
    before = len(desk.of(Unknown))
    if way == "greeted":
        desk.tell(Greet())
    else:
        for number in range(calls):
            desk.session = f"s-{number}"
            desk.mark("session.ended", who="")
    assert len(desk.of(Unknown)) == before + len(lost), "each time that was unknown is over"
    host.done([Unwatch(number, 0) for number in desk.orders.ended()], {})
    assert not host._watches
    assert not host._watches.by_key
    assert not host._unknown._open
    assert not list(host.board.sessions)
    assert not host._clocks
    assert not len(host._media)


HEARD = {"participant_id": "a", "track_id": "t", "start_us": 0, "end_us": 1, "text": "同意"}
LIKELY = [{"text": "同意", "score": -1.5}, {"text": "不同意", "score": -4.0}]


def listening() -> Desk:
    desk = Desk("d")
    needs = Needs(audio=AudioNeed(), words=True)
    desk.load("d", needs=needs, permissions=frozenset({"speech"}))
    desk.join("a")
    desk.allow("speech")
    desk.start("audio")
    return desk


async def test_what_else_may_have_been_said_goes_to_detectors_alone() -> None:
    desk = listening()
    (watch,) = desk.orders.begun()
    out = Out.model_validate({"watch": watch, "kind": "said", "data": {**HEARD, "likely": LIKELY}})
    assert desk.host.out(out) is None
    (said,) = desk.of(Said)
    assert "likely" not in said.model_dump_json()
    ((given, _),) = desk.orders.given
    assert given.likely == (Likely("同意", -1.5), Likely("不同意", -4.0))


@pytest.mark.parametrize(
    "likely",
    [
        None,
        "同意",
        7,
        {"text": "同意", "score": 1},
        [{"text": "同意"}],
        [{"text": 7, "score": 1}],
        [{"text": "同意", "score": "x"}],
        [{"text": "同意", "score": None}],
        [{"text": "同意", "score": 1e999}],
        [{"text": "同" * 201, "score": 1}],
        [{"text": "同意", "score": 1, "more": 2}],
        LIKELY * 257,
    ],
)
async def test_rubbish_that_may_have_been_said_is_refused(likely: object) -> None:
    desk = listening()
    (watch,) = desk.orders.begun()
    data = {**HEARD, "likely": likely}
    assert desk.host.out(Out.model_construct(watch=watch, kind="said", data=data)) == "d"
    assert desk.of(Said) == desk.orders.given == []
