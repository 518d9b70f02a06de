"""Settings of the process: ``configs/witness.yaml``, overridden by environment variables.

Every section is one pydantic model; those of ``sfu`` and ``signaling`` come from these packages.
A field marked ``env_only`` holds a secret: it may be given by an environment variable or by the
``*_file`` field beside it, never in the file.
"""

import ipaddress
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    SecretStr,
    field_validator,
    model_validator,
)

from analytics.config import AnalyticsConfig
from archive.config import ArchiveConfig
from recorder.config import EvidenceConfig, RecordingConfig
from sfu.config import SfuConfig
from sfu.contradiction import contradiction
from sfu.section import Section
from signaling.auth import first_line
from signaling.config import SignalingConfig
from signaling.origin import is_loopback
from witness.finding_grades import FindingGrades
from witness.hosts import is_host_name, is_ip_address

__all__ = [
    "MIN_TOKEN_CHARS",
    "AlertsConfig",
    "ConsentsConfig",
    "HttpLimits",
    "LogConfig",
    "LogFormat",
    "LogLevel",
    "MediaConfig",
    "MetricsConfig",
    "ServerConfig",
    "Settings",
    "read_secret",
    "socket_address",
    "split_address",
]


def _listenable(text: str) -> str:
    if not is_ip_address(text):
        raise contradiction(
            "{value} is no IP address; write 192.0.2.1 or 2001:db8::1, without port and brackets",
            value=repr(text),
        )
    return text


ListenAddress = Annotated[str, AfterValidator(_listenable)]
Port = Annotated[int, Field(ge=0, le=65_535)]


MIN_TOKEN_CHARS: Final = 16


class HttpLimits(Section):
    """What TCP connections may cost before and beside their WebSocket."""

    connections: int = Field(
        default=4_096,
        ge=1,
        le=1_000_000,
        description="Open TCP connections in all, WebSockets included; should be more than"
        " signaling.limits.connections. The limit of open files (ulimit -n) lowers it.",
    )
    connections_per_address: int = Field(
        default=128,
        ge=1,
        le=1_000_000,
        description="Open TCP connections of one IPv4 address or IPv6 /64 that are not (yet)"
        " WebSockets; those have signaling.limits.connections_per_address. Networks in"
        " signaling.web.trusted_proxies are exempt.",
    )
    request_timeout_s: float = Field(
        default=10.0,
        gt=0,
        le=300,
        description="Time for a TLS handshake, for a complete request head, and for a request body"
        " beyond what it takes at 1 KiB/s.",
    )
    keepalive_s: float = Field(
        default=10.0,
        gt=0,
        le=3_600,
        description="A connection without a request is closed after so long; those of trusted"
        " proxies after 75 seconds at the least.",
    )
    stall_timeout_s: float = Field(
        default=30.0,
        gt=0,
        le=3_600,
        description="A client that takes nothing of its response for so long is cut.",
    )


class ServerConfig(Section):
    """HTTP, WebSocket and the life of the process."""

    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="Address to listen on for HTTP and WebSocket; 0.0.0.0 for all of IPv4, "
        ":: for all of IPv4 and IPv6.",
    )
    port: Port = Field(default=8080, description="TCP port; 0 lets the kernel choose.")
    public_url: str | None = Field(
        default=None,
        pattern=r"^https?://[^/]+$",
        description="How browsers reach this server, when a proxy is in front of it.",
    )
    tls_cert: Path | None = Field(
        default=None,
        description="Certificate chain (PEM). With it the server speaks HTTPS, which browsers"
        " demand for camera and microphone on anything but localhost.",
    )
    tls_key: Path | None = Field(default=None, description="Private key of the certificate (PEM).")
    admin_token: SecretStr | None = Field(
        default=None,
        min_length=MIN_TOKEN_CHARS,
        description="Bearer token for /debug/rooms; without one that page is off.",
        json_schema_extra={"env_only": True},
    )
    admin_token_file: Path | None = Field(
        default=None, description="File with the bearer token for /debug/rooms."
    )
    drain_s: float = Field(
        default=300.0,
        ge=0,
        le=86_400,
        description="After SIGTERM running calls may go on for this many seconds.",
    )
    limits: HttpLimits = Field(default_factory=HttpLimits)

    @field_validator("host")
    @classmethod
    def _host_is_one(cls, host: str) -> str:
        if not is_ip_address(host) and not is_host_name(host):
            raise contradiction(
                "{value} is neither an IP address nor a host name; write 127.0.0.1, ::1 or a"
                " name, without port and brackets",
                value=repr(host),
            )
        return host

    @model_validator(mode="after")
    def _complete_tls(self) -> Self:
        if (self.tls_cert is None) != (self.tls_key is None):
            raise contradiction(
                "tls_cert and tls_key belong together: give both or neither", "tls_cert", "tls_key"
            )
        return self

    @property
    def tls(self) -> bool:
        """Whether the server speaks HTTPS itself."""
        return self.tls_cert is not None


