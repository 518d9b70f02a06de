"""The three ways to apply a profile mean the same by it.

The emulator in virtual time is the definition. Tolerances: the relay and the path between
namespaces lose exactly the same packets; a packet arrives there no earlier than it should and half
of them within 25 ms of it, which is what a busy machine adds. ``tc netem`` has random numbers of
its own: loss within 3 points, mean burst within 15 %, mean delay within 10 ms.
"""

import contextlib
import re
import socket
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

import pytest

from loadtest.netem.inside import inside
from loadtest.netem.profile import Link, Profile, Traffic
from loadtest.netem.relay import REWRITE_CANDIDATES, ImpairedRelay
from loadtest.netem.tc import commands, why_no_netem
from loadtest.netem.tun import NEAR_ADDRESS, TunPath, why_no_tun
from sfu import _media
from tests.net.namespaces import SERVER_ADDRESS, Path, why_unavailable
from witness.netem_profiles import load_profile
from witness.weaknet import EMULATOR

COUNT = 600
GAP_S = 0.004
LATE_S = 0.025
PATIENCE_S = 20.0
PROFILES = {
    "random50": load_profile("random50"),
    "burst50": load_profile("burst50"),
    "jitter": load_profile("jitter"),
    "slow": Profile(down=Link(delay_ms=5), up=Link(delay_ms=5, rate_kbps=200, queue_ms=10_000)),
}

Arrivals = dict[int, float]
"""Delay of every packet that arrived, by its number."""


def datagram(number: int) -> bytes:
    return number.to_bytes(4) + bytes(96)


def in_virtual_time(profile: Profile, sent_s: Sequence[float]) -> Arrivals:
    """What should happen to packets sent at these times."""
    path = _media.Netem(_media.NetemConfig(**profile.up.parameters()), seed=profile.seed)
    arrivals: Arrivals = {}
    for number, at in enumerate(sent_s):
        # 28 bytes of headers.
        path.push(at, bytes(28) + datagram(number))
    while (due := path.next_timeout()) is not None:
        # What is due within a nanosecond may be rounded to before it.
        packet = path.pop(due + 1e-9)
        assert packet is not None
        number = int.from_bytes(packet[28:32])
        arrivals[number] = due - sent_s[number]
    return arrivals


def lengths_of_bursts(arrived: Arrivals, count: int) -> list[int]:
    lost = [number not in arrived for number in range(count)]
    return [len(list(run)) for is_lost, run in groupby(lost) if is_lost]


@pytest.mark.parametrize(
    "name", ["random10", "random70", "burst10", "burst30", "burst50", "burst70"]
)
def test_the_definition_loses_what_the_profile_says(name: str) -> None:
    profile = load_profile(name)
    count = 40_000
    arrived = in_virtual_time(profile, [n * 0.001 for n in range(count)])
    loss = profile.up.loss
    assert 1 - len(arrived) / count == pytest.approx(loss.percent / 100, abs=0.02)
    share = loss.percent / 100
    mean = loss.mean_burst or 1 / (1 - share)
    assert statistics.mean(lengths_of_bursts(arrived, count)) == pytest.approx(mean, rel=0.06)
    assert min(arrived.values()) == pytest.approx(0.02, abs=1e-6)
    assert max(arrived.values()) == pytest.approx(0.02, abs=1e-6)


def test_the_definition_spreads_jitter_evenly_around_the_delay() -> None:
    profile = load_profile("jitter")
    delays = in_virtual_time(profile, [float(n) for n in range(2_000)]).values()
    assert min(delays) == pytest.approx(0.15, abs=0.002)
    assert max(delays) == pytest.approx(0.25, abs=0.002)
    assert statistics.mean(delays) == pytest.approx(0.2, abs=0.003)


