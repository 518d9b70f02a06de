import numpy as np

from analytics.speech.cutter import Cut
from analytics.speech.queue import Queue


def cut(start: int, *, is_final: bool = True) -> Cut:
    return Cut(start, start + 1, np.zeros(0, np.float32), (), is_final)


def drained(queue: Queue[str]) -> list[tuple[str, int]]:
    found = []
    while (job := queue.take()) is not None:
        found.append((job.owner, job.cut.start_us))
    return found


def test_owners_take_turns() -> None:
    queue: Queue[str] = Queue(8)
    for start in range(3):
        assert queue.put("talks much", cut(start)) is None
    queue.put("one word", cut(9))
    assert drained(queue) == [
        ("talks much", 0),
        ("one word", 9),
        ("talks much", 1),
        ("talks much", 2),
    ]
    assert len(queue) == 0


def test_whoever_was_served_comes_last() -> None:
    queue: Queue[str] = Queue(8)
    queue.put("a", cut(0))
    queue.put("b", cut(1))
    assert queue.take() is not None
    queue.put("a", cut(2))
    assert drained(queue) == [("b", 1), ("a", 2)]


def test_full_queue_drops_the_oldest_of_whoever_has_most() -> None:
    queue: Queue[str] = Queue(3)
    for start in range(3):
        queue.put("talks much", cut(start))
    dropped = queue.put("one word", cut(9))
    assert dropped is not None
    assert (dropped.owner, dropped.cut.start_us) == ("talks much", 0)
    assert queue.dropped == 1
    assert ("one word", 9) in drained(queue)


def test_final_cuts_come_before_partial_ones() -> None:
    queue: Queue[str] = Queue(8)
    queue.put("a", cut(0, is_final=False))
    queue.put("b", cut(1))
    assert drained(queue) == [("b", 1), ("a", 0)]


def test_partial_cut_is_replaced_and_goes_with_its_final_one() -> None:
    queue: Queue[str] = Queue(8)
    queue.put("a", cut(0, is_final=False))
    queue.put("a", cut(1, is_final=False))
    assert len(queue) == 1
    assert drained(queue) == [("a", 1)]
    queue.put("a", cut(2, is_final=False))
    queue.put("a", cut(2))
    assert drained(queue) == [("a", 2)]


def test_given_up_owner_has_nothing_waiting() -> None:
    queue: Queue[str] = Queue(8)
    queue.put("a", cut(0))
    queue.put("a", cut(1))
    queue.put("a", cut(2, is_final=False))
    queue.put("b", cut(3))
    assert [one.start_us for one in queue.give_up("a")] == [0, 1]
    assert queue.give_up("a") == []
    assert drained(queue) == [("b", 3)]
