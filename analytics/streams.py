"""Media and words between a server and a host on another machine, as streams in Redis.

Three streams for each node: ``control`` (lines of the server), ``tap`` (media), ``findings`` (lines
of hosts). Each is kept to a length and for a while; what is older is lost, and nobody waits for
Redis: a call never depends on it. A host that comes reads from then on, says hello, and is told all
that is under way.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable
from typing import Any, Final, Self, TypeVar
from urllib.parse import urlsplit

from analytics.errors import HostError

__all__ = [
    "CONTROL_LINES",
    "FINDING_LINES",
    "KEPT_S",
    "PLACE_S",
    "TAP_MESSAGES",
    "Streams",
    "check_redis_url",
]

log = logging.getLogger(__name__)

_T = TypeVar("_T")


def check_redis_url(url: str) -> None:
    """Looks whether Redis can be asked for at it; nothing is asked.

    Raises:
        HostError: it can't. What it is, is not repeated: it may hold a password.
    """
    try:
        is_one = url.startswith(("redis://", "rediss://", "unix://"))
        urlsplit(url).port  # noqa: B018 - a wrong one raises
    except ValueError:
        is_one = False
    if not is_one:
        raise HostError("the URL of Redis must begin with redis://, rediss:// or unix://")


CONTROL_LINES: Final = 200_000
"""All that is under way is told at once to a host that comes."""
FINDING_LINES: Final = 100_000
TAP_MESSAGES: Final = 2_000
"""Messages of media that are kept: 32 KiB each at most, a few seconds of many calls."""

KEPT_S: Final = {"control": 120, "tap": 10, "findings": 120}
"""How long entries are kept, and a stream after its last one: media and words of a call that is
over are not left lying about."""

_BLOCK_MS: Final = 500
_RETRY_S: Final = 1.0
_AT_ONCE: Final = 64
_TIMEOUT_S: Final = 5.0

PLACE_S: Final = 10
"""How long a host keeps its place without asking again."""
_CLAIM: Final = """
local holder = redis.call('get', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('set', KEYS[1], ARGV[1], 'EX', ARGV[2])
return 1
"""
_LEAVE: Final = """
if redis.call('get', KEYS[1]) == ARGV[1] then redis.call('del', KEYS[1]) end
"""


class Streams:
    """The streams of one node.

    Args:
        client: of ``redis.asyncio``.
        node: name of the server's node.
    """

    def __init__(self, client: Any, node: str) -> None:
        self._client = client
        self._newest_ms: dict[str, int] = {}
        self._place = f"witness:{node}:host"
        self._names = {kind: f"witness:{node}:{kind}" for kind in ("control", "tap", "findings")}

    @classmethod
    def connect(cls, url: str, node: str) -> Self:
        """Streams at a URL such as ``redis://host:6379/0``; connects when it is first used.

        Raises:
            HostError: there is no client for Redis, or the URL is none.
        """
        try:
            from redis.asyncio import Redis
        except ImportError as error:
            raise HostError("the package redis is not installed") from error
        check_redis_url(url)
        try:
            client = Redis.from_url(
                url, socket_connect_timeout=_TIMEOUT_S, socket_timeout=_TIMEOUT_S
            )
        except ValueError as error:
            # Which it is, is not told: it may hold a password.
            raise HostError("the client for Redis can't use this URL") from error
        return cls(client, node)

    def control(self) -> AsyncIterator[bytes]:
        """Lines of the server, from now on."""
        return self._read("control")

    def tap(self) -> AsyncIterator[bytes]:
        """Messages of media, from now on."""
        return self._read("tap")

    def findings(self) -> AsyncIterator[bytes]:
        """Lines of hosts, from now on."""
        return self._read("findings")

    async def tell(self, line: bytes) -> None:
        """Says a line to hosts.

        Raises:
            OSError: Redis can't be reached.
        """
        await self._add("control", line, CONTROL_LINES)

    async def send(self, message: bytes) -> None:
        """Sends a message of media to hosts.

        Raises:
            OSError: Redis can't be reached.
        """
        await self._add("tap", message, TAP_MESSAGES)

    async def say(self, line: bytes) -> None:
        """Says a line to the server; tried until Redis takes it."""
        while True:
            try:
                return await self._add("findings", line, FINDING_LINES)
            except OSError as error:
                log.warning("redis can't be reached", extra={"reason": str(error)})
                await asyncio.sleep(_RETRY_S)

    async def claim(self, host: str) -> bool:
        """Takes the place of this node's host for :data:`PLACE_S`, or keeps it.

        Returns:
            False where another host has it: findings of two would be twice the findings.

        Raises:
            OSError: Redis can't be reached.
        """
        return bool(await self._eval(_CLAIM, host, PLACE_S))

    async def leave(self, host: str) -> None:
        """Gives the place up, if it is this host's.

        Raises:
            OSError: Redis can't be reached.
        """
        await self._eval(_LEAVE, host)

    async def _eval(self, script: str, *values: str | int) -> Any:
        from redis.exceptions import RedisError

        try:
            return await _heeding(self._client.eval(script, 1, self._place, *values))
        except RedisError as error:
            raise OSError(str(error)) from error

    async def close(self) -> None:
        """Ends the connections."""
        await self._client.aclose()

    async def _add(self, kind: str, value: bytes, most: int) -> None:
        from redis.exceptions import RedisError

        name, kept_s = self._names[kind], KEPT_S[kind]
        try:
            async with self._client.pipeline(transaction=False) as pipe:
                pipe.xadd(name, {"m": value}, maxlen=most, approximate=True)
                newest_ms = self._newest_ms.get(kind)
                if newest_ms is not None:
                    # By the clock of Redis: what is older was read, or never will be.
                    pipe.xtrim(name, minid=max(0, newest_ms - kept_s * 1_000), approximate=False)
                pipe.expire(name, kept_s)
                number, *_ = await _heeding(pipe.execute())
        except RedisError as error:
            raise OSError(str(error)) from error
        self._newest_ms[kind] = int(bytes(number).split(b"-")[0])

    async def _read(self, kind: str) -> AsyncIterator[bytes]:
        """Entries that come from now on; while Redis can't be reached, none do."""
        from redis.exceptions import RedisError

        name = self._names[kind]
        last: bytes | str | None = None
        while True:
            try:
                if last is None:
                    newest = await _heeding(self._client.xrevrange(name, count=1))
                    last = newest[0][0] if newest else "0-0"
                since = {name: last}
                found = await _heeding(self._client.xread(since, count=_AT_ONCE, block=_BLOCK_MS))
            except (RedisError, OSError) as error:
                log.warning("redis can't be reached", extra={"reason": str(error)})
                await asyncio.sleep(_RETRY_S)
                continue
            for _, entries in found:
                for number, fields in entries:
                    last = number
                    if b"m" in fields:
                        yield fields[b"m"]


async def _heeding(work: Awaitable[_T]) -> _T:
    """What it gives, unless this task was cancelled meanwhile.

    The client waits with :func:`asyncio.wait_for`, which before Python 3.12 loses a cancellation
    that comes in the turn in which what it waits for is done. Whoever sends one entry after the
    other would go on for ever.

    Raises:
        asyncio.CancelledError: it was, whatever became of the work.
    """
    try:
        return await work
    finally:
        task = asyncio.current_task()
        if task is not None and task.cancelling():
            raise asyncio.CancelledError
