"""The media plane: one :class:`Engine` is one thread with one UDP port (Rust, ``media/py``).

Commands return at once; what becomes of them is reported by events. All ids are integers chosen
by the caller and unique for the life of the process. Watch ``fileno()`` for readability (one
``loop.add_reader``) and call :meth:`Engine.drain_events` then.
"""

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import ClassVar, Literal, Self, final

from typing_extensions import disjoint_base

__all__ = [
    "DROP_REASONS",
    "FORWARD_DELAY_BOUNDS_S",
    "STAGES",
    "CaptureStats",
    "Certificate",
    "CodecParameters",
    "ConsumerStats",
    "Counters",
    "EncodingParameters",
    "EncodingStats",
    "Engine",
    "EngineBusyError",
    "EngineClosedError",
    "EngineConfigError",
    "Event",
    "MediaError",
    "Netem",
    "NetemConfig",
    "NetemCounters",
    "NetemPath",
    "ParameterError",
    "PathReport",
    "ProducerStats",
    "Snapshot",
    "StageStats",
    "Swarm",
    "SwarmReport",
    "TapStats",
    "TcpStats",
    "TransportStats",
]

DROP_REASONS: tuple[str, ...]
"""All values of ``reason`` in the drop counters, in a fixed order."""

FORWARD_DELAY_BOUNDS_S: tuple[float, ...]
"""Upper bounds of the forward-delay histogram; one more bucket counts the rest."""

STAGES: tuple[str, ...]
"""Names of what happens to packets, in the order they pass it; see docs/operations.md."""

class MediaError(Exception):
    """Root of all errors of the plane."""

class EngineConfigError(MediaError):
    """A setting or an address can't be used; the text says which."""

class EngineBusyError(MediaError):
    """The command queue is full: the engine can't keep up."""

class EngineClosedError(MediaError):
    """The engine was closed or its thread died."""

class ParameterError(MediaError, ValueError):
    """A command's argument is malformed; nothing was sent."""

@final
class Certificate:
    """Self-signed ECDSA P-256 certificate for DTLS; one for all engines of a process."""

    def __new__(cls) -> Self: ...
    @property
    def fingerprint(self) -> str:
        """SHA-256 in SDP form, upper-case hex pairs with colons (RFC 8122)."""

@final
class CodecParameters:
    """One payload type of an m-line; ``codec`` is opus, vp8, vp9, h264 or av1.

    Raises:
        ParameterError: an argument is out of range or unknown.
    """

    def __new__(
        cls,
        *,
        codec: str,
        payload_type: int,
        clock_rate_hz: int,
        rtx_payload_type: int | None = None,
        red_payload_type: int | None = None,
        variant: str = "",
    ) -> Self: ...
    @property
    def codec(self) -> str: ...
    @property
    def payload_type(self) -> int: ...
    @property
    def clock_rate_hz(self) -> int: ...
    @property
    def rtx_payload_type(self) -> int | None: ...
    @property
    def red_payload_type(self) -> int | None:
        """Of packets with copies of earlier ones (RFC 2198); only of Opus."""

    @property
    def variant(self) -> str: ...
    def __eq__(self, other: object, /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]

@final
class EncodingParameters:
    """One stream of a track.

    Raises:
        ParameterError: an argument is out of range.
    """

    def __new__(
        cls, *, rid: str | None = None, ssrc: int | None = None, rtx_ssrc: int | None = None
    ) -> Self: ...
    @property
    def rid(self) -> str | None: ...
    @property
    def ssrc(self) -> int | None: ...
    @property
    def rtx_ssrc(self) -> int | None: ...
    def __eq__(self, other: object, /) -> bool: ...
    __hash__: ClassVar[None]  # type: ignore[assignment]

