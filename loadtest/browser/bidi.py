"""A client of WebDriver BiDi, the protocol that both Chromium's driver and Firefox speak."""

import asyncio
import itertools
import json
from collections.abc import Callable
from typing import Any

import aiohttp

__all__ = ["BidiError", "Connection"]

COMMAND_TIMEOUT_S = 60.0


class BidiError(RuntimeError):
    """The browser refused a command, a script failed, or the browser is gone."""


class Connection:
    """One session over one WebSocket; lives in one event loop.

    Args:
        on_event: gets the method and the parameters of every event.
    """

    def __init__(self, on_event: Callable[[str, dict[str, Any]], None]) -> None:
        self._on_event = on_event
        self._ids = itertools.count(1)
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._session: aiohttp.ClientSession | None = None
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None

    async def open(self, url: str, capabilities: dict[str, Any]) -> None:
        """Connects and begins a session with these capabilities."""
        self._session = aiohttp.ClientSession()
        self._socket = await self._session.ws_connect(url, max_msg_size=0)
        self._reader = asyncio.create_task(self._read(self._socket))
        await self.command("session.new", capabilities={"alwaysMatch": capabilities})

    async def command(self, method: str, **params: Any) -> dict[str, Any]:
        """Sends a command and returns its result.

        Raises:
            BidiError: it was refused, or the connection ended before the answer.
            TimeoutError: no answer within a minute.
        """
        if self._socket is None or self._reader is None or self._reader.done():
            raise BidiError(f"{method}: the browser is gone")
        number = next(self._ids)
        answer = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            await self._socket.send_json({"id": number, "method": method, "params": params})
            async with asyncio.timeout(COMMAND_TIMEOUT_S):
                message = await answer
        except TimeoutError:
            silence = f"the browser did not answer {method} within {COMMAND_TIMEOUT_S:.0f} s"
            raise TimeoutError(silence) from None
        finally:
            self._waiting.pop(number, None)
        if message["type"] == "error":
            raise BidiError(f"{method}: {message['error']}: {message['message']}")
        result: dict[str, Any] = message["result"]
        return result

    async def close(self) -> None:
        """Ends the connection. Idempotent."""
        if self._socket is not None:
            await self._socket.close()
        if self._reader is not None:
            await self._reader
        if self._session is not None:
            await self._session.close()

    async def _read(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        async for frame in socket:
            message = json.loads(frame.data)
            if message.get("type") == "event":
                self._on_event(message["method"], message["params"])
            elif (answer := self._waiting.get(message.get("id"))) and not answer.done():
                # Chromium's driver leaves the type out of the first answer.
                answer.set_result({"type": "success", **message})
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(BidiError("the browser ended"))
