"""Tokens: who may join which room, as what, for how long (RFC 7519).

The algorithm is pinned by key id, so neither ``none`` nor a public key used as a secret gets
anywhere.
"""

import re
import secrets
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from sfu.model import Grant, Role, Source
from signaling.config import Algorithm, AuthConfig, KeyConfig
from signaling.errors import KeyMaterialError, UnauthorizedError

__all__ = [
    "AUDIENCE",
    "DEMO_KID",
    "Identity",
    "MintingKey",
    "TokenVerifier",
    "VerificationKey",
    "first_line",
    "is_identifier",
    "is_name",
    "is_room_id",
    "load_key",
    "load_keys",
    "make_verifier",
    "mint_token",
]

AUDIENCE: Final = "witness"
DEMO_KID: Final = "demo"
MAX_NAME_CHARS: Final = 64
MAX_KEY_FILE_BYTES: Final = 65_536
DEFAULT_TTL_S: Final = 3_600.0

_IDENTIFIER: Final = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_NO_ROOMS: Final = frozenset({".", ".."})
"""Not possible as a part of an address: browsers and proxies resolve them."""
_BIDI_CONTROLS: Final = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
_REQUIRED: Final = ("aud", "sub", "room", "role", "exp")

PublicKey = EllipticCurvePublicKey | Ed25519PublicKey


@dataclass(frozen=True, slots=True)
class Identity:
    """What a good token says."""

    room_id: str
    participant_id: str
    name: str
    grant: Grant


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A key and the one algorithm it is good for.

    Attributes:
        local_only: accepted only from this machine.
    """

    kid: str
    algorithm: Algorithm
    key: bytes | PublicKey
    local_only: bool = False

    def __repr__(self) -> str:
        return f"VerificationKey(kid={self.kid!r}, algorithm={self.algorithm.value!r})"


@dataclass(frozen=True, slots=True)
class MintingKey:
    """A secret that tokens are signed with: for tests, the demo and the command line."""

    kid: str
    secret: bytes

    @classmethod
    def demo(cls) -> "MintingKey":
        """A random key for this process."""
        return cls(DEMO_KID, secrets.token_bytes(32))

    def verification(self) -> VerificationKey:
        """The key that accepts what this one signs; the demo key's is for this machine only."""
        local = self.kid == DEMO_KID
        return VerificationKey(self.kid, Algorithm.HS256, self.secret, local_only=local)

    def __repr__(self) -> str:
        return f"MintingKey(kid={self.kid!r})"


def load_keys(config: AuthConfig) -> list[VerificationKey]:
    """Reads the configured keys.

    Raises:
        KeyMaterialError: a file can't be read or holds another kind of key.
    """
    return [load_key(key) for key in config.keys]


def make_verifier(config: AuthConfig, demo_key: MintingKey | None = None) -> "TokenVerifier":
    """A verifier with the configured keys and, if there is one, the demo key.

    Raises:
        KeyMaterialError: a file can't be read or holds another kind of key.
    """
    keys = load_keys(config)
    if demo_key is not None:
        keys.append(demo_key.verification())
    return TokenVerifier(keys, max_ttl_s=config.max_ttl_s, clock_skew_s=config.clock_skew_s)


