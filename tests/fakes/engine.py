"""Stands in for ``sfu._media``: records commands, checks identifiers, emits events on demand.

Commands have the signatures of ``sfu/_media.pyi``; ``tests/sfu/test_fake_engine.py`` compares.
A command the real engine would answer with ``Event.CommandFailed`` (an identifier unknown or in
use) fails the test at once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from os import PathLike
from types import SimpleNamespace
from typing import Any


class MediaError(Exception):
    """Root, as in the plane."""


class EngineBusyError(MediaError):
    """The command queue is full."""


class EngineClosedError(MediaError):
    """The engine is gone."""


class ParameterError(MediaError, ValueError):
    """Malformed argument."""


@dataclass(frozen=True, kw_only=True)
class CodecParameters:
    """One payload type."""

    codec: str
    payload_type: int
    clock_rate_hz: int
    rtx_payload_type: int | None = None
    red_payload_type: int | None = None
    variant: str = ""


@dataclass(frozen=True, kw_only=True)
class EncodingParameters:
    """One stream."""

    rid: str | None = None
    ssrc: int | None = None
    rtx_ssrc: int | None = None


class Event:
    """The plane's events, with constructors."""

    @dataclass(frozen=True)
    class TransportStateChanged:
        transport: int
        state: str
        reason: str = "none"

    @dataclass(frozen=True)
    class TransportSecured:
        transport: int
        dtls_version: str = "1.3"
        profile: str = "aead_aes_128_gcm"

    @dataclass(frozen=True)
    class TransportMoved:
        transport: int
        remote: str = "192.0.2.77:4000"

    @dataclass(frozen=True)
    class ProducerStarted:
        producer: int
        codec: str

    @dataclass(frozen=True)
    class ConsumerStarted:
        consumer: int

    @dataclass(frozen=True)
    class ProducerDemand:
        producer: int
        encodings: list[bool]

    @dataclass(frozen=True)
    class ConsumerLayersChanged:
        consumer: int
        current: tuple[int, int] | None
        target: tuple[int, int] | None
        reason: str = "wish"

    @dataclass(frozen=True)
    class AudioProtection:
        producer: int
        offsets: list[int]
        bitrate_bps: int | None = None

    @dataclass(frozen=True)
    class UplinkFloor:
        transport: int
        bitrate_bps: int | None = None

    @dataclass(frozen=True)
    class PlayoutDelay:
        consumer: int
        delay_ms: int

    @dataclass(frozen=True)
    class AudioLevels:
        room: int
        levels: list[tuple[int, int]]

    @dataclass(frozen=True)
    class ActiveSpeaker:
        room: int
        producer: int | None

    @dataclass(frozen=True)
    class RoomPanicked:
        room: int
        message: str = "boom"

    @dataclass(frozen=True)
    class CommandFailed:
        command: str
        id: int
        message: str = "unknown"

    @dataclass(frozen=True)
    class EventsDropped:
        count: int

    @dataclass(frozen=True)
    class CaptureOpened:
        capture: int
        at_us: int = 0

    @dataclass(frozen=True)
    class CaptureSegmentClosed:
        capture: int
        number: int = 1
        file: str = "000001.pcapng"
        bytes: int = 1_000
        packets: int = 10
        from_us: int = 0
        to_us: int = 10_000_000
        sha256: str = "00" * 32
        sm3: str = "11" * 32

    @dataclass(frozen=True)
    class CaptureGap:
        capture: int
        from_us: int
        to_us: int
        cause: str = "network"
        packets: int | None = None
        encoding: int | None = None

    @dataclass(frozen=True)
    class CaptureFailed:
        capture: int
        cause: str = "disk_full"
        message: str = "no space left on device"

    @dataclass(frozen=True)
    class CaptureRestored:
        capture: int

    @dataclass(frozen=True)
    class CaptureClosed:
        capture: int
        at_us: int = 0

    @dataclass(frozen=True)
    class EngineFailed:
        message: str = "gone"


PLANE_TYPES = SimpleNamespace(
    CodecParameters=CodecParameters,
    EncodingParameters=EncodingParameters,
    EngineBusyError=EngineBusyError,
    EngineClosedError=EngineClosedError,
    ParameterError=ParameterError,
)


@dataclass
class FakeTransport:
    """An association."""

    room: int
    arguments: dict[str, Any]
    extensions: dict[str, int] = field(default_factory=dict)


@dataclass
class FakeProducer:
    """A receive side."""

    transport: int
    arguments: dict[str, Any]
    paused: bool = False
    capture: int | None = None
    tap: int | None = None


