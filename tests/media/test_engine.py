"""Engines as Python uses them, on loopback sockets."""

import asyncio
import os
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from sfu import _media
from sfu._media import (
    Certificate,
    CodecParameters,
    EncodingParameters,
    Engine,
    EngineBusyError,
    EngineClosedError,
    EngineConfigError,
    Event,
    ParameterError,
    Snapshot,
)

pytestmark = pytest.mark.net

PATIENCE_S = 10.0
TASKS = Path("/proc/self/task")
UFRAG = "ufra"
PASSWORD = "p" * 22
SHA256 = ":".join(["AB"] * 32)

OPUS = CodecParameters(codec="opus", payload_type=111, clock_rate_hz=48000)
VP8 = CodecParameters(codec="vp8", payload_type=96, clock_rate_hz=90000, rtx_payload_type=97)

TRANSPORT: dict[str, object] = {
    "room": 1,
    "transport": 10,
    "local_ufrag": UFRAG,
    "local_password": PASSWORD,
    "remote_ufrag": "remo",
    "remote_password": PASSWORD,
    "remote_fingerprints": [("sha-256", SHA256)],
    "dtls_role": "server",
}
RESTART = {
    key: TRANSPORT[key]
    for key in ("transport", "local_ufrag", "local_password", "remote_ufrag", "remote_password")
}
PRODUCER: dict[str, object] = {
    "transport": 10,
    "producer": 20,
    "kind": "video",
    "mid": "0",
    "codecs": [VP8],
    "encodings": [EncodingParameters(ssrc=5, rtx_ssrc=6)],
    "nack": True,
}
CONSUMER: dict[str, object] = {
    "transport": 10,
    "consumer": 30,
    "producer": 20,
    "mid": "1",
    "ssrc": 7,
    "rtx_ssrc": 8,
    "codecs": [VP8],
    "nack": True,
    "cname": "c",
}


def without(values: dict[str, object], *names: str) -> dict[str, object]:
    return {key: value for key, value in values.items() if key not in names}


@pytest.fixture(scope="module")
def certificate() -> Certificate:
    return Certificate()


@pytest.fixture
def engine(certificate: Certificate) -> Iterator[Engine]:
    engine = Engine(certificate=certificate, listen=["127.0.0.1:0"], fault_injection=True)
    yield engine
    engine.close()


def readable(engine: Engine, timeout_s: float = PATIENCE_S) -> bool:
    return bool(select.select([engine.fileno()], [], [], timeout_s)[0])


def wait_for(engine: Engine, wanted: Callable[[Event], bool]) -> list[Event]:
    """All events up to the first wanted one."""
    seen: list[Event] = []
    deadline = time.monotonic() + PATIENCE_S
    while not any(wanted(event) for event in seen):
        assert readable(engine, deadline - time.monotonic()), f"not among {seen}"
        seen += engine.drain_events()
    return seen


def failed(identifier: int) -> Callable[[Event], bool]:
    return lambda event: isinstance(event, Event.CommandFailed) and event.id == identifier


def test_port_zero_lets_the_kernel_choose(engine: Engine) -> None:
    assert engine.port > 0
    assert engine.local_addresses == [f"127.0.0.1:{engine.port}"]
    receive, send = engine.socket_buffers
    assert receive > 0
    assert send > 0


def is_granted(policy: int) -> bool:
    """Whether the system lets a thread of this process have a class."""

    def ask() -> bool:
        try:
            os.sched_setscheduler(0, policy, os.sched_param(1))
        except PermissionError:
            return False
        return True

    with ThreadPoolExecutor(1) as thread:
        return thread.submit(ask).result()


@pytest.mark.parametrize("wanted", [True, False])
def test_the_thread_says_which_class_it_got(certificate: Certificate, wanted: bool) -> None:
    engine = Engine(certificate=certificate, listen=["127.0.0.1:0"], name="asked", realtime=wanted)
    deadline = time.monotonic() + PATIENCE_S
    while engine.scheduling is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    names = {task: (task / "comm").read_text().strip() for task in TASKS.iterdir()}
    (thread,) = [int(task.name) for task, name in names.items() if name == "asked"]
    policy = os.sched_getscheduler(thread)
    engine.close()
    assert (engine.scheduling == "realtime") == (policy == os.SCHED_RR)
    assert (policy == os.SCHED_RR) == (wanted and is_granted(os.SCHED_RR))


