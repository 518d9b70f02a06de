"""Caps and times of TCP connections, with invented addresses and clocks."""

import ipaddress
import logging
import resource
from collections.abc import Callable
from functools import partial

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from signaling.origin import address_key
from witness.config import HttpLimits, MediaConfig
from witness.descriptors import affordable, raise_limit
from witness.gate import Cut, Gate, Pass, Phase
from witness.metrics import HttpCollector

LIMITS = HttpLimits(
    connections=6,
    connections_per_address=2,
    request_timeout_s=10,
    keepalive_s=5,
    stall_timeout_s=30,
)


def admitted(gate: Gate, peer: str = "192.0.2.1") -> Pass:
    answer = gate.admit(peer)
    assert isinstance(answer, Pass)
    return answer


def busy(one: Pass) -> None:
    one.connected(0.0)
    one.began(0.0, has_body=False)


def test_connections_of_one_address_are_bounded_and_freed() -> None:
    gate = Gate(LIMITS)
    first = admitted(gate)
    admitted(gate)
    assert gate.admit("192.0.2.1") is Cut.ADDRESS
    assert gate.admit("::ffff:192.0.2.1") is Cut.ADDRESS
    admitted(gate, "192.0.2.2")
    first.closed()
    first.closed()
    admitted(gate)
    assert gate.cuts[Cut.ADDRESS] == 2
    assert gate.connections == 3


def test_all_connections_are_bounded() -> None:
    gate = Gate(LIMITS)
    for last in range(6):
        busy(admitted(gate, f"192.0.2.{last}"))
    assert gate.admit("192.0.2.99") is Cut.TOTAL
    assert gate.connections == 6


def test_the_connection_longest_without_a_request_makes_room() -> None:
    gate = Gate(LIMITS)
    cut: list[int] = []
    made = [admitted(gate, f"192.0.2.{last}") for last in range(6)]
    for number, one in enumerate(made):
        one.abort = partial(cut.append, number)
        one.connected(0.0)
    busy(made[0])
    busy(made[1])
    made[1].responded(2.0)
    for last in range(7, 12):
        busy(admitted(gate, f"192.0.2.{last}"))
    # The idle one came last, the busy one never.
    assert cut == [2, 3, 4, 5, 1]
    assert gate.admit("192.0.2.99") is Cut.TOTAL
    assert (gate.cuts[Cut.EVICTED], gate.cuts[Cut.TOTAL]) == (5, 1)
    assert gate.connections == 6
    assert sum(gate.by_address.values()) == 6
    made[2].responded(3.0)
    made[2].closed()
    assert gate.connections == 6, "what was cut does not come back"
    assert gate.admit("192.0.2.99") is Cut.TOTAL


def test_an_address_that_has_its_share_pushes_nobody_out() -> None:
    gate = Gate(LIMITS.model_copy(update={"connections": 2}))
    admitted(gate)
    admitted(gate)
    assert gate.admit("192.0.2.1") is Cut.ADDRESS
    admitted(gate, "192.0.2.2")
    assert gate.cuts[Cut.EVICTED] == 1


def test_idle_connections_of_proxies_stay() -> None:
    gate = Gate(LIMITS, [ipaddress.ip_network("10.0.0.0/8")])
    for _ in range(6):
        one = admitted(gate, "10.1.2.3")
        busy(one)
        one.responded(1.0)
    assert gate.admit("192.0.2.1") is Cut.TOTAL


def test_proxies_are_not_one_address_but_count_in_all() -> None:
    gate = Gate(LIMITS, [ipaddress.ip_network("10.0.0.0/8")])
    for _ in range(6):
        busy(admitted(gate, "10.1.2.3"))
    assert gate.admit("10.1.2.3") is Cut.TOTAL


def test_websocket_leaves_its_address_but_not_the_total() -> None:
    gate = Gate(LIMITS)
    for _ in range(6):
        admitted(gate).upgraded()
    assert gate.admit("192.0.2.1") is Cut.TOTAL
    assert gate.phases[Phase.WEBSOCKET] == 6
    assert not gate.by_address