@dataclass
class FakeConsumer:
    """A send side; ``producer`` is ``None`` where the source is gone."""

    transport: int
    producer: int | None
    arguments: dict[str, Any]
    layers: dict[str, Any] | None = None


class FakeEngine:
    """An engine without packets.

    Attributes:
        commands: ``(name, arguments)`` in order.
        rooms, transports, producers, consumers: what exists now.
        busy: refuse all commands, as with a full queue.
        closed: refuse all commands, as after the thread ended.
        load: of the snapshot.
        stats: lists of the snapshot: transports, producers, consumers.
    """

    plane_types = PLANE_TYPES

    def __init__(
        self,
        *,
        addresses: Sequence[str] = ("192.0.2.10:3478", "[2001:db8::10]:3478"),
        tcp_port: int | None = None,
    ) -> None:
        self._tcp_port = tcp_port
        self.commands: list[tuple[str, dict[str, Any]]] = []
        self.rooms: set[int] = set()
        self.transports: dict[int, FakeTransport] = {}
        self.producers: dict[int, FakeProducer] = {}
        self.consumers: dict[int, FakeConsumer] = {}
        self.captures: set[int] = set()
        self.tap_reader: int | None = None
        self.busy = False
        self.closed = False
        self.refuse: set[str] = set()
        self.load = 0.0
        self.stats = SimpleNamespace(transports=[], producers=[], consumers=[])
        self._addresses = list(addresses)
        self._events: list[Any] = []
        self._used: set[int] = set()

    @property
    def port(self) -> int:
        return int(self._addresses[0].rpartition(":")[2])

    @property
    def tcp_port(self) -> int | None:
        return self._tcp_port

    @property
    def local_addresses(self) -> list[str]:
        return list(self._addresses)

    @property
    def scheduling(self) -> str | None:
        return "usual"

    @property
    def socket_buffers(self) -> tuple[int, int]:
        return (1 << 20, 1 << 20)

    def fileno(self) -> int:
        return -1

    def drain_events(self) -> list[Any]:
        events, self._events = self._events, []
        return events

    def snapshot(self) -> Any:
        transports = {item.transport: item for item in self.stats.transports}
        producers = {item.producer: item for item in self.stats.producers}
        consumers = {item.consumer: item for item in self.stats.consumers}
        return SimpleNamespace(
            counters=SimpleNamespace(),
            rooms=len(self.rooms),
            load=self.load,
            transports=list(transports.values()),
            producers=list(producers.values()),
            consumers=list(consumers.values()),
            transport=transports.get,
            producer=producers.get,
            consumer=consumers.get,
            connection=self._connection,
        )

    def _connection(self, transport: int) -> Any:
        own = [item for item in self.stats.transports if item.transport == transport]
        up = [
            item.loss_ratio
            for item in self.stats.producers
            if item.transport == transport and item.packets
        ]
        down = [
            item.loss_ratio
            for item in self.stats.consumers
            if item.transport == transport and item.loss_ratio is not None
        ]
        if not own:
            return None
        return max(up, default=None), max(down, default=None), own[0].rtt_s

    def emit(self, *events: object) -> None:
        """Queues events for the next ``drain_events``."""
        self._events += events

    def names(self) -> list[str]:
        """Names of the commands so far."""
        return [name for name, _ in self.commands]

    def take(self) -> list[tuple[str, dict[str, Any]]]:
        """The commands since the last call."""
        taken, self.commands = self.commands, []
        return taken

    def panic(self, room: int) -> None:
        """Ends a room as a panic does, and reports it."""
        self._drop_room(room)
        self.emit(Event.RoomPanicked(room))

    @property
    def empty(self) -> bool:
        """Whether nothing exists."""
        return not (self.rooms or self.transports or self.producers or self.consumers)

    def create_room(self, *, room: int) -> None:
        self._record("create_room", room=room)
        self._claim(room)
        self.rooms.add(room)

    def close_room(self, *, room: int) -> None:
        self._record("close_room", room=room)
        assert room in self.rooms
        self._drop_room(room)

    def create_transport(
        self,
        *,
        room: int,
        transport: int,
        local_ufrag: str,
        local_password: str,
        remote_ufrag: str,
        remote_password: str,
        remote_fingerprints: Sequence[tuple[str, str]],
        dtls_role: str,
    ) -> None:
        arguments = {
            "local_ufrag": local_ufrag,
            "local_password": local_password,
            "remote_ufrag": remote_ufrag,
            "remote_password": remote_password,
            "remote_fingerprints": list(remote_fingerprints),
            "dtls_role": dtls_role,
        }
        self._record("create_transport", room=room, transport=transport, **arguments)
        assert room in self.rooms
        assert dtls_role in ("server", "client", "aead_client")
        assert remote_fingerprints
        assert all(other.arguments["local_ufrag"] != local_ufrag for other in self._transports())
        self._claim(transport)
        self.transports[transport] = FakeTransport(room, arguments)

    def restart_ice(
        self,
        *,
        transport: int,
        local_ufrag: str,
        local_password: str,
        remote_ufrag: str,
        remote_password: str,
    ) -> None:
        arguments = {
            "local_ufrag": local_ufrag,
            "local_password": local_password,
            "remote_ufrag": remote_ufrag,
            "remote_password": remote_password,
        }
        self._record("restart_ice", transport=transport, **arguments)
        self.transports[transport].arguments.update(arguments)

    def set_extensions(self, *, transport: int, extensions: Mapping[str, int]) -> None:
        self._record("set_extensions", transport=transport, extensions=dict(extensions))
        assert len(set(extensions.values())) == len(extensions)
        self.transports[transport].extensions = dict(extensions)

    def close_transport(self, *, transport: int) -> None:
        self._record("close_transport", transport=transport)
        assert transport in self.transports
        self._drop_transport(transport)

    def add_producer(
        self,
        *,
        transport: int,
        producer: int,
        kind: str,
        mid: str,
        codecs: Sequence[Any],
        encodings: Sequence[Any],
        nack: bool,
    ) -> None:
        arguments = {
            "kind": kind,
            "mid": mid,
            "codecs": list(codecs),
            "encodings": list(encodings),
            "nack": nack,
        }
        self._record("add_producer", transport=transport, producer=producer, **arguments)
        assert transport in self.transports
        self._check_producer(transport, None, arguments)
        self._claim(producer)
        self.producers[producer] = FakeProducer(transport, arguments)

    def update_producer(
        self,
        *,
        producer: int,
        kind: str,
        mid: str,
        codecs: Sequence[Any],
        encodings: Sequence[Any],
        nack: bool,
    ) -> None:
        arguments = {
            "kind": kind,
            "mid": mid,
            "codecs": list(codecs),
            "encodings": list(encodings),
            "nack": nack,
        }
        self._record("update_producer", producer=producer, **arguments)
        self._check_producer(self.producers[producer].transport, producer, arguments)
        self.producers[producer].arguments = arguments

    def remove_producer(self, *, producer: int) -> None:
        self._record("remove_producer", producer=producer)
        assert producer in self.producers
        self._drop_producer(producer)

    def set_producer_paused(self, *, producer: int, paused: bool) -> None:
        self._record("set_producer_paused", producer=producer, paused=paused)
        self.producers[producer].paused = paused

    def request_keyframe(self, *, producer: int) -> None:
        self._record("request_keyframe", producer=producer)
        assert self.producers[producer].arguments["kind"] == "video"

    def add_consumer(
        self,
        *,
        transport: int,
        consumer: int,
        producer: int,
        mid: str,
        ssrc: int,
        rtx_ssrc: int | None,
        codecs: Sequence[Any],
        nack: bool,
        cname: str,
        paused: bool = False,
    ) -> None:
        arguments = {
            "mid": mid,
            "ssrc": ssrc,
            "rtx_ssrc": rtx_ssrc,
            "codecs": list(codecs),
            "nack": nack,
            "cname": cname,
            "paused": paused,
        }
        self._record(
            "add_consumer",
            transport=transport,
            consumer=consumer,
            producer=producer,
            **arguments,
        )
        assert self._room_of_producer(producer) == self.transports[transport].room
        self._check_consumer(transport, None, arguments)
        self._claim(consumer)
        self.consumers[consumer] = FakeConsumer(transport, producer, arguments)

    def update_consumer(
        self,
        *,
        consumer: int,
        mid: str,
        ssrc: int,
        rtx_ssrc: int | None,
        codecs: Sequence[Any],
        nack: bool,
        cname: str,
        paused: bool = False,
    ) -> None:
        arguments = {
            "mid": mid,
            "ssrc": ssrc,
            "rtx_ssrc": rtx_ssrc,
            "codecs": list(codecs),
            "nack": nack,
            "cname": cname,
            "paused": paused,
        }
        self._record("update_consumer", consumer=consumer, **arguments)
        self._check_consumer(self.consumers[consumer].transport, consumer, arguments)
        self.consumers[consumer].arguments = arguments

    def set_consumer_source(self, *, consumer: int, producer: int) -> None:
        self._record("set_consumer_source", consumer=consumer, producer=producer)
        room = self.transports[self.consumers[consumer].transport].room
        assert self._room_of_producer(producer) == room
        self.consumers[consumer].producer = producer

    def set_consumer_paused(self, *, consumer: int, paused: bool) -> None:
        self._record("set_consumer_paused", consumer=consumer, paused=paused)
        self.consumers[consumer].arguments["paused"] = paused

    def set_consumer_layers(
        self, *, consumer: int, spatial: int | None, temporal: int, priority: int
    ) -> None:
        layers = {"spatial": spatial, "temporal": temporal, "priority": priority}
        self._record("set_consumer_layers", consumer=consumer, **layers)
        item = self.consumers[consumer]
        if item.producer is not None:
            assert self.producers[item.producer].arguments["kind"] == "video"
        item.layers = layers

    def open_capture(
        self,
        *,
        capture: int,
        directory: str | PathLike[str],
        name: str,
        description: str,
        about: str,
        zero_ns: int,
        wall_us: int,
        first_segment: int,
    ) -> None:
        self._record(
            "open_capture",
            capture=capture,
            directory=directory,
            name=name,
            description=description,
            about=about,
            zero_ns=zero_ns,
            wall_us=wall_us,
            first_segment=first_segment,
        )
        self._claim(capture)
        self.captures.add(capture)

    def set_capture(self, *, producer: int, capture: int | None) -> None:
        self._record("set_capture", producer=producer, capture=capture)
        assert producer in self.producers
        assert capture is None or capture in self.captures
        self.producers[producer].capture = capture

    def pause_capture(self, *, producer: int, paused: bool) -> None:
        self._record("pause_capture", producer=producer, paused=paused)
        assert self.producers[producer].capture is not None

    def set_tap_reader(self, *, socket: int | None) -> None:
        self.tap_reader = socket

    def set_tap(
        self,
        *,
        producer: int,
        tap: int | None,
        spatial: int = 0,
        temporal: int = 0,
        zero_ns: int = 0,
    ) -> None:
        layers = {"spatial": spatial, "temporal": temporal, "zero_ns": zero_ns}
        self._record("set_tap", producer=producer, tap=tap, **layers)
        assert producer in self.producers
        self.producers[producer].tap = tap

    def close_capture(self, *, capture: int) -> None:
        self._record("close_capture", capture=capture)
        self.captures.remove(capture)

    def remove_consumer(self, *, consumer: int) -> None:
        self._record("remove_consumer", consumer=consumer)
        del self.consumers[consumer]

    def inject_panic(self, *, room: int) -> None:
        self._record("inject_panic", room=room)
        self.panic(room)

    def close(self) -> None:
        self.closed = True

    def _record(self, command: str, **arguments: Any) -> None:
        if self.closed:
            raise EngineClosedError
        if self.busy:
            raise EngineBusyError
        if command in self.refuse:
            raise ParameterError(command)
        self.commands.append((command, arguments))

    def _claim(self, identifier: int) -> None:
        assert identifier not in self._used, "an identifier was used twice"
        self._used.add(identifier)

    def _transports(self) -> list[FakeTransport]:
        return list(self.transports.values())

    def _room_of_producer(self, producer: int) -> int:
        return self.transports[self.producers[producer].transport].room

    def _check_producer(
        self, transport: int, producer: int | None, arguments: dict[str, Any]
    ) -> None:
        others = [
            item.arguments
            for number, item in self.producers.items()
            if item.transport == transport and number != producer
        ]
        assert arguments["codecs"]
        assert arguments["encodings"]
        assert arguments["mid"] not in [item["mid"] for item in others]

    def _check_consumer(
        self, transport: int, consumer: int | None, arguments: dict[str, Any]
    ) -> None:
        others = [
            item.arguments
            for number, item in self.consumers.items()
            if item.transport == transport and number != consumer
        ]
        assert arguments["codecs"]
        assert arguments["mid"] not in [item["mid"] for item in others]
        taken = {item[key] for item in others for key in ("ssrc", "rtx_ssrc")} - {None}
        assert arguments["ssrc"] not in taken
        assert arguments["rtx_ssrc"] not in taken
        assert arguments["ssrc"] != arguments["rtx_ssrc"]

    def _drop_producer(self, producer: int) -> None:
        del self.producers[producer]
        for consumer in self.consumers.values():
            if consumer.producer == producer:
                consumer.producer = None

    def _drop_transport(self, transport: int) -> None:
        del self.transports[transport]
        for consumer in [k for k, v in self.consumers.items() if v.transport == transport]:
            del self.consumers[consumer]
        for producer in [k for k, v in self.producers.items() if v.transport == transport]:
            self._drop_producer(producer)

    def _drop_room(self, room: int) -> None:
        for transport in [k for k, v in self.transports.items() if v.room == room]:
            self._drop_transport(transport)
        self.rooms.discard(room)