def test_both_families_share_one_port(certificate: Certificate) -> None:
    if not socket.has_ipv6:
        pytest.skip("no IPv6 on this machine")
    engine = Engine(certificate=certificate, listen=["127.0.0.1:0", "[::1]:0"])
    assert engine.local_addresses == [f"127.0.0.1:{engine.port}", f"[::1]:{engine.port}"]
    engine.close()


def test_taken_port_is_refused_by_address(engine: Engine, certificate: Certificate) -> None:
    address = f"127.0.0.1:{engine.port}"
    with pytest.raises(EngineConfigError, match=f"listen: cannot bind UDP {address}"):
        Engine(certificate=certificate, listen=[address])


def test_descriptor_is_readable_until_events_are_drained(engine: Engine) -> None:
    assert not readable(engine, 0)
    assert engine.drain_events() == []
    engine.close_transport(transport=404)
    assert readable(engine)
    match engine.drain_events():
        case [Event.CommandFailed(id=identifier, message=message)]:
            assert identifier == 404
            assert message
        case other:
            pytest.fail(f"unexpected: {other}")
    assert not readable(engine, 0)
    assert engine.drain_events() == []


async def test_events_arrive_on_the_event_loop(engine: Engine) -> None:
    loop = asyncio.get_running_loop()
    arrived: asyncio.Queue[Event] = asyncio.Queue()

    def drain() -> None:
        for event in engine.drain_events():
            arrived.put_nowait(event)

    loop.add_reader(engine.fileno(), drain)
    for producer in range(50):
        engine.remove_producer(producer=producer)
    async with asyncio.timeout(PATIENCE_S):
        events = [await arrived.get() for _ in range(50)]
    assert [event.id for event in events if isinstance(event, Event.CommandFailed)] == [*range(50)]
    assert loop.remove_reader(engine.fileno())


def test_every_command_is_accepted_and_none_fails(engine: Engine) -> None:
    engine.create_room(room=1)
    engine.create_transport(**TRANSPORT)  # type: ignore[arg-type]
    engine.restart_ice(**{**RESTART, "local_ufrag": "next"})  # type: ignore[arg-type]
    engine.set_extensions(transport=10, extensions={"mid": 1, "transport_cc": 14, "rid": 16})
    engine.set_extensions(transport=10, extensions={})
    engine.add_producer(**PRODUCER)  # type: ignore[arg-type]
    engine.update_producer(**without(PRODUCER, "transport"))  # type: ignore[arg-type]
    engine.add_producer(
        transport=10,
        producer=21,
        kind="audio",
        mid="2",
        codecs=[OPUS],
        encodings=[EncodingParameters(ssrc=9)],
        nack=False,
    )
    engine.set_producer_paused(producer=20, paused=True)
    engine.request_keyframe(producer=20)
    engine.create_transport(
        **{**TRANSPORT, "transport": 11, "local_ufrag": "ufrb"},  # type: ignore[arg-type]
    )
    consumer = {**CONSUMER, "transport": 11}
    engine.add_consumer(**consumer)  # type: ignore[arg-type]
    engine.update_consumer(
        **without(consumer, "transport", "producer"),  # type: ignore[arg-type]
        paused=True,
    )
    engine.set_consumer_paused(consumer=30, paused=False)
    engine.set_consumer_source(consumer=30, producer=20)
    engine.remove_consumer(consumer=30)
    engine.remove_producer(producer=20)
    engine.close_transport(transport=10)
    engine.inject_panic(room=1)
    engine.close_room(room=1)
    engine.close_transport(transport=404)
    events = wait_for(engine, failed(404))
    failures = [event for event in events if isinstance(event, Event.CommandFailed)]
    assert [event.id for event in failures] == [404], failures
    closed = [
        (event.transport, event.reason)
        for event in events
        if isinstance(event, Event.TransportStateChanged) and event.state == "closed"
    ]
    assert closed == [(10, "command"), (11, "room_closed")]


