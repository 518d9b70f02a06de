"""Local or not, own page or foreign."""

import ipaddress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from signaling.origin import address_key, client_address, is_allowed_origin, is_local


@pytest.mark.parametrize(
    ("address", "headers", "local"),
    [
        ("127.0.0.1", {"Host": "localhost:8080"}, True),
        ("127.8.9.1", {"Host": "127.0.0.1"}, True),
        ("::1", {"Host": "[::1]:8080"}, True),
        ("::ffff:127.0.0.1", {"Host": "localhost"}, True),
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
    ("host", "local"),
    [
        ("localhost", True),
        ("LocalHost:8080", True),
        ("127.0.0.1:80", True),
        ("127.255.255.254", True),
        ("[::1]", True),
        ("[::1]:65535", True),
        ("", False),
        ("localhost:", False),
        ("localhost:65536", False),
        ("localhost:8o", False),
        ("localhost:80:80", False),
        ("localhost:٨", False),
        ("localhost.", False),
        ("localhost,evil.example", False),
        ("localhost evil.example", False),
        ("localhost\n", False),
        ("a.localhost", False),
        ("localhost.evil.example", False),
        ("evil.com@127.0.0.1", False),
        ("127.0.0.1@evil.com", False),
        ("user:pass@localhost", False),
        ("127.0.0.1/evil", False),
        ("127.0.0.1?evil", False),
        ("127.0.0.1#evil", False),
        ("127.0.0.1\\evil", False),
        ("//127.0.0.1", False),
        ("http://127.0.0.1", False),
        ("127.0.0.1.", False),
        ("127.1", False),
        ("127.0.0.256", False),
        ("127.0.0.01", False),
        ("0x7f.0.0.1", False),
        ("2130706433", False),
        ("0.0.0.0", False),
        ("128.0.0.1", False),
        ("::1", False),
        ("[::1", False),
        ("::1]", False),
        ("[::]", False),
        ("[::1%25lo]", False),
        ("[::ffff:127.0.0.1]", False),
        ("[127.0.0.1]", False),
        ("%6cocalhost", False),
    ],
)
def test_only_plain_loopback_hosts_are_local(host: str, local: bool) -> None:
    assert is_local("127.0.0.1", {"Host": host}) is local


@pytest.mark.parametrize(
    "name",
    [
        "Forwarded", "X-Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Port",
        "X-Forwarded-Proto", "X-Forwarded-Server", "X_Forwarded_For", "X-Real-IP", "Via",
        "CF-Connecting-IP", "CF-Ray", "CDN-Loop", "True-Client-IP", "X-Client-IP",
        "X-Envoy-External-Address", "X-Cluster-Client-IP", "X-Original-Host",
        "X-Original-Forwarded-For", "X-ProxyUser-Ip", "Fastly-Client-IP", "X-Azure-ClientIP",
        "X-Amzn-Trace-Id", "WL-Proxy-Client-IP", "Proxy-Client-IP", "X-Remote-IP", "x-host",
    ],
)  # fmt: skip
def test_any_trace_of_a_proxy_is_foreign(name: str) -> None:
    for value in ("127.0.0.1", ""):
        for written in (name, name.lower(), name.upper()):
            assert not is_local("127.0.0.1", {"Host": "localhost", written: value})


@given(st.text(), st.text())
def test_no_text_is_a_fault(host: str, address: str) -> None:
    is_local("127.0.0.1", {"Host": host})
    is_allowed_origin(f"http://{host}", "call.bank.example", ())
    if is_local(address, {"Host": "localhost"}):
        assert ipaddress.ip_address(address.partition("%")[0]) is not None
    address_key(client_address(address, [host], [ipaddress.ip_network("0.0.0.0/0")]))


def test_two_hosts_are_not_local() -> None:
    headers = CIMultiDict([("Host", "localhost"), ("Host", "evil.example")])
    assert not is_local("127.0.0.1", headers)


def test_headers_of_programs_and_browsers_are_no_trace_of_a_proxy() -> None:
    headers = dict.fromkeys(
        ("User-Agent", "Accept", "Cookie", "Origin", "Connection", "Upgrade-Insecure-Requests",
         "Sec-Fetch-Site", "Sec-WebSocket-Key", "X-Requested-With", "X-Request-Id", "traceparent"),
        "x",
    )  # fmt: skip
    assert is_local("127.0.0.1", {"Host": "localhost:8080", **headers})


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
        ("http://a.localhost", False),
        ("http://evil.example@127.0.0.1", False),
        ("http://127.0.0.1/evil", False),
    ],
)
def test_pages_of_other_origins_may_not_connect(origin: str | None, allowed: bool) -> None:
    result = is_allowed_origin(origin, "call.bank.example", ("https://crm.bank.example",))
    assert result is allowed


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", [], "203.0.113.9"),
        ("203.0.113.9", ["1.2.3.4"], "203.0.113.9"),
        ("10.0.0.1", ["1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["6.6.6.6, 1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["6.6.6.6", "7.7.7.7, 1.2.3.4"], "1.2.3.4"),
        ("10.0.0.1", ["nonsense"], "10.0.0.1"),
        ("10.0.0.1", ["1.2.3.4", ""], "10.0.0.1"),
        ("::ffff:203.0.113.9", [], "203.0.113.9"),
        ("fe80::1%eth0", [], "fe80::1"),
        (None, [], "unknown"),
    ],
)
def test_forwarded_addresses_are_believed_from_trusted_proxies_only(
    peer: Any, forwarded: Any, expected: str
) -> None:
    assert client_address(peer, forwarded, [ipaddress.ip_network("10.0.0.0/8")]) == expected
