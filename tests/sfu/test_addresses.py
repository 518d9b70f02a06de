"""What candidates say."""

import pytest
from pydantic import ValidationError

from sfu import SfuConfig
from sfu.addresses import candidate_addresses, host_addresses, reachable, tcp_addresses
from sfu.errors import AddressError
from tests.fakes.engine import FakeEngine

INTERFACES = ["192.0.2.1", "198.51.100.1", "2001:db8::1"]


def candidates(
    advertised: tuple[str, ...], bound: tuple[str, ...], engines: int = 1
) -> list[tuple[str, int]]:
    return candidate_addresses(
        SfuConfig(advertised_addresses=advertised),
        FakeEngine(addresses=bound),
        engines=engines,
        interfaces=lambda: INTERFACES,
    )


@pytest.mark.parametrize(
    ("advertised", "bound", "expected"),
    [
        ((), ("127.0.0.1:5000",), [("127.0.0.1", 5000)]),
        ((), ("0.0.0.0:5000",), [("192.0.2.1", 5000), ("198.51.100.1", 5000)]),
        (
            (),
            ("0.0.0.0:5000", "[::1]:5000"),
            [("192.0.2.1", 5000), ("198.51.100.1", 5000), ("::1", 5000)],
        ),
        ((), ("[::]:5000",), [("2001:db8::1", 5000)]),
        (("203.0.113.9",), ("0.0.0.0:5000",), [("203.0.113.9", 5000)]),
        (("203.0.113.9:40000",), ("0.0.0.0:5000",), [("203.0.113.9", 40000)]),
        (
            ("2001:DB8:0::2", "203.0.113.9"),
            ("0.0.0.0:5000", "[::]:5000"),
            [("2001:db8::2", 5000), ("203.0.113.9", 5000)],
        ),
        (("[2001:db8::2]:40000", "203.0.113.9"), ("0.0.0.0:5000",), [("203.0.113.9", 5000)]),
        (("203.0.113.9", "203.0.113.9"), ("0.0.0.0:5000",), [("203.0.113.9", 5000)]),
    ],
)
def test_candidate_addresses(
    advertised: tuple[str, ...], bound: tuple[str, ...], expected: list[tuple[str, int]]
) -> None:
    assert candidates(advertised, bound) == expected


@pytest.mark.parametrize(
    ("tcp_port", "udp", "expected"),
    [
        (None, [("192.0.2.1", 3478)], []),
        (3478, [("192.0.2.1", 3478), ("::1", 3478)], [("192.0.2.1", 3478), ("::1", 3478)]),
        # A NAT that maps 3478 to 40000 does so for both.
        (3478, [("192.0.2.1", 40000)], [("192.0.2.1", 40000)]),
        (443, [("192.0.2.1", 40000), ("192.0.2.1", 40001)], [("192.0.2.1", 443)]),
    ],
)
def test_tcp_addresses(
    tcp_port: int | None, udp: list[tuple[str, int]], expected: list[tuple[str, int]]
) -> None:
    engine = FakeEngine(addresses=("0.0.0.0:3478",), tcp_port=tcp_port)
    assert tcp_addresses(engine, udp) == expected


def test_no_address_of_a_family_listened_on_is_an_error() -> None:
    with pytest.raises(AddressError, match="family"):
        candidates(("2001:db8::2",), ("0.0.0.0:5000",))


def test_a_port_fits_one_engine_only() -> None:
    with pytest.raises(AddressError, match="every engine has its own"):
        candidates(("203.0.113.9:40000",), ("0.0.0.0:5000",), engines=2)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "host.example",
        "0.0.0.0",
        "::",
        "224.0.0.1",
        "1.2.3.4:0",
        "1.2.3.4:65536",
        "1.2.3.4:x",
        "[::1]:",
    ],
)
def test_addresses_that_can_not_be_reached_are_refused(bad: str) -> None:
    with pytest.raises(ValidationError):
        SfuConfig(advertised_addresses=(bad,))


def test_loopback_only_where_nothing_else_is_left() -> None:
    everything = ["127.0.0.1", "::1", "fe80::1", "0.0.0.0"]
    assert reachable(everything) == ["127.0.0.1", "::1"]
    assert reachable([*everything, "192.0.2.1"]) == ["192.0.2.1"]


def test_this_machine_has_an_address() -> None:
    assert host_addresses()