@final
class Engine:
    """One media thread.

    Args:
        certificate: DTLS certificate.
        listen: addresses ``"0.0.0.0:3478"``, ``"[::]:3478"`` (at most one per family); port 0
            lets the kernel choose, the same port for both families.
        name: thread name, at most 15 bytes.
        max_rooms: rooms on this engine.
        max_transports: transports on this engine.
        event_queue: events kept until drained; beyond that they are dropped and counted.
        min_bitrate_bps: every subscriber's link is believed to take this; no more than
            ``max_bitrate_bps``.
        start_bitrate_bps: a subscriber's link is believed to take this until it is probed; no
            more than ``max_bitrate_bps``.
        max_bitrate_bps: no subscriber's link is believed to take more.
        tcp: offer ICE over TCP, for clients whose network has no UDP.
        tcp_port: to listen on at every address of ``listen``; 0 means the one of UDP.
        max_tcp_connections: at a time; one without an authentic check makes room for a newer.
        max_tcp_connections_per_address: the same for one IPv4 address or IPv6 /64.
        fault_injection: allow :meth:`inject_panic`.
        capture_directory: where tracks are recorded; it exists. ``None``: nothing is recorded.
        capture_segment_s: length of a file, 1 to 600.
        capture_buffer_bytes: what a slow disk may leave waiting, 1 MiB to 4 GiB; beyond that
            packets are dropped, counted and declared.
        capture_key: 32 bytes under which the keys of files are wrapped; ``None``: no encryption.
        realtime: ask for the real-time class of threads; without it, or where that is refused, for
            a better niceness and short slices.

    Raises:
        EngineConfigError: an address can't be bound, nothing can be recorded where that is asked
            for, or a value is out of range.
    """

    def __new__(
        cls,
        *,
        certificate: Certificate,
        listen: Sequence[str],
        name: str = "engine",
        max_rooms: int = 1000,
        max_transports: int = 5000,
        event_queue: int = 16384,
        min_bitrate_bps: int = 30_000,
        start_bitrate_bps: int = 1_000_000,
        max_bitrate_bps: int = 30_000_000,
        tcp: bool = False,
        tcp_port: int = 0,
        max_tcp_connections: int = 1000,
        max_tcp_connections_per_address: int = 250,
        fault_injection: bool = False,
        capture_directory: str | PathLike[str] | None = None,
        capture_segment_s: float = 10.0,
        capture_buffer_bytes: int = 67_108_864,
        capture_key: bytes | None = None,
        realtime: bool = False,
    ) -> Self: ...
    @property
    def port(self) -> int: ...
    @property
    def tcp_port(self) -> int | None:
        """The port of ICE over TCP, where that is offered."""

    @property
    def local_addresses(self) -> list[str]:
        """The bound addresses, as ``host:port``."""

    @property
    def scheduling(self) -> Literal["realtime", "nicer", "short_slices", "usual"] | None:
        """What the kernel granted the media thread, best first; ``None`` until it has asked."""

    @property
    def socket_buffers(self) -> tuple[int, int]:
        """``(receive, send)`` buffer granted by the kernel, in bytes of its own accounting.

        8 MiB and 4 MiB are asked for; without ``CAP_NET_ADMIN`` the sysctls
        ``net.core.rmem_max`` and ``net.core.wmem_max`` cap them.
        """

    def fileno(self) -> int:
        """Readable while events wait; stays open after :meth:`close`."""

    def drain_events(self) -> list[Event]: ...
    def snapshot(self) -> Snapshot:
        """The latest snapshot, at most about a second old; never blocks on the media thread."""

    def close(self) -> None:
        """Closes all transports (DTLS close_notify), stops the thread, frees the port. Idempotent.

        Raises:
            MediaError: the thread did not end within 15 s, or the disk does not take what was
                recorded (nothing for 10 s, not all in 60 s): the next start finishes those files.
        """

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
    ) -> None:
        """Adds an association.

        Args:
            remote_fingerprints: ``(algorithm, hex with or without colons)``.
            dtls_role: ours: ``server``, ``client``, or ``aead_client``, which offers AES-128-GCM alone.

        Raises:
            ParameterError: bad credentials or no usable fingerprint.
        """

    def restart_ice(
        self,
        *,
        transport: int,
        local_ufrag: str,
        local_password: str,
        remote_ufrag: str,
        remote_password: str,
    ) -> None: ...
    def set_extensions(self, *, transport: int, extensions: Mapping[str, int]) -> None:
        """Replaces the header extension table.

        Args:
            extensions: name (mid, rid, repaired_rid, audio_level, abs_send_time, transport_cc,
                video_orientation, playout_delay, abs_capture_time, dependency_descriptor) to id.
        """

    def close_transport(self, *, transport: int) -> None: ...
    def add_producer(
        self,
        *,
        transport: int,
        producer: int,
        kind: str,
        mid: str,
        codecs: Sequence[CodecParameters],
        encodings: Sequence[EncodingParameters],
        nack: bool,
    ) -> None: ...
    def update_producer(
        self,
        *,
        producer: int,
        kind: str,
        mid: str,
        codecs: Sequence[CodecParameters],
        encodings: Sequence[EncodingParameters],
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
        codecs: Sequence[CodecParameters],
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
        codecs: Sequence[CodecParameters],
        nack: bool,
        cname: str,
        paused: bool = False,
    ) -> None: ...
    def set_consumer_source(self, *, consumer: int, producer: int) -> None: ...
    def set_consumer_paused(self, *, consumer: int, paused: bool) -> None: ...
    def set_consumer_layers(
        self, *, consumer: int, spatial: int | None, temporal: int, priority: int
    ) -> None:
        """Says what of a video track is of use; everything, first class, until then.

        Args:
            consumer: of a video track.
            spatial: index of the largest encoding of use, 0 is the smallest; ``None``: nothing.
            temporal: highest temporal layer of use, 0..=7.
            priority: class when the link can't carry all, 0 is served first.
        """

    def remove_consumer(self, *, consumer: int) -> None: ...
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
        """Announces a track to be recorded; :meth:`set_capture` then says what brings it.

        Args:
            capture: chosen by the caller; stays the same when another producer brings the track.
            directory: an existing one of its own.
            name: of the interface in the files.
            description: of the same, for people.
            about: JSON, written into every file as a comment.
            zero_ns: ``CLOCK_MONOTONIC`` when the session's clock was zero.
            wall_us: the wall clock then, µs since 1970.
            first_segment: number of the first file.

        Raises:
            EngineConfigError: the engine has no ``capture_directory``.
        """

    def set_capture(self, *, producer: int, capture: int | None) -> None:
        """Records a producer under that name from now on; ``None``: no longer."""

    def set_tap_reader(self, *, socket: int | None) -> None:
        """Where tapped packets go from now on; ``None``: nowhere.

        Args:
            socket: descriptor of a connected ``SOCK_SEQPACKET`` socket, of which a copy is made.
                Engines may share one: each message is a row of whole packets.

        Raises:
            ParameterError: it is not open.
        """

    def set_tap(
        self,
        *,
        producer: int,
        tap: int | None,
        spatial: int = 0,
        temporal: int = 0,
        zero_ns: int = 0,
    ) -> None:
        """Hands a producer's packets to the reader under a name, or no longer (``tap=None``).

        Args:
            tap: chosen by the caller; stays the same when another producer brings the track.
            spatial: index of the encoding that is enough, the smallest picture first.
            temporal: highest temporal layer of use; higher ones are left out where possible.
            zero_ns: ``CLOCK_MONOTONIC`` when the session's clock was zero.
        """

    def pause_capture(self, *, producer: int, paused: bool) -> None:
        """Pauses a producer's recording, or goes on; what is between is a declared gap."""

    def close_capture(self, *, capture: int) -> None:
        """Nothing more is recorded under that name: ``Event.CaptureClosed`` comes last."""

    def inject_panic(self, *, room: int) -> None:
        """Makes the room's next packet panic; only with ``fault_injection``.

        Raises:
            EngineConfigError: ``fault_injection`` is off.
        """

