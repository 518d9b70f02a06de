"""A UDP relay between participants and the server that can change its source address.

Stands in for a NAT without needing root: what the server sees as the participant's address is
the relay's upstream socket, and :meth:`UdpRelay.rebind` replaces all of them at once.
"""

import asyncio
import re
import socket

_MAX_CLIENTS = 16
_CANDIDATE = re.compile(r"^a=candidate:.*$", re.MULTILINE)


class UdpRelay:
    """Forwards datagrams both ways, one upstream socket per client address."""

    def __init__(self, server: tuple[str, int]) -> None:
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._front = _bound("127.0.0.1")
        self._upstream: dict[tuple[str, int], socket.socket] = {}
        self._loop.add_reader(self._front.fileno(), self._from_clients)

    @property
    def address(self) -> tuple[str, int]:
        """Where participants send to."""
        host, port = self._front.getsockname()
        return host, port

    def rewrite_answer(self, sdp: str) -> str:
        """Replaces all candidates of an answer by the relay's address."""
        host, port = self.address
        ours = f"a=candidate:1 1 udp 2130706431 {host} {port} typ host"
        return _CANDIDATE.sub(ours, sdp)

    def upstream_ports(self) -> list[int]:
        """The source ports the server sees, one per client."""
        return [upstream.getsockname()[1] for upstream in self._upstream.values()]

    def rebind(self) -> None:
        """Gives every client a new upstream socket; the old ones are closed."""
        for client, old in list(self._upstream.items()):
            self._forget(old)
            self._upstream[client] = self._open(client)

    def close(self) -> None:
        """Stops relaying and closes all sockets."""
        for upstream in self._upstream.values():
            self._forget(upstream)
        self._upstream.clear()
        self._forget(self._front)

    def _from_clients(self) -> None:
        for datagram, client in _drain(self._front):
            if client not in self._upstream:
                if len(self._upstream) >= _MAX_CLIENTS:
                    continue
                self._upstream[client] = self._open(client)
            self._send(self._upstream[client], datagram, self._server)

    def _from_server(self, upstream: socket.socket, client: tuple[str, int]) -> None:
        for datagram, _ in _drain(upstream):
            self._send(self._front, datagram, client)

    def _open(self, client: tuple[str, int]) -> socket.socket:
        upstream = _bound("127.0.0.1")
        self._loop.add_reader(upstream.fileno(), self._from_server, upstream, client)
        return upstream

    def _forget(self, sock: socket.socket) -> None:
        self._loop.remove_reader(sock.fileno())
        sock.close()

    @staticmethod
    def _send(sock: socket.socket, datagram: bytes, to: tuple[str, int]) -> None:
        try:
            sock.sendto(datagram, to)
        except (BlockingIOError, ConnectionRefusedError):
            return  # A path may lose packets.


def _bound(host: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.setblocking(False)
    sock.bind((host, 0))
    return sock


def _drain(sock: socket.socket) -> list[tuple[bytes, tuple[str, int]]]:
    received: list[tuple[bytes, tuple[str, int]]] = []
    while len(received) < 64:
        try:
            received.append(sock.recvfrom(2048))
        except (BlockingIOError, ConnectionRefusedError):
            break
    return received