@pytest.mark.parametrize(
    ("address", "key"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::/64"),
        ("2001:db8::ffff:1:2", "2001:db8::/64"),
        ("2001:db8:0:1::1", "2001:db8:0:1::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("::1", "::1"),
        ("unknown", "unknown"),
    ],
)
def test_ipv6_is_counted_by_network(address: str, key: str) -> None:
    assert address_key(address) == key


def nothing(_: Pass) -> None:
    pass


def head_byte(at: Pass) -> None:
    for now_s in range(10):
        at.received(1, now_s)


def slow_body(at: Pass) -> None:
    at.received(200, 1)
    at.began(1, has_body=True)
    for now_s in range(1, 11):
        at.received(1, now_s)


def fast_body(at: Pass) -> None:
    at.received(200, 1)
    at.began(1, has_body=True)
    at.received(10 * 1024, 2)


def whole_body(at: Pass) -> None:
    slow_body(at)
    at.body_complete()


def handled(at: Pass) -> None:
    at.received(200, 1)
    at.began(1, has_body=False)


def not_taken(at: Pass) -> None:
    handled(at)
    at.stalled(2)
    at.stalled(20)


def taken(at: Pass) -> None:
    not_taken(at)
    at.flows()


def answered(at: Pass) -> None:
    handled(at)
    at.responded(2)


def next_head(at: Pass) -> None:
    answered(at)
    at.received(1, 6.9)


def websocket(at: Pass) -> None:
    handled(at)
    at.stalled(1)
    at.upgraded()
    at.stalled(2)
    at.received(1, 3)
    at.responded(9)


@pytest.mark.parametrize(
    ("events", "ends_s", "reason"),
    [
        (nothing, 10, Cut.SILENT),
        (head_byte, 10, Cut.HEAD_TIMEOUT),
        (slow_body, 11 + 10 / 1024, Cut.BODY_TIMEOUT),
        (fast_body, 21, Cut.BODY_TIMEOUT),
        (whole_body, None, None),
        (handled, None, None),
        (not_taken, 32, Cut.STALLED),
        (taken, None, None),
        (answered, 7, Cut.IDLE),
        (next_head, 16.9, Cut.HEAD_TIMEOUT),
        (websocket, None, None),
    ],
)
def test_each_step_has_its_time(
    events: Callable[[Pass], None], ends_s: float | None, reason: Cut | None
) -> None:
    at = admitted(Gate(LIMITS))
    at.connected(0)
    events(at)
    assert at.deadline_s == (None if ends_s is None else pytest.approx(ends_s))
    if at.deadline_s is None:
        assert at.overdue(1e9) is None
    else:
        assert at.overdue(at.deadline_s - 1e-6) is None
        assert at.overdue(at.deadline_s) is reason


@pytest.mark.parametrize(("keepalive_s", "expected_s"), [(5, 75), (100, 100)])
def test_proxies_may_keep_connections_longer(keepalive_s: float, expected_s: float) -> None:
    limits = LIMITS.model_copy(update={"keepalive_s": keepalive_s})
    at = admitted(Gate(limits, [ipaddress.ip_network("10.0.0.1/32")]), "10.0.0.1")
    at.connected(0)
    answered(at)
    assert at.deadline_s == 2 + expected_s


def test_idle_connections_are_no_event() -> None:
    seen: list[Cut] = []
    gate = Gate(LIMITS, on_cut=seen.append)
    gate.cut(Cut.IDLE)
    gate.cut(Cut.SILENT)
    assert seen == [Cut.SILENT]
    assert gate.cuts[Cut.IDLE] == 1


def test_metrics_name_every_reason_and_phase() -> None:
    gate = Gate(LIMITS)
    admitted(gate)
    gate.cut(Cut.HEAD_TIMEOUT)
    registry = CollectorRegistry()
    registry.register(HttpCollector(gate))
    text = generate_latest(registry).decode()
    for reason in Cut:
        count = float(reason is Cut.HEAD_TIMEOUT)
        assert f'sfu_http_connections_cut_total{{reason="{reason.value}"}} {count}' in text
    for phase in Phase:
        assert f'sfu_http_connections{{phase="{phase.value}"}}' in text
    assert "sfu_http_connections_limit 6.0" in text


@pytest.mark.parametrize(
    ("descriptors", "tcp", "http", "media", "warns"),
    [
        (100_000, True, (4_096, 128), (1_000, 250), False),
        (4_096 + 2_000 + 64 + 16, True, (4_096, 128), (1_000, 250), False),
        (4_096 + 2_000 + 64 + 15, True, (4_095, 128), (999, 250), True),
        (4_096 + 64 + 16, False, (4_096, 128), (1_000, 250), False),
        (4_096 + 64 + 15, False, (4_095, 128), (999, 250), True),
        (1_104, True, (688, 128), (167, 83), True),
        (10, True, (1, 1), (1, 1), True),
    ],
)
def test_caps_fit_the_open_files(
    descriptors: int,
    tcp: bool,
    http: tuple[int, int],
    media: tuple[int, int],
    warns: bool,
    caplog: pytest.LogCaptureFixture,
) -> None:
    configured = MediaConfig(engines=2, tcp=tcp)
    limits, engines = affordable(HttpLimits(), configured, descriptors)
    assert (limits.connections, limits.connections_per_address) == http
    of_engine = engines.max_tcp_connections_per_engine, engines.max_tcp_connections_per_address
    assert of_engine == media
    if warns and descriptors > 100:
        used = limits.connections + (2 * of_engine[0] if tcp else 0)
        assert used <= descriptors - 64 - 16
    assert ("ulimit" in caplog.text) is warns
    assert [r.levelno for r in caplog.records if "ulimit" in r.message] in ([], [logging.WARNING])


@pytest.mark.parametrize(
    ("soft", "hard", "set_to", "result"),
    [
        (1_024, 4_096, 4_096, 4_096),
        (4_096, 4_096, None, 4_096),
        (1_024, resource.RLIM_INFINITY, 1 << 20, 1 << 20),
        (1_024, 1 << 30, 1 << 20, 1 << 20),
        (1 << 22, 1 << 22, None, 1 << 22),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, None, 1 << 20),
    ],
)
def test_soft_limit_is_raised(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, set_to: int | None, result: int
) -> None:
    calls = []
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, hard))
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: calls.append(pair))
    assert raise_limit() == result
    assert calls == ([] if set_to is None else [(set_to, hard)])
