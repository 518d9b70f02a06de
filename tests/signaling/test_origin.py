"""Local or not, own page or foreign."""

import ipaddress
from typing import Any

import pytest

from signaling.origin import client_address, is_allowed_origin, is_local


@pytest.mark.parametrize(
    ("address", "headers", "local"),
    [
        ("127.0.0.1", {"Host": "localhost:8080"}, True),
        ("127.8.9.1", {"Host": "127.0.0.1"}, True),
        ("::1", {"Host": "[::1]:8080"}, True),
        ("::ffff:127.0.0.1", {"Host": "app.localhost"}, True),
        ("192.168.1.2", {"Host": "localhost"}, False),
        ("::ffff:10.0.0.1", {"Host": "localhost"}, False),
        ("127.0.0.1", {"Host": "evil.example"}, False),
        ("127.0.0.1", {"Host": "localhost.evil.example"}, False),
        ("127.0.0.1", {"Host": "[::1"}, False),
        ("127.0.0.1", {}, False),
        ("127.0.0.1", {"Host": "localhost", "X-Forwarded-For": "1.2.3.4"}, False),
        ("127.0.0.1", {"Host": "localhost", "x-forwarded-proto": "https"}, False),
        ("127.0.0.1", {"Host": "localhost", "Forwarded": "for=1.2.3.4"}, False),
        ("127.0.0.1", {"Host": "localhost", "Via": "1.1 proxy"}, False),
        ("127.0.0.1", {"Host": "localhost", "X-Real-IP": "1.2.3.4"}, False),
        ("", {"Host": "localhost"}, False),
        (None, {"Host": "localhost"}, False),
        ("/run/witness.sock", {"Host": "localhost"}, False),
    ],
)
def test_local_means_this_machine_without_a_proxy(
    address: str | None, headers: dict[str, str], local: bool
) -> None:
    assert is_local(address, headers) is local


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        (None, True),
        ("https://call.bank.example", True),
        ("HTTPS://Call.Bank.Example", True),
        ("https://crm.bank.example", True),
        ("http://localhost:3000", True),
        ("http://127.0.0.1", True),
        ("http://[::1]:5173", True),
        ("https://evil.example", False),
        ("https://call.bank.example.evil.example", False),
        ("https://call.bank.example:8443", False),
        ("null", False),
        ("", False),
        ("file://", False),
        ("http://[", False),
    ],
)
def test_pages_of_other_origins_may_not_connect(origin: str | None, allowed: bool) -> None:
    result = is_allowed_origin(origin, "call.bank.example", ("https://crm.bank.example",))
    assert result is allowed


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", None, "203.0.113.9"),
        ("203.0.113.9", "1.2.3.4", "203.0.113.9"),
        ("10.0.0.1", "1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        ("10.0.0.1", "nonsense", "10.0.0.1"),
        ("::ffff:203.0.113.9", None, "203.0.113.9"),
        ("fe80::1%eth0", None, "fe80::1"),
        (None, None, "unknown"),
    ],
)
def test_forwarded_addresses_are_believed_from_trusted_proxies_only(
    peer: Any, forwarded: Any, expected: str
) -> None:
    assert client_address(peer, forwarded, [ipaddress.ip_network("10.0.0.0/8")]) == expected
