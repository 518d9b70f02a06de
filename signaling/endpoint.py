"""The WebSocket endpoint: sockets in, connections of the hub out."""

import asyncio
import logging
from collections import Counter
from typing import Final

from aiohttp import WSMsgType, web

from signaling.clock import Clock
from signaling.connection import Connection, Remote
from signaling.errors import ErrorCode
from signaling.hub import Hub
from signaling.origin import counted_as, is_allowed_origin, is_local
from signaling.problem import problem

__all__ = ["SUBPROTOCOL", "SocketEndpoint"]

log = logging.getLogger(__name__)

SUBPROTOCOL: Final = "witness.v1"

CLOSE_GRACE_S: Final = 2.0
"""Time for a socket to take its last frames and the close handshake."""

_RETRY_AFTER_S: Final = "5"

_MAX_AGENT_CHARS: Final = 256

_FRAMES_A_TURN: Final = 16
"""Frames of one socket that are read before others get a turn."""


class SocketEndpoint:
    """Serves ``/v1/ws``."""

    def __init__(self, hub: Hub, clock: Clock) -> None:
        self._hub = hub
        self._clock = clock
        self._limits = hub.config.limits
        self._by_address: Counter[str] = Counter()
        self._links: set[_Link] = set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One socket from handshake to close."""
        trusted = self._hub.config.web.trusted_proxies
        address = counted_as(request.remote, request.headers, trusted)
        local = is_local(request.remote, request.headers)
        refusal = self._refusal(request, address, local=local)
        if refusal is not None:
            return refusal
        stats = self._hub.stats
        stats.connections += 1
        stats.connections_opened += 1
        self._by_address[address] += 1
        try:
            agent = request.headers.get("User-Agent", "")[:_MAX_AGENT_CHARS]
            return await self._run(request, Remote(local, address, agent))
        finally:
            stats.connections -= 1
            self._by_address[address] -= 1
            if not self._by_address[address]:
                del self._by_address[address]

    async def end_all(self) -> None:
        """Says bye on all sockets and waits until they are closed."""
        self._hub.end_all(self._clock())
        tasks = [link.writer for link in self._links if link.writer is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=2 * CLOSE_GRACE_S)

    def _refusal(self, request: web.Request, address: str, *, local: bool) -> web.Response | None:
        refused = self._hub.stats.connections_refused
        offered = request.headers.get("Sec-WebSocket-Protocol", "")
        if SUBPROTOCOL not in [item.strip() for item in offered.split(",")]:
            refused["version"] += 1
            return problem(
                400, ErrorCode.UNSUPPORTED_VERSION, f"offer the subprotocol {SUBPROTOCOL}"
            )
        allowed = self._hub.config.web.allowed_origins
        if not is_allowed_origin(request.headers.get("Origin"), request.host, allowed):
            refused["origin"] += 1
            return problem(403, ErrorCode.FORBIDDEN, "pages of this origin may not connect")
        retry = {"Retry-After": _RETRY_AFTER_S}
        if self._hub.stats.connections >= self._limits.connections:
            refused["total"] += 1
            return problem(503, ErrorCode.SERVER_FULL, "too many connections", headers=retry)
        if not local and self._by_address[address] >= self._limits.connections_per_address:
            refused["address"] += 1
            return problem(
                429, ErrorCode.RATE_LIMITED, "too many connections of one address", headers=retry
            )
        return None

    async def _run(self, request: web.Request, remote: Remote) -> web.StreamResponse:
        socket = web.WebSocketResponse(
            protocols=(SUBPROTOCOL,),
            heartbeat=self._hub.config.web.heartbeat_s,
            timeout=CLOSE_GRACE_S,
            # A little more, so that the protocol's own answer to a large message can be given.
            max_msg_size=self._limits.message_bytes + 1024,
            compress=False,
            # Answered in _read(), where they are counted.
            autoping=False,
        )
        try:
            await socket.prepare(request)
        except ConnectionResetError:
            return problem(400, ErrorCode.BAD_MESSAGE, "the client went away during the upgrade")
        link = _Link(socket, request.transport)
        self._links.add(link)
        connection = link.connection = self._hub.open(remote, link.wake, self._clock())
        link.writer = asyncio.create_task(link.write())
        try:
            await self._read(socket, connection)
        finally:
            connection.lost(self._clock())
            await link.shut()
            self._links.discard(link)
        return socket

    async def _read(self, socket: web.WebSocketResponse, connection: Connection) -> None:
        count = 0
        async for message in socket:
            now = self._clock()
            count += 1
            if count % _FRAMES_A_TURN == 0:
                # Frames that arrived together are handed out without a pause in between.
                await asyncio.sleep(0)
            try:
                if message.type is WSMsgType.TEXT:
                    connection.receive_text(message.data, now)
                elif message.type is WSMsgType.BINARY:
                    connection.receive_binary(now)
                elif message.type in {WSMsgType.PING, WSMsgType.PONG}:
                    connection.receive_control(len(message.data), now)
                    if message.type is WSMsgType.PING and connection.close is None:
                        await socket.pong(message.data)
            except ConnectionResetError:
                return
            except Exception:  # a fault met by one participant must not end the others
                log.exception("message failed")
                connection.end(ErrorCode.INTERNAL, "a fault in the server", now)


class _Link:
    """A connection, its socket, and the task that writes from one to the other."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self._socket = socket
        self._transport = transport
        self._ready = asyncio.Event()
        self._abort: asyncio.TimerHandle | None = None
        self.connection: Connection | None = None
        self.writer: asyncio.Task[None] | None = None

    def wake(self) -> None:
        """There is something to send, or the socket is to be closed."""
        self._ready.set()
        closing = self.connection is not None and self.connection.close is not None
        if closing and self._abort is None:
            # A reader that takes nothing would keep the last frames waiting for ever.
            loop = asyncio.get_running_loop()
            self._abort = loop.call_later(CLOSE_GRACE_S, self._abort_transport)

    async def write(self) -> None:
        """Sends what waits, as fast as the socket takes it, until the connection closes."""
        assert self.connection is not None
        connection = self.connection
        try:
            while True:
                await self._ready.wait()
                self._ready.clear()
                while (frame := connection.next_frame()) is not None:
                    await self._socket.send_str(frame)
                if connection.close is not None:
                    break
            await self._socket.close(
                code=connection.close.code, message=connection.close.reason.encode()
            )
        except (ConnectionError, RuntimeError):
            # The socket closed in between; the reader notices and reports it.
            return

    async def shut(self) -> None:
        """Ends the writer; frees the timer."""
        if self._abort is not None:
            self._abort.cancel()
        if self.writer is not None:
            self.writer.cancel()
            (outcome,) = await asyncio.gather(self.writer, return_exceptions=True)
            if isinstance(outcome, Exception):
                log.error("writing failed", exc_info=outcome)
        # Task, exception and connection refer back to here: without this they would wait for
        # the garbage collector, with everything that is known of who left.
        self.writer = self.connection = None

    def _abort_transport(self) -> None:
        if self._transport is not None:
            self._transport.abort()
