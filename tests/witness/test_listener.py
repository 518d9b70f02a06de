"""Connections over real sockets, with limits short enough to wait for."""

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
import uvloop
from aiohttp import web

from signaling.problem import problem_middleware
from witness.certificates import create_certificate, server_context
from witness.config import HttpLimits
from witness.gate import Cut, Gate, Phase
from witness.guarded import note_request
from witness.listener import Listener

pytestmark = [pytest.mark.net, pytest.mark.timeout(30)]

SHORT_S = 0.2
GET = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
BIG = 16 << 20

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Run = Callable[[Callable[[], Awaitable[None]]], None]


class Front:
    """A listener with a small application behind it."""

    def __init__(self, gate: Gate, listener: Listener) -> None:
        self.gate = gate
        self.port = listener.port
        self._open: list[asyncio.StreamWriter] = []

    async def connect(self, source: str = "127.0.0.1") -> Streams:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", self.port, local_addr=(source, 0)
        )
        self._open.append(writer)
        return reader, writer

    async def knock(self, source: str = "127.0.0.1") -> None:
        """Connects, if only to be thrown out again."""
        with contextlib.suppress(ConnectionError):
            await self.connect(source)

    async def cut(self, reason: Cut, count: int = 1) -> None:
        """Waits until that many connections were cut for that reason."""
        await self.until(lambda: self.gate.cuts[reason] >= count)
        assert {r: n for r, n in self.gate.cuts.items() if n} == {reason: count}

    async def until(self, condition: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not condition():
                await asyncio.sleep(0.005)

    async def close(self) -> None:
        for writer in self._open:
            writer.transport.abort()


async def hello(_: web.Request) -> web.Response:
    return web.Response(text="hello")


async def big(_: web.Request) -> web.Response:
    return web.Response(body=b"x" * BIG)


async def upload(request: web.Request) -> web.Response:
    return web.Response(text=str(len(await request.read())))


async def ignored_upload(_: web.Request) -> web.Response:
    return web.Response(text="did not look")


async def patient(_: web.Request) -> web.Response:
    await asyncio.sleep(3 * SHORT_S)
    return web.Response(text="at last")


async def echo(request: web.Request) -> web.WebSocketResponse:
    answer = web.WebSocketResponse()
    await answer.prepare(request)
    async for message in answer:
        await answer.send_str(message.data)
    return answer


@contextlib.asynccontextmanager
async def front(
    tls: ssl.SSLContext | None = None, host: str = "127.0.0.1", **limits: float
) -> AsyncIterator[Front]:
    app = web.Application(middlewares=[note_request, problem_middleware])
    app.add_routes(
        [
            web.get("/", hello),
            web.get("/big", big),
            web.get("/patient", patient),
            web.get("/ws", echo),
            web.post("/upload", upload),
            web.post("/ignored", ignored_upload),
        ]
    )
    runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=1.0)
    await runner.setup()
    values = {"request_timeout_s": 60, "keepalive_s": 60, "stall_timeout_s": 60} | limits
    gate = Gate(HttpLimits.model_validate(values))
    listener = Listener(runner, gate, tls)
    await listener.open(host, 0)
    running = Front(gate, listener)
    try:
        yield running
    finally:
        await running.close()
        listener.close()
        await runner.cleanup()
        await running.until(lambda: gate.connections == 0)
        assert not gate.by_address


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Run:
    """Runs a scenario on one of the loops: their transports and TLS have no code in common."""

    def runs(scenario: Callable[[], Awaitable[None]]) -> None:
        async def main() -> None:
            await scenario()

        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(main())

    return runs


async def gone(reader: asyncio.StreamReader) -> bytes:
    """What came before the connection ended."""
    async with asyncio.timeout(10):
        parts = []
        with contextlib.suppress(ConnectionError):
            while part := await reader.read(1 << 20):
                parts.append(part)
        return b"".join(parts)


def test_connection_that_sends_nothing_is_cut(run: Run) -> None:
    async def scenario() -> None:
        async with front(request_timeout_s=SHORT_S) as at:
            reader, _ = await at.connect()
            assert await gone(reader) == b""
            await at.cut(Cut.SILENT)

    run(scenario)


