"""The server over loopback sockets."""

import asyncio
import contextlib
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Callable
from http import HTTPStatus
from pathlib import Path
from typing import Any, cast

import aiohttp
import pytest
import uvloop
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from sfu import Role
from signaling import build_app, has_bearer
from signaling.clock import Instant
from signaling.config import AuthConfig, LimitsConfig, SignalingConfig, WebConfig
from signaling.endpoint import SUBPROTOCOL
from signaling.errors import ErrorCode
from signaling.problem import HttpCode, problem
from tests.signaling.offers import offer_sdp
from tests.signaling.scene import Scene, check_server_frame

pytestmark = pytest.mark.net

Socket = aiohttp.ClientWebSocketResponse


class Site:
    """A server on loopback with a scene behind it."""

    def __init__(self, scene: Scene, client: TestClient[web.Request, web.Application]) -> None:
        self.scene = scene
        self.client = client

    async def socket(self, **options: Any) -> Socket:
        options.setdefault("protocols", [SUBPROTOCOL])
        socket: Socket = await self.client.ws_connect("/v1/ws", **options)
        return socket

    async def join(self, participant_id: str = "rm-1", role: Role = Role.RM) -> Socket:
        socket = await self.socket()
        await send(socket, "join", "j-1", token=self.scene.token(participant_id, role))
        assert (await receive(socket))["type"] == "joined"
        return socket

    async def refused(self, **options: Any) -> aiohttp.ClientResponse:
        """Tries the handshake with a plain request; returns the answer."""
        headers = {
            "Connection": "Upgrade",
            "Upgrade": "websocket",
            "Sec-WebSocket-Version": "13",
            "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
            "Sec-WebSocket-Protocol": SUBPROTOCOL,
        } | options.pop("headers", {})
        return await self.client.get("/v1/ws", headers=headers)


async def send(socket: Socket, kind: str, request_id: str, **data: Any) -> None:
    await socket.send_json({"type": kind, "id": request_id, "data": data})


async def receive(socket: Socket) -> dict[str, Any]:
    frame: dict[str, Any] = json.loads(await socket.receive_str(timeout=5))
    check_server_frame(frame)
    return frame


async def until(socket: Socket, kind: str) -> dict[str, Any]:
    while (frame := await receive(socket))["type"] != kind:
        pass
    return frame


def cut(socket: Socket) -> None:
    """Breaks the connection without a close handshake."""
    assert socket._conn is not None
    # Not checked by class: the transports of uvloop are none of asyncio's.
    cast("asyncio.Transport", socket._conn.transport).abort()


@contextlib.asynccontextmanager
async def site(
    config: SignalingConfig | None = None, *, web_root: Path | None = None, demo: bool = True
) -> AsyncIterator[Site]:
    scene = Scene(config)
    app = build_app(
        scene.hub,
        web_root=web_root,
        demo_key=scene.demo_key if demo else None,
        clock=lambda: scene.now,
    )
    server = TestServer(app, host="127.0.0.1")
    await server.start_server(auto_decompress=False)  # as witness.guarded does
    async with TestClient(server) as client:
        yield Site(scene, client)


async def test_two_participants_talk_and_leave() -> None:
    async with site() as at:
        rm, customer = await at.join(), await at.join("customer-1", Role.CUSTOMER)
        assert rm.protocol == SUBPROTOCOL
        assert (await receive(rm))["type"] == "participant.joined"
        await send(customer, "message", "m-1", text="您好")
        assert (await receive(customer))["re"] == "m-1"
        assert (await receive(rm))["data"]["text"] == "您好"
        await send(customer, "leave", "l-1")
        assert (await receive(customer))["re"] == "l-1"
        closing = await customer.receive(timeout=5)
        assert (closing.type, closing.data, closing.extra) == (
            aiohttp.WSMsgType.CLOSE,
            1000,
            "left",
        )
        assert (await receive(rm))["type"] == "participant.left"


async def test_broken_socket_is_resumed() -> None:
    async with site() as at:
        rm = await at.socket()
        await send(rm, "join", "j-1", token=at.scene.token())
        token = (await receive(rm))["data"]["resume_token"]
        cut(rm)
        again = await at.socket()
        await send(again, "resume", "r-1", resume_token=token, last_seq=1)
        frame = await receive(again)
        assert (frame["type"], frame["data"]["replay"]) == ("resumed", True)


