"""What only an S3-compatible service can do, or do wrong; against a real server."""

import asyncio
import hashlib
import os
import random
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from archive.config import ArchiveConfig, S3Config
from archive.errors import IntegrityError, RetainedError, StorageError
from archive.keep import Keep
from archive.s3 import S3Backend
from archive.storage import Storage
from tests.archive.s3_server import SECRET, S3Server

pytestmark = pytest.mark.net

MIB = 1 << 20
TODAY = datetime.now(UTC).date()
BEFORE = TODAY - timedelta(days=1)


@pytest.fixture
def source(tmp_path: Path) -> tuple[Path, str]:
    """A file of four parts."""
    data = random.Random(3).randbytes(17 * MIB)
    path = tmp_path / "source"
    path.write_bytes(data)
    return path, hashlib.sha256(data).hexdigest()


def backend_of(server: S3Server, path: Path, **changes: Any) -> S3Backend:
    return S3Backend(server.config(prefix=f"{path.name}/", **changes), SECRET)


def counted(backend: S3Backend) -> list[str]:
    """Names of the requests that are made from now on."""
    made: list[str] = []
    backend._client.meta.events.register(
        "before-call.s3", lambda model, **_: made.append(model.name)
    )
    return made


def test_an_upload_goes_on_after_its_process_was_killed(
    s3_server: S3Server, source: tuple[Path, str], tmp_path: Path
) -> None:
    def die(done: int, total: int) -> None:
        if done >= 10 * MIB:
            os._exit(9)

    child = os.fork()
    if child == 0:
        try:
            backend_of(s3_server, tmp_path).put("a", source[0], die)
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    backend = backend_of(s3_server, tmp_path)
    assert backend.head("a") is None
    made = counted(backend)
    Storage(backend).put("a", *source, Keep(BEFORE, BEFORE))
    assert made.count("UploadPart") == 2
    assert made.count("CreateMultipartUpload") == 0
    assert Storage(backend).digest("a") == source[1]


def test_parts_of_another_file_are_not_kept(
    s3_server: S3Server, source: tuple[Path, str], tmp_path: Path
) -> None:
    class Cut(Exception):
        pass

    def cut(done: int, total: int) -> None:
        if done >= 10 * MIB:
            raise Cut

    other = tmp_path / "other"
    other.write_bytes(source[0].read_bytes()[: 5 * MIB] + os.urandom(12 * MIB))
    with pytest.raises(Cut):
        backend_of(s3_server, tmp_path).put("a", other, cut)
    backend = backend_of(s3_server, tmp_path)
    made = counted(backend)
    Storage(backend).put("a", *source, Keep(BEFORE))
    assert made.count("UploadPart") == 3


def test_a_broken_connection_costs_a_part(
    s3_server: S3Server, source: tuple[Path, str], tmp_path: Path
) -> None:
    with relay(s3_server.port, cut_after=8 * MIB) as port:
        backend = backend_of(s3_server, tmp_path, endpoint=f"http://127.0.0.1:{port}")
        made = counted(backend)
        Storage(backend).put("a", *source, Keep(BEFORE))
    assert made.count("UploadPart") == 4
    assert Storage(backend_of(s3_server, tmp_path)).digest("a") == source[1]