ICE = "letters, digits, '+' and '/'"
TOKEN = "token characters (RFC 5888)"
MALFORMED: list[tuple[str, str, dict[str, object]]] = [
    ("room: must be 0..=18446744073709551615", "create_room", {"room": -1}),
    ("room: must be 0..=18446744073709551615", "close_room", {"room": 2**64}),
    ("room: must be 0..=18446744073709551615", "inject_panic", {"room": -1}),
    ("transport: must be 0..=18446744073709551615", "close_transport", {"transport": -1}),
    ("producer: must be 0..=18446744073709551615", "remove_producer", {"producer": -1}),
    ("producer: must be 0..=18446744073709551615", "request_keyframe", {"producer": -1}),
    ("consumer: must be 0..=18446744073709551615", "remove_consumer", {"consumer": -1}),
    *[
        (f"{side}_{name}: must be {least}..=256 {ICE}", command, {**base, f"{side}_{name}": value})
        for command, base in (("create_transport", TRANSPORT), ("restart_ice", RESTART))
        for side in ("local", "remote")
        for name, least in (("ufrag", 4), ("password", 22))
        for value in ("a" * (least - 1), "a" * 257, "a" * 30 + ":", "ü" * 30)
    ],
    (
        'dtls_role: must be one of server, client, aead_client, not "actpass"',
        "create_transport",
        {**TRANSPORT, "dtls_role": "actpass"},
    ),
    *[
        (message, "create_transport", {**TRANSPORT, "remote_fingerprints": fingerprints})
        for message, fingerprints in (
            ("remote_fingerprints: must have 1..=16 entries", []),
            ("remote_fingerprints: must have 1..=16 entries", [("sha-256", SHA256)] * 17),
            (
                "remote_fingerprints: at least one must be of sha-256, sha-384, sha-512",
                [("sha-1", ":".join(["AB"] * 20))],
            ),
            ("remote_fingerprints: sha-256 needs 32 hex bytes", [("sha-256", SHA256[:-3])]),
            ("remote_fingerprints: sha-256 needs 32 hex bytes", [("sha-256", SHA256[:-1])]),
            ("remote_fingerprints: sha-256 needs 32 hex bytes", [("sha-256", "zz" * 32)]),
            ("remote_fingerprints: sha-256 needs 32 hex bytes", [("sha-256", "+a" * 32)]),
            ("remote_fingerprints: sha-384 needs 48 hex bytes", [("SHA-384", SHA256)]),
            ("remote_fingerprints: sha-512 needs 64 hex bytes", [("sha-512", "")]),
        )
    ],
    *[
        (message, "set_extensions", {"transport": 10, "extensions": extensions})
        for message, extensions in (
            ("extensions: mid must be 1..=14 or 16..=255", {"mid": 0}),
            ("extensions: mid must be 1..=14 or 16..=255", {"mid": 15}),
            ("extensions: mid must be 1..=14 or 16..=255", {"mid": 256}),
            ("extensions: mid must be 1..=14 or 16..=255", {"mid": -1}),
            ("extensions: ids must not repeat", {"mid": 1, "rid": 1}),
            (
                (
                    "extensions: must be one of mid, rid, repaired_rid, audio_level, "
                    "abs_send_time, transport_cc, video_orientation, playout_delay, "
                    'abs_capture_time, dependency_descriptor, not "urn:x"'
                ),
                {"urn:x": 1},
            ),
        )
    ],
    *[
        (message, "add_producer", {**PRODUCER, **changed})
        for message, changed in (
            ('kind: must be one of audio, video, not "screen"', {"kind": "screen"}),
            ("codecs: opus is not video", {"codecs": [OPUS]}),
            ("codecs: vp8 is not audio", {"kind": "audio"}),
            ("codecs: must have 1..=32 entries", {"codecs": []}),
            ("codecs: must have 1..=32 entries", {"codecs": [VP8] * 33}),
            ("codecs: payload types must not repeat", {"codecs": [VP8, VP8]}),
            (
                "codecs: payload types with those of RTX and RED must not repeat",
                {
                    "codecs": [
                        VP8,
                        CodecParameters(codec="vp9", payload_type=97, clock_rate_hz=90000),
                    ]
                },
            ),
            ("encodings: must have 0..=8 entries", {"encodings": [EncodingParameters()] * 9}),
            (
                "encodings: rids must not repeat",
                {"encodings": [EncodingParameters(rid="q"), EncodingParameters(rid="q")]},
            ),
            (
                "encodings: ssrcs must not repeat",
                {"encodings": [EncodingParameters(ssrc=5), EncodingParameters(rtx_ssrc=5)]},
            ),
            (f"mid: must be 1..=32 {TOKEN}", {"mid": ""}),
            (f"mid: must be 1..=32 {TOKEN}", {"mid": "a" * 33}),
            (f"mid: must be 1..=32 {TOKEN}", {"mid": "a b"}),
            (f"mid: must be 1..=32 {TOKEN}", {"mid": "a;b"}),
        )
    ],
    *[
        (message, "add_consumer", {**CONSUMER, **changed})
        for message, changed in (
            ("ssrc: must be 1..=4294967295", {"ssrc": 0}),
            ("ssrc: must be 1..=4294967295", {"ssrc": 2**32}),
            ("rtx_ssrc: must be 1..=4294967295", {"rtx_ssrc": -1}),
            ("rtx_ssrc: must differ from ssrc", {"rtx_ssrc": 7}),
            ("codecs: must have 1..=32 entries", {"codecs": []}),
            ("cname: must be 1..=255 printable ASCII characters", {"cname": ""}),
            ("cname: must be 1..=255 printable ASCII characters", {"cname": "a" * 256}),
            ("cname: must be 1..=255 printable ASCII characters", {"cname": "a\n"}),
        )
    ],
]


