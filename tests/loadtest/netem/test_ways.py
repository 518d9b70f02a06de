"""Ways to put a bad network before a browser: which can be had, and what each tells."""

import contextlib
import socket

import pytest

from loadtest.netem.inside import inside, why_no_namespaces
from loadtest.netem.kernel import KernelPath, KernelReport, why_no_kernel_path
from loadtest.netem.profile import Link, Profile, Traffic
from loadtest.netem.tun import NEAR_ADDRESS
from loadtest.netem.ways import Way, browser_path, why_not
from loadtest.weaknet.recording import PathSample
from witness.netem_profiles import load_profile
from witness.weaknet import EMULATOR


@pytest.mark.parametrize(
    ("traffic", "tcp", "said"),
    [
        (Traffic.UDP, False, None),
        (Traffic.ALL, False, "the relay impairs UDP alone: all traffic takes --via tun or tc"),
        (Traffic.UDP, True, "media over TCP goes past the relay: that takes --via tun or tc"),
    ],
)
def test_what_the_relay_can_do(traffic: Traffic, tcp: bool, said: str | None) -> None:
    assert why_not(Way.RELAY, Profile(), traffic, tcp=tcp) == said


def test_the_kernel_says_what_it_can_not_do() -> None:
    profile = Profile(up=Link(reorder_percent=5))
    assert why_no_kernel_path(profile) == (
        "tc netem can't hold single packets back (reorder_percent)"
    )


def test_the_kernels_counters_are_no_bit_rates() -> None:
    report = KernelReport.of(packets=30, octets=9_000, drops=70)
    sample = PathSample.of(0.0, (report, report), [111])
    assert (sample.down.total[0], sample.down.lost) == (100, 70)
    assert sample.down.audio == sample.down.video == (0, 0, 0, 0)


def exchange(server: socket.socket, to: tuple[str, int], count: int) -> int:
    """How many of so many datagrams arrive at ``server``."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for number in range(count):
            client.sendto(number.to_bytes(4), to)
        server.settimeout(0.5)
        arrived = 0
        with contextlib.suppress(TimeoutError):
            while True:
                server.recv(100)
                arrived += 1
    return arrived


def test_the_relay_stands_before_the_servers_port_and_heals() -> None:
    profile = load_profile("random50")
    with (
        browser_path(Way.RELAY, EMULATOR, profile, Traffic.UDP) as path,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server,
    ):
        server.bind((path.address, path.media_port))
        assert list(path.server_command) == []
        port = int(path.far_script.split("port = ")[1].split(";")[0])
        relay = (path.address, port)
        assert exchange(server, relay, 50) == 50
        path.impair()
        assert 5 < exchange(server, relay, 50) < 45
        path.heal()
        assert exchange(server, relay, 50) == 50
        assert path.report()[1].netem.pushed == 150


@pytest.mark.net
@pytest.mark.skipif(why_no_namespaces() is not None, reason=why_no_namespaces() or "")
def test_the_kernels_path_carries_what_netem_lets_through() -> None:
    profile = load_profile("random50")
    missing = why_no_kernel_path(profile)
    if missing is not None:
        pytest.skip(missing)
    with KernelPath(profile, Traffic.UDP) as path, contextlib.ExitStack() as stack:
        with inside(path.near):
            server = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            server.bind((NEAR_ADDRESS, 0))
        with inside(path.far):
            to = server.getsockname()
            assert exchange(server, to, 50) == 50
            path.begin()
            assert 60 < exchange(server, to, 200) < 140
            up = path.report()[1]
            path.heal()
            assert exchange(server, to, 50) == 50
    assert up.netem.pushed == 200
    assert 60 < up.netem.lost < 140
