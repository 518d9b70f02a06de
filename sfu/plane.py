"""The border to the media plane: one port per engine."""
# ruff: noqa: D102 (the port's commands are those of _media.pyi)

import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sfu.codecs import Format
from sfu.engine import EngineLike
from sfu.errors import EngineUnavailableError
from sfu.model import Kind

if TYPE_CHECKING:
    from sfu._media import CodecParameters, Snapshot
    from sfu.capture import CaptureFiles
    from sfu.tap import TapWish

__all__ = ["ConsumerSettings", "EnginePort", "Ice", "ProducerSettings"]

log = logging.getLogger(__name__)

MAX_BACKLOG = 20_000
"""Commands kept while an engine's queue is full; with more, the engine counts as failed."""

STATISTICS_AGE_S = 0.5
"""Age from which a snapshot is read again."""


def _types_of(engine: EngineLike) -> Any:
    own = getattr(engine, "plane_types", None)
    if own is not None:
        return own
    # Imported late, so that everything but a real engine works without the compiled module.
    from sfu import _media

    return _media


@dataclass(frozen=True, slots=True)
class Ice:
    """ICE credentials of one side (RFC 8839, section 5.4)."""

    ufrag: str
    password: str


@dataclass(frozen=True, slots=True)
class ProducerSettings:
    """How a track arrives.

    Attributes:
        formats: what its payload types mean.
        ssrcs: ``(ssrc, rtx_ssrc)`` where the offer names them.
        rids: of its simulcast streams, the smallest picture first; empty without simulcast.
        nack: ask for what is missing.
    """

    kind: Kind
    mid: str
    formats: tuple[Format, ...]
    ssrcs: tuple[int | None, int | None]
    rids: tuple[str, ...]
    nack: bool


@dataclass(frozen=True, slots=True)
class ConsumerSettings:
    """How a track is sent to one subscriber."""

    mid: str
    ssrc: int
    rtx_ssrc: int | None
    formats: tuple[Format, ...]
    nack: bool
    cname: str


@dataclass(slots=True)
class PortCounters:
    """What a port went through since it was made."""

    commands: int = 0
    deferred: int = 0
    refused: int = 0
    failed: int = 0
    events_lost: int = 0