async def test_missing_subprotocol_is_a_problem() -> None:
    async with site() as at:
        response = await at.refused(headers={"Sec-WebSocket-Protocol": "witness.v9, chat"})
        assert response.status == 400
        assert response.content_type == "application/problem+json"
        assert (await response.json())["code"] == "unsupported_version"


@pytest.mark.parametrize(
    ("origin", "status"),
    [("https://evil.example", 403), ("null", 403), ("https://crm.example", 101)],
)
async def test_origin_of_pages_is_checked(origin: str, status: int) -> None:
    config = SignalingConfig(web=WebConfig(allowed_origins=("https://crm.example",)))
    async with site(config) as at:
        if status == 101:
            socket = await at.socket(headers={"Origin": origin})
            await socket.close()
            return
        response = await at.refused(headers={"Origin": origin})
        assert response.status == status
        assert (await response.json())["code"] == "forbidden"


async def test_connections_are_bounded_and_freed() -> None:
    async with site(SignalingConfig(limits=LimitsConfig(connections=2))) as at:
        first, _ = await at.socket(), await at.socket()
        response = await at.refused()
        assert (response.status, response.headers["Retry-After"]) == (503, "5")
        assert (await response.json())["code"] == "server_full"
        await first.close()
        await (await at.socket()).close()
        assert at.scene.hub.stats.connections_refused == {"total": 1}


async def test_connections_of_one_address_are_bounded() -> None:
    config = SignalingConfig(limits=LimitsConfig(connections_per_address=1))
    async with site(config) as at:
        # Behind a proxy, so that the limit for others than this machine counts.
        forwarded = {"X-Forwarded-For": "203.0.113.9"}
        await at.socket(headers=forwarded)
        response = await at.refused(headers=forwarded)
        assert response.status == 429
        assert (await response.json())["code"] == "rate_limited"


NDJSON = {"Content-Type": "application/x-ndjson"}


def hello(at: Site, participant_id: str = "rm-1") -> bytes:
    """The two lines that join, as they are posted."""
    lines = [("audio", "sendonly")]
    offer = {"sdp": offer_sdp(lines), "tracks": [{"mid": "0", "source": "microphone"}]}
    messages = [
        {"type": "join", "id": "h-1", "data": {"token": at.scene.token(participant_id, Role.RM)}},
        {"type": "offer", "id": "o-1", "data": offer},
    ]
    return "".join(json.dumps(message) + "\n" for message in messages).encode()


@pytest.mark.parametrize("deflate", [False, True])
async def test_one_request_joins_and_a_socket_goes_on(deflate: bool) -> None:
    async with site() as at:
        body = zlib.compress(hello(at)) if deflate else hello(at)
        headers = NDJSON | ({"Content-Encoding": "deflate"} if deflate else {})
        response = await at.client.post("/v1/join", data=body, headers=headers)
        assert (response.status, response.content_type) == (200, NDJSON["Content-Type"])
        assert response.headers["Cache-Control"] == "no-store"
        assert response.headers["Content-Encoding"] == "deflate"
        frames = [json.loads(line) for line in (await response.text()).splitlines()]
        for frame in frames:
            check_server_frame(frame)
        assert [frame["type"] for frame in frames[:2]] == ["joined", "answer"]
        assert at.scene.hub.stats.connections == 0
        socket = await at.socket()
        token = frames[0]["data"]["resume_token"]
        await send(socket, "resume", "r-1", resume_token=token, last_seq=frames[-1]["seq"])
        assert (await receive(socket))["data"]["replay"] is True


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"", {}, 400),
        (b"{}\n" * 6, {}, 400),
        (b"\xff\xfe", {}, 400),
        (b"not deflated", {"Content-Encoding": "deflate"}, 400),
        (b"x" * 70_000, {}, 413),
        (zlib.compress(b"x" * 8_000_000), {"Content-Encoding": "deflate"}, 400),
        (gzip.compress(b"{}", mtime=0), {"Content-Encoding": "gzip"}, 415),
        (zlib.compress(zlib.compress(b"{}")), {"Content-Encoding": "deflate, deflate"}, 415),
        (b"not deflated", {"Content-Type": "text/plain;encoding=deflate"}, 400),
        (zlib.compress(b"x" * 65_537), {"Content-Type": "text/plain;encoding=deflate"}, 400),
        (zlib.compress(b"{}")[:-2], {"Content-Type": "text/plain;encoding=deflate"}, 400),
        (b"x" * 70_000, {"Content-Type": "text/plain"}, 413),
        (b"{}", {"Content-Type": "text/html"}, 415),
        (b"{}", {"Content-Type": "application/json"}, 415),
        (b"{}", {"Origin": "https://evil.example"}, 403),
    ],
)
async def test_request_that_joins_is_refused(
    body: bytes, headers: dict[str, str], status: int
) -> None:
    async with site() as at:
        response = await at.client.post("/v1/join", data=body, headers=NDJSON | headers)
        assert response.status == status
        assert (await response.json())["code"] == CODES[status]
        assert at.scene.hub.is_idle
        assert at.scene.hub.stats.connections == 0


