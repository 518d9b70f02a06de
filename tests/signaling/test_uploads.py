"""Uploads over HTTP: who may, what is read, what is refused."""

import base64
import hashlib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from io import BytesIO
from typing import Any, Literal

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from signaling.clock import Instant
from signaling.cors import CrossOrigin
from signaling.errors import ErrorCode, HttpCode, RefusedError
from signaling.messages import DigestBatchData
from signaling.problem import problem_middleware
from signaling.recording import Kept, Wanted
from signaling.uploads import UploadBearer, UploadEndpoint, UploadRefusedError

pytestmark = pytest.mark.net

CHUNK = {"ssrc": 7, "first_ts": 0, "last_ts": 960, "frames": 2, "bytes": 20, "sha256": "0a" * 32}
BATCH: dict[str, Any] = {
    "session_id": "s-1", "track_id": "t-1", "codec": "opus", "from_seq": 5, "chunks": [CHUNK],
}  # fmt: skip
TOKENS = {"good": UploadBearer("s-1", "p-1"), "other": UploadBearer("s-2", "p-1")}


class Fake:
    """Takes uploads in memory."""

    def __init__(self) -> None:
        self.bodies: dict[tuple[str, int], bytes] = {}
        self.calls: list[Any] = []
        self.refusal: Exception | None = None

    def bearer(self, token: str, now_unix_s: float) -> UploadBearer:
        if token == "old":
            raise UploadRefusedError(401, ErrorCode.TOKEN_EXPIRED, "over")
        if token not in TOKENS:
            raise UploadRefusedError(401, ErrorCode.UNAUTHORIZED, "not accepted")
        return TOKENS[token]

    def state(self, session_id: str, participant_id: str) -> Literal["recording", "open", "done"]:
        return "open"

    def accept_digests(
        self, session_id: str, participant_id: str, batch: DigestBatchData, *, late: bool
    ) -> Kept:
        if self.refusal:
            raise self.refusal
        self.calls.append((session_id, participant_id, batch.from_seq, late))
        return Kept(3)

    def announce_key(self, session_id: str, participant_id: str, public: str, proof: str) -> None:
        raise AssertionError("keys come with the socket")

    def wanted(self, session_id: str, participant_id: str, limit: int) -> tuple[list[Wanted], int]:
        return [Wanted("t-1", 5, (960,))], limit

    def issue_token(
        self, session_id: str, participant_id: str, now_unix_s: float
    ) -> tuple[str, float]:
        return "good", now_unix_s + 1

    def lost(
        self, session_id: str, participant_id: str, track_id: str, seqs: Any, cause: Any
    ) -> None:
        self.calls.append((track_id, seqs, cause))

    async def put(
        self, session_id: str, participant_id: str, track_id: str, seq: int, body: bytes
    ) -> None:
        if self.refusal:
            raise self.refusal
        self.bodies[track_id, seq] = body


@asynccontextmanager
async def served(fake: Fake) -> AsyncIterator[TestClient[Any, Any]]:
    app = web.Application(middlewares=[problem_middleware], client_max_size=1024)
    cors = CrossOrigin(["https://crm.example"])
    app.on_response_prepare.append(cors.add_headers)
    cors.open(app.add_routes(UploadEndpoint(fake, lambda: Instant(0.0, 0.0)).routes()))
    async with TestClient(TestServer(app)) as client:
        yield client


def headers(token: str = "good", body: bytes | None = None, **more: str) -> dict[str, str]:
    found = {"Authorization": f"Bearer {token}", **more}
    if body is not None:
        sha = base64.b64encode(hashlib.sha256(body).digest()).decode()
        found["Content-Digest"] = f"sha-256=:{sha}:"
        found["Content-Type"] = "application/octet-stream"
    return found


BASE = "/v1/sessions/s-1"
PUT = f"{BASE}/tracks/t-1/chunks/5"


