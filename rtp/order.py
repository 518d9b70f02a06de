"""Order: wrapping numbers made long, late packets put in their place, missing ones counted."""

from collections.abc import Iterator
from heapq import heappop, heappush

from rtp.packet import RtpPacket

__all__ = ["Ordered", "Reorder", "Unwrapper"]

Ordered = tuple[int, int, RtpPacket]
"""Packets missing before this one, arrival in µs on the session clock, the packet."""


class Unwrapper:
    """Makes a wrapping number long: each value is taken to be the nearest to the greatest so far.

    Values may come out of order; the first one stands for itself.
    """

    def __init__(self, bits: int) -> None:
        self._size = 1 << bits
        self._greatest: int | None = None

    def unwrap(self, value: int) -> int:
        """The long form of ``value``; negative if it lies before the first one and wraps."""
        if self._greatest is None:
            self._greatest = value
            return value
        distance = (value - self._greatest) % self._size
        if distance >= self._size // 2:
            return self._greatest + distance - self._size
        self._greatest += distance
        return self._greatest


class Reorder:
    """Packets of one SSRC in sequence order, each once.

    A packet waits while an earlier one is missing, until ``depth`` packets wait or ``wait_us``
    have passed; then what is missing counts as lost. Drop policy: what comes later than that is
    dropped and counted in ``late``, a second copy in ``repeated``.

    Args:
        starts_at_once: nothing earlier than the first packet is waited for.
    """

    def __init__(
        self, *, depth: int = 2_048, wait_us: int = 15_000_000, starts_at_once: bool = False
    ) -> None:
        self._depth = depth
        self._wait_us = wait_us
        self._numbers = Unwrapper(16)
        self._waiting: list[tuple[int, int, int, RtpPacket | None]] = []
        self._next: int | None = None
        self._starts_at_once = starts_at_once
        self._missing = 0
        self._added = 0
        self.late = 0
        self.repeated = 0

    def push(self, arrival_us: int, packet: RtpPacket) -> Iterator[Ordered]:
        """Takes a packet; gives those whose turn it is."""
        return self._add(arrival_us, packet.sequence, packet)

    def skip(self, arrival_us: int, sequence: int) -> Iterator[Ordered]:
        """A number that was left out on purpose; gives the packets whose turn it is."""
        return self._add(arrival_us, sequence, None)

    def _add(self, arrival_us: int, sequence: int, packet: RtpPacket | None) -> Iterator[Ordered]:
        number = self._numbers.unwrap(sequence)
        if self._next is None and self._starts_at_once:
            self._next = number
        if self._next is not None and number < self._next:
            self.late += packet is not None
            return
        if number == self._next and not self._waiting:
            self._next += 1
            if packet is not None:
                missing, self._missing = self._missing, 0
                yield missing, arrival_us, packet
            return
        self._added += 1
        heappush(self._waiting, (number, self._added, arrival_us, packet))
        yield from self.poll(arrival_us)

    def poll(self, now_us: int) -> Iterator[Ordered]:
        """Gives those that have waited long enough, though nothing more comes."""
        while self._waiting and self._is_due(now_us):
            yield from self._pop()

    def flush(self) -> Iterator[Ordered]:
        """Gives all that still waits."""
        while self._waiting:
            yield from self._pop()

    def _is_due(self, now_us: int) -> bool:
        number, _, arrival_us, _ = self._waiting[0]
        return (
            number == self._next
            or len(self._waiting) > self._depth
            or now_us - arrival_us > self._wait_us
            or (self._next is not None and number < self._next)
        )

    def _pop(self) -> Iterator[Ordered]:
        number, _, arrival_us, packet = heappop(self._waiting)
        if self._next is not None and number < self._next:
            self.repeated += packet is not None
            return
        self._missing += 0 if self._next is None else number - self._next
        self._next = number + 1
        if packet is not None:
            missing, self._missing = self._missing, 0
            yield missing, arrival_us, packet
