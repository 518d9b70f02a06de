"""A bad network without root: a UDP relay between participants and the server.

A browser is told of the relay's address in place of the server's candidate
(:data:`REWRITE_CANDIDATES`). Only what goes over UDP is impaired; everything runs on one thread,
and the native emulator decides over every datagram.
"""

import selectors
import socket
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from loadtest.netem.built import Built
from loadtest.netem.emulator import Counted, Emulator
from loadtest.netem.profile import Profile

__all__ = ["REWRITE_CANDIDATES", "ImpairedRelay", "RelayReport"]

_MAX_CLIENTS = 64
_HEADERS = 28
"""Bytes of IPv4 and UDP headers: the emulator is to see what a link would."""
_PER_TURN = 64
_LONGEST_WAIT_S = 0.005
_RECEIVE_BUFFER = 1 << 20

Address = tuple[str, int]

REWRITE_CANDIDATES = """
const address = %s, port = %d;
const apply = RTCPeerConnection.prototype.setRemoteDescription;
RTCPeerConnection.prototype.setRemoteDescription = function (description) {
  const line = `a=candidate:1 1 udp 2130706431 ${address} ${port} typ host`;
  const { type, sdp } = description;
  return apply.call(this, { type, sdp: sdp?.replace(/^a=candidate:.*$/gm, line) });
};
"""
"""Runs in a page before its own scripts; takes the address as JSON, and the port."""


@dataclass(frozen=True, slots=True)
class _Netem:
    lost: int
    queue_full: int
    pushed: int
    delivered: int
    duplicated: int


@dataclass(slots=True)
class RelayReport:
    """Like ``sfu._media.PathReport``."""

    netem: Any
    refused: int
    rtp: list[tuple[int, Counted]]
    rtcp: Counted
    other_udp: Counted
    not_udp: Counted = (0, 0, 0, 0)


@dataclass(slots=True)
class _Lane:
    """One direction: what is under way, and what was counted."""

    netem: Any
    counted: dict[int, list[int]] = field(default_factory=dict)
    refused: int = 0
    steps: list[tuple[float, Any]] = field(default_factory=list)

    def count(self, datagram: bytes, *, delivered: bool) -> None:
        entry = self.counted.setdefault(_class_of(datagram), [0, 0, 0, 0])
        at = 2 if delivered else 0
        entry[at] += 1
        entry[at + 1] += len(datagram) + _HEADERS

    def of(self, kind: int) -> Counted:
        packets, octets, arrived, arrived_octets = self.counted.get(kind, (0, 0, 0, 0))
        return packets, octets, arrived, arrived_octets

    def report(self) -> RelayReport:
        rtp = [(kind, self.of(kind)) for kind in sorted(self.counted) if kind <= 127]
        seen = self.netem.counters
        netem = _Netem(seen.lost, seen.queue_full, seen.pushed, seen.delivered, seen.duplicated)
        return RelayReport(netem, self.refused, rtp, self.of(_RTCP), self.of(_OTHER))


_RTCP, _OTHER = 128, 129


def _class_of(datagram: bytes) -> int:
    if len(datagram) < 2 or not 128 <= datagram[0] <= 191:
        return _OTHER
    return _RTCP if 192 <= datagram[1] <= 223 else datagram[1] & 0x7F