class TokenVerifier:
    """Turns tokens into identities."""

    def __init__(
        self, keys: Iterable[VerificationKey], *, max_ttl_s: float, clock_skew_s: float
    ) -> None:
        self._keys = {key.kid: key for key in keys}
        self._max_ttl_s = max_ttl_s
        self._clock_skew_s = clock_skew_s

    def verify(self, token: str, *, now_unix_s: float, local: bool) -> Identity:
        """Checks signature, times and claims.

        Args:
            token: compact JWS.
            now_unix_s: the present.
            local: the socket comes from this machine, not through a proxy.

        Raises:
            UnauthorizedError: not accepted; the text doesn't say why, ``cause`` does.
        """
        return _identity(self.claims(token, now_unix_s=now_unix_s, local=local))

    def claims(
        self,
        token: str,
        *,
        now_unix_s: float,
        local: bool,
        audience: str = AUDIENCE,
        required: Sequence[str] = _REQUIRED,
    ) -> Mapping[str, Any]:
        """What a token says whose signature and times are good; all of it still to be checked.

        Raises:
            UnauthorizedError: not accepted.
        """
        key = self._key_for(token, local=local)
        claims = _signed_claims(token, key, audience, required)
        self._check_times(claims, now_unix_s)
        return claims

    def _key_for(self, token: str, *, local: bool) -> VerificationKey:
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.InvalidTokenError, ValueError, RecursionError):
            raise UnauthorizedError("malformed") from None
        kid = header.get("kid")
        key = self._keys.get(kid) if isinstance(kid, str) else None
        if key is None:
            raise UnauthorizedError("unknown_key")
        if key.local_only and not local:
            raise UnauthorizedError("not_local")
        return key

    def _check_times(self, claims: Mapping[str, Any], now_unix_s: float) -> None:
        # PyJWT would read the machine's clock; here time is an argument.
        expires = _number(claims, "exp")
        if now_unix_s >= expires + self._clock_skew_s:
            raise UnauthorizedError("expired", expired=True)
        if "nbf" in claims and now_unix_s < _number(claims, "nbf") - self._clock_skew_s:
            raise UnauthorizedError("not_yet_valid")
        if expires - now_unix_s > self._max_ttl_s + self._clock_skew_s:
            raise UnauthorizedError("ttl_too_long")


def mint_token(  # noqa: PLR0913 - one argument for each claim
    key: MintingKey,
    *,
    room: str,
    participant_id: str,
    role: Role,
    now_unix_s: float,
    ttl_s: float = DEFAULT_TTL_S,
    name: str = "",
    publish: Iterable[Source] | None = None,
    subscribe: Iterable[Role] | None = None,
) -> str:
    """Signs a token with HS256.

    Raises:
        ValueError: an identifier or the name would not be accepted.
    """
    if room in _NO_ROOMS:
        raise ValueError("room: neither . nor .., which can't be part of an address")
    if not _IDENTIFIER.fullmatch(room) or not _IDENTIFIER.fullmatch(participant_id):
        raise ValueError("room and participant_id: 1 to 64 of A-Z a-z 0-9 _ . -")
    if not is_name(name):
        raise ValueError("name: at most 64 characters, no control characters")
    claims: dict[str, Any] = {
        "aud": AUDIENCE,
        "sub": participant_id,
        "room": room,
        "role": role.value,
        "name": name,
        "iat": int(now_unix_s),
        "exp": int(now_unix_s + ttl_s),
        "jti": secrets.token_hex(8),
    }
    if publish is not None:
        claims["publish"] = sorted(source.value for source in publish)
    if subscribe is not None:
        claims["subscribe"] = sorted(item.value for item in subscribe)
    return jwt.encode(claims, key.secret, algorithm="HS256", headers={"kid": key.kid})


def load_key(config: KeyConfig) -> VerificationKey:
    """Reads one configured key.

    Raises:
        KeyMaterialError: its file can't be read or holds another kind of key; the cause is the
            ``OSError``, if there was one.
    """
    if config.secret is not None:
        return _shared_secret(config, config.secret.get_secret_value())
    path = config.secret_file or config.public_key_file
    assert path is not None
    try:
        if config.secret_file is not None:
            return _shared_secret(config, first_line(path))
        content = _read_bounded(path)
    except OSError as error:
        reason = error.strerror or "can't be read"
        raise KeyMaterialError("can't be read: {reason}", config.kid, reason=reason) from error
    except ValueError as error:
        raise KeyMaterialError(str(error), config.kid) from None
    try:
        key = load_pem_public_key(content)
    except (ValueError, UnsupportedAlgorithm):
        raise KeyMaterialError("holds no public key in PEM form", config.kid) from None
    if isinstance(key, Ed25519PublicKey) and config.algorithm is Algorithm.EDDSA:
        return VerificationKey(config.kid, config.algorithm, key)
    if (
        isinstance(key, EllipticCurvePublicKey)
        and isinstance(key.curve, SECP256R1)
        and config.algorithm is Algorithm.ES256
    ):
        return VerificationKey(config.kid, config.algorithm, key)
    raise KeyMaterialError(
        "holds no key for {algorithm}", config.kid, algorithm=config.algorithm.value
    )


