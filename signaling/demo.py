"""The demo key: random for each process, good on this machine only."""

import secrets
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from sfu.model import Role
from signaling.auth import MintingKey, mint_token

__all__ = ["DEMO_TTL_S", "DemoRequest", "DemoToken", "mint_demo_token"]

DEMO_TTL_S = 4 * 3_600.0

RoomId = Annotated[
    str, Field(pattern=r"^(\.{3}|\.{0,2}[A-Za-z0-9_-])[A-Za-z0-9_.-]*$", max_length=64)
]
"""Neither ``.`` nor ``..``, which can't be part of an address."""
Identifier = Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class DemoRequest(BaseModel):
    """Body of ``POST /v1/demo/tokens``."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    room: RoomId
    role: Role
    name: str = Field(default="", max_length=64)
    participant_id: Identifier | None = None


class DemoToken(BaseModel):
    """Answer of ``POST /v1/demo/tokens``."""

    token: str
    participant_id: str
    room: str
    expires_at: int


def mint_demo_token(
    key: MintingKey, request: DemoRequest, now_unix_s: float, *, ttl_s: float = DEMO_TTL_S
) -> DemoToken:
    """Signs a token for whoever asks.

    Raises:
        ValueError: the name has control characters.
    """
    participant_id = request.participant_id or f"{request.role.value}-{secrets.token_hex(4)}"
    token = mint_token(
        key,
        room=request.room,
        participant_id=participant_id,
        role=request.role,
        now_unix_s=now_unix_s,
        ttl_s=ttl_s,
        name=request.name,
    )
    return DemoToken(
        token=token,
        participant_id=participant_id,
        room=request.room,
        # Not later than the token itself says.
        expires_at=int(now_unix_s + ttl_s),
    )