def test_head_that_comes_byte_by_byte_is_cut(run: Run) -> None:
    async def scenario() -> None:
        async with front(request_timeout_s=SHORT_S) as at:
            reader, writer = await at.connect()

            async def drip() -> None:
                with contextlib.suppress(ConnectionError):
                    for byte in GET[:-4] + b"X" * 10_000:
                        writer.write(bytes([byte]))
                        await writer.drain()
                        await asyncio.sleep(0.005)

            dripping = asyncio.create_task(drip())
            assert await gone(reader) == b""
            await at.cut(Cut.HEAD_TIMEOUT)
            dripping.cancel()

    run(scenario)


def test_second_head_has_its_own_time(run: Run) -> None:
    async def scenario() -> None:
        async with front(request_timeout_s=SHORT_S) as at:
            reader, writer = await at.connect()
            writer.write(GET)
            assert (await reader.readuntil(b"hello")).startswith(b"HTTP/1.1 200")
            writer.write(GET[:10])
            assert await gone(reader) == b""
            await at.cut(Cut.HEAD_TIMEOUT)

    run(scenario)


@pytest.mark.parametrize("path", ["/upload", "/ignored"])
def test_slow_body_is_cut(run: Run, path: str) -> None:
    async def scenario() -> None:
        async with front(request_timeout_s=SHORT_S, keepalive_s=SHORT_S) as at:
            reader, writer = await at.connect()
            head = f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\n"
            writer.write(head.encode() + b"slow")
            answer = await gone(reader)
            if path == "/upload":
                assert answer == b""
                await at.cut(Cut.BODY_TIMEOUT)
            else:
                assert b"did not look" in answer

    run(scenario)


def test_compressed_body_stays_as_small_as_it_came(run: Run) -> None:
    body = zlib.compress(bytes(100_000_000))

    async def scenario() -> None:
        async with front() as at:
            reader, writer = await at.connect()
            head = f"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
            head += "Content-Encoding: deflate\r\nConnection: close\r\n\r\n"
            writer.write(head.encode() + body)
            assert (await gone(reader)).endswith(f"\r\n\r\n{len(body)}".encode())

    run(scenario)