async def test_pages_of_configured_origins_upload() -> None:
    fake = Fake()
    async with served(fake) as client:
        page = {"Origin": "https://crm.example"}
        ask = page | {
            "Access-Control-Request-Method": "PUT",
            "Access-Control-Request-Headers": "authorization,content-digest,content-type",
        }
        asked = await client.options(PUT, headers=ask)
        assert (asked.status, asked.headers["Access-Control-Allow-Methods"]) == (204, "PUT")
        allowed = asked.headers["Access-Control-Allow-Headers"].lower().split(", ")
        assert {"authorization", "content-digest", "content-type"} <= set(allowed)
        done = await client.put(PUT, data=b"12", headers=headers(body=b"12") | page)
        assert done.status < 300
        assert done.headers["Access-Control-Allow-Origin"] == "https://crm.example"
        assert fake.bodies == {("t-1", 5): b"12"}
        refused = await client.put(PUT, data=b"12", headers=headers("bad", b"12") | page)
        assert refused.status == 401
        assert refused.headers["Access-Control-Allow-Origin"] == "https://crm.example"
        evil = await client.options(PUT, headers=ask | {"Origin": "https://evil.example"})
        assert evil.status == 403
        assert "Access-Control-Allow-Origin" not in evil.headers


async def test_what_is_wanted_is_said_and_uploaded() -> None:
    fake = Fake()
    async with served(fake) as client:
        async with client.get(f"{BASE}/wants", headers=headers()) as reply:
            assert await reply.json() == {
                "state": "open",
                "chunks": [{"track_id": "t-1", "seq": 5, "have": [960]}],
                "more": 64,
            }
            assert reply.headers["Cache-Control"] == "no-store"
        body = bytes(200_000)
        async with client.put(PUT, data=body, headers=headers(body=body)) as reply:
            assert reply.status == 204
        async with client.post(f"{BASE}/digests", json=BATCH, headers=headers()) as reply:
            assert await reply.json() == {"settled_below": 3, "batches": None}
        lost = {"track_id": "t-1", "seqs": [5, 6], "cause": "evicted"}
        async with client.post(f"{BASE}/lost", json=lost, headers=headers()) as reply:
            assert reply.status == 204
    assert fake.bodies == {("t-1", 5): body}
    assert fake.calls == [("s-1", "p-1", 5, True), ("t-1", (5, 6), "evicted")]


@pytest.mark.parametrize(
    ("token", "status", "code"),
    [
        ("", 401, "unauthorized"),
        ("forged", 401, "unauthorized"),
        ("old", 401, "token_expired"),
        ("other", 403, "forbidden"),
    ],
)
async def test_without_a_good_token_nothing_is_done(token: str, status: int, code: str) -> None:
    fake = Fake()
    async with served(fake) as client:
        for method, path in (("GET", "wants"), ("POST", "digests"), ("POST", "lost")):
            async with client.request(method, f"{BASE}/{path}", headers=headers(token)) as reply:
                assert (reply.status, (await reply.json())["code"]) == (status, code)
                assert ("WWW-Authenticate" in reply.headers) == (status == 401)
        async with client.put(PUT, data=b"x", headers=headers(token, b"x")) as reply:
            assert reply.status == status
    assert not fake.bodies
    assert not fake.calls


