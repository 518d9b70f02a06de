"""Challenges: who may put them, and that detectors are told."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from sfu.model import Role
from signaling.auth import TokenVerifier
from signaling.challenge_endpoint import Challenge, ChallengeEndpoint
from signaling.clock import system_clock
from signaling.consents import Subject
from signaling.errors import SessionRefusedError
from signaling.problem import problem_middleware
from signaling.staff import StaffRole
from tests.witness.test_sessions import KEY, bearer, staff
from witness.challenges import Challenges

WHO = Subject("sale-1", "customer-1")
WHERE = "/v1/rooms/sale-1/participants/customer-1/challenges"
TURN = Challenge(ask="turn_left")


class Calls:
    """Remembers which marks it was given."""

    def __init__(self) -> None:
        self.marks: list[tuple[Any, ...]] = []

    def marked(self, *about: Any) -> None:
        self.marks.append(about)


class Desk:
    def __init__(self) -> None:
        self.now_ns = 0
        self.held = {"face": "c1"}
        self.sessions = {"sale-1": "s1"}
        self.challenges = Challenges(
            lambda _: self.held,  # type: ignore[arg-type,return-value]
            self.sessions.get,
            lambda: self.now_ns,
        )
        self.calls = self.challenges.calls = Calls()  # type: ignore[assignment]


@pytest.fixture
def desk() -> Desk:
    return Desk()


def test_detectors_are_told_of_it(desk: Desk) -> None:
    told = desk.challenges.put(WHO, TURN)
    assert desk.calls.marks == [
        ("s1", "challenge", "customer-1", {"ask": "turn_left", "within_s": 8.0})
    ]
    assert told == {
        "room": "sale-1",
        "participant_id": "customer-1",
        "session_id": "s1",
        "ask": "turn_left",
        "within_s": 8.0,
    }


def refused(desk: Desk) -> tuple[int, str]:
    with pytest.raises(SessionRefusedError) as error:
        desk.challenges.put(WHO, TURN)
    return error.value.status, str(error.value.code)


def test_nobody_is_asked_whom_nobody_would_or_may_look_at(desk: Desk) -> None:
    desk.held = {"identity": "c2"}
    assert refused(desk) == (409, "no_consent")
    desk.held = {"face": "c1"}
    desk.sessions.clear()
    assert refused(desk) == (409, "wrong_state")
    desk.sessions["sale-1"] = "s1"
    desk.challenges.calls = None
    assert refused(desk) == (409, "wrong_state")
    assert desk.calls.marks == []


def test_challenges_come_one_after_the_other(desk: Desk) -> None:
    for _ in range(2):
        desk.challenges.put(WHO, TURN)
    assert refused(desk) == (429, "rate_limited")
    desk.challenges.put(Subject("sale-1", "other"), TURN)
    desk.now_ns += 1_000_000_001
    desk.challenges.put(WHO, TURN)


@asynccontextmanager
async def served(desk: Desk) -> AsyncIterator[TestClient[Any, Any]]:
    verifier = TokenVerifier([KEY.verification()], max_ttl_s=3600, clock_skew_s=0)
    app = web.Application(middlewares=[problem_middleware])
    app.add_routes(ChallengeEndpoint(desk.challenges, verifier, system_clock).routes())
    async with TestClient(TestServer(app)) as client:
        yield client


REFUSED: list[tuple[dict[str, str], object, int, str]] = [
    ({}, {"ask": "turn"}, 401, "unauthorized"),
    (staff(StaffRole.REVIEWER), {"ask": "turn"}, 403, "forbidden"),
    (staff(StaffRole.CRM, rooms=["sale-2"]), {"ask": "turn"}, 403, "forbidden"),
    (bearer(Role.RM, "sale-2"), {"ask": "turn"}, 403, "forbidden"),
    (bearer(Role.CUSTOMER), {"ask": "turn"}, 403, "forbidden"),
    (bearer(Role.RM), {}, 400, "bad_message"),
    (bearer(Role.RM), {"ask": "jump"}, 400, "bad_message"),
    (bearer(Role.RM), {"ask": "turn", "within_s": 0.5}, 400, "bad_message"),
    (bearer(Role.RM), {"ask": "turn", "within_s": 61}, 400, "bad_message"),
    (bearer(Role.RM), {"ask": "turn", "more": 1}, 400, "bad_message"),
    (bearer(Role.RM), [], 400, "bad_message"),
]


@pytest.mark.net
@pytest.mark.parametrize(("who", "body", "status", "code"), REFUSED)
async def test_what_is_refused_says_why(
    desk: Desk, who: dict[str, str], body: object, status: int, code: str
) -> None:
    async with served(desk) as client:
        async with client.post(WHERE, json=body, headers=who) as response:
            told = await response.json()
        assert (response.status, told["code"]) == (status, code), told
        assert desk.calls.marks == []


@pytest.mark.net
@pytest.mark.parametrize("who", [staff(StaffRole.CRM), bearer(Role.RM)])
async def test_whoever_may_puts_one(desk: Desk, who: dict[str, str]) -> None:
    body = {"ask": "blink", "within_s": 5}
    async with served(desk) as client:
        async with client.post(WHERE, json=body, headers=who) as response:
            assert response.status == 202
            assert (await response.json())["session_id"] == "s1"
        where = WHERE.replace("customer-1", "a%2fb")
        async with client.post(where, json=body, headers=who) as response:
            assert response.status == 404
    assert [mark[3] for mark in desk.calls.marks] == [{"ask": "blink", "within_s": 5.0}]