class Sink:
    """Notes when numbered datagrams arrive."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._sock.settimeout(0.2)
        self.arrived_s: dict[int, float] = {}
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        while not self._over.is_set():
            with contextlib.suppress(TimeoutError):
                packet = self._sock.recv(2_048)
                self.arrived_s[int.from_bytes(packet[:4])] = time.monotonic()

    def close(self) -> None:
        self._over.set()
        self._thread.join()
        self._sock.close()


@contextlib.contextmanager
def sink(address: str) -> Iterator[tuple[Sink, int]]:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
    sock.bind((address, 0))
    port = sock.getsockname()[1]
    made = Sink(sock)
    try:
        yield made, port
    finally:
        made.close()


def send(to: tuple[str, int], count: int) -> list[float]:
    """Sends numbered datagrams; returns when each left."""
    sent = []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        start = time.monotonic()
        for number in range(count):
            time.sleep(max(0.0, start + number * GAP_S - time.monotonic()))
            sent.append(time.monotonic())
            sock.sendto(datagram(number), to)
    return sent


def check(profile: Profile, sent_s: list[float], ears: Sink, wait: Callable[[], bool]) -> None:
    """What arrived is what should have."""
    expected = in_virtual_time(profile, [at - sent_s[0] for at in sent_s])
    end = time.monotonic() + PATIENCE_S
    while (ears.arrived_s.keys() < expected.keys() or wait()) and time.monotonic() < end:
        time.sleep(0.02)
    assert ears.arrived_s.keys() == expected.keys()
    late = [ears.arrived_s[n] - sent_s[n] - due for n, due in expected.items()]
    # The sender notes the time a moment before the path does.
    assert min(late) > -0.002
    assert statistics.median(late) < LATE_S


@pytest.mark.net
@pytest.mark.parametrize("name", PROFILES)
def test_the_relay_agrees_with_the_definition(name: str) -> None:
    profile = PROFILES[name]
    with (
        sink("127.0.0.1") as (ears, port),
        ImpairedRelay(EMULATOR, profile, ("127.0.0.1", port)) as relay,
    ):
        relay.impair()
        sent = send(relay.address, COUNT)
        check(profile, sent, ears, lambda: relay.report()[1].netem.pushed < COUNT)
        up = relay.report()[1]
        assert up.other_udp[:2] == (COUNT, COUNT * 128)
        assert up.other_udp[2] == up.netem.delivered == len(ears.arrived_s)


@pytest.mark.net
@pytest.mark.skipif(why_no_tun() is not None, reason=why_no_tun() or "")
@pytest.mark.parametrize("name", PROFILES)
def test_the_path_between_namespaces_agrees_with_the_definition(name: str) -> None:
    profile = PROFILES[name]
    with TunPath(EMULATOR, profile, Traffic.UDP) as path, contextlib.ExitStack() as stack:
        with inside(path.near):
            ears, port = stack.enter_context(sink(NEAR_ADDRESS))
        path.impair()
        with inside(path.far):
            sent = send((NEAR_ADDRESS, port), COUNT)
        check(profile, sent, ears, lambda: path.report()[1].netem.pushed < COUNT)
        assert path.report()[1].other_udp[:2] == (COUNT, COUNT * 128)


def _no_tc() -> str | None:
    reason = why_unavailable()
    if reason is not None:
        return reason
    with Path() as path:
        return why_no_netem(path.router)


@pytest.mark.net
@pytest.mark.parametrize("name", ["random50", "burst50", "jitter"])
def test_tc_agrees_with_the_profile(name: str) -> None:
    reason = _no_tc()
    if reason is not None:
        pytest.skip(reason)
    link, count = load_profile(name).up, 4 * COUNT
    with Path() as path, contextlib.ExitStack() as stack:
        for arguments in commands("s-router", link, Traffic.UDP, seed=1):
            subprocess.run(["tc", "-n", path.router, *arguments], check=True)
        with inside(path.server):
            ears, port = stack.enter_context(sink(SERVER_ADDRESS))
        with inside(path.client):
            sent = send((SERVER_ADDRESS, port), count)
        time.sleep(1)
        delays = {number: at - sent[number] for number, at in ears.arrived_s.items()}
    assert 1 - len(delays) / count == pytest.approx(link.loss.percent / 100, abs=0.03)
    assert statistics.mean(delays.values()) * 1000 == pytest.approx(link.delay_ms, abs=10)
    if link.loss.mean_burst is not None:
        bursts = lengths_of_bursts(delays, count)
        assert statistics.mean(bursts) == pytest.approx(link.loss.mean_burst, rel=0.15)


def test_a_page_is_told_of_the_relay_in_place_of_every_candidate() -> None:
    script = REWRITE_CANDIDATES % ('"127.0.0.1"', 5_000)
    assert 'const address = "127.0.0.1", port = 5000;' in script
    assert not re.search(r"%[sd]", script)