@disjoint_base
class Event:
    """What the plane reports; use with ``match``."""

    @final
    class TransportStateChanged(Event):
        __match_args__ = ("transport", "state", "reason")
        transport: int
        state: str
        """new, connecting, connected, disconnected, failed, closed."""
        reason: str
        """none, command, remote_closed, consent_expired, dtls_failed, dtls_timeout,
        fingerprint_mismatch, no_srtp_profile, room_closed, room_panicked."""
        def __new__(cls, transport: int, state: str, reason: str) -> Self: ...

    @final
    class TransportSecured(Event):
        __match_args__ = ("transport", "dtls_version", "profile")
        transport: int
        dtls_version: str
        """1.2 or 1.3."""
        profile: str
        """aead_aes_128_gcm, aead_aes_256_gcm, aes128_cm_sha1_80."""
        def __new__(cls, transport: int, dtls_version: str, profile: str) -> Self: ...

    @final
    class TransportMoved(Event):
        __match_args__ = ("transport", "remote")
        transport: int
        remote: str
        def __new__(cls, transport: int, remote: str) -> Self: ...

    @final
    class ProducerStarted(Event):
        __match_args__ = ("producer", "codec")
        producer: int
        codec: str
        def __new__(cls, producer: int, codec: str) -> Self: ...

    @final
    class ConsumerStarted(Event):
        __match_args__ = ("consumer",)
        consumer: int
        def __new__(cls, consumer: int) -> Self: ...

    @final
    class ProducerDemand(Event):
        """Which encodings anybody wants, in their order; all of them until this is told."""

        __match_args__ = ("producer", "encodings")
        producer: int
        encodings: list[bool]
        def __new__(cls, producer: int, encodings: list[bool]) -> Self: ...

    @final
    class ConsumerLayersChanged(Event):
        """Layers are ``(spatial, temporal)``; ``None``: nothing is sent."""

        __match_args__ = ("consumer", "current", "target", "reason")
        consumer: int
        current: tuple[int, int] | None
        target: tuple[int, int] | None
        reason: str
        """wish, budget, encoding."""
        def __new__(
            cls,
            consumer: int,
            current: tuple[int, int] | None,
            target: tuple[int, int] | None,
            reason: str,
        ) -> Self: ...

    @final
    class AudioProtection(Event):
        """What the publisher of an audio track should do; nothing until this is told."""

        __match_args__ = ("producer", "offsets", "bitrate_bps")
        producer: int
        offsets: list[int]
        """Each packet should carry copies of the frames so many frames earlier, 1..17, rising."""
        bitrate_bps: int | None
        """Of the encoder; ``None``: as it likes."""
        def __new__(cls, producer: int, offsets: list[int], bitrate_bps: int | None) -> Self: ...

    @final
    class UplinkFloor(Event):
        """The rate a publisher's estimate of its way up shall stay above; none until this is told."""

        __match_args__ = ("transport", "bitrate_bps")
        transport: int
        bitrate_bps: int | None
        """``None``: it may fall."""
        def __new__(cls, transport: int, bitrate_bps: int | None) -> Self: ...

    @final
    class PlayoutDelay(Event):
        """How long a subscriber should hold an audio track back; zero until this is told."""

        __match_args__ = ("consumer", "delay_ms")
        consumer: int
        delay_ms: int
        """Zero: as it likes."""
        def __new__(cls, consumer: int, delay_ms: int) -> Self: ...

    @final
    class AudioLevels(Event):
        __match_args__ = ("room", "levels")
        room: int
        levels: list[tuple[int, int]]
        """``(producer, level)``, 0 (loudest) to 127 (silence) as in RFC 6464."""
        def __new__(cls, room: int, levels: list[tuple[int, int]]) -> Self: ...

    @final
    class ActiveSpeaker(Event):
        __match_args__ = ("room", "producer")
        room: int
        producer: int | None
        def __new__(cls, room: int, producer: int | None) -> Self: ...

    @final
    class RoomPanicked(Event):
        __match_args__ = ("room", "message")
        room: int
        message: str
        def __new__(cls, room: int, message: str) -> Self: ...

    @final
    class CommandFailed(Event):
        __match_args__ = ("command", "id", "message")
        command: str
        id: int
        message: str
        def __new__(cls, command: str, id: int, message: str) -> Self: ...  # noqa: A002

    @final
    class EventsDropped(Event):
        __match_args__ = ("count",)
        count: int
        def __new__(cls, count: int) -> Self: ...

    @final
    class CaptureOpened(Event):
        """The first packet of a recorded track; times are µs of the session's clock."""

        __match_args__ = ("capture", "at_us")
        capture: int
        at_us: int
        def __new__(cls, capture: int, at_us: int) -> Self: ...

    @final
    class CaptureSegmentClosed(Event):
        """A file is complete and on the disk."""

        __match_args__ = (
            "capture",
            "number",
            "file",
            "bytes",
            "packets",
            "from_us",
            "to_us",
            "sha256",
            "sm3",
        )
        capture: int
        number: int
        file: str
        bytes: int
        packets: int
        from_us: int
        to_us: int
        sha256: str
        """Lower-case hexadecimal; so the next."""
        sm3: str
        def __new__(
            cls,
            capture: int,
            number: int,
            file: str,
            bytes: int,  # noqa: A002
            packets: int,
            from_us: int,
            to_us: int,
            sha256: str,
            sm3: str,
        ) -> Self: ...

    @final
    class CaptureGap(Event):
        """Something is missing and will not come any more."""

        __match_args__ = ("capture", "from_us", "to_us", "cause", "packets", "encoding")
        capture: int
        from_us: int
        to_us: int
        cause: str
        """network, disk_full, disk_slow, disk_error, crash, paused."""
        packets: int | None
        """``None``: unknown."""
        encoding: int | None
        """Index of the only one it is about; ``None``: all of the track."""
        def __new__(
            cls,
            capture: int,
            from_us: int,
            to_us: int,
            cause: str,
            packets: int | None,
            encoding: int | None,
        ) -> Self: ...

    @final
    class CaptureFailed(Event):
        """Writing fails from now on; it is tried again."""

        __match_args__ = ("capture", "cause", "message")
        capture: int
        cause: str
        message: str
        def __new__(cls, capture: int, cause: str, message: str) -> Self: ...

    @final
    class CaptureRestored(Event):
        """Writing works again; the gap was declared before."""

        __match_args__ = ("capture",)
        capture: int
        def __new__(cls, capture: int) -> Self: ...

    @final
    class CaptureClosed(Event):
        """Nothing more comes of a track; all its files and gaps were told."""

        __match_args__ = ("capture", "at_us")
        capture: int
        at_us: int
        def __new__(cls, capture: int, at_us: int) -> Self: ...

    @final
    class EngineFailed(Event):
        """The media thread ended; nothing of this engine works any more."""

        __match_args__ = ("message",)
        message: str
        def __new__(cls, message: str) -> Self: ...