class ImpairedRelay(Built):
    """Forwards datagrams both ways through a profile; a context manager.

    Every client address has a socket toward the server of its own; all of them share one link.
    The profile's time begins with :meth:`begin`.

    Args:
        emulator: the native side.
        profile: what happens to datagrams.
        server: where the server receives media.
        host: address to listen on.
        clients: addresses that are served; others are refused and counted.
    """

    def __init__(
        self,
        emulator: Emulator,
        profile: Profile,
        server: Address,
        host: str = "127.0.0.1",
        clients: int = _MAX_CLIENTS,
    ) -> None:
        super().__init__()
        self._emulator = emulator
        self._profile = profile
        self._server = server
        self._host = host
        self._most_clients = clients
        self._clients: list[tuple[Address, socket.socket]] = []
        self._numbers: dict[Address, int] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._started_s = time.monotonic()
        self._up = _Lane(emulator.netem(emulator.link(profile.up.unimpaired()), seed=profile.seed))
        self._down = _Lane(
            emulator.netem(
                emulator.link(profile.down.unimpaired()), seed=profile.seed ^ _OTHER_DIRECTION
            )
        )

    def _build(self) -> None:
        self._selector = self._opened.enter_context(selectors.DefaultSelector())
        self._front = self._opened.enter_context(_bound(self._host))
        self._opened.callback(self._close_clients)
        self._selector.register(self._front, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, name="relay")
        self._thread.start()
        self._opened.callback(self._end)

    def _end(self) -> None:
        self._over.set()
        self._thread.join()

    def _close_clients(self) -> None:
        for _, upstream in self._clients:
            upstream.close()

    @property
    def address(self) -> Address:
        """Where participants send to."""
        host, port = self._front.getsockname()
        return host, port

    def impair(self) -> None:
        """Brings the path into the profile's first state; until then it only has its delay."""
        self._take(first_only=True)

    def heal(self) -> None:
        """Nothing but delay, as before :meth:`impair`."""
        now = self._now()
        with self._lock:
            for lane, link in ((self._down, self._profile.down), (self._up, self._profile.up)):
                lane.steps = [(now, self._emulator.link(link.unimpaired()))]

    def begin(self) -> None:
        """The profile's time begins now."""
        self._take(first_only=False)

    def report(self) -> tuple[RelayReport, RelayReport]:
        """What became of the datagrams so far: down, up."""
        with self._lock:
            return self._down.report(), self._up.report()

    def _take(self, *, first_only: bool) -> None:
        now = self._now()
        with self._lock:
            for lane, way in ((self._down, "down"), (self._up, "up")):
                steps = self._emulator.steps(self._profile, way)[: 1 if first_only else None]
                lane.steps = [(now + at, config) for at, config in steps]

    def _now(self) -> float:
        return time.monotonic() - self._started_s

    def _run(self) -> None:
        while not self._over.is_set():
            ready = self._selector.select(self._wait_s())
            with self._lock:
                now = self._now()
                for lane in (self._down, self._up):
                    while lane.steps and lane.steps[0][0] <= now:
                        lane.netem.set_config(lane.steps.pop(0)[1])
                for key, _ in ready:
                    if key.data is None:
                        self._from_clients()
                    else:
                        self._receive(self._down, self._clients[key.data][1], key.data)
                self._deliver()

    def _wait_s(self) -> float:
        dues: list[float | None] = [lane.netem.next_timeout() for lane in (self._down, self._up)]
        left = [due - self._now() for due in dues if due is not None]
        return max(0.0, min([_LONGEST_WAIT_S, *left]))

    def _from_clients(self) -> None:
        for datagram, client in _drain(self._front):
            number = self._number(client)
            if number is None:
                self._up.refused += 1
            else:
                self._push(self._up, number, datagram)

    def _receive(self, lane: _Lane, sock: socket.socket, number: int) -> None:
        for datagram, _ in _drain(sock):
            self._push(lane, number, datagram)

    def _push(self, lane: _Lane, number: int, datagram: bytes) -> None:
        lane.count(datagram, delivered=False)
        lane.netem.push(self._now(), number.to_bytes(_HEADERS) + datagram)

    def _deliver(self) -> None:
        now = self._now()
        for lane in (self._down, self._up):
            while (packet := lane.netem.pop(now)) is not None:
                number, datagram = int.from_bytes(packet[:_HEADERS]), packet[_HEADERS:]
                client, upstream = self._clients[number]
                sock, to = (upstream, self._server) if lane is self._up else (self._front, client)
                try:
                    sock.sendto(datagram, to)
                except (BlockingIOError, ConnectionRefusedError):
                    lane.refused += 1
                else:
                    lane.count(datagram, delivered=True)

    def _number(self, client: Address) -> int | None:
        """Of a client's socket toward the server; ``None`` if there are too many."""
        number = self._numbers.get(client)
        if number is None and len(self._clients) < self._most_clients:
            number = self._numbers[client] = len(self._clients)
            upstream = _bound(self._host)
            self._clients.append((client, upstream))
            self._selector.register(upstream, selectors.EVENT_READ, number)
        return number


_OTHER_DIRECTION = 0x5BD1E9959D1B54A3
"""As the native path tells the directions' random numbers apart."""


def _bound(host: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    sock.bind((host, 0))
    return sock


def _drain(sock: socket.socket) -> Sequence[tuple[bytes, Address]]:
    received: list[tuple[bytes, Address]] = []
    while len(received) < _PER_TURN:
        try:
            received.append(sock.recvfrom(2_048))
        except (BlockingIOError, ConnectionRefusedError):
            break
    return received