@pytest.mark.parametrize(("message", "command", "arguments"), MALFORMED)
def test_malformed_argument_is_refused_by_name_and_rule(
    engine: Engine, message: str, command: str, arguments: dict[str, object]
) -> None:
    with pytest.raises(ParameterError) as caught:
        getattr(engine, command)(**arguments)
    assert str(caught.value) == message
    # Nothing was sent: the next command's answer is the first event.
    engine.close_transport(transport=404)
    assert len(wait_for(engine, failed(404))) == 1


def test_unusable_fingerprints_are_passed_over_and_colons_are_optional(engine: Engine) -> None:
    engine.create_room(room=1)
    engine.create_transport(
        **{  # type: ignore[arg-type]
            **TRANSPORT,
            "remote_fingerprints": [("md5", "whatever"), ("SHA-256", SHA256.replace(":", ""))],
        },
    )
    engine.close_transport(transport=404)
    seen = wait_for(engine, failed(404))
    assert not [event for event in seen if failed(10)(event)]


def test_arguments_are_keyword_only(engine: Engine) -> None:
    with pytest.raises(TypeError):
        engine.create_room(1)  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="room"):
        engine.create_room(room="1")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="codecs"):
        engine.add_producer(**{**PRODUCER, "codecs": ["vp8"]})  # type: ignore[arg-type]


def wait_snapshot(engine: Engine, wanted: Callable[[Snapshot], bool]) -> Snapshot:
    pause = threading.Event()
    deadline = time.monotonic() + PATIENCE_S
    while not wanted(snapshot := engine.snapshot()):
        assert time.monotonic() < deadline
        pause.wait(0.02)
    return snapshot


def test_snapshot_shows_counters_transports_producers_and_consumers(engine: Engine) -> None:
    engine.create_room(room=1)
    engine.create_transport(**TRANSPORT)  # type: ignore[arg-type]
    engine.create_transport(
        **{**TRANSPORT, "transport": 11, "local_ufrag": "ufrb"},  # type: ignore[arg-type]
    )
    engine.add_producer(**PRODUCER)  # type: ignore[arg-type]
    engine.add_consumer(**{**CONSUMER, "transport": 11})  # type: ignore[arg-type]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.sendto(b"\x05garbage", ("127.0.0.1", engine.port))
    snapshot = wait_snapshot(
        engine, lambda now: bool(now.consumers) and now.counters.dropped["malformed"] == 1
    )
    assert snapshot.rooms == 1
    assert 0 <= snapshot.load <= 1
    assert tuple(snapshot.counters.dropped) == _media.DROP_REASONS
    buckets = snapshot.counters.forward_delay_buckets
    assert len(buckets) == len(_media.FORWARD_DELAY_BOUNDS_S) + 1
    assert snapshot.counters.rtp_packets_in == (0, 0)
    assert snapshot.counters.events_dropped == snapshot.counters.commands_rejected == 0
    first, second = sorted(snapshot.transports, key=lambda stats: stats.transport)
    assert (first.transport, first.room, first.state, first.rtt_s) == (10, 1, "new", None)
    assert second.memory_bytes > 0
    (producer,) = snapshot.producers
    assert (producer.producer, producer.transport, producer.kind) == (20, 10, "video")
    (consumer,) = snapshot.consumers
    assert (consumer.consumer, consumer.transport, consumer.producer) == (30, 11, 20)
    assert consumer.loss_ratio is None
    # A packet never seen is not lost.
    assert snapshot.connection(10) == snapshot.connection(11) == (None, None, None)
    assert snapshot.connection(12) is None
    for find, number, name in [
        (snapshot.transport, 11, "transport"),
        (snapshot.producer, 20, "producer"),
        (snapshot.consumer, 30, "consumer"),
    ]:
        found = find(number)
        assert found is not None
        assert getattr(found, name) == number
        assert find(number + 100) is None
    assert snapshot.transports is snapshot.transports