@final
class Counters:
    """Totals of one engine since it started. Pairs are ``(audio, video)``."""

    rtp_packets_in: tuple[int, int]
    rtp_packets_out: tuple[int, int]
    rtp_bytes_in: tuple[int, int]
    rtp_bytes_out: tuple[int, int]
    rtcp_packets_in: int
    rtcp_packets_out: int
    rtp_lost: tuple[int, int]
    nack_sent: int
    nack_received: int
    pli_sent: int
    pli_received: int
    retransmissions_in: int
    retransmissions_out: int
    retransmissions_missed: int
    keyframes_repaired: int
    """Of ``pli_received``: answered by repairing the keyframe that was under way."""
    losses_untold: int
    """Losses of publishers left out of congestion feedback: they don't come from the rate."""
    echoes_out: int
    """Packets of video sent again before a subscriber asked for them."""
    echoes_missed: int
    """The same that were not sent: neither there any more nor within what is followed."""
    echoes_postponed: int
    """How often one had to wait because the path takes no more."""
    padding_out: int
    """Packets sent again only to find out what the path takes."""
    dropped: dict[str, int]
    """By reason, over all stages but ``nack``."""
    stages: dict[str, StageStats]
    """By name, in the order packets pass them; see docs/operations.md."""
    unclassified: int
    """Packets sent to subscribers that are neither media nor repeats, padding nor fillers: 0."""
    receive_overflows: int
    """Datagrams the kernel lost because a receive buffer was full."""
    layer_switches_up: dict[str, int]
    """By reason: wish, budget, encoding."""
    layer_switches_down: dict[str, int]
    fillers_out: int
    """Empty packets in places that would else have stayed gaps."""
    red_packets_in: int
    """Audio packets of publishers in the form that can carry copies."""
    audio_frames_recovered: int
    """Frames of audio that came as copies only."""
    audio_copies_out: list[int]
    """Audio packets to subscribers that take copies, by how many they carry: 0 to 17."""
    forward_delay_buckets: list[int]
    """Not cumulative; see FORWARD_DELAY_BOUNDS_S."""
    forward_delay_sum_s: float
    dtls_handshakes: int
    dtls_failures: int
    room_panics: int
    events_dropped: int
    commands_rejected: int

