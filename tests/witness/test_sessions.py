"""Sessions over HTTP, from the request to the log on the disk."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from recorder.digests import digests_of
from recorder.log import read_events
from recorder.playback.opening import open_recording
from recorder.session import RecordingSession
from recorder.session_file import read_session
from recorder.sessions import Sessions
from sfu.model import Role
from signaling.auth import MintingKey, TokenVerifier, mint_token
from signaling.clock import system_clock
from signaling.problem import problem_middleware
from signaling.sessions import SessionEndpoint
from signaling.staff import StaffRole, mint_staff_token
from tests.recorder.test_sessions import FakeCapture
from witness.sessions import SessionService

pytestmark = pytest.mark.net

KEY = MintingKey("k", b"0" * 32)


def bearer(role: Role = Role.RM, room: str = "sale-1", ttl_s: float = 3_600) -> dict[str, str]:
    token = mint_token(
        KEY,
        room=room,
        participant_id=f"{role.value}-1",
        role=role,
        now_unix_s=time.time(),
        ttl_s=ttl_s,
    )
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def served(directory: Path) -> AsyncIterator[TestClient[Any, Any]]:
    sessions = Sessions(directory, FakeCapture())
    verifier = TokenVerifier([KEY.verification()], max_ttl_s=3600, clock_skew_s=0)
    app = web.Application(middlewares=[problem_middleware], client_max_size=65_536)
    endpoint = SessionEndpoint(SessionService(sessions), verifier, system_clock)
    app.add_routes(endpoint.routes())
    async with sessions.running(), TestClient(TestServer(app)) as client:
        yield client


async def post(
    client: TestClient[Any, Any], path: str, body: object, **who: Any
) -> tuple[int, Any]:
    async with client.post(path, json=body, headers=bearer(**who)) as response:
        return response.status, await response.json()


async def get(client: TestClient[Any, Any], path: str, **who: Any) -> tuple[int, Any]:
    async with client.get(path, headers=bearer(**who)) as response:
        return response.status, await response.json()


async def test_a_recording_from_start_to_stop(tmp_path: Path) -> None:
    async with served(tmp_path) as client:
        status, session = await post(client, "/v1/sessions", {"room": "sale-1"})
        assert status == 201
        assert (session["state"], session["room"]) == ("ready", "sale-1")
        at = f"/v1/sessions/{session['session_id']}"
        for body, state in (
            ({"command": "start"}, "recording"),
            ({"command": "next", "node": "risk"}, "recording"),
            ({"command": "mark", "label": "此处"}, "recording"),
            ({"command": "pause"}, "paused"),
            ({"command": "resume"}, "recording"),
            ({"command": "re_record", "node": "risk"}, "recording"),
        ):
            status, told = await post(client, f"{at}/commands", body)
            assert (status, told["state"]) == (200, state), told
        assert (told["node"], told["attempt"]) == ("risk", 2)
        for body, key, status in (
            ({"command": "mark", "label": "again"}, "k-1", 200),
            ({"command": "mark", "label": "again"}, "k-1", 200),
            ({"command": "mark", "label": "another"}, "k-1", 422),
            ({"command": "mark", "label": "x"}, "", 400),
            ({"command": "mark", "label": "x"}, "k" * 65, 400),
        ):
            headers = {**bearer(), "Idempotency-Key": key}
            async with client.post(f"{at}/commands", json=body, headers=headers) as response:
                assert response.status == status
        assert (await post(client, f"{at}/commands", {"command": "stop"}))[1]["state"] == "stopped"
        status, timeline = await get(client, f"{at}/timeline", role=Role.SUPERVISOR)
        assert status == 200
        assert [mark["label"] for mark in timeline["marks"]] == ["此处", "again"]
        assert len(timeline["pauses"]) == 1
        assert timeline["attempts"][1]["supersedes"] == 1
        assert (await get(client, at))[1]["state"] == "stopped"


REFUSED: list[tuple[str, object, dict[str, Any], int, str]] = [
    ("/commands", {"command": "pause"}, {}, 409, "wrong_state"),
    ("/commands", {"command": "start"}, {"role": Role.CUSTOMER}, 403, "forbidden"),
    ("/commands", {"command": "start"}, {"role": Role.SUPERVISOR}, 403, "forbidden"),
    ("/commands", {"command": "start"}, {"room": "sale-2"}, 404, "unknown_session"),
    ("/commands", {"command": "start"}, {"ttl_s": -1}, 401, "token_expired"),
    ("/commands", {"command": "erase"}, {}, 400, "bad_message"),
    ("/commands", {"command": "start", "node": "x"}, {}, 400, "bad_message"),
    ("/commands", {"command": "next"}, {}, 400, "bad_message"),
    ("/commands", {"command": "next", "node": "../x"}, {}, 400, "bad_message"),
    ("/commands", {"command": "mark", "label": "x" * 201}, {}, 400, "bad_message"),
    ("/commands", {"command": "mark", "label": "x" * 9000}, {}, 413, "too_large"),
    ("/commands", {"command": "mark", "label": "\ud800"}, {}, 400, "bad_message"),
    ("/commands", [], {}, 400, "bad_message"),
    ("/commands", None, {}, 415, "unsupported_media_type"),
]


@pytest.mark.parametrize(("path", "body", "who", "status", "code"), REFUSED)
async def test_what_is_refused_says_why(
    path: str, body: object, who: dict[str, Any], status: int, code: str, tmp_path: Path
) -> None:
    async with served(tmp_path) as client:
        made = (await post(client, "/v1/sessions", {"room": "sale-1"}))[1]["session_id"]
        got, told = await post(client, f"/v1/sessions/{made}{path}", body, **who)
        assert (got, told["code"]) == (status, code)


SALE = {
    "order": {
        "order_no": "PO-2026-1142",
        "product_code": "L-20",
        "product_class": "insurance_life",
        "contract_end": "2046-11-22",
    },
    "customer": {"crm_customer_id": "c-7f3a"},
}


async def test_order_and_customer_are_part_of_the_session(tmp_path: Path) -> None:
    async with served(tmp_path) as client:
        status, made = await post(client, "/v1/sessions", {"room": "sale-1", **SALE})
        assert (status, made["order"], made["customer"]) == (201, SALE["order"], SALE["customer"])
        told = (await get(client, f"/v1/sessions/{made['session_id']}"))[1]
        assert told["customer"] == SALE["customer"]
        found = read_session(tmp_path / made["session_id"]).sale
        assert (found.order_no, found.customer) == ("PO-2026-1142", "c-7f3a")
        assert found.to_json() == SALE


NO_SALE: list[tuple[dict[str, Any], str]] = [
    ({"order": {}}, "order.order_no"),
    ({"order": {"order_no": "a b"}}, "order.order_no"),
    ({"order": {"order_no": "x" * 65}}, "order.order_no"),
    ({"order": {"order_no": "1", "product_class": "Life"}}, "order.product_class"),
    ({"order": {"order_no": "1", "contract_end": "2026-02-30"}}, "no day of the calendar"),
    ({"order": {"order_no": "1", "contract_end": 20260101}}, "order.contract_end"),
    ({"order": {"order_no": "11010519491231002X"}}, "an identity number is no reference"),
    ({"order": {"order_no": "1", "contract_end": "1970-01-01"}}, "a contract ends today"),
    ({"order": {"order_no": "1", "contract_end": "9999-12-31"}}, "a contract ends today"),
    ({"order": {"order_no": "138-1234-5678"}}, "a telephone number is no reference"),
    ({"customer": {"crm_customer_id": "110105.491231.002"}}, "an identity number is no reference"),
    ({"customer": {"crm_customer_id": "110105-19491231-002X"}}, "an identity number is no"),
    ({"order": {"order_no": "1", "amount": 5}}, "order.amount"),
    ({"customer": {"crm_customer_id": "13800138000"}}, "a telephone number is no reference"),
    ({"customer": {"crm_customer_id": "李雷"}}, "customer.crm_customer_id"),
    ({"customer": "c-1"}, "customer"),
]


@pytest.mark.parametrize(("sale", "said"), NO_SALE)
async def test_what_is_no_reference_is_refused(
    sale: dict[str, Any], said: str, tmp_path: Path
) -> None:
    async with served(tmp_path) as client:
        status, told = await post(client, "/v1/sessions", {"room": "sale-1", **sale})
        assert (status, told["code"]) == (400, "bad_message")
        assert said in told["detail"]


async def test_sessions_of_nobody_and_of_others_are_unknown(tmp_path: Path) -> None:
    async with served(tmp_path) as client:
        made = (await post(client, "/v1/sessions", {"room": "sale-1"}))[1]["session_id"]
        for name, who in ((made, {"room": "sale-2"}), ("nowhere", {}), ("%2e%2e", {})):
            status, told = await get(client, f"/v1/sessions/{name}/timeline", **who)
            assert status == 404, told
        assert (await post(client, "/v1/sessions", {"room": "sale-1"}))[0] == 409
        assert (await post(client, "/v1/sessions", {"room": "sale-2"}))[0] == 403
        async with client.post("/v1/sessions", data=b"{}", headers=bearer()) as response:
            assert response.status == 415
        async with client.post("/v1/sessions", json={"room": "sale-1"}) as response:
            assert response.status == 401


FLOW = {
    "id": "fund-sale",
    "version": "3",
    "nodes": [
        {"code": "consent", "title": {"zh": "录制同意"}, "re_record_allowed": False},
        {"code": "risk", "title": {"zh": "风险揭示", "en": "Risk disclosure"}},
    ],
}


async def test_commands_name_nodes_of_the_flow_that_was_given(tmp_path: Path) -> None:
    async with served(tmp_path) as client:
        status, made = await post(client, "/v1/sessions", {"room": "sale-1", "flow": FLOW})
        assert (status, made["flow"]["nodes"][0]["title"]) == (201, {"zh": "录制同意"})
        at = f"/v1/sessions/{made['session_id']}"
        for body, answer in (
            ({"command": "start"}, (200, None)),
            ({"command": "next", "node": "riks"}, (422, "unknown_node")),
            ({"command": "re_record", "node": "riks"}, (422, "unknown_node")),
            ({"command": "next", "node": "consent"}, (200, None)),
            ({"command": "re_record", "node": "consent"}, (409, "wrong_state")),
            ({"command": "next", "node": "risk"}, (200, None)),
            ({"command": "re_record", "node": "risk"}, (200, None)),
            ({"command": "stop"}, (200, None)),
        ):
            status, told = await post(client, f"{at}/commands", body)
            assert (status, told.get("code")) == answer, told
        assert (await get(client, at))[1]["flow"] == made["flow"]
    place = tmp_path / made["session_id"]
    first = next(read_events(place, read_session(place)))
    assert first.type == "flow.given"
    assert first.payload["sha256"] == digests_of((place / "flow.json").read_bytes()).sha256
    # Known again after a restart, from the log alone.
    assert RecordingSession.replayed(read_events(place, read_session(place))).attempts
    assert open_recording(place, "en").titles == {"consent": "录制同意", "risk": "Risk disclosure"}


async def test_a_flow_that_is_none_makes_no_session(tmp_path: Path) -> None:
    async with served(tmp_path) as client:
        flow = FLOW | {"nodes": [{"code": "consent"}]}
        status, told = await post(client, "/v1/sessions", {"room": "sale-1", "flow": flow})
        assert (status, told["code"]) == (400, "bad_message")
        assert "flow.nodes.0.title" in told["detail"]
    assert not list(tmp_path.iterdir())  # noqa: ASYNC240 - after the server


def staff(role: StaffRole = StaffRole.DETECTOR, **claims: Any) -> dict[str, str]:
    now_s = time.time()
    token = mint_staff_token(
        KEY, role=role, now_unix_s=now_s, ttl_s=claims.pop("ttl_s", 3_600), **claims
    )
    return {"Authorization": f"Bearer {token}"}


async def test_a_detector_adds_to_the_transcript_until_it_is_closed(tmp_path: Path) -> None:
    line = {"from_us": 0, "to_us": 1_000_000, "text": "我同意", "speaker": "customer-1"}
    async with served(tmp_path) as client:
        made = (await post(client, "/v1/sessions", {"room": "sale-1"}))[1]["session_id"]
        at = f"/v1/sessions/{made}/transcript"

        async def send(body: object, headers: dict[str, str] | None = None) -> tuple[int, Any]:
            async with client.post(at, json=body, headers=headers or staff()) as response:
                return response.status, await response.json()

        for headers, status, code in (
            (bearer(), 401, "unauthorized"),
            (bearer(Role.CUSTOMER), 401, "unauthorized"),
            (bearer(Role.SUPERVISOR), 403, "forbidden"),
            (staff(StaffRole.REVIEWER), 403, "forbidden"),
            (staff(rooms=["sale-2"]), 404, "unknown_session"),
            (staff(ttl_s=-1), 401, "token_expired"),
            ({"Authorization": "Basic eDp5"}, 401, "unauthorized"),
        ):
            got, told = await send({"lines": [line]}, headers)
            assert (got, told["code"]) == (status, code)
        for body in ({}, {"lines": [1]}, {"lines": [line | {"to_us": 0}]}, {"lines": [line] * 257}):
            assert (await send(body))[0] == 400, body
        got, told = await send({"lines": [line]})
        assert (got, told["closed"]) == (200, False)
        for command in ("start", "stop"):
            body = {"command": command}
            assert (await post(client, f"/v1/sessions/{made}/commands", body))[0] == 200
        assert (await send({"lines": [line], "final": True}, staff(rooms=["sale-1"])))[0] == 200
        got, told = await send({"lines": [line]})
        assert (got, told["code"]) == (409, "wrong_state")
    *_, last = read_events(tmp_path / made, read_session(tmp_path / made))
    assert (last.type, last.payload["lines"]) == ("transcript.closed", 2)
