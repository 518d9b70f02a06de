"""Who may read the cards of detectors."""

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from sfu.model import Role
from signaling.auth import MintingKey, TokenVerifier, mint_token
from signaling.clock import system_clock
from signaling.detectors import DetectorsEndpoint
from signaling.problem import problem_middleware
from signaling.staff import StaffRole, mint_staff_token

pytestmark = pytest.mark.net

KEY = MintingKey("k", b"0" * 32)


class Cards:
    """One detector."""

    async def cards(self) -> Sequence[dict[str, Any]]:
        return [{"name": "face_presence"}]

    async def card(self, name: str) -> dict[str, Any] | None:
        return {"name": name} if name == "face_presence" else None


def room(role: Role, ttl_s: float = 60) -> str:
    now = time.time()
    return mint_token(KEY, room="r", participant_id="p", role=role, now_unix_s=now, ttl_s=ttl_s)


def staff(role: StaffRole) -> str:
    return mint_staff_token(KEY, role=role, now_unix_s=time.time(), ttl_s=60)


@pytest.mark.parametrize(
    ("issue", "path", "status", "code"),
    [
        (partial(room, Role.CUSTOMER), "", 200, None),
        (partial(room, Role.RM), "/face_presence/card", 200, None),
        (partial(staff, StaffRole.REVIEWER), "", 200, None),
        (partial(staff, StaffRole.CRM), "/face_presence/card", 200, None),
        (partial(room, Role.RM), "/phone/card", 404, "unknown_detector"),
        (partial(room, Role.RM, ttl_s=-40), "", 401, "token_expired"),
        (lambda: "x", "", 401, "unauthorized"),
        (lambda: "", "", 401, "unauthorized"),
    ],
)
async def test_cards_are_for_whoever_has_a_token(
    issue: Callable[[], str], path: str, status: int, code: str | None
) -> None:
    token = issue()
    verifier = TokenVerifier([KEY.verification()], max_ttl_s=3600, clock_skew_s=0)
    app = web.Application(middlewares=[problem_middleware])
    app.add_routes(DetectorsEndpoint(Cards(), verifier, system_clock).routes())
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        TestClient(TestServer(app)) as client,
        client.get(f"/v1/detectors{path}", headers=headers) as response,
    ):
        told = await response.json()
        assert (response.status, told.get("code")) == (status, code)
        if status == 200:
            assert told in ({"detectors": [{"name": "face_presence"}]}, {"name": "face_presence"})
