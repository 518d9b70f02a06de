"""A TCP relay in front of a server whose connections a test can break."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator

__all__ = ["TcpRelay", "tcp_relay"]

_CHUNK = 65_536
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class TcpRelay:
    """Forwards connections to ``port`` on loopback until it is told to break them."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._refusing = False

    @property
    def url(self) -> str:
        """Where the server is found through this relay."""
        assert self._server is not None
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def cut(self) -> int:
        """Resets all connections and, until :meth:`mend`, every new one; returns how many."""
        self._refusing = True
        for writer in self._writers:
            _reset(writer)
        return len(self._writers) // 2

    def mend(self) -> None:
        """Lets new connections through again."""
        self._refusing = False

    async def start(self) -> None:
        """Listens on a free port."""
        self._server = await asyncio.start_server(self._accepted, "127.0.0.1", 0)

    async def stop(self) -> None:
        """Resets all connections and stops listening."""
        self.cut()
        if self._server is not None:
            self._server.close()
            await self._server.wait_closed()

    async def _accepted(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._refusing:
            _reset(writer)
            return
        far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._port)
        ends = {writer, far_writer}
        self._writers |= ends
        try:
            await asyncio.gather(_pump(reader, far_writer), _pump(far_reader, writer))
        finally:
            self._writers -= ends
            for end in ends:
                end.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(ConnectionError):
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()
    # An end of one direction ends the other: neither HTTP nor WebSocket uses half a connection.
    writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    transport = writer.transport
    raw = transport.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    transport.abort()


@contextlib.asynccontextmanager
async def tcp_relay(port: int) -> AsyncIterator[TcpRelay]:
    """A relay that listens."""
    relay = TcpRelay(port)
    await relay.start()
    try:
        yield relay
    finally:
        await relay.stop()
