"""Inside a worker, and what waits for one; without processes."""

import json
import sys
import threading
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
import pytest

from analytics.detector import (
    AudioChunk,
    Finding,
    Mark,
    Needs,
    Output,
    Subject,
    VideoFrame,
    VideoNeed,
)
from analytics.host import queue as queue_module
from analytics.host.config import HostConfig
from analytics.host.frames import Frames
from analytics.host.queue import ORDERS, ORDERS_AT_ONCE, WORDS, WorkerQueue
from analytics.host.wire import Batch, Flush, FrameAt, Setup, Unwatch, WatchThis, from_worker
from analytics.host.worker import Worker
from tests.analytics.host.detectors import Counter

NAME = "tests.analytics.host.test_worker:Together"


class Together(Counter):
    """Its model takes many pictures at once."""

    prepared: ClassVar[list[int]] = []

    def prepare(self, frames: Sequence[VideoFrame]) -> None:
        self.prepared.append(len(frames))
        for frame in frames:
            frame.shared["mean"] = float(frame.image.mean())

    def watch(self, subject: Subject) -> Any:
        return self

    def process(self, item: Any) -> Sequence[Output]:
        assert not item.image.flags.writeable
        return [Finding("picture", item.pts_us, item.pts_us, score=item.shared["mean"] / 255)]

    def flush(self, at_us: int) -> Sequence[Output]:
        return [Finding("watched", 0, at_us)]


class Bench:
    def __init__(self) -> None:
        self.said: list[dict[str, Any]] = []
        self.frames = Frames(1 << 20)
        memory = np.zeros(1 << 20, np.uint8)
        memory[: 1 << 16] = 51
        memory[1 << 16 :] = 102
        setup = Setup({NAME: {}}, 0, 0, 0)
        self.marker = bytearray(b"\xff\xff")
        self.worker = Worker(setup, self.said.append, self.marker, memory)
        self.worker.load()

    def outs(self) -> list[dict[str, Any]]:
        return [item for item in self.said if item["type"] == "out"]


def at(track: str, pts_us: int, offset: int = 0) -> FrameAt:
    return FrameAt(track, "a", pts_us, offset, (8, 8, 3))


def test_a_model_sees_the_pictures_of_all_tracks_at_once() -> None:
    Together.prepared.clear()
    bench = Bench()
    assert bench.said[0]["detectors"][NAME]["needs"]["video"]["rate_hz"] == 10.0
    subjects = [Subject("s", "a", "t"), Subject("s", "b", "u")]
    begin = [WatchThis(number, NAME, subject) for number, subject in enumerate(subjects, 1)]
    bench.worker.take(Batch(1, tuple(begin)))
    orders = ((at("t", 1), (1,)), (at("u", 2, 1 << 16), (2,)), (at("t", 3), (1,)))
    bench.worker.take(Batch(2, orders))
    assert Together.prepared == [3]
    assert [(out["watch"], out["data"]["score"]) for out in bench.outs()] == [
        (1, 0.2),
        (2, 0.4),
        (1, 0.2),
    ]
    bench.worker.take(Batch(3, (Flush(1, 5), Unwatch(2, 6), (at("u", 7), (2,)))))
    assert [out["data"]["end_us"] for out in bench.outs()[3:]] == [5, 6]
    assert [item["batch"] for item in bench.said if item["type"] == "done"] == [1, 2, 3]
    assert bench.marker == b"\xff\xff"


def queue(limit: int = 3) -> tuple[WorkerQueue, list[FrameAt]]:
    freed: list[FrameAt] = []
    return WorkerQueue(limit, freed.append), freed


def chunk(pts_us: int) -> AudioChunk:
    return AudioChunk("t", "a", pts_us, np.zeros(512, np.float32))


def test_the_newest_win_and_what_is_no_media_stays() -> None:
    waiting, freed = queue()
    waiting.order(WatchThis(1, "d", Subject("s")))
    for number in range(5):
        waiting.put(at("t", number), (1,), ("d",))
    waiting.put(Mark("challenge", 9), (1,), ("d",))
    waiting.put(chunk(5), (1,), ("d", "e"))
    assert [frame.pts_us for frame in freed] == [0, 1, 2]
    assert waiting.dropped == {"d": {"queue_full": 3}}
    assert (waiting.depth("d"), waiting.depth("e")) == (3, 1)
    first = waiting.take(2)
    assert isinstance(first[0], WatchThis)
    assert [order[0].pts_us for order in first[1:]] == [3, 4]  # type: ignore[index, union-attr]
    assert len(waiting.take(100)) == 2
    assert len(waiting) == 0