async def test_compressed_bodies_are_refused_unread_where_none_is_expected() -> None:
    async with site() as at:
        for path in ["/v1/demo/tokens", "/whip/room", "/nowhere"]:
            headers = {"Content-Encoding": "gzip"}
            response = await at.client.post(
                path, data=gzip.compress(b"{}", mtime=0), headers=headers
            )
            assert (response.status, response.headers["Accept-Encoding"]) == (415, "identity")
            assert "Content-Encoding" in (await response.json())["detail"]
        headers = {"Content-Encoding": "Identity", "Content-Type": "application/json"}
        body = json.dumps({"room": "demo", "role": "rm"}).encode()
        response = await at.client.post("/v1/demo/tokens", data=body, headers=headers)
        assert response.status != 415


@pytest.mark.parametrize("deflate", [False, True])
async def test_page_of_another_origin_joins_by_a_request_it_needn_t_ask_for(deflate: bool) -> None:
    config = SignalingConfig(web=WebConfig(allowed_origins=("https://crm.example",)))
    async with site(config) as at:
        headers = {"Origin": "https://crm.example", "Content-Type": "text/plain"}
        body = hello(at)
        if deflate:
            headers["Content-Type"] += ";encoding=deflate"
            body = zlib.compress(body)
        response = await at.client.post("/v1/join", data=body, headers=headers)
        assert response.status == 200
        assert response.headers["Access-Control-Allow-Origin"] == "https://crm.example"
        assert response.headers["Vary"] == "Origin"
        lines = (await response.text()).splitlines()
        assert [json.loads(line)["type"] for line in lines[:2]] == ["joined", "answer"]
        # What is refused can be read, too.
        busy = await at.client.post("/v1/join", data=b"", headers=headers)
        assert busy.status == 400
        assert busy.headers["Access-Control-Allow-Origin"] == "https://crm.example"


async def test_browsers_may_ask_for_pages_of_configured_origins() -> None:
    config = SignalingConfig(web=WebConfig(allowed_origins=("https://crm.example",)))
    async with site(config) as at:
        ask = {"Access-Control-Request-Method": "POST"}
        asked = await at.client.options("/v1/join", headers=ask | {"Origin": "https://crm.example"})
        assert asked.status == 204
        assert asked.headers["Access-Control-Allow-Origin"] == "https://crm.example"
        assert asked.headers["Access-Control-Allow-Methods"] == "POST"
        assert "Content-Type" in asked.headers["Access-Control-Allow-Headers"]
        assert "Access-Control-Allow-Credentials" not in asked.headers
        for path, origin, status in [
            ("/v1/join", "https://evil.example", 403),
            ("/v1/ws", "https://crm.example", 405),
        ]:
            other = await at.client.options(path, headers=ask | {"Origin": origin})
            assert other.status == status
            assert "Access-Control-Allow-Origin" not in other.headers


async def test_requests_that_join_are_bounded_with_the_connections() -> None:
    config = SignalingConfig(limits=LimitsConfig(connections_per_address=1))
    async with site(config) as at:
        forwarded = {"X-Forwarded-For": "203.0.113.9"}
        socket = await at.socket(headers=forwarded)
        headers = NDJSON | forwarded
        assert (await at.client.post("/v1/join", data=hello(at), headers=headers)).status == 429
        await socket.close()
        assert (await at.client.post("/v1/join", data=hello(at), headers=headers)).status == 200


async def test_plain_request_for_the_socket_is_a_problem() -> None:
    async with site() as at:
        response = await at.client.get("/v1/ws", headers={"Sec-WebSocket-Protocol": SUBPROTOCOL})
        assert response.status == 400
        assert response.content_type == "application/problem+json"


