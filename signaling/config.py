"""Settings of the ``signaling`` package."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated, ClassVar, Self

from pydantic import (
    AfterValidator,
    Field,
    IPvAnyNetwork,
    SecretStr,
    field_validator,
    model_validator,
)

from sfu.contradiction import contradiction
from sfu.model import Role
from sfu.section import Section

__all__ = [
    "Algorithm",
    "AuthConfig",
    "IceConfig",
    "KeyConfig",
    "LimitsConfig",
    "MutePolicy",
    "MuteRules",
    "SignalingConfig",
    "WebConfig",
    "WhipConfig",
]


_HOST = r"([A-Za-z0-9.-]{1,253}|\[[0-9A-Fa-f:.]{2,45}\])(:[0-9]{1,5})?"
STUN_URL = re.compile(rf"stuns?:{_HOST}")
"""RFC 7064."""
TURN_URL = re.compile(rf"turns?:{_HOST}(\?transport=(udp|tcp))?")
"""RFC 7065."""


class Algorithm(StrEnum):
    """Signature algorithms of tokens (RFC 7518, RFC 8037)."""

    HS256 = "HS256"
    ES256 = "ES256"
    EDDSA = "EdDSA"


class KeyConfig(Section):
    """One key that tokens may be signed with."""

    kid: str = Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$", description="Key id in the token's header.")
    algorithm: Algorithm = Field(description="The one algorithm this key is good for.")
    secret: SecretStr | None = Field(
        default=None,
        min_length=32,
        description="HS256: shared secret, at least 32 characters.",
        json_schema_extra={"env_only": True},
    )
    secret_file: Path | None = Field(
        default=None, description="HS256: file with the shared secret in its first line."
    )
    public_key_file: Path | None = Field(
        default=None, description="ES256 or EdDSA: public key (PEM)."
    )

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if self.kid == "demo":
            raise contradiction("the key id 'demo' is reserved; set demo_key instead", "kid")
        symmetric = [self.secret, self.secret_file]
        given = sum(source is not None for source in [*symmetric, self.public_key_file])
        if given != 1:
            raise contradiction(
                "give exactly one of secret, secret_file and public_key_file",
                "secret_file",
                "public_key_file",
                "secret",
            )
        if (self.public_key_file is None) != (self.algorithm is Algorithm.HS256):
            raise contradiction(
                "HS256 takes a secret, ES256 and EdDSA take public_key_file",
                "algorithm",
                "secret_file",
                "public_key_file",
                "secret",
            )
        return self


class AuthConfig(Section):
    """Whose tokens let people in."""

    keys: tuple[KeyConfig, ...] = Field(
        default=(), max_length=64, description="Keys, by kid; several for rotation."
    )
    demo_key: bool = Field(
        default=False,
        description="Make a random key for this process that works on loopback only, and serve"
        " POST /v1/demo/tokens.",
    )
    max_ttl_s: float = Field(
        default=43_200.0,
        ge=60,
        le=31_536_000,
        description="A token that is valid for longer than this is refused.",
    )
    clock_skew_s: float = Field(
        default=30.0, ge=0, le=300, description="Tolerated difference of clocks."
    )

    @field_validator("keys")
    @classmethod
    def _kids_differ(cls, keys: tuple[KeyConfig, ...]) -> tuple[KeyConfig, ...]:
        seen: set[str] = set()
        for index, key in enumerate(keys):
            if key.kid in seen:
                raise contradiction(
                    "two keys have the kid {kid}; each needs its own", f"{index}.kid", kid=key.kid
                )
            seen.add(key.kid)
        return keys


class LimitsConfig(Section):
    """What one socket, one participant and all of them may cost."""

    message_bytes: int = Field(
        default=131_072, ge=8_192, le=1_048_576, description="Longest message from a client."
    )
    messages_per_s: float = Field(
        default=20.0, gt=0, le=1000, description="Messages of one socket, sustained."
    )
    message_burst: int = Field(
        default=60, ge=1, le=10_000, description="Messages of one socket at once."
    )
    bytes_per_s: float = Field(
        default=131_072.0, gt=0, description="Bytes of one socket, sustained."
    )
    byte_burst: int = Field(default=524_288, ge=8_192, description="Bytes of one socket at once.")
    refusals_per_s: float = Field(
        default=2.0, gt=0, description="Refused messages a socket survives, sustained."
    )
    refusal_burst: int = Field(
        default=50, ge=1, description="Refused messages a socket survives at once."
    )
    hello_timeout_s: float = Field(
        default=10.0, gt=0, le=120, description="Time for join or resume on a new socket."
    )
    hello_tries: int = Field(
        default=3, ge=1, le=20, description="Refused hellos after which the socket is closed."
    )
    outbox_messages: int = Field(
        default=512, ge=64, le=65_536, description="Unacknowledged messages of a participant."
    )
    outbox_bytes: int = Field(
        default=1_048_576, ge=262_144, description="Unacknowledged bytes of a participant."
    )
    reply_cache_messages: int = Field(
        default=256, ge=16, le=65_536, description="Replies remembered for repeated requests."
    )
    reply_cache_bytes: int = Field(
        default=262_144, ge=131_072, description="Bytes of replies remembered."
    )
    text_chars: int = Field(
        default=4_000, ge=1, le=16_000, description="Code points in a text message."
    )
    connections: int = Field(default=2_000, ge=1, description="Open sockets in all.")
    connections_per_address: int = Field(
        default=64, ge=1, description="Open sockets from one IPv4 address or IPv6 /64."
    )


class MutePolicy(StrEnum):
    """What an RM's wish to mute somebody does."""

    FORCE = "force"
    ASK = "ask"
    DENY = "deny"