def test_close_is_idempotent_frees_the_port_and_keeps_the_descriptor(engine: Engine) -> None:
    engine.create_room(room=1)
    engine.create_transport(**TRANSPORT)  # type: ignore[arg-type]
    engine.close()
    engine.close()
    with pytest.raises(EngineClosedError):
        engine.create_room(room=2)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as again:
        again.bind(("127.0.0.1", engine.port))
    assert readable(engine)
    states = [
        event.state
        for event in engine.drain_events()
        if isinstance(event, Event.TransportStateChanged)
    ]
    assert states[-1] == "closed"
    assert engine.snapshot().transports == []


@pytest.fixture
def starved_engine(certificate: Certificate) -> Iterator[Engine]:
    """Its thread only runs while the test's thread waits: same CPU, idle priority."""
    engine = Engine(certificate=certificate, listen=["127.0.0.1:0"], name="starved")
    engine.close_transport(transport=403)
    wait_for(engine, failed(403))  # by now the thread has its name
    (thread,) = (
        int(task.name)
        for task in Path("/proc/self/task").iterdir()
        if (task / "comm").read_text().strip() == "starved"
    )
    cpus = os.sched_getaffinity(0)
    one_cpu = {min(cpus)}
    os.sched_setscheduler(thread, os.SCHED_IDLE, os.sched_param(0))
    os.sched_setaffinity(thread, one_cpu)
    os.sched_setaffinity(0, one_cpu)
    yield engine
    os.sched_setaffinity(0, cpus)
    engine.close()


def test_full_command_queue_is_busy_counted_and_recovers(starved_engine: Engine) -> None:
    engine = starved_engine
    accepted = 0
    with pytest.raises(EngineBusyError, match="queue is full"):  # noqa: PT012
        for _ in range(100_000):
            engine.set_producer_paused(producer=404, paused=True)
            accepted += 1
    assert accepted >= 4096
    assert engine.snapshot().counters.commands_rejected == 1
    # Let the thread run: nothing of what was accepted is lost.
    failures = 0
    while failures < accepted:
        assert readable(engine)
        failures += len(engine.drain_events())
    engine.close_transport(transport=405)
    wait_for(engine, failed(405))


def test_undrained_events_are_dropped_counted_and_reported(certificate: Certificate) -> None:
    engine = Engine(certificate=certificate, listen=["127.0.0.1:0"], event_queue=16)
    for transport in range(100):
        engine.close_transport(transport=transport)
    wait_snapshot(engine, lambda now: now.counters.events_dropped == 84)
    assert len(engine.drain_events()) == 16
    assert readable(engine)
    assert engine.drain_events() == [Event.EventsDropped(84)]
    engine.close()


def test_injected_panic_needs_fault_injection(certificate: Certificate) -> None:
    engine = Engine(certificate=certificate, listen=["127.0.0.1:0"])
    with pytest.raises(EngineConfigError, match="fault_injection"):
        engine.inject_panic(room=1)
    engine.close()


def test_engine_may_be_used_and_closed_from_other_threads(engine: Engine) -> None:
    def use(first: int) -> None:
        for transport in range(first, first + 100):
            engine.close_transport(transport=transport)

    threads = [threading.Thread(target=use, args=(first,)) for first in (0, 100, 200, 300)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    closing = threading.Thread(target=engine.close)
    closing.start()
    engine.close()
    closing.join()
    events = engine.drain_events()
    failures = {event.id for event in events if isinstance(event, Event.CommandFailed)}
    assert failures == set(range(400))


def test_a_tap_needs_an_open_socket_and_a_sane_layer(engine: Engine) -> None:
    with pytest.raises(ParameterError, match="socket: "):
        engine.set_tap_reader(socket=1_000_000)
    with pytest.raises(ParameterError, match=r"spatial: must be 0\.\.=255"):
        engine.set_tap(producer=1, tap=1, spatial=256)
    near, far = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with near, far:
        engine.set_tap_reader(socket=far.fileno())
        engine.set_tap_reader(socket=None)
        far.close()
        assert near.recv(1) == b"", "the engine holds no copy any more"
    assert engine.snapshot().tap.dropped == {"ring_full": 0, "stalled": 0, "no_reader": 0}