async def test_silent_socket_is_closed_when_its_time_is_over() -> None:
    async with site() as at:
        socket = await at.socket()
        at.scene.steady_s += 9.9
        at.scene.hub.on_timer()
        await asyncio.sleep(0)
        assert not socket.closed
        at.scene.steady_s += 0.2
        at.scene.hub.on_timer()
        assert (await receive(socket))["data"]["code"] == "timeout"
        assert (await socket.receive(timeout=5)).extra == "timeout"


@pytest.mark.parametrize("size", [131_073, 140_000])
async def test_large_message_ends_the_socket(size: int) -> None:
    async with site() as at:
        socket = await at.join()
        await socket.send_str("x" * size)
        message = await socket.receive(timeout=5)
        if message.type is aiohttp.WSMsgType.TEXT:
            assert json.loads(message.data)["data"]["code"] == "too_large"
            message = await socket.receive(timeout=5)
        assert (message.type, message.data) == (aiohttp.WSMsgType.CLOSE, 1009)


async def test_binary_frame_ends_the_socket() -> None:
    async with site() as at:
        socket = await at.join()
        await socket.send_bytes(b"\x00\x01")
        assert (await receive(socket))["data"]["code"] == "bad_message"
        assert (await socket.receive(timeout=5)).data == 1008


async def test_pings_are_answered_and_a_flood_of_them_ends_the_socket() -> None:
    async with site() as at:
        socket = await at.join()
        await socket.ping(b"one")
        await send(socket, "message", "m-1", text="x")
        assert (await until(socket, "ok"))["re"] == "m-1"
        for _ in range(200):
            await socket.ping(b"")
        assert (await until(socket, "bye"))["data"]["code"] == "rate_limited"


async def test_slow_reader_loses_its_socket_and_others_go_on() -> None:
    limits = LimitsConfig(outbox_messages=64, outbox_bytes=262_144, messages_per_s=1000)
    async with site(SignalingConfig(limits=limits)) as at:
        slow = await at.join()
        customer = await at.join("customer-1", Role.CUSTOMER)
        reader = await at.join("expert-1", Role.EXPERT)
        slow._conn.transport.pause_reading()  # type: ignore[union-attr]
        for index in range(80):
            at.scene.steady_s += 1.0
            await send(customer, "message", f"m-{index}", text="字" * 1000)
            reply = await until(customer, "ok")
            await customer.send_json({"type": "ack", "data": {"seq": reply["seq"]}})
            notice = await until(reader, "message")
            await reader.send_json({"type": "ack", "data": {"seq": notice["seq"]}})
        assert at.scene.hub.stats.closed["slow_consumer"] == 1
        assert at.scene.hub.roster.get("sale-1", "rm-1") is None
        cut(slow)


async def end_a_socket_that_takes_nothing() -> None:
    async with site() as at:
        socket = await at.join()
        socket._conn.transport.pause_reading()  # type: ignore[union-attr]
        at.scene.hub.sfu.rooms["sale-1"].close("panicked")
        async with asyncio.timeout(5):
            while at.scene.hub.stats.connections:
                await asyncio.sleep(0.01)
        cut(socket)


