"""What a worker does when consent is withdrawn while it is at work."""

import socket
from typing import Any

import numpy as np

from analytics.detector import Mark, Subject
from analytics.host.wire import Batch, Flush, Setup, WatchThis, Withdraw, pack
from analytics.host.worker import Worker, _Link
from tests.analytics.host.scene import HERE

LISTENER = f"{HERE}Listener"
KEEPER = f"{HERE}Keeper"


class Desk:
    """A worker that is told at which input a watch is withdrawn."""

    def __init__(self, name: str, withdraw_at: int) -> None:
        self.said: list[dict[str, Any]] = []
        self.asked = 0
        self.withdraw_at = withdraw_at
        setup = Setup({name: {}}, 0, 0, 0)
        frames = np.zeros(0, np.uint8)
        self.worker = Worker(setup, self.said.append, bytearray(2), frames, self.withdrawn)
        self.worker.load()

    def withdrawn(self) -> list[int]:
        self.asked += 1
        return [1] if self.asked == self.withdraw_at else []

    def of(self, watch: int) -> list[int]:
        return [m["data"]["start_us"] for m in self.said if m.get("watch") == watch]


def marks(*watches: int) -> list[Any]:
    return [(Mark("challenge", at_us), watches) for at_us in range(4)]


def test_a_withdrawal_is_heard_before_each_input_of_a_batch() -> None:
    desk = Desk(LISTENER, withdraw_at=6)
    begun = [WatchThis(number, LISTENER, Subject("s")) for number in (1, 2)]
    desk.worker.take(Batch(1, (*begun, *marks(1, 2))))
    # Once before the batch, twice for the watches, and then for each mark.
    assert desk.of(1) == [0, 1]
    assert desk.of(2) == [0, 1, 2, 3]


def test_who_is_withdrawn_has_no_last_words_and_lets_go_of_all() -> None:
    desk = Desk(KEEPER, withdraw_at=0)
    begun = [WatchThis(number, KEEPER, Subject("s")) for number in (1, 2)]
    desk.worker.take(Batch(1, (*begun, *marks(1, 2))))
    detector: Any = desk.worker._detectors[KEEPER]
    assert len(detector.kept) == 8
    desk.worker.take(Batch(2, (Withdraw(1), Flush(1, 9), Flush(2, 9))))
    assert (desk.of(1), desk.of(2)) == ([], [9])
    assert len(detector.kept) == 4


def test_a_withdrawal_overtakes_the_batch_that_is_under_way() -> None:
    near, far = socket.socketpair()
    with near, far:
        link = _Link(far)
        messages = iter(link.messages())
        batch = Batch(1, tuple(marks(1)))
        near.sendall(pack(batch))
        assert next(messages) == batch
        assert link.withdrawn() == []
        whole = pack(Withdraw(7)) + pack(Withdraw(8))
        near.sendall(whole[:-3])
        assert link.withdrawn() == [7]
        near.sendall(whole[-3:])
        assert link.withdrawn() == [8]
        near.sendall(pack(Withdraw(9)))
        assert next(messages) == Withdraw(9)
