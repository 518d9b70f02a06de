"""aiohttp's protocol of one connection, with the times of :mod:`witness.gate`.

aiohttp itself bounds only the wait between two requests. Everything here hangs on the public
callbacks of its ``RequestHandler``; :func:`note_request` is a middleware because that is the first
that hears of a complete request head.
"""

import asyncio
import logging
import weakref
from collections.abc import Awaitable, Callable
from typing import Any, cast

from aiohttp import StreamReader, web

from signaling.errors import ErrorCode
from signaling.problem import problem
from witness.gate import Cut, Pass, Phase

__all__ = ["GuardedHandler", "note_request"]

log = logging.getLogger(__name__)

_LINGER_S = 1.0
"""Time for the rest of a body that nobody read; then the connection is closed."""


@web.middleware
async def note_request(
    request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
) -> web.StreamResponse:
    """Tells the connection that a request's head is complete."""
    protocol = request.protocol
    if isinstance(protocol, GuardedHandler):
        protocol.began(request)
    return await handler(request)


def _weak(callback: Callable[[], None]) -> Callable[[], None]:
    """The callback, without keeping alive whose method it is.

    A WebSocket knows its connection; were it known in turn, both would outlive the socket until
    the next full garbage collection, with all they hold.
    """
    if not hasattr(callback, "__self__"):
        return callback
    method = weakref.WeakMethod(callback)

    def call() -> None:
        bound = method()
        if bound is not None:
            bound()

    return call


class GuardedHandler(web.RequestHandler):
    """HTTP on one connection, cut when a step takes too long.

    Args:
        server: of the application.
        admission: of this connection.
        loop: the running one.
    """

    __slots__ = ("_admission", "_alarm", "_body")

    def __init__(
        self, server: web.Server, admission: Pass, *, loop: asyncio.AbstractEventLoop
    ) -> None:
        super().__init__(
            server,
            loop=loop,
            access_log=None,  # type: ignore[arg-type] # None is how it is switched off
            lingering_time=_LINGER_S,
            # A KiB may inflate to a MiB, and would before anybody asked who sends it.
            auto_decompress=False,
        )
        self._admission = admission
        self._alarm: asyncio.TimerHandle | None = None
        self._body: StreamReader | None = None

    # What the transport reports.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """The connection is open, and safe if it is to be."""
        super().connection_made(transport)
        # uvloop's transports are none of asyncio's classes.
        self._admission.abort = cast("asyncio.Transport", transport).abort
        self._admission.connected(self._loop.time())
        self._arm()

    def data_received(self, data: bytes) -> None:
        """Bytes came in."""
        if self._admission.phase is not Phase.WEBSOCKET:
            self._admission.received(len(data), self._loop.time())
            self._arm()
        super().data_received(data)

    def pause_writing(self) -> None:
        """The client takes too little."""
        super().pause_writing()
        self._admission.stalled(self._loop.time())
        self._arm()

    def resume_writing(self) -> None:
        """The client took what waited."""
        super().resume_writing()
        self._admission.flows()

    def connection_lost(self, exc: BaseException | None) -> None:
        """The connection is gone."""
        self._admission.closed()
        if self._alarm is not None:
            self._alarm.cancel()
            self._alarm = None
        super().connection_lost(exc)

    # What happens to requests.

    def began(self, request: web.Request) -> None:
        """A request's head is complete."""
        self._body = request.content
        self._admission.began(self._loop.time(), has_body=not request.content.is_eof())
        self._arm()

    def set_parser(self, parser: Any, data_received_cb: Callable[[], None] | None = None) -> None:
        """The connection is a WebSocket from now on."""
        self._admission.upgraded()
        super().set_parser(parser, data_received_cb and _weak(data_received_cb))

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Sends the response; then the wait for the next request begins."""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            if request.content.exception() is not None:
                # Nothing more of its body can be read: don't wait for the rest.
                resp.force_close()
                request.content.feed_eof()
            self._body = None
            self._admission.responded(self._loop.time())
            self._arm()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what can't be read; its cause may quote remote input and is not logged."""
        del message
        if request.writer.output_size > 0:
            raise ConnectionError("the response is under way already")
        headers = {"Server": "witness"}
        if status < 500:
            self._admission.gate.cut(Cut.BAD_REQUEST)
            response = problem(status, detail="the request can't be read", headers=headers)
        else:
            log.error("request failed", exc_info=exc)
            response = problem(status, ErrorCode.INTERNAL, headers=headers)
        response.force_close()
        return response

    # Time.

    def _arm(self) -> None:
        """One timer a connection; it is moved only when it would come too late."""
        deadline_s = self._admission.deadline_s
        if deadline_s is None or self.transport is None:
            return
        if self._alarm is None or self._alarm.when() > deadline_s:
            if self._alarm is not None:
                self._alarm.cancel()
            self._alarm = self._loop.call_at(deadline_s, self._check)

    def _check(self) -> None:
        self._alarm = None
        if self._body is not None and self._body.is_eof():
            self._admission.body_complete()
        transport = self.transport
        # Cut a little early rather than asked again: timers have the loop's resolution.
        reason = self._admission.overdue(self._loop.time() + 1e-3)
        if reason is Cut.IDLE and transport is not None and transport.get_write_buffer_size():
            # The last response is still under way.
            self._admission.responded(self._loop.time())
            self._admission.stalled(self._loop.time())
            reason = None
        if reason is None or transport is None:
            self._arm()
            return
        self._admission.gate.cut(reason)
        if reason is Cut.IDLE:
            # What the kernel still holds reaches the client.
            transport.close()
        else:
            transport.abort()
