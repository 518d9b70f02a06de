"""What a join over TCP can take at best where packets are lost: a calculation, without a network.

``python -m loadtest.joins.limit`` prints it. Random loss of single packets both ways, 40 ms round
trip, the timers of Linux: a connection is asked for at 0, 1, 2, 3, 4, 5, 7 and 11 s, data again
after a round trip and 200 ms, then after twice that, and so on (a server of this project: after
100 ms, up to six times without doubling). An exchange is so many packets up and, when all are
there, so many down; every arrival is acknowledged, and the acknowledgement is lost as often.
"""

import heapq
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

__all__ = ["CASES", "Case", "join_times"]

_ONE_WAY_S: Final = 0.02
_SYN_S: Final = (0.0, 1.0, 2.0, 3.0, 4.0, 5.0, 7.0, 11.0, 19.0)
_SYN_ACK_S: Final = (0.0, 1.0, 3.0, 7.0, 15.0)
_BACKUP_S: Final = 0.25
"""Chromium asks for a second connection where the first of a request takes longer."""
_LINEAR: Final = 6
_END_S: Final = 60.0

Exchange = tuple[int, int]
"""Packets up, packets down."""


@dataclass(frozen=True, slots=True)
class Case:
    """A way to join.

    Attributes:
        title: what it is.
        exchanges: one after the other on a connection.
        parallel: connections that are used at once.
        stagger_s: between their beginnings.
        open_already: so many of them needn't be made.
        thin: the server repeats sooner, without doubling.
        backup: a connection that takes long to be made gets company.
    """

    title: str
    exchanges: Sequence[Exchange]
    parallel: int = 1
    stagger_s: float = 0.4
    open_already: int = 0
    thin: bool = True
    backup: bool = False


CASES: Final = (
    Case("WebSocket: upgrade, join, offer of 17 KB", ((1, 1), (1, 2), (13, 5)), thin=False),
    Case("WebSocket: upgrade, join, offer deflated", ((1, 1), (1, 2), (2, 2)), thin=False),
    Case("the same, server with thin streams", ((1, 1), (1, 2), (2, 2))),
    Case("WebSocket: upgrade, join and offer at once", ((1, 1), (3, 3))),
    Case("one request, one connection", ((3, 3),)),
    Case("one request, five connections", ((3, 3),), parallel=5, backup=True),
    Case("one request, five connections, open", ((3, 3),), parallel=5, open_already=5),
    Case("one packet each way, five connections", ((1, 1),), parallel=5, backup=True),
)


class _Line:
    """Events in order of time."""

    def __init__(self, seed: int, loss: float) -> None:
        self._random = random.Random(seed)  # noqa: S311 - a model
        self._loss = loss
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._count = 0
        self.now_s = 0.0

    def after(self, delay_s: float, run: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._events, (self.now_s + delay_s, self._count, run))

    def send(self, arrive: Callable[[], None]) -> None:
        """One packet, which may be lost."""
        if self._random.random() >= self._loss:
            self.after(_ONE_WAY_S, arrive)

    def run(self, done: Callable[[], bool]) -> float:
        while self._events and not done():
            self.now_s, _, run = heapq.heappop(self._events)
            if self.now_s > _END_S:
                return _END_S
            run()
        return self.now_s if done() else _END_S