@pytest.mark.parametrize("make_loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_socket_that_takes_nothing_is_cut_after_bye(
    make_loop: Callable[[], asyncio.AbstractEventLoop], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signaling.endpoint.CLOSE_GRACE_S", 0.05)
    # On both loops: their transports have no class in common.
    with asyncio.Runner(loop_factory=make_loop) as runner:
        runner.run(end_a_socket_that_takes_nothing())


async def test_fault_in_one_message_ends_only_that_socket(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with site() as at:
        rm, customer = await at.join(), await at.join("customer-1", Role.CUSTOMER)
        await receive(rm)
        original = at.scene.hub.request

        def faulty(member: Any, message: Any, now: Instant) -> None:
            if message.id == "bad":
                raise ZeroDivisionError
            original(member, message, now)

        monkeypatch.setattr(at.scene.hub, "request", faulty)
        await send(rm, "message", "bad", text="x")
        assert (await receive(rm))["data"]["code"] == "internal"
        await send(customer, "message", "good", text="x")
        assert (await receive(customer))["type"] == "ok"
    assert "message failed" in caplog.text


async def test_shutdown_says_bye() -> None:
    async with site() as at:
        socket, waiting = await at.join(), await at.socket()
        await asyncio.gather(at.client.server.close(), until(socket, "bye"), until(waiting, "bye"))
        assert (await socket.receive(timeout=5)).data == 1001
        assert at.scene.hub.is_idle


async def test_demo_token_lets_in_on_loopback() -> None:
    async with site() as at:
        body = {"room": "demo", "role": "customer", "name": "王芳"}
        response = await at.client.post("/v1/demo/tokens", json=body)
        answer = await response.json()
        assert response.headers["Cache-Control"] == "no-store"
        assert answer["participant_id"].startswith("customer-")
        socket = await at.socket()
        await send(socket, "join", "j-1", token=answer["token"])
        assert (await receive(socket))["data"]["room_id"] == "demo"
        proxied = await at.socket(headers={"Forwarded": "for=192.0.2.7"})
        await send(proxied, "join", "j-1", token=answer["token"])
        assert (await receive(proxied))["data"]["code"] == "unauthorized"


CODES = {
    400: "bad_message",
    403: "forbidden",
    413: "too_large",
    415: "unsupported_media_type",
}


@pytest.mark.parametrize("status", [s.value for s in HTTPStatus if s >= 400])
def test_every_error_has_a_code(status: int) -> None:
    code = json.loads(problem(status).body)["code"]
    assert code in {*ErrorCode, *HttpCode}
    assert CODES.get(status, code) == code


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        ('{"room":"demo","role":"rm"}', {"X-Forwarded-For": "192.0.2.7"}, 403),
        ('{"room":"demo","role":"rm"}', {"Via": "1.1 p"}, 403),
        ('{"room":"demo","role":"rm"}', {"Host": "rebound.example"}, 403),
        ('{"room":"demo","role":"rm"}', {"Origin": "https://evil.example"}, 403),
        ('{"room":"demo","role":"rm"}', {"Content-Type": "text/plain"}, 415),
        ('{"room":"demo","role":"admin"}', {}, 400),
        ('{"room":"a b","role":"rm"}', {}, 400),
        ('{"room":".","role":"rm"}', {}, 400),
        ('{"room":"..","role":"rm"}', {}, 400),
        ('{"room":"%s","role":"rm"}' % ("r" * 65), {}, 400),
        ('{"room":"demo","role":"rm","name":"\\u0000"}', {}, 400),
        ("[" * 1000, {}, 400),
        ("x" * 70_000, {}, 413),
    ],
)
async def test_demo_token_is_refused(body: str, headers: dict[str, str], status: int) -> None:
    async with site() as at:
        response = await at.client.post(
            "/v1/demo/tokens", data=body, headers={"Content-Type": "application/json"} | headers
        )
        assert response.status == status
        answer = await response.json()
        assert (response.content_type, answer["status"]) == ("application/problem+json", status)
        assert answer["code"] == CODES[status]


async def test_demo_route_is_absent_without_the_key() -> None:
    async with site(demo=False) as at:
        response = await at.client.post("/v1/demo/tokens", json={"room": "a", "role": "rm"})
        assert response.status == 404


async def test_token_of_the_demo_route_respects_the_longest_allowed_time() -> None:
    async with site(SignalingConfig(auth=AuthConfig(max_ttl_s=600))) as at:
        response = await at.client.post("/v1/demo/tokens", json={"room": "a", "role": "rm"})
        answer = await response.json()
        assert answer["expires_at"] == int(at.scene.now.unix_s + 600)
        assert isinstance(answer["expires_at"], int)
        socket = await at.socket()
        await send(socket, "join", "j-1", token=answer["token"])
        assert (await receive(socket))["type"] == "joined"


async def test_schema_is_served() -> None:
    async with site() as at:
        response = await at.client.get("/v1/schema.json")
        assert response.content_type == "application/schema+json"
        assert "ServerMessage" in (await response.json(content_type=None))["$defs"]


@pytest.fixture
def web_root(tmp_path: Path) -> Path:
    files = {
        "app/index.html": "<!doctype html>",
        "app/main.js": "export {};",
        "app/.secret.js": "no",
        "app/notes.md": "no",
        "sdk/witness.js": "export const a = 1;",
        "sdk/tests/x.js": "no",
        "package.json": "{}",
        "node_modules/a.js": "no",
    }
    for name, text in files.items():
        path = tmp_path / "web" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    (tmp_path / "outside.js").write_text("no")
    (tmp_path / "web" / "app" / "link.js").symlink_to(tmp_path / "outside.js")
    return tmp_path / "web"