def first_line(path: Path) -> str:
    """The secret in a file: its first line, without the white space around it.

    Raises:
        OSError: the file can't be read.
        ValueError: the line is empty or not UTF-8.
    """
    try:
        first = _read_bounded(path).partition(b"\n")[0].decode().strip()
    except UnicodeDecodeError:
        raise ValueError("is not UTF-8") from None
    if not first:
        raise ValueError("its first line is empty")
    return first


def _read_bounded(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(MAX_KEY_FILE_BYTES)


def _shared_secret(config: KeyConfig, secret: str) -> VerificationKey:
    if len(secret) < 32:
        raise KeyMaterialError("the secret must have at least 32 characters", config.kid)
    return VerificationKey(config.kid, config.algorithm, secret.encode())


def _signed_claims(
    token: str, key: VerificationKey, audience: str, required: Sequence[str]
) -> Mapping[str, Any]:
    options: Any = {
        "require": list(required),
        "verify_exp": False,
        "verify_nbf": False,
        "verify_iat": False,
        "verify_sub": False,
        "verify_jti": False,
    }
    try:
        return jwt.decode(
            token, key.key, algorithms=[key.algorithm.value], audience=audience, options=options
        )
    except jwt.MissingRequiredClaimError:
        raise UnauthorizedError("claim_missing") from None
    except jwt.InvalidAudienceError:
        raise UnauthorizedError("audience") from None
    except jwt.InvalidAlgorithmError:
        raise UnauthorizedError("algorithm") from None
    except jwt.InvalidSignatureError:
        raise UnauthorizedError("signature") from None
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise UnauthorizedError("malformed") from None


def _identity(claims: Mapping[str, Any]) -> Identity:
    participant_id, room_id, name = claims["sub"], claims["room"], claims.get("name", "")
    if not is_identifier(participant_id) or not is_room_id(room_id) or not is_name(name):
        raise UnauthorizedError("claim_invalid")
    try:
        role = Role(claims["role"])
    except (ValueError, TypeError):
        raise UnauthorizedError("claim_invalid") from None
    widest = Grant.default_for(role, _number(claims, "exp"))
    grant = Grant(
        role=role,
        publish=widest.publish & _members(claims, "publish", Source, widest.publish),
        subscribe=widest.subscribe & _members(claims, "subscribe", Role, widest.subscribe),
        hidden=widest.hidden,
        expires_at=widest.expires_at,
    )
    return Identity(room_id, participant_id, name, grant)


def _members(
    claims: Mapping[str, Any], claim: str, kind: Any, default: frozenset[Any]
) -> frozenset[Any]:
    """The claim's list as members of an enumeration; ``default`` without the claim."""
    values = claims.get(claim)
    if values is None:
        return default
    if not isinstance(values, list) or len(values) > 32:
        raise UnauthorizedError("claim_invalid")
    try:
        return frozenset(kind(value) for value in values)
    except (ValueError, TypeError):
        raise UnauthorizedError("claim_invalid") from None


def _number(claims: Mapping[str, Any], claim: str) -> float:
    value = claims[claim]
    # Beyond this the calendar has no date for it; NaN fails the comparison too.
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1e11:
        raise UnauthorizedError("claim_invalid")
    return float(value)


def is_identifier(value: object) -> bool:
    """Whether this may be the id of a room or a participant."""
    return isinstance(value, str) and _IDENTIFIER.fullmatch(value) is not None


def is_room_id(value: object) -> bool:
    """Whether this may be the id of a room."""
    return is_identifier(value) and value not in _NO_ROOMS


def is_name(value: object) -> bool:
    """Whether this may be shown to others as a participant's name."""
    return (
        isinstance(value, str)
        and len(value) <= MAX_NAME_CHARS
        and not any(unicodedata.category(c) in {"Cc", "Cs", "Zl", "Zp"} for c in value)
        and not _BIDI_CONTROLS.intersection(value)
    )