@dataclass(slots=True, eq=False)
class EnginePort:
    """Commands to one engine, in order.

    While the engine's command queue is full, commands wait here, so that a half-carried-out
    negotiation can't happen. Commands to a failed engine are dropped: its rooms are about to
    close.
    """

    engine: EngineLike
    index: int
    addresses: Sequence[tuple[str, int]] = ()
    clock: Callable[[], float] = time.monotonic
    max_backlog: int = MAX_BACKLOG
    failed: bool = False
    counters: PortCounters = field(default_factory=PortCounters)
    tcp_addresses: Sequence[tuple[str, int]] = ()
    _backlog: deque[tuple[str, dict[str, Any]]] = field(default_factory=deque)
    _statistics: "Snapshot | None" = None
    _statistics_at_s: float = 0.0
    _types: Any = None

    def __post_init__(self) -> None:
        self._types = _types_of(self.engine)

    @property
    def backlog(self) -> int:
        """Commands waiting for room in the engine's queue."""
        return len(self._backlog)

    def detached(self) -> "EnginePort":
        """A port that drops every command: for what the plane no longer holds."""
        return EnginePort(self.engine, self.index, self.addresses, self.clock, failed=True)

    def flush(self) -> None:
        """Sends what had to wait, as far as the engine takes it."""
        while self._backlog and not self.failed:
            command, arguments = self._backlog[0]
            if not self._try(command, arguments):
                return
            self._backlog.popleft()

    def fail(self) -> None:
        """Marks the engine dead."""
        self.failed = True
        self._backlog.clear()

    def statistics(self) -> "Snapshot":
        """The engine's snapshot, at most ``STATISTICS_AGE_S`` older than the engine's own."""
        now_s = self.clock()
        if self._statistics is None or now_s - self._statistics_at_s >= STATISTICS_AGE_S:
            self._statistics = self.engine.snapshot()
            self._statistics_at_s = now_s
        return self._statistics

    def create_room(self, room: int) -> None:
        self._send("create_room", room=room)

    def close_room(self, room: int) -> None:
        self._send("close_room", room=room)

    def create_transport(
        self,
        room: int,
        transport: int,
        *,
        local: Ice,
        remote: Ice,
        fingerprints: Sequence[tuple[str, str]],
        dtls_role: str,
    ) -> None:
        self._send(
            "create_transport",
            room=room,
            transport=transport,
            local_ufrag=local.ufrag,
            local_password=local.password,
            remote_ufrag=remote.ufrag,
            remote_password=remote.password,
            remote_fingerprints=list(fingerprints),
            dtls_role=dtls_role,
        )

    def restart_ice(self, transport: int, *, local: Ice, remote: Ice) -> None:
        self._send(
            "restart_ice",
            transport=transport,
            local_ufrag=local.ufrag,
            local_password=local.password,
            remote_ufrag=remote.ufrag,
            remote_password=remote.password,
        )

    def set_extensions(self, transport: int, extensions: Mapping[str, int]) -> None:
        self._send("set_extensions", transport=transport, extensions=dict(extensions))

    def close_transport(self, transport: int) -> None:
        self._send("close_transport", transport=transport)

    def add_producer(self, transport: int, producer: int, settings: ProducerSettings) -> None:
        self._send(
            "add_producer",
            transport=transport,
            producer=producer,
            **self._producer_arguments(settings),
        )

    def update_producer(self, producer: int, settings: ProducerSettings) -> None:
        self._send("update_producer", producer=producer, **self._producer_arguments(settings))

    def remove_producer(self, producer: int) -> None:
        self._send("remove_producer", producer=producer)

    def set_producer_paused(self, producer: int, paused: bool) -> None:
        self._send("set_producer_paused", producer=producer, paused=paused)

    def request_keyframe(self, producer: int) -> None:
        self._send("request_keyframe", producer=producer)

    def add_consumer(
        self, transport: int, consumer: int, producer: int, settings: ConsumerSettings
    ) -> None:
        self._send(
            "add_consumer",
            transport=transport,
            consumer=consumer,
            producer=producer,
            **self._consumer_arguments(settings),
        )

    def update_consumer(self, consumer: int, settings: ConsumerSettings) -> None:
        self._send("update_consumer", consumer=consumer, **self._consumer_arguments(settings))

    def set_consumer_source(self, consumer: int, producer: int) -> None:
        self._send("set_consumer_source", consumer=consumer, producer=producer)

    def set_consumer_layers(
        self, consumer: int, *, spatial: int | None, temporal: int, priority: int
    ) -> None:
        self._send(
            "set_consumer_layers",
            consumer=consumer,
            spatial=spatial,
            temporal=temporal,
            priority=priority,
        )

    def remove_consumer(self, consumer: int) -> None:
        self._send("remove_consumer", consumer=consumer)

    def open_capture(self, capture: int, files: "CaptureFiles") -> None:
        self._send(
            "open_capture",
            capture=capture,
            directory=files.directory,
            name=files.name,
            description=files.description,
            about=files.about,
            zero_ns=files.zero_ns,
            wall_us=files.wall_us,
            first_segment=files.first_segment,
        )

    def set_capture(self, producer: int, capture: int | None) -> None:
        self._send("set_capture", producer=producer, capture=capture)

    def pause_capture(self, producer: int, paused: bool) -> None:
        self._send("pause_capture", producer=producer, paused=paused)

    def set_tap(self, producer: int, tap: "TapWish | None") -> None:
        """Taps a producer, changes what is tapped of it, or ends that."""
        if tap is None:
            self._send("set_tap", producer=producer, tap=None, spatial=0, temporal=0, zero_ns=0)
            return
        self._send(
            "set_tap",
            producer=producer,
            tap=tap.tap,
            spatial=tap.spatial,
            temporal=tap.temporal,
            zero_ns=tap.zero_ns,
        )

    def close_capture(self, capture: int) -> None:
        self._send("close_capture", capture=capture)

    def _producer_arguments(self, settings: ProducerSettings) -> dict[str, Any]:
        make = self._types.EncodingParameters
        ssrc, rtx_ssrc = settings.ssrcs
        encodings = [make(rid=rid) for rid in settings.rids]
        return {
            "kind": settings.kind.value,
            "mid": settings.mid,
            "codecs": self._codecs(settings.formats),
            "encodings": encodings or [make(ssrc=ssrc, rtx_ssrc=rtx_ssrc)],
            "nack": settings.nack,
        }

    def _consumer_arguments(self, settings: ConsumerSettings) -> dict[str, Any]:
        return {
            "mid": settings.mid,
            "ssrc": settings.ssrc,
            "rtx_ssrc": settings.rtx_ssrc,
            "codecs": self._codecs(settings.formats),
            "nack": settings.nack,
            "cname": settings.cname,
        }

    def _codecs(self, formats: Sequence[Format]) -> "list[CodecParameters]":
        return [
            self._types.CodecParameters(
                codec=item.codec,
                payload_type=item.payload_type,
                clock_rate_hz=item.clock_rate_hz,
                rtx_payload_type=item.rtx_payload_type,
                red_payload_type=item.red_payload_type,
                variant=item.variant,
            )
            for item in formats
        ]

    def _send(self, command: str, **arguments: Any) -> None:
        if self.failed:
            return
        self.counters.commands += 1
        self.flush()
        if not self._backlog and self._try(command, arguments):
            return
        if len(self._backlog) >= self.max_backlog:
            log.error("engine takes no more commands", extra={"engine": self.index})
            self.fail()
            return
        self.counters.deferred += 1
        self._backlog.append((command, arguments))

    def _try(self, command: str, arguments: dict[str, Any]) -> bool:
        """Whether the command is dealt with; ``False``: the engine's queue is full."""
        try:
            getattr(self.engine, command)(**arguments)
        except self._types.EngineBusyError:
            return False
        except self._types.EngineClosedError:
            self.fail()
        except self._types.ParameterError:
            self.counters.refused += 1
            # Without the traceback: its text may quote the client's credentials.
            log.error(  # noqa: TRY400
                "engine refused a command", extra={"engine": self.index, "command": command}
            )
            raise EngineUnavailableError(f"the media plane refused {command}") from None
        return True
