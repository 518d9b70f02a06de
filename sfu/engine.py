"""The part of ``sfu._media.Engine`` this package uses."""
# ruff: noqa: D102, PLR0913 (described in _media.pyi, whose signatures these are)

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from sfu._media import CodecParameters, EncodingParameters, Event, Snapshot

__all__ = ["EngineLike"]


class EngineLike(Protocol):
    """The part of ``sfu._media.Engine`` that this package uses; see there for the semantics.

    An engine that isn't native brings its own parameter and error classes, by the names they
    have in ``sfu._media``, in an attribute ``plane_types``.
    """

    @property
    def port(self) -> int: ...
    @property
    def tcp_port(self) -> int | None: ...
    @property
    def local_addresses(self) -> list[str]: ...
    def fileno(self) -> int: ...
    def drain_events(self) -> "list[Event]": ...
    def snapshot(self) -> "Snapshot": ...
    def create_room(self, *, room: int) -> None: ...
    def close_room(self, *, room: int) -> None: ...
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
    ) -> None: ...
    def restart_ice(
        self,
        *,
        transport: int,
        local_ufrag: str,
        local_password: str,
        remote_ufrag: str,
        remote_password: str,
    ) -> None: ...
    def set_extensions(self, *, transport: int, extensions: Mapping[str, int]) -> None: ...
    def close_transport(self, *, transport: int) -> None: ...
    def add_producer(
        self,
        *,
        transport: int,
        producer: int,
        kind: str,
        mid: str,
        codecs: "Sequence[CodecParameters]",
        encodings: "Sequence[EncodingParameters]",
        nack: bool,
    ) -> None: ...
    def update_producer(
        self,
        *,
        producer: int,
        kind: str,
        mid: str,
        codecs: "Sequence[CodecParameters]",
        encodings: "Sequence[EncodingParameters]",
        nack: bool,
    ) -> None: ...
    def remove_producer(self, *, producer: int) -> None: ...
    def set_producer_paused(self, *, producer: int, paused: bool) -> None: ...
    def request_keyframe(self, *, producer: int) -> None: ...
    def add_consumer(
        self,
        *,
        transport: int,
        consumer: int,
        producer: int,
        mid: str,
        ssrc: int,
        rtx_ssrc: int | None,
        codecs: "Sequence[CodecParameters]",
        nack: bool,
        cname: str,
        paused: bool = False,
    ) -> None: ...
    def update_consumer(
        self,
        *,
        consumer: int,
        mid: str,
        ssrc: int,
        rtx_ssrc: int | None,
        codecs: "Sequence[CodecParameters]",
        nack: bool,
        cname: str,
        paused: bool = False,
    ) -> None: ...
    def set_consumer_source(self, *, consumer: int, producer: int) -> None: ...
    def set_consumer_layers(
        self, *, consumer: int, spatial: int | None, temporal: int, priority: int
    ) -> None: ...
    def remove_consumer(self, *, consumer: int) -> None: ...
    def open_capture(
        self,
        *,
        capture: int,
        directory: "str | PathLike[str]",
        name: str,
        description: str,
        about: str,
        zero_ns: int,
        wall_us: int,
        first_segment: int,
    ) -> None: ...
    def set_capture(self, *, producer: int, capture: int | None) -> None: ...
    def pause_capture(self, *, producer: int, paused: bool) -> None: ...
    def set_tap_reader(self, *, socket: int | None) -> None: ...
    def set_tap(
        self,
        *,
        producer: int,
        tap: int | None,
        spatial: int = 0,
        temporal: int = 0,
        zero_ns: int = 0,
    ) -> None: ...
    def close_capture(self, *, capture: int) -> None: ...
