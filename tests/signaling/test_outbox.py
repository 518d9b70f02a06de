"""Numbered messages, remembered replies, and time."""

import json

import pytest

from signaling.clock import Deadlines, TokenBucket
from signaling.errors import IllegalTransitionError, RefusedError
from signaling.notices import Ok, Pong, Sent, ServerData, TrackUnpublished
from signaling.outbox import Outbox, Reply, ReplyCache, encode


def append(outbox: Outbox, data: ServerData) -> bool:
    return outbox.append(type(data), data.data_json())


def filled(count: int) -> Outbox:
    outbox = Outbox(100, 100_000)
    for index in range(count):
        assert append(outbox, TrackUnpublished(track_id=f"t{index}"))
    return outbox


def test_numbers_count_from_one_without_gaps() -> None:
    frames = [json.loads(frame) for frame in filled(5).frames_after(0)]
    assert [frame["seq"] for frame in frames] == [1, 2, 3, 4, 5]


def test_acknowledged_messages_are_forgotten_with_their_bytes() -> None:
    outbox = filled(5)
    outbox.acknowledge(3)
    outbox.acknowledge(2)
    assert (len(outbox), outbox.base_seq) == (2, 3)
    outbox.acknowledge(5)
    assert (len(outbox), outbox.bytes) == (0, 0)
    assert outbox.frame(5) is None


def test_acknowledging_the_future_is_refused_and_changes_nothing() -> None:
    outbox = filled(5)
    with pytest.raises(RefusedError):
        outbox.acknowledge(6)
    assert (len(outbox), outbox.acknowledged) == (5, False)


@pytest.mark.parametrize(("last_seq", "covered"), [(1, False), (2, True), (5, True), (6, False)])
def test_coverage_is_from_what_was_acknowledged_to_the_latest(last_seq: int, covered: bool) -> None:
    outbox = filled(5)
    outbox.acknowledge(2)
    assert outbox.covers(last_seq) is covered


@pytest.mark.parametrize(("messages", "size"), [(3, 100_000), (100, 200)])
def test_passing_a_bound_discards_everything_once(messages: int, size: int) -> None:
    outbox = Outbox(messages, size)
    outcomes = [append(outbox, TrackUnpublished(track_id="t" * 20)) for _ in range(4)]
    assert outcomes.count(False) == 1
    assert outbox.latest_seq == 4
    assert outbox.covers(4)
    assert len(outbox) <= 1


def test_unnumbered_messages_are_no_business_of_the_outbox() -> None:
    outbox = Outbox(10, 1000)
    with pytest.raises(IllegalTransitionError):
        append(outbox, Pong(server_time="2026-01-01T00:00:00.000Z"))
    assert outbox.latest_seq == 0


def test_frame_has_the_fields_it_was_given() -> None:
    assert encode(Ok, "{}") == '{"type":"ok","data":{}}'
    assert encode(Ok, "{}", re="a", seq=3) == '{"type":"ok","re":"a","seq":3,"data":{}}'


def reply(text: str) -> Reply:
    data = Sent(message_id=text, at="2026-01-01T00:00:00.000Z")
    return Reply(type(data), data.data_json())


def test_oldest_replies_are_forgotten_first() -> None:
    cache = ReplyCache(3, 100_000)
    for index in range(5):
        cache.put(str(index), reply(f"m{index}"))
    assert [cache.get(str(index)) is not None for index in range(5)] == [False] * 2 + [True] * 3


def test_remembered_bytes_are_bounded_and_counted_right() -> None:
    cache = ReplyCache(100, 250)
    for index in range(10):
        cache.put("same", reply(f"m{index}"))
    assert len(cache) == 1
    assert cache.bytes == len(reply("m9").data_json)
    for index in range(10):
        cache.put(str(index), reply("m" * 50))
    assert cache.bytes <= 250
    cache.clear()
    assert (len(cache), cache.bytes) == (0, 0)


def test_earliest_deadline_comes_first_and_moves() -> None:
    told: list[int] = []
    deadlines: Deadlines[str] = Deadlines(lambda: told.append(1))
    deadlines.set("b", 5.0)
    deadlines.set("a", 3.0)
    deadlines.set("c", 9.0)
    assert len(told) == 2
    deadlines.set("a", 7.0)
    assert deadlines.next() == 5.0
    assert deadlines.pop_due(4.9) is None
    assert [deadlines.pop_due(10.0) for _ in range(4)] == ["b", "a", "c", None]


def test_moved_and_cancelled_deadlines_do_not_pile_up() -> None:
    deadlines: Deadlines[int] = Deadlines(lambda: None)
    for round_ in range(10_000):
        deadlines.set(round_ % 10, float(round_))
        if round_ % 3 == 0:
            deadlines.cancel(round_ % 10)
    assert len(deadlines._heap) <= 2 * len(deadlines) + 64


def test_bucket_allows_a_burst_then_the_rate() -> None:
    bucket = TokenBucket(2.0, 3, 0.0)
    assert [bucket.take(1, 0.0) for _ in range(3)] == [0.0] * 3
    assert bucket.take(1, 0.0) == pytest.approx(0.5)
    assert bucket.take(1, 0.4) == pytest.approx(0.1)
    assert bucket.take(1, 0.5) == 0.0
    assert bucket.take(10, 100.0) == 0.0
    assert bucket.take(1, 50.0) > 0