def test_body_that_is_cut_off_is_no_fault(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with front() as at:
            _, writer = await at.connect()
            head = b"POST /upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n"
            writer.write(head + b"0123")
            await at.until(lambda: at.gate.phases[Phase.BODY] == 1)
            writer.close()
            await at.until(lambda: at.gate.connections == 0)

    run(scenario)
    assert [record for record in caplog.records if record.levelno >= logging.ERROR] == []


def test_idle_connection_is_closed_in_order(run: Run) -> None:
    async def scenario() -> None:
        async with front(keepalive_s=SHORT_S) as at:
            reader, writer = await at.connect()
            for _ in range(2):
                writer.write(GET)
                await reader.readuntil(b"hello")
            async with asyncio.timeout(10):
                # The end of the stream, not a reset.
                assert await reader.read() == b""
            await at.cut(Cut.IDLE)

    run(scenario)


def test_reader_that_takes_nothing_is_cut(run: Run) -> None:
    async def scenario() -> None:
        async with front(stall_timeout_s=SHORT_S, keepalive_s=SHORT_S) as at:
            _, writer = await at.connect()
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(GET.replace(b"/ ", b"/big "))
            await at.cut(Cut.STALLED)

    run(scenario)


def test_response_that_is_taken_slowly_is_not_cut(run: Run) -> None:
    async def scenario() -> None:
        limits = {"request_timeout_s": SHORT_S, "keepalive_s": SHORT_S}
        async with front(**limits) as at:
            reader, writer = await at.connect()
            writer.transport.pause_reading()  # type: ignore[attr-defined]
            writer.write(
                GET.replace(b"/ ", b"/big ").replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
            )
            await asyncio.sleep(3 * SHORT_S)
            writer.transport.resume_reading()  # type: ignore[attr-defined]
            assert len(await gone(reader)) > BIG
            assert not at.gate.cuts.total()

    run(scenario)


def test_slow_handler_is_not_the_clients_fault(run: Run) -> None:
    async def scenario() -> None:
        async with front(request_timeout_s=SHORT_S, keepalive_s=SHORT_S) as at:
            reader, writer = await at.connect()
            writer.write(GET.replace(b"/ ", b"/patient "))
            async with asyncio.timeout(10):
                await reader.readuntil(b"at last")
            assert not at.gate.cuts.total()

    run(scenario)


def test_websocket_and_requests_of_others_outlive_a_flood(run: Run) -> None:
    async def scenario() -> None:
        limits = {"request_timeout_s": 4 * SHORT_S, "keepalive_s": SHORT_S}
        async with front(connections_per_address=100, **limits) as at:
            connector = aiohttp.TCPConnector(local_addr=("127.0.0.2", 0))
            async with aiohttp.ClientSession(connector=connector) as session:
                socket_ = await session.ws_connect(f"http://127.0.0.1:{at.port}/ws")
                await asyncio.gather(*(at.knock("127.0.0.3") for _ in range(300)))
                await at.until(lambda: at.gate.cuts[Cut.ADDRESS] == 200)
                assert at.gate.connections <= 102
                async with session.get(f"http://127.0.0.1:{at.port}/") as response:
                    assert await response.text() == "hello"
                await at.until(lambda: at.gate.cuts[Cut.SILENT] == 100)
                assert at.gate.phases[Phase.WEBSOCKET] == 1
                await socket_.send_str("still there")
                assert await socket_.receive_str(timeout=5) == "still there"
                again, _ = await at.connect("127.0.0.3")
                assert not again.at_eof()
                await socket_.close()

    run(scenario)


def test_all_connections_are_capped_and_the_rest_is_reset(run: Run) -> None:
    async def scenario() -> None:
        async with front(connections=3) as at, aiohttp.ClientSession() as session:
            url = f"http://127.0.0.1:{at.port}/ws"
            sockets = [await session.ws_connect(url) for _ in range(3)]
            await at.knock("127.0.0.4")
            await at.cut(Cut.TOTAL)
            assert at.gate.connections == 3
            for one in sockets:
                await one.close()

    run(scenario)


def test_silent_connections_make_room_for_newcomers(
    run: Run, certificate: tuple[Path, Path]
) -> None:
    async def scenario() -> None:
        for tls in (None, server_context(*certificate)):
            async with front(tls, connections=3) as at:
                silent = [await at.connect() for _ in range(3)]
                await at.until(lambda at=at: at.gate.connections == 3)
                url = f"http{'s' if tls else ''}://127.0.0.1:{at.port}/"
                async with aiohttp.ClientSession() as session:
                    async with session.get(url, ssl=False) as response:
                        assert await response.text() == "hello"
                    await at.cut(Cut.EVICTED)
                    with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                        await silent[0][0].readexactly(1)
                    assert at.gate.connections == 3
                    for _ in range(5):
                        await at.connect()
                    await at.until(lambda at=at: at.gate.cuts[Cut.EVICTED] == 6)
                    assert at.gate.connections == 3

    run(scenario)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("tls")
    cert, key = folder / "c.pem", folder / "k.pem"
    create_certificate(["127.0.0.1"], 30, cert, key)
    return cert, key


def sockets() -> int:
    """Open sockets of this process; the loops keep other files."""
    found = 0
    for entry in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            found += str(entry.readlink()).startswith("socket:")
    return found


def test_missing_tls_handshake_is_cut(run: Run, certificate: tuple[Path, Path]) -> None:
    async def scenario() -> None:
        async with front(server_context(*certificate), request_timeout_s=6 * SHORT_S) as at:
            before = sockets()
            silent = [await at.connect() for _ in range(20)]
            await at.until(lambda: at.gate.phases[Phase.HANDSHAKE] == 20)
            trusting = ssl.create_default_context(cafile=str(certificate[0]))
            async with (
                aiohttp.ClientSession() as session,
                session.get(f"https://127.0.0.1:{at.port}/", ssl=trusting) as response,
            ):
                assert await response.text() == "hello"
            for reader, _ in silent:
                assert await gone(reader) == b""
            await at.cut(Cut.TLS_TIMEOUT, 20)
            for _, writer in silent:
                writer.transport.abort()
            await at.until(lambda: sockets() <= before)

    run(scenario)


@pytest.mark.parametrize("sent", [GET, b"\x16\x03\x01\x02\x00", b"\x00" * 100])
def test_wrong_tls_handshake_is_cut(
    run: Run, certificate: tuple[Path, Path], sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with front(server_context(*certificate)) as at:
            before = sockets()
            reader, writer = await at.connect()
            writer.write(sent)
            writer.write_eof()
            await gone(reader)
            await at.cut(Cut.TLS_FAILED)
            writer.transport.abort()
            await at.until(lambda: sockets() <= before)

    run(scenario)
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_tls_connection_without_a_request_is_cut(run: Run, certificate: tuple[Path, Path]) -> None:
    async def scenario() -> None:
        async with front(server_context(*certificate), request_timeout_s=3 * SHORT_S) as at:
            trusting = ssl.create_default_context(cafile=str(certificate[0]))
            reader, writer = await asyncio.open_connection("127.0.0.1", at.port, ssl=trusting)
            assert await gone(reader) == b""
            await at.cut(Cut.SILENT)
            writer.transport.abort()

    run(scenario)


def test_idle_tls_connection_is_closed_in_order(run: Run, certificate: tuple[Path, Path]) -> None:
    async def scenario() -> None:
        async with front(server_context(*certificate), keepalive_s=SHORT_S) as at:
            trusting = ssl.create_default_context(cafile=str(certificate[0]))
            reader, writer = await asyncio.open_connection("127.0.0.1", at.port, ssl=trusting)
            writer.write(GET)
            await reader.readuntil(b"hello")
            async with asyncio.timeout(10):
                assert await reader.read() == b""
            await at.cut(Cut.IDLE)
            writer.transport.abort()

    run(scenario)


@pytest.mark.parametrize(
    "sent",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: " + b"b" * 9_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\n" + b"A: b\r\n" * 200 + b"\r\n",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: -1\r\n\r\n",
        b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"nonsense\r\n\r\n",
    ],
)
def test_what_is_no_http_gets_a_problem_and_no_log_line(
    run: Run, sent: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    async def scenario() -> None:
        async with front() as at:
            reader, writer = await at.connect()
            writer.write(sent)
            answer = await gone(reader)
            assert answer.startswith((b"HTTP/1.0 400", b"HTTP/1.1 400"))
            assert b"application/problem+json" in answer
            assert b'"code": "bad_message"' in answer
            assert b"Python" not in answer
            await at.cut(Cut.BAD_REQUEST)

    caplog.set_level(logging.INFO)
    run(scenario)
    assert {record.message for record in caplog.records} <= {"connections cut"}


def test_many_cuts_are_one_log_line(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    async def scenario() -> None:
        async with front(connections_per_address=1) as at:
            for _ in range(20):
                await at.knock()
            await at.until(lambda: at.gate.cuts[Cut.ADDRESS] == 19)

    run(scenario)
    lines = [record for record in caplog.records if record.message == "connections cut"]
    assert 1 <= len(lines) <= 2
    assert lines[0].levelno == logging.WARNING
    assert sum(line.__dict__["reasons"]["address"] for line in lines) == 19
    assert "127.0.0.1" not in str([line.__dict__ for line in lines])


def test_want_of_descriptors_delays_only(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    accept = socket.socket.accept
    failures = [OSError(24, "Too many open files"), ConnectionAbortedError()]

    def failing(self: socket.socket) -> tuple[socket.socket, object]:
        if failures:
            raise failures.pop()
        return accept(self)

    monkeypatch.setattr("witness.listener._PAUSE_S", 0.01)
    monkeypatch.setattr(socket.socket, "accept", failing)

    async def scenario() -> None:
        async with front() as at:
            reader, writer = await at.connect()
            writer.write(GET)
            async with asyncio.timeout(10):
                await reader.readuntil(b"hello")
            await at.cut(Cut.ACCEPT_FAILED)

    run(scenario)


def test_wildcard_takes_both_families(run: Run) -> None:
    async def scenario() -> None:
        async with front(host="::") as at:
            for address in ("127.0.0.1", "::1"):
                reader, writer = await asyncio.open_connection(address, at.port)
                writer.write(GET)
                await reader.readuntil(b"hello")
                writer.transport.abort()

    run(scenario)


def test_reset_while_the_handshake_runs_frees_everything(
    run: Run, certificate: tuple[Path, Path]
) -> None:
    async def scenario() -> None:
        async with front(server_context(*certificate)) as at:
            _, writer = await at.connect()
            await at.until(lambda: at.gate.phases[Phase.HANDSHAKE] == 1)
            raw = writer.get_extra_info("socket")
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
            await at.until(lambda: at.gate.connections == 0)

    run(scenario)
