"""Accepts TCP connections as far as the gate lets them in, and begins TLS and HTTP on them.

asyncio's own servers accept everything, make a TLS handshake of it, and only then say who it is;
so sockets are accepted here, by hand.
"""

import asyncio
import contextlib
import logging
import socket
import ssl
import struct
from collections import Counter
from typing import Final

from aiohttp import web

from witness.gate import Cut, Gate, Pass
from witness.guarded import GuardedHandler
from witness.thin_stream import keep_moving

__all__ = ["Listener"]

log = logging.getLogger(__name__)

_BACKLOG: Final = 1_024
_ACCEPTS_A_TURN: Final = 64
"""Connections accepted before the loop does something else."""

_PAUSE_S: Final = 0.1
"""Wait after a connection that could not be accepted, for want of descriptors or memory."""

_TLS_FAREWELL_S: Final = 2.0
_REPORT_INTERVAL_S: Final = 1.0
_FULL: Final = frozenset(
    {Cut.TOTAL.value, Cut.ADDRESS.value, Cut.EVICTED.value, Cut.ACCEPT_FAILED.value}
)
"""What keeps honest people out as well."""

_RESET: Final = struct.pack("ii", 1, 0)
"""``SO_LINGER`` with time 0: closing leaves nothing behind in the kernel."""


class Listener:
    """The TCP sockets of one web application.

    Args:
        runner: set up; cleaned up by the caller, after :meth:`close`.
        gate: decides who may connect.
        tls: for HTTPS.
    """

    def __init__(
        self, runner: web.BaseRunner, gate: Gate, tls: ssl.SSLContext | None = None
    ) -> None:
        self._runner = runner
        self._gate = gate
        self._tls = tls
        self._loop = asyncio.get_running_loop()
        self._sockets: list[socket.socket] = []
        self._opening: set[asyncio.Task[None]] = set()
        self._unreported: Counter[str] = Counter()
        self._report_timer: asyncio.TimerHandle | None = None
        gate.on_cut = self._note_cut

    @property
    def port(self) -> int:
        """TCP port; the same on all addresses."""
        return int(self._sockets[0].getsockname()[1])

    async def open(self, host: str, port: int) -> None:
        """Begins to accept.

        Args:
            host: address or name; ``::`` means all of IPv4 and IPv6.
            port: 0 lets the kernel choose.

        Raises:
            OSError: the address can't be used.
        """
        found = await self._loop.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )
        try:
            for family, address in dict.fromkeys((item[0], item[4]) for item in found):
                chosen = self.port if self._sockets else port
                self._sockets.append(_listening(family, (address[0], chosen, *address[2:])))
        except OSError:
            self.close()
            raise
        for listening in self._sockets:
            self._loop.add_reader(listening.fileno(), self._accept, listening)

    def close(self) -> None:
        """Accepts no more; connections that are open stay. Idempotent."""
        for listening in self._sockets:
            self._loop.remove_reader(listening.fileno())
            listening.close()
        self._sockets.clear()
        for task in self._opening:
            task.cancel()
        if self._report_timer is not None:
            self._report_timer.cancel()
            self._report()

    def _accept(self, listening: socket.socket) -> None:
        for _ in range(_ACCEPTS_A_TURN):
            try:
                accepted, peer = listening.accept()
            except (BlockingIOError, InterruptedError):
                return
            except ConnectionError:
                continue
            except OSError:
                self._gate.cut(Cut.ACCEPT_FAILED)
                self._loop.remove_reader(listening.fileno())
                self._loop.call_later(_PAUSE_S, self._go_on, listening)
                return
            admitted = self._gate.admit(peer[0])
            if isinstance(admitted, Cut):
                _reset(accepted)
                continue
            accepted.setblocking(False)
            task = self._loop.create_task(self._begin(accepted, admitted))
            admitted.abort = task.cancel
            self._opening.add(task)
            task.add_done_callback(self._opening.discard)

    def _go_on(self, listening: socket.socket) -> None:
        if listening in self._sockets:
            self._loop.add_reader(listening.fileno(), self._accept, listening)

    async def _begin(self, accepted: socket.socket, admission: Pass) -> None:
        """TLS, if wanted; then HTTP is on its own."""

        def make_handler() -> GuardedHandler:
            assert self._runner.server is not None
            return GuardedHandler(self._runner.server, admission, loop=self._loop)

        timeout_s = self._gate.limits.request_timeout_s
        try:
            await self._loop.connect_accepted_socket(
                make_handler,
                accepted,
                ssl=self._tls,
                ssl_handshake_timeout=timeout_s if self._tls else None,
                ssl_shutdown_timeout=_TLS_FAREWELL_S if self._tls else None,
            )
        except asyncio.CancelledError:
            admission.closed()
            accepted.close()
            raise
        except OSError as error:
            admission.closed()
            # What the loop raises for a handshake that takes too long.
            late = isinstance(error, ConnectionAbortedError)
            if self._tls is not None:
                self._gate.cut(Cut.TLS_TIMEOUT if late else Cut.TLS_FAILED)
            with contextlib.suppress(OSError):
                accepted.close()

    def _note_cut(self, reason: Cut) -> None:
        self._unreported[reason.value] += 1
        if self._report_timer is None:
            self._report_timer = self._loop.call_later(_REPORT_INTERVAL_S, self._report)

    def _report(self) -> None:
        """One line for all cuts of the last second."""
        self._report_timer = None
        counts, self._unreported = self._unreported, Counter()
        full = not counts.keys().isdisjoint(_FULL)
        log.log(
            logging.WARNING if full else logging.INFO,
            "connections cut",
            extra={"reasons": dict(counts), "open": self._gate.connections},
        )


def _listening(family: int, address: tuple[object, ...]) -> socket.socket:
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Alone :: takes IPv4 as well; any other address is of one family anyway.
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address[0] != "::"))
        # Inherited by what is accepted.
        keep_moving(listening)
        listening.bind(address)
        listening.listen(_BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        raise
    return listening


def _reset(accepted: socket.socket) -> None:
    """Closes without waiting for the other side."""
    with contextlib.suppress(OSError):
        accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    accepted.close()