async def test_pages_have_a_strict_policy_and_conditional_requests(web_root: Path) -> None:
    async with site(web_root=web_root) as at:
        page = await at.client.get("/")
        assert page.content_type == "text/html"
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert page.headers["X-Content-Type-Options"] == "nosniff"
        assert page.headers["Server"] == "witness"
        assert page.headers["Cache-Control"] == "no-cache"
        module = await at.client.get("/sdk/witness.js")
        assert module.content_type == "text/javascript"
        again = await at.client.get(
            "/sdk/witness.js", headers={"If-None-Match": module.headers["ETag"]}
        )
        assert again.status == 304


async def test_texts_of_pages_are_compressed_where_asked(web_root: Path) -> None:
    source = "export const text = 1;\n" * 400
    (web_root / "sdk" / "witness.js").write_text(source)
    (web_root / "app" / "mark.png").write_bytes(b"\x89PNG" * 400)
    async with site(web_root=web_root) as at:
        for asked, more, encoding in (
            ("gzip, br", {}, "gzip"),
            ("identity", {}, None),
            ("gzip", {"If-None-Match": '"of-an-older-file"'}, "gzip"),
            ("gzip", {"Range": "bytes=0-9"}, None),
        ):
            wish = {"Accept-Encoding": asked, **more}
            module = await at.client.get("/sdk/witness.js", headers=wish)
            assert module.headers.get("Content-Encoding") == encoding
            assert module.headers["Vary"] == "Accept-Encoding"
            assert await module.text() == (source[:10] if "Range" in more else source)
        for condition in (
            {"If-None-Match": module.headers["ETag"]},
            {"If-None-Match": f'"old", W/{module.headers["ETag"]}'},
            {"If-Modified-Since": module.headers["Last-Modified"]},
        ):
            # On one connection: a body after a 304 would be read as the next answer.
            again = await at.client.get(
                "/sdk/witness.js", headers={"Accept-Encoding": "gzip", **condition}
            )
            assert again.status == 304
            assert await again.read() == b""
        picture = await at.client.get("/mark.png", headers={"Accept-Encoding": "gzip"})
        assert "Content-Encoding" not in picture.headers


@pytest.mark.parametrize(
    "path",
    [
        "/sdk/", "/sdk", "/app/.secret.js", "/app/notes.md", "/sdk/tests/x.js", "/package.json",
        "/node_modules/a.js", "/link.js", "/../outside.js", "/sdk/..%2f..%2foutside.js",
        "/%2e%2e/outside.js", "/sdk/witness.js/", "/nothing",
    ],
)  # fmt: skip
async def test_nothing_else_is_served(web_root: Path, path: str) -> None:
    async with site(web_root=web_root) as at:
        response = await at.client.get(path)
        assert response.status == 404
        assert response.content_type == "application/problem+json"
        assert (await response.json())["code"] == "not_found"


async def test_wrong_method_is_a_problem() -> None:
    async with site() as at:
        response = await at.client.delete("/v1/schema.json")
        assert response.status == 405
        assert "GET" in response.headers["Allow"]
        answer = await response.json()
        assert (answer["title"], answer["code"]) == ("Method Not Allowed", "method_not_allowed")


async def test_fault_in_a_route_shows_no_cause(caplog: pytest.LogCaptureFixture) -> None:
    async def faulty(_: web.Request) -> web.Response:
        raise RuntimeError("inner secret")

    scene = Scene()
    app = build_app(scene.hub, clock=lambda: scene.now)
    app.router.add_get("/faulty", faulty)
    async with TestClient(TestServer(app)) as client:
        response = await client.get("/faulty")
        assert response.status == 500
        assert "inner secret" not in await response.text()
    assert "request failed" in caplog.text


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ("Bearer correct", True), ("bearer correct", True), ("Bearer wrong", False),
        ("Basic correct", False), ("correct", False), ("", False), ("Bearer é", False),
    ],
)  # fmt: skip
async def test_bearer_token_is_compared(value: str, good: bool) -> None:
    async def secret(request: web.Request) -> web.Response:
        return web.Response(status=200 if has_bearer(request, "correct") else 401)

    app = web.Application()
    app.router.add_get("/", secret)
    async with TestClient(TestServer(app)) as client:
        response = await client.get("/", headers={"Authorization": value})
        assert (response.status == 200) is good
