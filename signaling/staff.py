"""Tokens of people and services beside the calls: who may watch recordings, who adds to them."""

import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

import jwt
from aiohttp import web

from sfu.model import Role
from signaling.auth import MintingKey, TokenVerifier, is_identifier, is_name, is_room_id
from signaling.clock import Clock
from signaling.errors import ErrorCode, RefusedError, UnauthorizedError
from signaling.origin import is_local

__all__ = [
    "STAFF_AUDIENCE",
    "VIEWERS",
    "StaffGate",
    "StaffIdentity",
    "StaffRole",
    "mint_staff_token",
    "verify_staff",
]

STAFF_AUDIENCE: Final = "witness-staff"
_REQUIRED: Final = ("aud", "sub", "role", "exp")
_MAX_ROOMS: Final = 64


class StaffRole(StrEnum):
    """What somebody is beside the calls."""

    REVIEWER = "reviewer"
    AUDITOR = "auditor"
    SUPERVISOR = "supervisor"
    DETECTOR = "detector"
    CRM = "crm"


VIEWERS: Final = frozenset({StaffRole.REVIEWER, StaffRole.AUDITOR, StaffRole.SUPERVISOR})


@dataclass(frozen=True, slots=True)
class StaffIdentity:
    """What a good token says.

    Attributes:
        subject: who, in the bank's own system.
        rooms: the only rooms whose recordings this is for; ``None``: all.
    """

    subject: str
    name: str
    role: StaffRole
    rooms: frozenset[str] | None
    expires_at: float

    def may_see(self, room: str) -> bool:
        """Whether recordings of a room are for these eyes."""
        return self.rooms is None or room in self.rooms


def verify_staff(
    verifier: TokenVerifier, token: str, *, now_unix_s: float, local: bool
) -> StaffIdentity:
    """Checks signature, times and claims of a staff token, or of a supervisor's room token.

    Raises:
        UnauthorizedError: not accepted, or of a participant that may watch no recordings.
    """
    try:
        claims = verifier.claims(
            token, now_unix_s=now_unix_s, local=local, audience=STAFF_AUDIENCE, required=_REQUIRED
        )
    except UnauthorizedError as error:
        if error.cause not in {"audience", "claim_missing"}:
            raise
        return _supervisor(verifier, token, now_unix_s=now_unix_s, local=local)
    subject, name, rooms = claims["sub"], claims.get("name", ""), claims.get("rooms")
    if not is_identifier(subject) or not is_name(name):
        raise UnauthorizedError("claim_invalid")
    if rooms is not None and not (
        isinstance(rooms, list) and 0 < len(rooms) <= _MAX_ROOMS and all(map(is_room_id, rooms))
    ):
        raise UnauthorizedError("claim_invalid")
    try:
        role = StaffRole(claims["role"])
    except (ValueError, TypeError):
        raise UnauthorizedError("claim_invalid") from None
    allowed = None if rooms is None else frozenset(rooms)
    return StaffIdentity(subject, name, role, allowed, float(claims["exp"]))


def _supervisor(
    verifier: TokenVerifier, token: str, *, now_unix_s: float, local: bool
) -> StaffIdentity:
    person = verifier.verify(token, now_unix_s=now_unix_s, local=local)
    if person.grant.role is not Role.SUPERVISOR:
        raise UnauthorizedError("audience")
    rooms = frozenset({person.room_id})
    expires_at = person.grant.expires_at
    return StaffIdentity(
        person.participant_id, person.name, StaffRole.SUPERVISOR, rooms, expires_at
    )


def mint_staff_token(
    key: MintingKey,
    *,
    role: StaffRole,
    now_unix_s: float,
    ttl_s: float,
    subject: str | None = None,
    name: str = "",
    rooms: Iterable[str] | None = None,
) -> str:
    """Signs a token with HS256.

    Raises:
        ValueError: an identifier or the name would not be accepted.
    """
    subject = subject or f"{role.value}-{secrets.token_hex(4)}"
    if not is_identifier(subject) or not all(map(is_room_id, rooms or ())):
        raise ValueError("subject and rooms: 1 to 64 of A-Z a-z 0-9 _ . -")
    if not is_name(name):
        raise ValueError("name: at most 64 characters, no control characters")
    claims: dict[str, Any] = {
        "aud": STAFF_AUDIENCE,
        "sub": subject,
        "role": role.value,
        "name": name,
        "iat": int(now_unix_s),
        "exp": int(now_unix_s + ttl_s),
        "jti": secrets.token_hex(8),
    }
    if rooms is not None:
        claims["rooms"] = sorted(rooms)
    return jwt.encode(claims, key.secret, algorithm="HS256", headers={"kid": key.kid})


class StaffGate:
    """Who asks, by the bearer token of a request."""

    def __init__(self, verifier: TokenVerifier, clock: Clock) -> None:
        self._verifier = verifier
        self.clock = clock

    def identity(self, request: web.Request, roles: frozenset[StaffRole]) -> StaffIdentity:
        """Whoever sent the request.

        Raises:
            UnauthorizedError: no token, or none that is accepted.
            RefusedError: a token of another role.
        """
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise UnauthorizedError("missing")
        who = verify_staff(
            self._verifier,
            token.strip(),
            now_unix_s=self.clock().unix_s,
            local=is_local(request.remote, request.headers),
        )
        if who.role not in roles:
            names = ", ".join(sorted(role.value for role in roles))
            raise RefusedError(ErrorCode.FORBIDDEN, f"only for: {names}")
        return who