class MuteRules(Section):
    """Policy by the role of the track's owner."""

    rm: MutePolicy = Field(default=MutePolicy.DENY, description="Muting another RM.")
    customer: MutePolicy = Field(default=MutePolicy.ASK, description="Muting the customer.")
    expert: MutePolicy = Field(default=MutePolicy.FORCE, description="Muting the expert.")

    def policy_for(self, owner: Role) -> MutePolicy:
        """The rule for tracks of that role; a supervisor's can't be muted by others."""
        match owner:
            case Role.RM:
                return self.rm
            case Role.CUSTOMER:
                return self.customer
            case Role.EXPERT:
                return self.expert
            case Role.SUPERVISOR:
                return MutePolicy.DENY


def _origin(text: str) -> str:
    scheme, separator, host = text.partition("://")
    if scheme not in {"http", "https"} or not separator or not host or "/" in host:
        raise contradiction(
            "{value} is not an origin; write 'https://host[:port]'", value=repr(text)
        )
    return text.lower()


class WebConfig(Section):
    """Who may connect from a browser, and what is served."""

    allowed_origins: tuple[Annotated[str, AfterValidator(_origin)], ...] = Field(
        default=(),
        description="Other origins whose pages may join and upload ('https://crm.example');"
        " the server's own and loopback ones always may.",
    )
    serve_pages: bool = Field(default=True, description="Serve the call page and the SDK.")
    trusted_proxies: tuple[IPvAnyNetwork, ...] = Field(
        default=(),
        description="Networks of reverse proxies whose X-Forwarded-For is believed; without it,"
        " connections_per_address counts all clients of a proxy as one.",
    )
    heartbeat_s: float = Field(
        default=20.0,
        ge=2,
        le=300,
        description="A socket that was silent for so long gets a WebSocket ping; it is dropped"
        " when the pong takes longer than half of this.",
    )


def _stun_url(text: str) -> str:
    if not STUN_URL.fullmatch(text):
        raise contradiction("{value} is not like 'stun:host:3478'", value=repr(text))
    return text


def _turn_url(text: str) -> str:
    if not TURN_URL.fullmatch(text):
        raise contradiction("{value} is not like 'turns:host:443?transport=tcp'", value=repr(text))
    return text