def test_a_service_that_is_gone_is_an_error_in_time(s3_server: S3Server, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(StorageError, match=r"ReadTimeoutError|ConnectTimeoutError"):
            backend_of(s3_server, tmp_path, endpoint=endpoint, attempts=1, read_timeout_s=0.2).head(
                "a"
            )
    with pytest.raises(StorageError, match="EndpointConnectionError"):
        backend_of(s3_server, tmp_path, endpoint=endpoint, attempts=1).head("a")


def test_bytes_that_changed_in_the_storage_are_noticed(
    s3_server: S3Server, source: tuple[Path, str], tmp_path: Path
) -> None:
    backend = backend_of(s3_server, tmp_path)

    def damage(done: int, total: int) -> None:
        if done == total // 2 + MIB:  # all is copied, a part of it was read again
            path = s3_server.root / "archive" / tmp_path.name / "a"
            with path.open("r+b") as file:
                file.seek(-1, os.SEEK_END)
                file.write(b"x" if source[0].read_bytes()[-1:] != b"x" else b"y")

    with pytest.raises(IntegrityError, match="came out different"):
        Storage(backend).put("a", *source, Keep(BEFORE), damage)
    assert backend.head("a") is None


@pytest.mark.parametrize("lock", ["governance", "compliance"])
def test_the_service_itself_refuses_to_delete(
    s3_server: S3Server, tmp_path: Path, lock: str
) -> None:
    backend = backend_of(s3_server, tmp_path, bucket="locked", object_lock=lock)
    storage = Storage(backend)
    path = tmp_path / "small"
    path.write_bytes(b"kept")
    sha256 = hashlib.sha256(b"kept").hexdigest()
    storage.put("until", path, sha256, Keep(TODAY + timedelta(days=1)))
    storage.put("held", path, sha256, Keep(BEFORE, BEFORE, ("case-1",)))
    for key in ("until", "held"):
        # Past our own rules, as somebody with the access key might try.
        with pytest.raises(RetainedError, match="the storage itself guards"):
            backend.remove(key)
        assert storage.digest(key) == sha256
    storage.protect("held", Keep(BEFORE, BEFORE))
    storage.delete("held", TODAY)
    assert storage.head("held") is None


def test_an_object_lock_grows_with_the_day(s3_server: S3Server, tmp_path: Path) -> None:
    backend = backend_of(s3_server, tmp_path, bucket="locked", object_lock="compliance")
    storage = Storage(backend)
    path = tmp_path / "small"
    path.write_bytes(b"kept")
    lock = TODAY + timedelta(days=1)
    storage.put("a", path, hashlib.sha256(b"kept").hexdigest(), Keep(lock))
    for days in (30, 365):
        day = lock + timedelta(days=days)
        storage.protect("a", Keep(lock, day))
        until = backend._retention({"Bucket": "locked", "Key": f"{tmp_path.name}/a"})
        assert until is not None
        assert until.date() == day


def test_object_lock_is_used_where_it_is(s3_server: S3Server, tmp_path: Path) -> None:
    for bucket, lock, mode in (
        ("locked", "auto", "COMPLIANCE"),
        ("locked", "governance", "GOVERNANCE"),
        ("locked", "off", None),
        ("archive", "auto", None),
    ):
        assert backend_of(s3_server, tmp_path, bucket=bucket, object_lock=lock).lock_mode == mode
    with pytest.raises(StorageError, match="bucket archive has no object lock"):
        backend_of(s3_server, tmp_path, object_lock="compliance")


def test_buckets_in_the_host_name(
    s3_server: S3Server, source: tuple[Path, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo

    def local(host: Any, *rest: Any, **more: Any) -> Any:
        return resolve("127.0.0.1" if str(host).endswith("localhost") else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", local)
    endpoint = f"http://localhost:{s3_server.port}"
    backend = backend_of(s3_server, tmp_path, endpoint=endpoint, addressing="virtual")
    hosts: list[str] = []
    backend._client.meta.events.register(
        "before-send.s3", lambda request, **_: hosts.append(request.url)
    )
    Storage(backend).put("a", *source, Keep(BEFORE))
    assert all(url.startswith(f"http://archive.localhost:{s3_server.port}/") for url in hosts)


@pytest.mark.parametrize(
    ("changes", "secret", "said"),
    [
        ({}, "the wrong one", "SignatureDoesNotMatch"),
        ({"access_key_id": "nobody"}, SECRET, "XAdminUserNotFound"),
        ({"bucket": "nowhere"}, SECRET, "NoSuchBucket|not in the storage"),
    ],
)
def test_what_the_service_refuses_is_said(
    s3_server: S3Server, changes: dict[str, Any], secret: str, said: str
) -> None:
    with pytest.raises(StorageError, match=said):
        S3Backend(s3_server.config(**changes), secret).put_small("a", b"")


def test_parts_are_always_the_same_ones() -> None:
    from archive.s3 import _parts

    for total in (5 * MIB + 1, 50_000 * MIB + 1, 5_000_000 * MIB):
        parts = list(_parts(total, 5 * MIB))
        assert len(parts) <= 10_000
        assert sum(part.bytes for part in parts) == total
        assert all(part.bytes == parts[0].bytes for part in parts[:-1])


def test_settings_that_lack_something() -> None:
    with pytest.raises(ValidationError, match=r"storage s3 needs archive\.s3\.bucket"):
        ArchiveConfig.model_validate(
            {"directory": "x", "storage": "s3", "s3": {"endpoint": "https://h"}}
        )
    for wrong in ({"endpoint": "s3.bank"}, {"bucket": "A"}, {"prefix": "../"}, {"part_mib": 4}):
        with pytest.raises(ValidationError):
            S3Config.model_validate(wrong)


@contextmanager
def relay(port: int, cut_after: int) -> Iterator[int]:
    """Passes bytes on, and cuts one connection off once, after so many of them."""
    loop = asyncio.new_event_loop()
    left = [cut_after]

    async def pump(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, close: Callable[[], None]
    ) -> None:
        while data := await reader.read(1 << 16):
            if left[0] > 0:
                left[0] -= len(data)
                if left[0] <= 0:
                    break
            writer.write(data)
            await writer.drain()
        close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, here = await asyncio.open_connection("127.0.0.1", port)

        def close() -> None:
            for one in (writer, here):
                one.transport.abort()

        try:
            await asyncio.gather(
                pump(reader, here, close), pump(there, writer, close), return_exceptions=True
            )
        finally:
            close()

    server = loop.run_until_complete(asyncio.start_server(serve, "127.0.0.1", 0))
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        loop.call_soon_threadsafe(server.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(_end(asyncio.all_tasks(loop)))
        loop.close()


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    # Connections that were cut off close in the next turns.
    for _ in range(3):
        await asyncio.sleep(0)


@pytest.mark.parametrize(
    ("endpoint", "taken"),
    [
        ("https://s3.bank.example", True),
        ("http://127.0.0.1:9000", True),
        ("http://[::1]:9000", True),
        ("http://s3.bank.example", False),
        ("http://localhost.example", False),
        ("http://127.0.0.1@s3.bank.example", False),
    ],
)
def test_only_this_machine_is_spoken_to_without_tls(endpoint: str, taken: bool) -> None:
    if taken:
        assert S3Config(endpoint=endpoint).endpoint == endpoint
    else:
        with pytest.raises(ValidationError):
            S3Config(endpoint=endpoint)