@final
class StageStats:
    """What became of the packets of one stage."""

    entered: int
    passed: int
    waiting: int
    dropped: dict[str, int]
    """By reason, as far as there are any."""
    unaccounted: int
    """Entered less all the others; anything but 0 is a bug."""

@final
class TransportStats:
    transport: int
    room: int
    state: str
    protocol: str | None
    """udp or tcp; ``None`` while there is no path."""
    rtt_s: float | None
    bytes_in: int
    bytes_out: int
    estimate_bps: int | None
    acked_bps: int | None
    pacer_queue_ms: float
    send_loss_ratio: float | None
    wanted_bps: int
    """What its tracks could use at the layers they want."""
    memory_bytes: int

@final
class ProducerStats:
    producer: int
    transport: int
    kind: str
    packets: int
    bytes: int
    lost: int
    repaired: int
    loss_ratio: float
    jitter_s: float
    bitrate_bps: int
    keyframes: int
    encodings: list[EncodingStats]

@final
class EncodingStats:
    """One encoding of a producer."""

    rid: str | None
    live: bool
    """Media arrived lately."""
    wanted: bool
    """Somebody wants it."""
    bitrate_bps: int
    temporal_layers: int
    width: int | None
    """Pixels, where keyframes name them in plain bytes (VP8, VP9)."""
    height: int | None