WRONG_PUTS: dict[str, tuple[str, bytes, dict[str, str], int, str]] = {
    "no digest": (PUT, b"x", {"Content-Digest": ""}, 400, "bad_message"),
    "another digest": (PUT, b"x", {**headers(body=b"y")}, 400, "bad_message"),
    "another algorithm": (PUT, b"x", {"Content-Digest": "md5=:AAAA:"}, 400, "bad_message"),
    "broken digest": (PUT, b"x", {"Content-Digest": f"sha-256=:{'=' * 44}:"}, 400, "bad_message"),
    "another type": (PUT, b"x", {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
    "no number": (f"{BASE}/tracks/t-1/chunks/x", b"x", {}, 404, "unknown_chunk"),
    "too long a number": (f"{BASE}/tracks/t-1/chunks/{'9' * 17}", b"x", {}, 404, "unknown_chunk"),
    "too large": (PUT, bytes(8 * 1024 * 1024 + 1), {}, 413, "too_large"),
}


@pytest.mark.parametrize("name", WRONG_PUTS)
async def test_wrong_uploads_are_refused_with_what_is_wrong(name: str) -> None:
    path, body, changed, status, code = WRONG_PUTS[name]
    fake = Fake()
    async with (
        served(fake) as client,
        client.put(path, data=BytesIO(body), headers=headers(body=body) | changed) as reply,
    ):
        assert (reply.status, (await reply.json())["code"]) == (status, code)
    assert not fake.bodies


async def test_a_body_without_a_length_is_bounded_too() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield bytes(1024 * 1024)

    fake = Fake()
    async with (
        served(fake) as client,
        client.put(PUT, data=endless(), headers=headers(body=b"")) as reply,
    ):
        assert reply.status == 413
    assert not fake.bodies


WRONG_JSON = [
    ("digests", b"{"), ("digests", b"[]"), ("digests", b"{}"),
    ("lost", b'{"track_id": "t", "seqs": [], "cause": "evicted"}'),
    ("lost", b'{"track_id": "t", "seqs": [1.5], "cause": "evicted"}'),
    ("lost", b'{"track_id": "t", "seqs": [1], "cause": "network"}'),
    ("lost", b'{"track_id": "t", "seqs": [1], "cause": "evicted", "more": 1}'),
]  # fmt: skip


@pytest.mark.parametrize(("path", "body"), WRONG_JSON)
async def test_malformed_reports_are_refused(path: str, body: bytes) -> None:
    async with served(Fake()) as client:
        async with client.post(f"{BASE}/{path}", data=body, headers=headers()) as reply:
            assert (reply.status, (await reply.json())["code"]) == (400, "bad_message")
        async with client.post(f"{BASE}/{path}", data=bytes(70_000), headers=headers()) as reply:
            assert reply.status == 413


def refusals() -> Iterator[tuple[Exception, int, str]]:
    yield UploadRefusedError(409, HttpCode.INCOMPLETE, "x"), 409, "incomplete"
    yield UploadRefusedError(503, ErrorCode.BUSY, "x", retry_after_s=2), 503, "busy"
    yield RefusedError(ErrorCode.BUSY, "x", retry_after_s=2), 503, "busy"
    yield RefusedError(ErrorCode.FORBIDDEN, "x"), 403, "forbidden"
    yield RefusedError(ErrorCode.BAD_MESSAGE, "x"), 400, "bad_message"
    yield RefusedError(ErrorCode.UNKNOWN_REQUEST, "x"), 404, "unknown_request"


@pytest.mark.parametrize(("error", "status", "code"), list(refusals()))
async def test_refusals_have_a_status_and_a_code(error: Exception, status: int, code: str) -> None:
    fake = Fake()
    fake.refusal = error
    async with served(fake) as client:
        async with client.post(f"{BASE}/digests", json=BATCH, headers=headers()) as reply:
            assert (reply.status, (await reply.json())["code"]) == (status, code)
        async with client.put(PUT, data=b"x", headers=headers(body=b"x")) as reply:
            assert reply.status == status
            assert ("Retry-After" in reply.headers) == (status == 503)


async def test_another_session_in_the_body_is_refused() -> None:
    async with served(Fake()) as client:
        wrong = {**BATCH, "session_id": "s-2"}
        async with client.post(f"{BASE}/digests", json=wrong, headers=headers()) as reply:
            assert reply.status == 403


async def test_one_participant_asks_only_so_often() -> None:
    async with served(Fake()) as client:
        statuses = []
        for _ in range(103):
            async with client.get(f"{BASE}/wants", headers=headers()) as reply:
                statuses.append(reply.status)
    assert statuses == [200] * 100 + [429] * 3
