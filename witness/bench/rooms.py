"""Opens rooms on the server under test and fills them with participants."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self

import aiohttp

from loadtest.errors import LoadtestError
from loadtest.signal import SignalConfig
from loadtest.swarm import SwarmParticipant
from sfu import Role
from sfu._media import Swarm
from signaling.auth import MintingKey, mint_token
from witness.bench.process import ServerProcess
from witness.bench.server import KEY_ID
from witness.errors import BenchError
from witness.i18n import t

__all__ = ["PARTIES", "Rooms"]

PARTIES = (Role.RM, Role.CUSTOMER, Role.EXPERT)
"""Who is in each room."""

_ROOMS_AT_ONCE = 6
_CONNECT_S = 60.0
_TOKEN_S = 3_600
_TRACKS = 2 * (len(PARTIES) - 1)


class Rooms:
    """Rooms of three parties, each publishing sound and picture and receiving those of others.

    Args:
        server: under test.
        swarm: sends and receives their media.
        progress: told how many rooms are open, out of how many.
    """

    def __init__(
        self, server: ServerProcess, swarm: Swarm, progress: Callable[[int, int], None]
    ) -> None:
        self.count = 0
        self._server = server
        self._swarm = swarm
        self._progress = progress
        self._participants: list[SwarmParticipant] = []
        self._stack = contextlib.AsyncExitStack()
        self._session: aiohttp.ClientSession

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=0)
        self._session = await self._stack.enter_async_context(
            aiohttp.ClientSession(connector=connector)
        )
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.gather(*(person.signal.close() for person in self._participants))
        await self._stack.aclose()

    @property
    def participants(self) -> int:
        """In all rooms."""
        return len(self._participants)

    async def grow(self, count: int) -> None:
        """Opens rooms until there are ``count``; returns when all media is connected.

        Raises:
            BenchError: somebody can't join or connect.
        """
        # Rooms are filled in the order of their numbers, so that the swarm's first participants
        # are those of the first rooms; within one room one after the other, as people come.
        first = self.count
        try:
            for start in range(first, count, _ROOMS_AT_ONCE):
                numbers = range(start, min(start + _ROOMS_AT_ONCE, count))
                await asyncio.gather(*(self._open(number) for number in numbers))
                self.count = numbers.stop
                self._progress(self.count, count)
        except LoadtestError as error:
            raise BenchError(
                t("a participant can't join: {reason}").format(reason=error)
            ) from error
        await self._connected()

    async def _open(self, number: int) -> None:
        for role in PARTIES:
            await self._join(number, role)

    async def _join(self, number: int, role: Role) -> None:
        key = MintingKey(KEY_ID, self._server.secret.encode())
        token = mint_token(
            key,
            room=f"bench-{number}",
            participant_id=f"{role}-{number}",
            role=role,
            now_unix_s=time.time(),
            ttl_s=_TOKEN_S,
        )
        config = SignalConfig(self._server.url, token, timeout_s=60.0)
        first_ssrc = 1_000_000 + 10 * (3 * number + PARTIES.index(role))
        person = SwarmParticipant(config, self._session, self._swarm, first_ssrc)
        self._participants.append(person)
        await person.start()

    async def _connected(self) -> None:
        deadline_s = time.monotonic() + _CONNECT_S
        while True:
            report = self._swarm.report()
            failures = [person.failure for person in self._participants if person.failure]
            if report.failure or failures:
                raise BenchError(
                    t("a participant can't join: {reason}").format(
                        reason=report.failure or failures[0]
                    )
                )
            subscribed = all(person.subscribed == _TRACKS for person in self._participants)
            if subscribed and report.connected == len(self._participants):
                return
            if time.monotonic() > deadline_s:
                raise BenchError(
                    t("only {count} of {wanted} participants are connected").format(
                        count=report.connected, wanted=len(self._participants)
                    )
                )
            await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def swarm_of(*, cpu: int | None, sample: int = 16) -> AsyncIterator[Swarm]:
    """A load generator for as long as the block lasts."""
    swarm = Swarm(sockets=4, cpu=cpu, sample=sample)
    try:
        yield swarm
    finally:
        await asyncio.to_thread(swarm.close)