@final
class ConsumerStats:
    consumer: int
    transport: int
    producer: int | None
    packets: int
    bytes: int
    retransmitted: int
    loss_ratio: float | None
    jitter_s: float | None
    rtt_s: float | None
    bitrate_bps: int
    preferred: tuple[int, int] | None
    """``(spatial, temporal)`` the subscriber wants; ``None``: nothing."""
    target: tuple[int, int] | None
    """What it shall get now."""
    current: tuple[int, int] | None
    """What it gets; the temporal layer is the highest that passes."""
    priority: int

@final
class TcpStats:
    """Connections of ICE over TCP of one engine; all but ``connections`` are totals."""

    connections: int
    accepted: int
    refused: dict[str, int]
    """By reason: total_limit, address_limit, no_descriptor, broken."""
    closed: dict[str, int]
    """By reason: remote, unused, malformed, replaced, made_room."""

@final
class CaptureStats:
    """What an engine recorded since it started."""

    packets: int
    bytes: int
    dropped: int
    """Packets there was no memory for, because the disk is slow."""
    written_packets: int
    written_bytes: int
    segments: int
    failures: dict[str, int]
    """Failed attempts to write by cause; causes are those of ``Event.CaptureGap``."""
    gaps: dict[str, int]
    missing: dict[str, int]
    """Packets in the gaps, as far as that is known."""
    lag_s: float
    """Age of what was written last when it was."""
    tracks: int
    failing: int

@final
class TapStats:
    """What analytics were given of an engine's tracks since it started."""

    packets: int
    delivered: int
    waiting: int
    dropped: dict[str, int]
    """By reason: ring_full, stalled, no_reader."""

@final
class Snapshot:
    """State of one engine."""

    counters: Counters
    rooms: int
    load: float
    """Share of the last second the media thread was busy, 0..1."""
    tcp: TcpStats
    tap: TapStats
    capture: CaptureStats | None
    """``None`` where nothing can be recorded."""
    transports: list[TransportStats]
    producers: list[ProducerStats]
    consumers: list[ConsumerStats]

    def transport(self, transport: int) -> TransportStats | None:
        """One of ``transports``, without making objects of the others; so the next two."""

    def producer(self, producer: int) -> ProducerStats | None: ...
    def connection(self, transport: int) -> tuple[float | None, float | None, float | None] | None:
        """Loss of a transport upwards (before repair) and downwards (as reported), 0..1, the worst
        of its tracks in each direction, and its round trip in seconds; ``None``: not known."""

    def consumer(self, consumer: int) -> ConsumerStats | None: ...

