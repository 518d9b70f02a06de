"""The composed server over real sockets on loopback."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from loadtest.addresses import local_addresses
from loadtest.errors import RefusedError
from loadtest.participant import Participant
from loadtest.signal import SignalConfig
from loadtest.sources import MEDIA_DIR, ClipVideo, SpeechAudio, load_clip, load_speech
from sfu.config import SfuConfig
from signaling.config import AuthConfig, SignalingConfig
from witness.certificates import create_certificate
from witness.config import MediaConfig, MetricsConfig, ServerConfig, Settings
from witness.errors import ConfigError, StartError
from witness.health import is_alive
from witness.server import WitnessServer

pytestmark = [pytest.mark.net, pytest.mark.timeout(60)]

ADMIN = "0123456789abcdef"


METRICS = "fedcba9876543210"


def settings(*, metrics: MetricsConfig | None = None, **server: object) -> Settings:
    values: dict[str, object] = {"port": 0, "drain_s": 0, "admin_token": ADMIN, **server}
    demo_key = "public_url" not in server
    return Settings(
        server=ServerConfig.model_validate(values),
        metrics=metrics or MetricsConfig(),
        media=MediaConfig(engines=1, listen=("127.0.0.1",)),
        sfu=SfuConfig(),
        signaling=SignalingConfig(auth=AuthConfig(demo_key=demo_key)),
    )


@pytest.fixture
async def server() -> AsyncIterator[WitnessServer]:
    running = WitnessServer(settings())
    await running.start()
    yield running
    await running.stop()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


async def get(
    session: aiohttp.ClientSession, server: WitnessServer, path: str, token: str = ""
) -> tuple[int, str]:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with session.get(server.url + path, headers=headers) as response:
        return response.status, await response.text()


async def participant(
    session: aiohttp.ClientSession, server: WitnessServer, role: str, *, media: bool = False
) -> Participant:
    body = {"room": "r1", "role": role, "name": "王芳"}
    async with session.post(f"{server.url}/v1/demo/tokens", json=body) as response:
        token = (await response.json())["token"]
    sources = {}
    if media:
        sources = {
            "microphone": SpeechAudio(load_speech(MEDIA_DIR / "zh_tts0.wav")),
            "camera": ClipVideo(load_clip(MEDIA_DIR / "carphone.mp4")),
        }
    joined = Participant(SignalConfig(server.url, token), session, sources)
    with local_addresses(["127.0.0.1"]):
        await joined.start()
    return joined


async def until(condition: object, timeout_s: float = 15.0) -> None:
    assert callable(condition)
    async with asyncio.timeout(timeout_s):
        while not condition():
            await asyncio.sleep(0.02)


async def test_probes_and_metrics_answer(
    server: WitnessServer, session: aiohttp.ClientSession
) -> None:
    assert await get(session, server, "/livez") == (200, "ok\n")
    assert await get(session, server, "/readyz") == (200, "ok\n")
    status, text = await get(session, server, "/metrics")
    assert status == 200
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {"witness_rooms", "sfu_engine_load_ratio", "process_open_fds"} <= names


@contextlib.asynccontextmanager
async def started(used: Settings) -> AsyncIterator[WitnessServer]:
    running = WitnessServer(used)
    await running.start()
    try:
        yield running
    finally:
        await running.stop()


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"X-Forwarded-For": "192.0.2.1"}, 403),
        ({"Host": "call.bank.example"}, 403),
        ({"Via": "1.1 proxy", "Authorization": f"Bearer {METRICS}"}, 403),
    ],
)
async def test_metrics_are_for_this_machine(
    server: WitnessServer, session: aiohttp.ClientSession, headers: dict[str, str], status: int
) -> None:
    async with session.get(f"{server.url}/metrics", headers=headers) as response:
        assert response.status == status
        assert ("witness_participants" in await response.text()) is (status == 200)


@pytest.mark.parametrize("proxied", [False, True])
async def test_metrics_need_the_token_from_elsewhere(
    session: aiohttp.ClientSession, proxied: bool
) -> None:
    server = {"public_url": "https://call.bank.example"} if proxied else {}
    metrics = MetricsConfig.model_validate({"token": METRICS})
    async with started(settings(metrics=metrics, **server)) as running:
        url = f"http://127.0.0.1:{running.port}/metrics"
        for headers, status in (
            ({}, 401 if proxied else 200),
            ({"Via": "1.1 proxy"}, 401),
            ({"Via": "1.1 proxy", "Authorization": "Bearer wrong"}, 401),
            ({"Via": "1.1 proxy", "Authorization": f"Bearer {ADMIN}"}, 401),
            ({"Via": "1.1 proxy", "Authorization": f"Bearer {METRICS}"}, 200),
        ):
            async with session.get(url, headers=headers) as response:
                assert response.status == status
                assert ("WWW-Authenticate" in response.headers) is (status == 401)


async def test_metrics_have_an_address_of_their_own(session: aiohttp.ClientSession) -> None:
    async with started(settings(metrics=MetricsConfig(listen="127.0.0.1:0"))) as running:
        assert running.metrics_url is not None
        foreign = {"Host": "witness-1:9090", "Via": "1.1 proxy"}
        async with session.get(running.metrics_url, headers=foreign) as response:
            assert response.status == 200
            assert "witness_participants" in await response.text()
        base = running.metrics_url.removesuffix("/metrics")
        for path, status in (("/livez", 200), ("/readyz", 200), ("/", 404), ("/debug/rooms", 404)):
            async with session.get(base + path) as response:
                assert response.status == status


async def test_taken_metrics_address_is_named(server: WitnessServer) -> None:
    used = settings(metrics=MetricsConfig(listen=f"127.0.0.1:{server.port}"))
    with pytest.raises(StartError, match=f"can't listen on 127.0.0.1:{server.port}"):
        await WitnessServer(used).start()


async def test_draining_server_is_alive_but_not_ready(
    server: WitnessServer, session: aiohttp.ClientSession
) -> None:
    server.drain(30)
    assert (await get(session, server, "/livez"))[0] == 200
    assert await get(session, server, "/readyz") == (503, "draining\n")
    with pytest.raises(RefusedError, match="draining"):
        await participant(session, server, "rm")


@pytest.mark.parametrize(("token", "status"), [("", 401), ("wrong", 401), (ADMIN, 200)])
async def test_debug_page_wants_the_token(
    server: WitnessServer, session: aiohttp.ClientSession, token: str, status: int
) -> None:
    assert (await get(session, server, "/debug/rooms", token))[0] == status


async def test_debug_page_is_off_without_a_token(session: aiohttp.ClientSession) -> None:
    running = WitnessServer(settings(admin_token=None))
    await running.start()
    try:
        assert (await get(session, running, "/debug/rooms", ADMIN))[0] == 404
    finally:
        await running.stop()


async def test_pages_are_served(server: WitnessServer, session: aiohttp.ClientSession) -> None:
    status, text = await get(session, server, "/")
    assert status == 200
    assert "<html" in text


async def test_taken_port_is_named(server: WitnessServer) -> None:
    with pytest.raises(StartError, match=f"can't listen on 127.0.0.1:{server.port}"):
        await WitnessServer(settings(port=server.port)).start()


async def test_unusable_media_address_is_named() -> None:
    broken = settings().model_copy(update={"media": MediaConfig(listen=("192.0.2.1",))})
    with pytest.raises(StartError, match=r"192\.0\.2\.1"):
        await WitnessServer(broken).start()


async def test_missing_token_file_is_named(tmp_path: Path) -> None:
    broken = settings(admin_token=None, admin_token_file=tmp_path / "none")
    with pytest.raises(ConfigError, match="admin_token_file"):
        await WitnessServer(broken).start()


async def test_server_speaks_https(tmp_path: Path, session: aiohttp.ClientSession) -> None:
    cert, key = tmp_path / "c.pem", tmp_path / "k.pem"
    create_certificate(["127.0.0.1"], 30, cert, key)
    running = WitnessServer(settings(tls_cert=cert, tls_key=key))
    await running.start()
    try:
        trusting = ssl.create_default_context(cafile=str(cert))
        async with session.get(f"{running.url}/livez", ssl=trusting) as response:
            assert response.status == 200
        used = running.settings.server.model_copy(update={"port": running.port})
        assert await asyncio.to_thread(is_alive, used)
    finally:
        await running.stop()


async def test_health_of_a_stopped_server_is_no(server: WitnessServer) -> None:
    used = server.settings.server.model_copy(update={"port": server.port})
    assert await asyncio.to_thread(is_alive, used)
    await server.stop()
    assert not await asyncio.to_thread(is_alive, used)


async def test_two_participants_hear_and_see_each_other(
    server: WitnessServer, session: aiohttp.ClientSession
) -> None:
    rm = await participant(session, server, "rm", media=True)
    customer = await participant(session, server, "customer", media=True)
    people = (rm, customer)
    try:
        await until(
            lambda: all(
                len(p.received) == 2 and all(t.sink.frames > 25 for t in p.received.values())
                for p in people
            )
        )
        status, text = await get(session, server, "/debug/rooms", ADMIN)
        assert status == 200
        assert rm.participant_id in text
        assert "王芳" not in text
        assert "127.0.0.1" not in text
        _, metrics = await get(session, server, "/metrics")
        assert 'witness_participants{role="rm"} 1.0' in metrics
    finally:
        await asyncio.gather(*(p.leave() for p in people))
    await until(lambda: server.hub.is_idle)


async def test_broken_socket_is_resumed_and_media_goes_on(
    server: WitnessServer, session: aiohttp.ClientSession
) -> None:
    rm = await participant(session, server, "rm", media=True)
    customer = await participant(session, server, "customer", media=True)
    try:
        await until(lambda: len(rm.received) == 2)
        await until(lambda: all(t.sink.frames > 5 for t in rm.received.values()))
        await rm.signal.drop_socket()
        before = [t.sink.frames for t in rm.received.values()]
        await until(lambda: rm.signal.resumes == 1)
        reply = await rm.signal.request("message", {"text": "在吗", "to": None})
        assert reply["message_id"]
        tracks = list(rm.received.values())
        await until(lambda: all(t.sink.frames > n + 5 for t, n in zip(tracks, before, strict=True)))
        assert ("participant.left", {}) not in customer.notices
        assert not [kind for kind, _ in customer.notices if kind == "participant.left"]
    finally:
        await asyncio.gather(rm.leave(), customer.leave())


async def test_stop_tells_everybody_why(
    server: WitnessServer, session: aiohttp.ClientSession
) -> None:
    rm = await participant(session, server, "rm")
    await server.stop()
    await until(lambda: rm.failure is not None)
    assert rm.failure is not None
    assert rm.failure.startswith("draining")
    await rm.leave()
