"""Findings of detectors at full rate: what an analytics host sends, and what the server does.

The host does not exist yet. This stands in for it on both ends of the socket: a process of its own
that sends findings as JSON lines, and an intake in the server's event loop that decodes and
validates each and tells everybody in the room. Whatever takes its place has to do no less.
"""

import asyncio
import contextlib
import itertools
import json
import socket
import sys
import time
from collections.abc import AsyncIterator
from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from signaling.hub import Hub
from signaling.notices import Delivery, ServerData
from witness.errors import BenchError
from witness.i18n import t

__all__ = ["FINDINGS_PER_S", "FindingsIntake", "address_of", "main", "sending"]

ROOMS = 200
DETECTORS = ("face_presence", "face_match", "speech", "tamper")
PER_S = 2.0
"""Findings of each detector in each room."""
FINDINGS_PER_S = ROOMS * len(DETECTORS) * PER_S

_TICK_S = 0.005
_LINE_BYTES = 4_096
_BACKLOG_BYTES = 1 << 16
"""Unread findings the intake holds; then the sender has to wait."""
_START_S = 20.0

_Name = Annotated[str, Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_.-]+$")]


class _Finding(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    room_id: _Name
    track_id: _Name
    detector: _Name
    kind: _Name
    start_us: Annotated[int, Field(ge=0)]
    end_us: Annotated[int, Field(ge=0)]
    score: Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
    state: Literal["pass", "fail", "unknown"]


class _FindingNotice(ServerData):
    """Stands for the notice that the protocol will have."""

    type: ClassVar[str] = "bench.finding"
    delivery: ClassVar[Delivery] = Delivery.NOTICE

    track_id: str
    detector: str
    kind: str
    start_us: int
    end_us: int
    score: float
    state: str


def address_of(pid: int) -> str:
    """Where the server of that process takes findings (Linux, abstract)."""
    return f"\0witness-bench-findings-{pid}"


class FindingsIntake:
    """Takes findings from a local socket and tells those they concern.

    Attributes:
        accepted: findings that were valid.
        refused: lines that were not.
        told: notices made of them.
    """

    def __init__(self, hub: Hub) -> None:
        self.accepted = 0
        self.refused = 0
        self.told = 0
        self._hub = hub

    @contextlib.asynccontextmanager
    async def serving(self, address: str) -> AsyncIterator[None]:
        """Listens for as long as the block lasts."""
        server = await asyncio.start_unix_server(self._take, address, limit=_BACKLOG_BYTES)
        try:
            yield
        finally:
            server.close()
            await server.wait_closed()

    async def _take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while line := await reader.readline():
                self._handle(line)
        except (ValueError, ConnectionError):
            # A line beyond the limit: nothing after it can be trusted.
            self.refused += 1
        finally:
            writer.close()

    def _handle(self, line: bytes) -> None:
        try:
            # A longer line is no finding; its beginning can't be read.
            finding = _Finding.model_validate_json(line[:_LINE_BYTES])
        except ValidationError:
            self.refused += 1
            return
        self.accepted += 1
        members = self._hub.roster.rooms.get(finding.room_id, {})
        notice = _FindingNotice(**finding.model_dump(exclude={"room_id"}))
        text = notice.data_json()
        for member in list(members.values()):
            member.notify(notice, data_json=text)
            self.told += 1


@contextlib.asynccontextmanager
async def sending(pid: int, rooms: int) -> AsyncIterator[None]:
    """Has a process of its own send findings to the server for as long as the block lasts.

    Args:
        pid: of the server.
        rooms: the load of :data:`ROOMS` rooms is spread over so many.

    Raises:
        BenchError: the process does not start, or ended early.
    """
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "witness.bench.findings", str(pid), str(rooms),
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        async with asyncio.timeout(_START_S):
            if not await process.stdout.readline():
                raise BenchError(t("findings can't be sent"))
        yield
        if process.returncode is not None:
            raise BenchError(t("findings can't be sent"))
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def main() -> int:
    """Sends until it is killed or the server is gone."""
    pid, rooms = int(sys.argv[1]), int(sys.argv[2])
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.connect(address_of(pid))
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            _send(connection, rooms)
    return 0


def _send(connection: socket.socket, rooms: int) -> None:
    """Keeps the rate; what the server was too slow to take is not made up for."""
    numbers = itertools.count()
    due_s = time.monotonic()
    while True:
        now_s = time.monotonic()
        count = min(int((now_s - due_s) * FINDINGS_PER_S), int(FINDINGS_PER_S))
        if count == 0:
            time.sleep(_TICK_S)
            continue
        due_s = max(due_s + count / FINDINGS_PER_S, now_s - 1)
        lines = [json.dumps(_finding(next(numbers), rooms)) for _ in range(count)]
        connection.sendall(("\n".join(lines) + "\n").encode())


def _finding(number: int, rooms: int) -> dict[str, object]:
    """Rooms in turn, and of each room its detectors in turn."""
    detector = DETECTORS[number // rooms % len(DETECTORS)]
    start_us = number * 1_000
    return {
        "room_id": f"bench-{number % rooms}",
        "track_id": f"t-{number % 997:04x}",
        "detector": detector,
        "kind": f"{detector}.sample",
        "start_us": start_us,
        "end_us": start_us + 500_000,
        "score": (number % 101) / 100,
        "state": ("pass", "fail", "unknown")[number % 3],
    }


if __name__ == "__main__":
    sys.exit(main())
