"""The WebSocket endpoint: sockets in, connections of the hub out."""

import asyncio
import logging
from typing import Final

from aiohttp import WSMsgType, web

from signaling.clock import Clock
from signaling.connection import Connection, Remote
from signaling.door import Door
from signaling.errors import ErrorCode
from signaling.hub import Hub
from signaling.problem import problem

__all__ = ["SUBPROTOCOL", "SocketEndpoint"]

log = logging.getLogger(__name__)

SUBPROTOCOL: Final = "witness.v1"

CLOSE_GRACE_S: Final = 2.0
"""Time for a socket to take its last frames and the close handshake."""

_FRAMES_A_TURN: Final = 16
"""Frames of one socket that are read before others get a turn."""


class SocketEndpoint:
    """Serves ``/v1/ws``."""

    def __init__(self, hub: Hub, clock: Clock, door: Door) -> None:
        self._hub = hub
        self._clock = clock
        self._limits = hub.config.limits
        self._door = door
        self._links: set[_Link] = set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One socket from handshake to close."""
        if SUBPROTOCOL not in _offered(request):
            self._hub.stats.connections_refused["version"] += 1
            return problem(
                400, ErrorCode.UNSUPPORTED_VERSION, f"offer the subprotocol {SUBPROTOCOL}"
            )
        remote = self._door.remote(request)
        refusal = self._door.refusal(request, remote)
        if refusal is not None:
            return refusal
        self._hub.stats.connections_opened += 1
        with self._door.counted(remote):
            return await self._run(request, remote)

    async def end_all(self) -> None:
        """Says bye on all sockets and waits until they are closed."""
        self._hub.end_all(self._clock())
        tasks = [link.writer for link in self._links if link.writer is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=2 * CLOSE_GRACE_S)

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


def _offered(request: web.Request) -> list[str]:
    """Subprotocols."""
    named = request.headers.get("Sec-WebSocket-Protocol", "")
    return [item.strip() for item in named.split(",")]


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
