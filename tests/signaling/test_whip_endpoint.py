"""WHIP and WHEP over loopback sockets, as any HTTP client sees them."""

import asyncio

import aiohttp
import pytest

from sfu import Role
from signaling.config import SignalingConfig, WebConfig, WhipConfig
from tests.signaling.offers import offer_sdp
from tests.signaling.test_server import Site, site

pytestmark = pytest.mark.net

SDP = {"Content-Type": "application/sdp"}
SENDING = offer_sdp([("audio", "sendonly"), ("video", "sendonly")])


def bearer(at: Site, name: str = "cam-1", role: Role = Role.CUSTOMER) -> dict[str, str]:
    return {"Authorization": f"Bearer {at.scene.token(name, role)}"}


async def post(at: Site, path: str = "/whip/sale-1", body: str = SENDING) -> aiohttp.ClientResponse:
    return await at.client.post(path, data=body, headers=SDP | bearer(at))


async def test_life_of_a_session() -> None:
    async with site() as at:
        rm = await at.join()
        made = await post(at)
        assert (made.status, made.content_type) == (201, "application/sdp")
        assert (await made.text()).startswith("v=0\r\n")
        assert "charset" not in made.headers["Content-Type"]
        assert made.headers["Cache-Control"] == "no-store"
        where = made.headers["Location"]
        assert where.startswith("/whip/sale-1/")
        restart = (
            "m=audio 9 RTP/AVP 0\r\na=mid:0\r\na=ice-ufrag:wxyz\r\n"
            "a=ice-pwd:zyxwvutsrqponmlkjihgfedc\r\n"
        )
        patched = await at.client.patch(
            where,
            data=restart,
            headers=bearer(at)
            | {"If-Match": "*", "Content-Type": "application/trickle-ice-sdpfrag"},
        )
        assert (patched.status, patched.content_type) == (200, "application/trickle-ice-sdpfrag")
        assert patched.headers["ETag"] != made.headers["ETag"]
        watched = await at.client.post(
            "/whep/sale-1",
            params=[("participant", "cam-1"), ("participant", "rm-1")],
            data=offer_sdp([("video", "recvonly")]),
            headers=SDP | bearer(at, "wall-1", Role.SUPERVISOR),
        )
        assert watched.status == 201
        assert "a=sendonly" in await watched.text()
        ended = await at.client.delete(where, headers=bearer(at))
        assert (ended.status, await ended.read()) == (200, b"")
        again = await at.client.delete(where, headers=bearer(at))
        assert (again.status, again.content_type) == (404, "application/problem+json")
        assert (await again.json())["code"] == "unknown_session"
        await rm.close()


async def test_refusals_are_problems_with_the_headers_of_a_refusal() -> None:
    async with site() as at:
        bare = await at.client.post("/whip/sale-1", data=SENDING, headers=SDP)
        assert bare.status == 401
        assert bare.headers["WWW-Authenticate"] == 'Bearer realm="witness"'
        large = await post(at, body="x" * 70_000)
        assert (large.status, (await large.json())["code"]) == (413, "too_large")
        other = await at.client.put("/whip/sale-1", headers=bearer(at))
        assert (other.status, other.headers["Allow"]) == (405, "OPTIONS, GET, HEAD, POST")
        quiet = await post(at, "/whep/sale-1", offer_sdp([("video", "recvonly")]))
        assert (quiet.status, quiet.headers["Retry-After"]) == (409, "2")
        assert (await at.client.post("/whop/sale-1", headers=SDP)).status == 404
        assert (await at.client.get("/whip/sale-1")).status == 204
        assert (await at.client.head("/whep/sale-1")).status == 204


async def test_preflight_of_an_allowed_page() -> None:
    config = SignalingConfig(web=WebConfig(allowed_origins=("https://crm.example",)))
    async with site(config) as at:
        asked = {
            "Origin": "https://crm.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "authorization,content-type",
        }
        reply = await at.client.options("/whip/sale-1", headers=asked)
        assert (reply.status, reply.headers["Accept-Post"]) == (200, "application/sdp")
        assert reply.headers["Access-Control-Allow-Origin"] == "https://crm.example"
        assert reply.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


async def test_sessions_of_one_address_are_counted_as_the_proxy_says() -> None:
    config = SignalingConfig(
        web=WebConfig(trusted_proxies=("127.0.0.0/8",)),
        whip=WhipConfig(sessions_per_address=1),
    )
    async with site(config) as at:
        statuses = []
        for name, address in (("cam-1", "2001:db8::1"), ("cam-2", "2001:db8::2")):
            headers = SDP | bearer(at, name) | {"X-Forwarded-For": address}
            reply = await at.client.post("/whip/sale-1", data=SENDING, headers=headers)
            statuses.append(reply.status)
        assert statuses == [201, 429]


async def test_body_that_does_not_come_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signaling.whip_endpoint.BODY_TIMEOUT_S", 0.05)
    async with site() as at:
        host, port = at.client.host, at.client.port
        assert port is not None
        reader, writer = await asyncio.open_connection(host, port)
        head = "POST /whip/sale-1 HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n"
        writer.write(head.encode())
        assert b" 408 " in await reader.readline()
        writer.close()


async def test_switched_off_there_are_no_such_pages() -> None:
    async with site(SignalingConfig(whip=WhipConfig(enabled=False))) as at:
        assert (await post(at)).status == 404