class _End:
    """One end of a connection: what it has sent, and what has arrived."""

    def __init__(self, line: _Line, *, thin: bool) -> None:
        self.line = line
        self.thin = thin
        self.peer: _End = self
        self.got: set[int] = set()
        self.told: Callable[[], None] = lambda: None
        self._total = 0
        self._acked: set[int] = set()
        self._under_way: set[int] = set()
        self._window = 10
        self._backoff = 0
        self._timer = 0

    def send(self, count: int) -> None:
        for number in range(self._total, self._total + count):
            self._transmit(number)
        self._total += count
        self._arm()

    def _transmit(self, number: int) -> None:
        self._under_way.add(number)
        self.line.send(lambda: self.peer.arrived(number))

    def _arm(self) -> None:
        self._timer += 1
        timer = self._timer
        doubled = 0 if self.thin and self._backoff <= _LINEAR else self._backoff
        wait_s = (2 * _ONE_WAY_S + (0.1 if self.thin else 0.2)) * 2**doubled
        self.line.after(min(wait_s, 1.0) if self.thin else wait_s, lambda: self._expired(timer))

    def _expired(self, timer: int) -> None:
        missing = self._missing()
        if timer != self._timer or not missing:
            return
        # All that is under way counts as lost; one packet is tried.
        self._under_way.clear()
        self._window = 1
        self._backoff += 1
        self._transmit(missing[0])
        self._arm()

    def _missing(self) -> list[int]:
        return [number for number in range(self._total) if number not in self._acked]

    def arrived(self, number: int) -> None:
        self.got.add(number)
        self.told()
        seen = set(self.got)
        self.line.send(lambda: self.peer.acknowledged(seen))

    def acknowledged(self, seen: set[int]) -> None:
        news = seen - self._acked
        if not news:
            return
        self._acked |= news
        self._under_way -= news
        self._window += len(news)
        self._backoff = 0
        # What was sent before something that arrived is lost (RFC 8985).
        self._under_way = {number for number in self._under_way if number > max(self._acked)}
        for number in self._missing():
            if number not in self._under_way and len(self._under_way) < self._window:
                self._transmit(number)
        self._arm()


def _connect(line: _Line, opened: Callable[[], None]) -> None:
    asked = False

    def heard() -> None:
        nonlocal asked
        if not asked:
            asked = True
            for at_s in _SYN_ACK_S[1:]:
                line.after(at_s, lambda: line.send(opened))
        line.send(opened)

    for at_s in _SYN_S:
        line.after(at_s, lambda: line.send(heard))


def _converse(line: _Line, case: Case, done: Callable[[], None]) -> None:
    client, server = _End(line, thin=False), _End(line, thin=case.thin)
    client.peer, server.peer = server, client
    asked, answered = 0, 0

    def at_server() -> None:
        nonlocal asked
        if asked < len(case.exchanges):
            needed = sum(up for up, _ in case.exchanges[: asked + 1])
            if len(server.got) >= needed:
                asked += 1
                server.send(case.exchanges[asked - 1][1])

    def at_client() -> None:
        nonlocal answered
        needed = sum(down for _, down in case.exchanges[: answered + 1])
        if answered == len(case.exchanges) or len(client.got) < needed:
            return
        answered += 1
        if answered == len(case.exchanges):
            done()
        else:
            client.send(case.exchanges[answered][0])

    server.told, client.told = at_server, at_client
    client.send(case.exchanges[0][0])


def _once(case: Case, loss: float, seed: int) -> float:
    line = _Line(seed, loss)
    finished: list[float] = []

    def begin(number: int) -> None:
        opened: list[bool] = []

        def open_once() -> None:
            if not opened:
                opened.append(True)
                _converse(line, case, lambda: finished.append(line.now_s))

        if number < case.open_already:
            open_once()
            return
        _connect(line, open_once)
        if case.backup:
            line.after(_BACKUP_S, lambda: None if opened else _connect(line, open_once))

    for number in range(case.parallel):
        line.after(number * case.stagger_s, partial(begin, number))
    return line.run(lambda: bool(finished))


def join_times(case: Case, *, loss: float = 0.5, runs: int = 2000) -> list[float]:
    """Seconds until the last answer is there, rising; 60 where it took longer."""
    return sorted(_once(case, loss, seed) for seed in range(runs))


def main() -> int:
    """Prints all cases."""
    for case in CASES:
        times = join_times(case)
        within = [sum(at <= mark for at in times) / len(times) for mark in (5, 10, 15)]
        shares = "  ".join(f"{share:6.1%}" for share in within)
        sys.stdout.write(f"{case.title:46} median {times[len(times) // 2]:5.2f} s  {shares}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
