"""The client side of the signaling protocol: requests, notices, acknowledgement, resume."""

import asyncio
import contextlib
import json
import logging
import ssl
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field

import aiohttp

from loadtest.errors import RefusedError, ReplyTimeoutError, SignalClosedError

__all__ = ["NoticeListener", "SignalClient", "SignalConfig"]

_LOG = logging.getLogger(__name__)
_SUBPROTOCOL = "witness.v1"
_ACK_EVERY = 16
_ACK_INTERVAL_S = 2.0
_RETRY_S = (0.1, 0.3, 1.0, 2.0, 5.0)
_MAX_PENDING = 64
_CLOSED = "closed"

Data = dict[str, object]
NoticeListener = Callable[[str, Mapping[str, object]], None]


@dataclass(frozen=True, slots=True)
class SignalConfig:
    """Where to connect, and as whom."""

    url: str
    """``http(s)://host:port`` of the server."""
    token: str
    language: str = "zh-CN"
    auto_subscribe: bool = True
    timeout_s: float = 10.0
    tls: ssl.SSLContext | bool = True


@dataclass(slots=True)
class _Pending:
    text: str
    reply: asyncio.Future[Data] = field(default_factory=asyncio.Future)


class SignalClient:
    """One participant's signaling, over as many WebSockets as it takes."""

    def __init__(
        self, config: SignalConfig, session: aiohttp.ClientSession, on_notice: NoticeListener
    ) -> None:
        self.config = config
        self.resumes = 0
        self._session = session
        self._on_notice = on_notice
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._pending: dict[str, _Pending] = {}
        self._next_id = 0
        self._seq = 0
        self._acked = 0
        self._resume_token = ""
        self._resume_id: str | None = None
        self._closed: str | None = None
        self._readable = asyncio.Event()
        self._readable.set()
        self._is_online = True

    @property
    def closed(self) -> str | None:
        """Why the participation is over; ``None`` while it is not."""
        return self._closed

    async def join(self) -> Data:
        """Connects and joins; returns the data of ``joined``.

        Raises:
            RefusedError: the server doesn't let us in.
            SignalClosedError: it can't be reached.
        """
        config = self.config
        await self._connect()
        self._spawn(self._read())
        self._spawn(self._acknowledge())
        joined = await self.request(
            "join",
            {
                "token": config.token,
                "client": {"name": "witness-loadtest", "version": "1"},
                "language": config.language,
                "auto_subscribe": config.auto_subscribe,
            },
        )
        self._resume_token = str(joined.get("resume_token", ""))
        return joined

    async def request(self, kind: str, data: Data) -> Data:
        """Sends a message and waits for its reply, across a broken connection if need be.

        Raises:
            RefusedError: the reply is an error.
            ReplyTimeoutError: none came in ``timeout_s``.
            SignalClosedError: the participation is over.
        """
        if self._closed is not None:
            raise SignalClosedError(self._closed)
        if len(self._pending) >= _MAX_PENDING:
            raise ReplyTimeoutError(f"{kind}: {_MAX_PENDING} requests wait for replies")
        self._next_id += 1
        key = f"r{self._next_id}"
        pending = _Pending(json.dumps({"type": kind, "id": key, "data": data}))
        self._pending[key] = pending
        try:
            # Between a resume and its reply nothing else may be sent; _resumed() makes up for it.
            if self._resume_id is None:
                await self._send(pending.text)
            async with asyncio.timeout(self.config.timeout_s):
                return await pending.reply
        except TimeoutError as error:
            raise ReplyTimeoutError(f"{kind}: no reply in {self.config.timeout_s} s") from error
        finally:
            self._pending.pop(key, None)

    async def drop_socket(self) -> None:
        """Breaks the connection as a network failure would; it is then resumed."""
        socket = self._socket
        if socket is not None:
            await socket.close(code=aiohttp.WSCloseCode.GOING_AWAY)

    @property
    def was_closed_here(self) -> bool:
        """Whether the participation is over because :meth:`close` was called."""
        return self._closed == _CLOSED

    def stop_reading(self) -> None:
        """Takes nothing from the socket any more, as a program that hangs."""
        self._readable.clear()

    def read_on(self) -> None:
        """Ends :meth:`stop_reading`."""
        self._readable.set()

    def go_offline(self) -> None:
        """Neither sends nor takes anything: the network is gone, and the server isn't told."""
        self._is_online = False
        self._readable.clear()

    async def go_online(self) -> None:
        """Ends :meth:`go_offline`: the connection of before is dead and has to be resumed."""
        self._is_online = True
        await self.drop_socket()
        self._readable.set()

    async def close(self) -> None:
        """Ends the connection without leaving the room. Idempotent."""
        self._finish(_CLOSED)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._socket is not None:
            await self._socket.close()

    async def _connect(self) -> None:
        try:
            self._socket = await self._session.ws_connect(
                f"{self.config.url}/v1/ws",
                protocols=(_SUBPROTOCOL,),
                ssl=self.config.tls,
                heartbeat=10.0,
                max_msg_size=1 << 20,
            )
        except aiohttp.ClientError as error:
            raise SignalClosedError(f"can't connect: {error}") from error

    async def _send(self, text: str) -> None:
        socket = self._socket
        if socket is None or socket.closed or not self._is_online:
            return  # a request is sent again after the resume
        try:
            await socket.send_str(text)
        except (aiohttp.ClientError, ConnectionError):
            _LOG.debug("send failed, waiting for resume")

    async def _read(self) -> None:
        """Receives until the participation ends; resumes when a socket breaks."""
        while self._closed is None:
            socket = self._socket
            assert socket is not None
            # Answering a ping may be what tells that the connection is gone.
            with contextlib.suppress(aiohttp.ClientError, ConnectionError):
                async for frame in socket:
                    await self._readable.wait()
                    if frame.type is aiohttp.WSMsgType.TEXT:
                        self._receive(frame.data)
            await self._readable.wait()
            if self._closed is None:
                await self._resume()

    async def _resume(self) -> None:
        if not self._resume_token:
            self._finish("the server closed the connection")
            return
        for pause_s in _RETRY_S:
            await asyncio.sleep(pause_s)
            try:
                await self._connect()
            except SignalClosedError:
                continue
            self.resumes += 1
            self._next_id += 1
            self._resume_id = f"r{self._next_id}"
            data = {"resume_token": self._resume_token, "last_seq": self._seq}
            await self._send(json.dumps({"type": "resume", "id": self._resume_id, "data": data}))
            return
        self._finish("the server can't be reached")

    async def _acknowledge(self) -> None:
        while True:
            await asyncio.sleep(_ACK_INTERVAL_S)
            await self._send_ack()

    async def _send_ack(self) -> None:
        if self._seq > self._acked and self._resume_id is None:
            self._acked = self._seq
            await self._send(json.dumps({"type": "ack", "data": {"seq": self._seq}}))

    def _receive(self, text: str) -> None:
        message = json.loads(text)
        kind: str = message["type"]
        data: Data = message.get("data", {})
        reply_to = message.get("re")
        if kind == "resumed":
            self._resumed(data)
            return
        seq = message.get("seq")
        if isinstance(seq, int):
            if seq <= self._seq:
                return
            self._seq = seq
            if seq - self._acked >= _ACK_EVERY:
                self._spawn(self._send_ack())
        if reply_to is not None:
            self._reply(str(reply_to), kind, data)
        else:
            self._notice(kind, data)

    def _reply(self, key: str, kind: str, data: Data) -> None:
        if key == self._resume_id:
            self._finish(f"resume refused: {data.get('code')}: {data.get('message')}")
            return
        pending = self._pending.get(key)
        if pending is None or pending.reply.done():
            return
        if kind == "error" and data.get("code") == "rate_limited":
            self._spawn(self._send_later(pending, float(str(data.get("retry_after_s", 1.0)))))
        elif kind == "error":
            error = RefusedError(str(data.get("code")), str(data.get("message")))
            pending.reply.set_exception(error)
        else:
            pending.reply.set_result(data)

    def _resumed(self, data: Data) -> None:
        """Takes the new token and sends again what has no answer; the server knows repeats."""
        self._resume_id = None
        self._resume_token = str(data["resume_token"])
        if not data["replay"]:
            self._seq = int(str(data["latest_seq"]))
        texts = [json.dumps({"type": "ack", "data": {"seq": self._seq}})]
        texts += [pending.text for pending in self._pending.values()]
        self._spawn(self._send_all(texts))
        self._on_notice("resumed", data)

    async def _send_all(self, texts: Sequence[str]) -> None:
        for text in texts:
            await self._send(text)

    async def _send_later(self, pending: _Pending, pause_s: float) -> None:
        """Repeats a request the server had no time for; its timeout goes on running."""
        await asyncio.sleep(pause_s)
        if not pending.reply.done() and self._resume_id is None:
            await self._send(pending.text)

    def _notice(self, kind: str, data: Data) -> None:
        if kind == "bye":
            self._finish(f"{data.get('code')}: {data.get('message')}")
        self._on_notice(kind, data)

    def _finish(self, reason: str) -> None:
        if self._closed is not None:
            return
        self._closed = reason
        for pending in self._pending.values():
            if not pending.reply.done():
                pending.reply.set_exception(SignalClosedError(reason))

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