@final
class Swarm:
    """Load generator: many synthetic participants on one thread, with real ICE, DTLS and SRTP.

    It runs in the process that measures, never in a server. Participants have addresses of their
    own in 127.0.0.0/8, so the server must be on this machine.

    Args:
        sockets: the participants are spread over so many, 1 to 64.
        cpu: its thread is bound to this one.
        sample: one packet of so many is decrypted for its delay; 0: none.

    Raises:
        ParameterError: an argument is out of range.
        MediaError: the kernel refuses sockets or CPU.
    """

    def __new__(cls, *, sockets: int = 4, cpu: int | None = None, sample: int = 16) -> Self: ...
    @property
    def fingerprint(self) -> str:
        """SHA-256 of the certificate all participants share, in SDP form."""

    def connect(
        self,
        *,
        remote: str,
        local_ufrag: str,
        local_password: str,
        remote_ufrag: str,
        remote_password: str,
        remote_fingerprint: str,
        extensions: Sequence[tuple[str, int]],
        streams: Sequence[tuple[str, int, int, int]],
    ) -> int:
        """Adds a participant, which connects at once; returns its number, counted from 0.

        Args:
            remote: ``host:port`` of the server's candidate.
            local_ufrag: ICE user fragment offered.
            local_password: ICE password offered.
            remote_ufrag: of the answer.
            remote_password: of the answer.
            remote_fingerprint: SHA-256 of the server's certificate, in SDP form.
            extensions: name, as in ``set_extensions``, and id of the answer.
            streams: ``(kind, SSRC, payload type, index of the m-line)`` to send.
        """

    def load(
        self,
        *,
        participants: int,
        audio: tuple[float, int, int],
        video: tuple[float, int, int],
        busy: bool,
    ) -> None:
        """Changes what the first ``participants`` send; the others are silent.

        Args:
            participants: how many send.
            audio: packets a second of each stream, bytes of each (RTP, before protection), and
                how many leave at once.
            video: the same.
            busy: the thread never sleeps, so that senders need not wake it.
        """

    def relocate(self, participant: int) -> None:
        """Gives a participant another address, as a change of network does."""

    def impair(self, participant: int, *, loss: float) -> None:
        """Has a share of its datagrams lost from now on, each way; 1 is an outage."""

    def publish(
        self, participant: int, *, stream: tuple[str, int, int, int], rid: str | None = None
    ) -> None:
        """It sends one more stream; see ``connect``.

        Args:
            participant: its number.
            stream: as in ``connect``.
            rid: of an encoding among several of the m-line, one letter or digit.
        """

    def silence(self, participant: int, *, ssrc: int, silent: bool) -> None:
        """One of its streams falls silent, or goes on."""

    def disconnect(self, participant: int) -> None:
        """It is gone without a word, for good."""

    def statuses(self) -> list[tuple[bool, str | None, list[tuple[int, int, float]]]]:
        """All participants, in the order of their numbers.

        Returns:
            Whether it has keys; why its handshake failed; and of each SSRC that arrives
            ``(SSRC, packets, seconds since the last one)``.
        """

    def report(self, quantiles: Sequence[float] = ()) -> SwarmReport:
        """Totals up to now; the delays start anew."""

    def raw_limit(
        self, *, packet_bytes: int, packets: int, cpu: int | None = None
    ) -> tuple[float, float]:
        """CPU seconds per packet of AES-GCM, and of AES-GCM and one ``sendto`` to a participant.

        Measured on a thread of its own, bound to ``cpu``.
        """

    def close(self) -> None:
        """Ends the thread. Idempotent."""

@final
class SwarmReport:
    """Totals of a swarm since its start."""

    connected: int
    """Participants with keys."""
    failed: int
    """Participants whose handshake failed; ``failure`` is the first one's reason."""
    failure: str | None
    packets_sent: int
    """Media only, as all counts of packets."""
    send_failures: int
    packets_received: int
    bytes_received: int
    """UDP payload."""
    packets_lost: int
    """Missing in the numbers of the streams that arrive."""
    streams_received: int
    keyframe_requests: int
    nacks: int
    """Packets asked for again."""
    sampled: int
    """Delays measured since the last report."""
    delays_s: list[float | None]
    """Quantiles asked for, from sending to the arrival of the forwarded packet in the kernel."""