class IceConfig(Section):
    """STUN and TURN servers that clients are told of, for networks that let little through."""

    MIN_SECRET_CHARS: ClassVar[int] = 16

    stun_urls: tuple[Annotated[str, AfterValidator(_stun_url)], ...] = Field(
        default=(), max_length=4, description="'stun:host:port'; not needed to reach this server."
    )
    turn_urls: tuple[Annotated[str, AfterValidator(_turn_url)], ...] = Field(
        default=(),
        max_length=8,
        description="'turns:turn.example:443?transport=tcp' and the like, with turn_secret.",
    )
    turn_secret: SecretStr | None = Field(
        default=None,
        min_length=MIN_SECRET_CHARS,
        description="Shared with the TURN server (coturn: static-auth-secret).",
        json_schema_extra={"env_only": True},
    )
    turn_secret_file: Path | None = Field(
        default=None, description="File with that secret in its first line."
    )
    credential_s: int = Field(
        default=86_400,
        ge=600,
        le=7 * 86_400,
        description="Credentials for the TURN server are good for so long: longer than a call.",
    )

    @model_validator(mode="after")
    def _secret_belongs_to_turn(self) -> Self:
        given = [item for item in (self.turn_secret, self.turn_secret_file) if item is not None]
        if len(given) != (1 if self.turn_urls else 0):
            raise contradiction(
                "turn_urls needs exactly one of turn_secret and turn_secret_file, and neither is"
                " of use without turn_urls",
                "turn_urls",
                "turn_secret",
                "turn_secret_file",
            )
        return self


class WhipConfig(Section):
    """Taking part by HTTP: WHIP to publish, WHEP to watch."""

    enabled: bool = Field(default=True, description="Serve /whip and /whep.")
    sessions: int = Field(default=500, ge=1, le=100_000, description="Sessions in all.")
    sessions_per_room: int = Field(default=8, ge=1, le=64, description="Sessions in one room.")
    sessions_per_address: int = Field(
        default=32, ge=1, le=100_000, description="Sessions of one IPv4 address or IPv6 /64."
    )
    requests_per_s: float = Field(
        default=5.0, gt=0, le=1000, description="Requests of one IP address, sustained."
    )
    request_burst: int = Field(
        default=40, ge=1, le=10_000, description="Requests of one IP address at once."
    )
    connect_timeout_s: float = Field(
        default=20.0, ge=1, le=300, description="Time for ICE and DTLS of a new session."
    )
    media_timeout_s: float = Field(
        default=30.0,
        ge=0,
        le=3_600,
        description="A session whose media connection is lost stays for so long.",
    )
    retry_after_s: int = Field(
        default=2,
        ge=1,
        le=300,
        description="When a viewer of a room in which nothing is published may ask again.",
    )


class SignalingConfig(Section):
    """WebSocket signaling: who gets in, what they may cost, how long they are waited for."""

    auth: AuthConfig = Field(default_factory=AuthConfig)
    limits: LimitsConfig = Field(default_factory=LimitsConfig)
    mute: MuteRules = Field(default_factory=MuteRules)
    web: WebConfig = Field(default_factory=WebConfig)
    ice: IceConfig = Field(default_factory=IceConfig)
    whip: WhipConfig = Field(default_factory=WhipConfig)
    resume_window_s: float = Field(
        default=60.0,
        ge=1,
        le=3_600,
        description="A participant without a socket stays for so long.",
    )
    media_window_s: float = Field(
        default=900.0,
        ge=0,
        le=86_400,
        description="A participant without a socket whose media flows stays for so long.",
    )
    reconnecting_after_s: float = Field(
        default=5.0,
        ge=0,
        le=60,
        description="Others are told after so long without socket and media.",
    )
    mute_request_s: float = Field(
        default=30.0, ge=1, le=300, description="Time to answer a request to mute."
    )
    quality_interval_s: float = Field(
        default=2.0,
        ge=0.5,
        le=60,
        description="Interval at which connection quality is looked at and told if it changed.",
    )