class MetricsConfig(Section):
    """Who may read /metrics."""

    token: SecretStr | None = Field(
        default=None,
        min_length=MIN_TOKEN_CHARS,
        description="Bearer token for /metrics on server.port; programs on this machine need none,"
        " unless server.public_url or signaling.web.trusted_proxies is set.",
        json_schema_extra={"env_only": True},
    )
    token_file: Path | None = Field(
        default=None, description="File with the bearer token for /metrics."
    )
    listen: str | None = Field(
        default=None,
        description="Serve /metrics, /livez and /readyz here as well, without a token, for a"
        " network that only machines use: '127.0.0.1:9090', '10.0.0.1:9090', '[::1]:9090'.",
    )

    @field_validator("listen")
    @classmethod
    def _address(cls, text: str | None) -> str | None:
        if text is not None:
            split_address(text)
        return text


class LogFormat(StrEnum):
    """How a log line looks."""

    CONSOLE = "console"
    JSON = "json"


class LogLevel(StrEnum):
    """Lines below this are not written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class LogConfig(Section):
    """Log lines go to standard error."""

    format: LogFormat = Field(
        default=LogFormat.CONSOLE, description="console for people, json for machines."
    )
    level: LogLevel = Field(default=LogLevel.INFO, description="The least that is written.")
    pii: bool = Field(
        default=False,
        description="Write personal data too (names, addresses, browsers). For a test system only.",
    )


class MediaConfig(Section):
    """The media plane: engines are threads, each with one port of UDP and TCP."""

    engines: int = Field(
        default=0, ge=0, le=128, description="Media threads; 0 means one for each CPU core."
    )
    listen: tuple[ListenAddress, ...] = Field(
        default=("0.0.0.0",),  # noqa: S104 - browsers come from other machines
        min_length=1,
        max_length=2,
        description="Addresses to receive media on: at most one IPv4 and one IPv6, without port.",
    )
    port: Port = Field(
        default=0,
        description="UDP port of the first engine, the next ones follow; 0 lets the kernel choose.",
    )
    tcp: bool = Field(
        default=True,
        description="Receive media over TCP too (ICE-TCP), for clients whose network has no UDP.",
    )
    tcp_port: Port = Field(
        default=0,
        description="TCP port of the first engine's media, the next ones follow; 0 means the same"
        " ports as UDP.",
    )
    max_tcp_connections_per_engine: int = Field(
        default=1_000,
        ge=1,
        le=100_000,
        description="TCP connections of one engine; those that never proved to belong to a"
        " participant make room for newer ones.",
    )
    max_tcp_connections_per_address: int = Field(
        default=250,
        ge=1,
        le=100_000,
        description="The same for one IPv4 address or IPv6 /64; an office behind a NAT has one.",
    )
    realtime: bool = Field(
        default=True,
        description="Media threads ask for the real-time class, where the system allows it: then"
        " nothing else on the machine delays packets. Otherwise for a better niceness.",
    )
    event_queue: int = Field(
        default=16_384,
        ge=64,
        le=1 << 20,
        description="Events an engine keeps for the event loop; more are dropped and counted.",
    )
    max_rooms_per_engine: int = Field(
        default=1_000, ge=1, le=100_000, description="Rooms on one engine."
    )
    max_transports_per_engine: int = Field(
        default=5_000, ge=1, le=100_000, description="Participants with media on one engine."
    )
    min_bitrate_bps: int = Field(
        default=30_000,
        ge=10_000,
        le=100_000_000_000,
        description="Bits per second every participant's link is believed to take, whatever is"
        " lost: speech needs them. No more than max_bitrate_bps.",
    )
    start_bitrate_bps: int = Field(
        default=1_000_000,
        ge=100_000,
        le=100_000_000_000,
        description="Bits per second a participant's link is believed to take until it is probed;"
        " no more than max_bitrate_bps.",
    )
    max_bitrate_bps: int = Field(
        default=30_000_000,
        ge=100_000,
        le=100_000_000_000,
        description="No participant's link is believed to take more.",
    )

    @field_validator("listen")
    @classmethod
    def _one_of_each_family(cls, listen: tuple[str, ...]) -> tuple[str, ...]:
        seen: set[int] = set()
        for index, text in enumerate(listen):
            version = ipaddress.ip_address(text).version
            if version in seen:
                raise contradiction(
                    "{value} is the second IPv{version} address; one of each family is possible",
                    str(index),
                    value=repr(text),
                    version=version,
                )
            seen.add(version)
        return listen

    @model_validator(mode="after")
    def _port_range(self) -> Self:
        if self.port and self.port + self.engine_count() - 1 > 65_535:
            raise contradiction(
                "port plus the number of engines ({engines}) goes beyond 65535",
                "port",
                "engines",
                engines=self.engine_count(),
            )
        if self.tcp_port and self.tcp_port + self.engine_count() - 1 > 65_535:
            raise contradiction(
                "tcp_port plus the number of engines ({engines}) goes beyond 65535",
                "tcp_port",
                "engines",
                engines=self.engine_count(),
            )
        return self

    def engine_count(self) -> int:
        """How many engines to start."""
        return self.engines or os.cpu_count() or 1


class AlertsConfig(Section):
    """What is wrong with recordings or found in calls, and who is told."""

    completeness: float = Field(
        default=0.99,
        ge=0,
        le=1,
        description="A finished recording of which less is there (of the time, or of the frames"
        " that were sent) raises an alert; below 0.9 a critical one.",
    )
    webhook: str | None = Field(
        default=None,
        pattern=r"^https?://\S+$",
        description="Every alert is posted here as JSON, signed; tried again for a day.",
    )
    secret: SecretStr | None = Field(
        default=None,
        min_length=MIN_TOKEN_CHARS,
        description="Secret of the webhook's signature (HMAC-SHA256).",
        json_schema_extra={"env_only": True},
    )
    secret_file: Path | None = Field(
        default=None, description="File with the secret of the webhook's signature."
    )
    findings: FindingGrades = Field(default_factory=FindingGrades)

    @model_validator(mode="after")
    def _signed(self) -> Self:
        if self.webhook is not None and (self.secret is None) == (self.secret_file is None):
            raise contradiction(
                "a webhook needs exactly one of secret and secret_file", "webhook", "secret_file"
            )
        return self


class ConsentsConfig(Section):
    """What people are asked before detectors watch them."""

    ask: tuple[Literal["face", "identity", "voice", "speech"], ...] = Field(
        default=(),
        max_length=4,
        description="Consents people are asked for even where no detector needs them; those that"
        " detectors need are asked for in any case.",
    )
    texts: Path | None = Field(
        default=None,
        description="JSON file with the bank's own texts, by permission: "
        '{"face": {"zh": "…", "en": "…"}}. Those left out stay as they are.',
    )


class Settings(Section):
    """All sections."""

    server: ServerConfig = Field(default_factory=ServerConfig)
    metrics: MetricsConfig = Field(default_factory=MetricsConfig)
    log: LogConfig = Field(default_factory=LogConfig)
    media: MediaConfig = Field(default_factory=MediaConfig)
    sfu: SfuConfig = Field(default_factory=SfuConfig)
    signaling: SignalingConfig = Field(default_factory=SignalingConfig)
    recording: RecordingConfig = Field(default_factory=RecordingConfig)
    evidence: EvidenceConfig = Field(default_factory=EvidenceConfig)
    archive: ArchiveConfig = Field(default_factory=ArchiveConfig)
    alerts: AlertsConfig = Field(default_factory=AlertsConfig)
    consents: ConsentsConfig = Field(default_factory=ConsentsConfig)
    analytics: AnalyticsConfig = Field(default_factory=AnalyticsConfig)

    @model_validator(mode="after")
    def _originals_go_verified(self) -> Self:
        if self.archive.remove_originals and self.evidence.keys_directory is None:
            raise contradiction(
                "originals are removed only when the package was verified: give"
                " evidence.keys_directory",
                "archive.remove_originals",
                "evidence.keys_directory",
            )
        return self

    @model_validator(mode="after")
    def _demo_key_stays_here(self) -> Self:
        if self.signaling.auth.demo_key:
            clashing = [
                key
                for key, there in (
                    ("server.host", not is_loopback(self.server.host)),
                    ("server.public_url", self.server.public_url is not None),
                    ("signaling.web.trusted_proxies", bool(self.signaling.web.trusted_proxies)),
                )
                if there
            ]
            if clashing:
                raise contradiction(
                    "signaling.auth.demo_key lets in anybody and is for this machine only: turn"
                    " it off, or leave out {keys}",
                    "signaling.auth.demo_key",
                    *clashing,
                    keys=", ".join(clashing),
                )
        return self


def socket_address(host: str, port: int) -> str:
    """``host:port``, with the brackets an IPv6 address needs."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def split_address(text: str) -> tuple[str, int]:
    """``host:port`` taken apart; the inverse of :func:`socket_address`.

    Raises:
        ValueError: it is not of that form.
    """
    host, _, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else -1
    if not host or (":" in host) != bracketed or not 0 <= number <= 65_535:
        raise contradiction(
            "{value} is no address with a port; write '127.0.0.1:9090' or '[::1]:9090'",
            value=repr(text),
        )
    return host.removeprefix("[").removesuffix("]"), number


def read_secret(path: Path) -> str:
    """First line of a file, without the line end.

    Raises:
        OSError: the file can't be read.
        ValueError: its first line is empty or not UTF-8.
    """
    return first_line(path)