def test_many_watches_wait_and_are_handed_over_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert ORDERS > 10 * WORDS
    words, most = 400, 2_000
    monkeypatch.setattr(queue_module, "WORDS", words)
    monkeypatch.setattr(queue_module, "ORDERS", most)
    waiting, _ = queue()
    for number in range(3 * words):
        waiting.order(WatchThis(number, "d", Subject("s")))
    assert not waiting.is_overrun, "there are as many people"
    waiting.put(chunk(1), (1,), ("d",))
    assert len(waiting.take(16)) == ORDERS_AT_ONCE
    for _ in range(words):
        waiting.put(Mark("challenge", 9), (1,), ("d",))
    assert not waiting.is_overrun
    waiting.put(Mark("challenge", 9), (1,), ("d",))
    assert waiting.is_overrun, "nobody says so much"
    waiting.clear("down")
    assert not waiting.is_overrun
    for number in range(most + 1):
        waiting.order(Unwatch(number, 0))
    assert waiting.is_overrun
    taken = 0
    while orders := waiting.take(16):
        taken += len(orders)
    assert (taken, waiting.is_overrun) == (most + 1, False)


class Chatty(Counter):
    """Finds more than there can be."""

    def watch(self, subject: Subject) -> Any:
        return self

    def process(self, item: Any) -> Sequence[Output]:
        return [Finding("picture", number, number) for number in range(10_000)]


def test_who_says_too_much_at_once_has_failed() -> None:
    name = "tests.analytics.host.test_worker:Chatty"
    said: list[dict[str, Any]] = []
    setup = Setup({name: {}}, 0, 0, 0)
    worker = Worker(setup, said.append, bytearray(2), np.zeros(1 << 16, np.uint8))
    worker.load()
    worker.take(Batch(1, (WatchThis(1, name, Subject("s")), (at("t", 1), (1,)))))
    assert [item["type"] for item in said] == ["ready", "raised", "done"]
    assert said[1]["error"] == "rubbish"


class Leaver(Counter):
    """Ends in a way that is no ordinary exception."""

    @classmethod
    def load(cls, config: Any, models: Any) -> Any:
        if config.rate_hz == 1:
            raise SystemExit("no\nlicence \ud800")
        return cls(config)

    @property
    def needs(self) -> Needs:
        return Needs(video=VideoNeed(rate_hz=self.config.rate_hz))

    def watch(self, subject: Subject) -> Any:
        return self if self.config.rate_hz in ENDINGS else None

    def process(self, item: Any) -> Sequence[Output]:
        raise ENDINGS[self.config.rate_hz]

    def flush(self, at_us: int) -> Sequence[Output]:
        return []


ENDINGS = {2: SystemExit(), 3: KeyboardInterrupt(), 4: type("没成功Error", (Exception,), {})()}


class Unsettled(Counter):
    """What the host has to know of it is no name."""

    version: ClassVar[str] = "第一版"


def worked(name: str, rate_hz: float) -> list[dict[str, Any]]:
    """What a worker says that loads a detector and gives it a picture, beside a good one."""
    said: list[dict[str, Any]] = []
    setup = Setup({name: {"rate_hz": rate_hz}, NAME: {}}, 0, 0, 0)
    worker = Worker(setup, said.append, bytearray(2), np.zeros(1 << 16, np.uint8))
    worker.load()
    begin = (WatchThis(1, name, Subject("s")), WatchThis(2, NAME, Subject("s")))
    worker.take(Batch(1, begin))
    worker.take(Batch(2, ((at("t", 1), (1, 2)),)))
    for item in said:
        from_worker(json.dumps(item).encode())
    return said


@pytest.mark.parametrize(
    ("kind", "rate_hz", "says"),
    [
        ("Leaver", 1, {"type": "refused", "reason": "SystemExit: no licence ?"}),
        ("Leaver", 2, {"type": "raised", "error": "SystemExit"}),
        ("Leaver", 3, {"type": "raised", "error": "KeyboardInterrupt"}),
        ("Leaver", 4, {"type": "raised", "error": "___Error"}),
        ("Leaver", 5, {"type": "raised", "error": "rubbish"}),
        ("Leaver", 500, {"type": "refused", "cause": "crashed"}),
        ("Unsettled", 1, {"type": "refused"}),
    ],
)
def test_whatever_a_detector_ends_with_it_alone_is_forgotten(
    kind: str, rate_hz: float, says: dict[str, str]
) -> None:
    name = f"tests.analytics.host.test_worker:{kind}"
    said = worked(name, rate_hz)
    (about,) = (item for item in said if item["type"] in {"refused", "raised"})
    assert about["detector"] == name
    assert says.items() <= about.items()
    assert [item["watch"] for item in said if item["type"] == "out"] == [2]