@final
class NetemConfig:
    """One direction of an emulated path. The default is perfect and without delay.

    Args:
        loss: shares of 1: none; one, the loss of each packet, independently; or four, of a
            Gilbert-Elliott model whose state changes before each packet: to bad, to good, loss in
            the good state, loss in the bad state.
        delay_s: constant part.
        jitter_s: up to this much is added, evenly distributed; order is kept.
        jitter_reorders: packets with less jitter overtake others.
        reorder: share of the packets that are delayed by ``reorder_delay_s`` more.
        reorder_delay_s: extra delay of these.
        duplicate: share of the packets that arrive twice.
        rate_bps: of the link, behind the loss and before the delay; 0: no limit.
        queue_bytes: waiting for the link beyond which packets are dropped; 0: only
            ``queue_delay_s`` counts, where given.
        queue_delay_s: wait for the link beyond which a packet is dropped; 0: no limit.

    Raises:
        ParameterError: an argument is out of range.
    """

    def __new__(
        cls,
        *,
        loss: Sequence[float] = (),
        delay_s: float = 0.0,
        jitter_s: float = 0.0,
        jitter_reorders: bool = False,
        reorder: float = 0.0,
        reorder_delay_s: float = 0.0,
        duplicate: float = 0.0,
        rate_bps: int = 0,
        queue_bytes: int = 0,
        queue_delay_s: float = 0.0,
    ) -> Self: ...
    def __eq__(self, value: object, /) -> bool: ...

@final
class NetemCounters:
    """What became of the packets of one direction."""

    pushed: int
    delivered: int
    """Second copies included."""
    lost: int
    queue_full: int
    duplicated: int

@final
class Netem:
    """One direction of a path in virtual time: ``now_s`` never goes back.

    Args:
        config: what the path does.
        seed: of all random numbers.

    Raises:
        ParameterError: an argument is out of range.
    """

    def __new__(cls, config: NetemConfig, *, seed: int) -> Self: ...
    def set_config(self, config: NetemConfig) -> None:
        """Changes the path; what is under way keeps its time."""

    def push(self, now_s: float, datagram: bytes) -> None:
        """Sends one datagram into the path."""

    def pop(self, now_s: float) -> bytes | None:
        """The next datagram that has arrived by ``now_s``."""

    def next_timeout(self) -> float | None:
        """When the next datagram arrives."""

    @property
    def counters(self) -> NetemCounters:
        """What became of the packets so far."""

@final
class PathReport:
    """Packets of one direction; tuples are packets and bytes offered, packets and bytes delivered.

    Bytes are those of the IP packets.
    """

    netem: NetemCounters
    refused: int
    """Not taken by the receiving device, or more than may be in flight."""
    rtp: list[tuple[int, tuple[int, int, int, int]]]
    """By payload type."""
    rtcp: tuple[int, int, int, int]
    other_udp: tuple[int, int, int, int]
    """STUN and DTLS."""
    not_udp: tuple[int, int, int, int]

@final
class NetemPath:
    """A thread that carries IP packets between two descriptors, such as TUN devices.

    Args:
        first: descriptor at the participant's end; duplicated.
        second: descriptor at the server's end; duplicated.
        down: what packets from ``second`` to ``first`` go through.
        up: what packets from ``first`` to ``second`` go through.
        others: what packets that are not UDP go through, both ways; ``None``: the same as UDP.
        seed: of all random numbers.

    Raises:
        ParameterError: an argument is out of range.
        OSError: a descriptor is not open.
    """

    def __new__(
        cls,
        first: int,
        second: int,
        *,
        down: NetemConfig,
        up: NetemConfig,
        others: NetemConfig | None,
        seed: int,
    ) -> Self: ...
    def begin(
        self,
        *,
        down: Sequence[tuple[float, NetemConfig]],
        up: Sequence[tuple[float, NetemConfig]],
    ) -> None:
        """Changes the directions at these times, in seconds from now, earliest first."""

    def report(self) -> tuple[PathReport, PathReport]:
        """What became of the packets so far: down, up."""

    def close(self) -> None:
        """Ends the thread. Idempotent."""