class Idler(Counter):
    """Its deferred work ends the thread that does it, unless somebody heeds that."""

    waiting = True

    def work(self) -> Any:
        if self.config.rate_hz == 1:
            sys.exit(1)
        raise ValueError


class Unasked(Idler):
    """Fails when it is asked whether there is work, but not at once."""

    asked = 0

    @property
    def waiting(self) -> bool:  # type: ignore[override]
        self.asked += 1
        if self.asked > 1:
            raise KeyError("work")
        return True


class Diligent(Counter):
    """Does its deferred work, once."""

    done: ClassVar[threading.Event]
    waiting = True

    def work(self) -> Any:
        self.waiting = False
        self.done.set()
        return None


@pytest.mark.parametrize("kind", ["Idler", "Unasked"])
def test_deferred_work_that_ends_in_any_way_leaves_that_of_others_to_be_done(kind: str) -> None:
    Diligent.done = threading.Event()
    names = [f"tests.analytics.host.test_worker:{one}" for one in (kind, "Diligent")]
    said: list[dict[str, Any]] = []
    setup = Setup({names[0]: {"rate_hz": 1}, names[1]: {}}, 0, 0, 0)
    Worker(setup, said.append, bytearray(2), np.zeros(1 << 16, np.uint8)).load()
    assert Diligent.done.wait(30)
    raised = [item["detector"] for item in said if item["type"] == "raised"]
    assert raised == [names[0]]


def test_models_do_not_look_at_what_was_withdrawn_before_their_turn() -> None:
    Together.prepared.clear()
    asked: list[int] = []

    def withdrawn() -> list[int]:
        asked.append(1)
        # Once before the batch; then before the model's turn.
        return [1] if len(asked) == 4 else []

    setup = Setup({NAME: {}}, 0, 0, 0)
    said: list[dict[str, Any]] = []
    worker = Worker(setup, said.append, bytearray(2), np.zeros(1 << 16, np.uint8), withdrawn)
    worker.load()
    worker.take(Batch(1, (WatchThis(1, NAME, Subject("s", "a", "t")),)))
    asked[:] = [1, 1]
    worker.take(Batch(2, ((at("t", 1), (1,)), (at("t", 2), (1,)))))
    assert Together.prepared == []
    assert [item["type"] for item in said if item["type"] == "out"] == []


def test_what_may_not_be_looked_at_any_more_is_taken_out() -> None:
    waiting, freed = queue(10)
    waiting.put(at("t", 1), (1, 2), ("d", "e"))
    waiting.put(at("t", 2), (2,), ("e",))
    waiting.order(Unwatch(2, 3))
    waiting.drop_of(lambda _, watch: watch == 1)
    assert [order[1] if isinstance(order, tuple) else order for order in waiting.take(9)] == [
        (1,),
        Unwatch(2, 3),
    ]
    assert [frame.pts_us for frame in freed] == [2]
    assert waiting.dropped == {"e": {"no_consent": 1}}


def test_a_picture_is_held_until_the_last_has_let_it_go() -> None:
    frames = Frames(4 << 16)
    image = np.full((100, 200, 3), 7, np.uint8)
    offsets = [frames.put(image) for _ in range(4)]
    assert offsets == [0, 1 << 16, 2 << 16, 3 << 16]
    assert frames.put(image) is None
    assert offsets[1] is not None
    frames.hold(offsets[1])
    frames.release(offsets[1])
    assert frames.put(image) is None
    frames.release(offsets[1])
    assert frames.held == 3
    assert frames.put(np.zeros((200, 200, 3), np.uint8)) is None, "two places are needed"
    assert frames.put(image) == offsets[1]
    frames.close()


def test_a_detector_has_one_place() -> None:
    with pytest.raises(ValueError, match="a is in two groups: x and y"):
        HostConfig(groups={"x": ("a",), "y": ("a",)})
    config = HostConfig(
        detectors={"a": {}, "b": {}, "c": {}}, groups={"x": ("a", "z"), "y": ("w",)}
    )
    assert config.layout() == {"x": ("a",), "b": ("b",), "c": ("c",)}
