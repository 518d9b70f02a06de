"""A real S3 server for tests: versitygw, which keeps buckets as directories and has object lock."""

import contextlib
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pydantic import SecretStr

from archive.config import S3Config

__all__ = ["SECRET", "S3Server", "running"]

SECRET = "a-secret-of-the-tests"
KEY_ID = "tests"


@dataclass(frozen=True)
class S3Server:
    """It listens on loopback; what it has lies in ``root/<bucket>/<key>``."""

    port: int
    root: Path

    def config(self, **changes: object) -> S3Config:
        return S3Config.model_validate(
            {
                "endpoint": f"http://127.0.0.1:{self.port}",
                "bucket": "archive",
                "access_key_id": KEY_ID,
                "secret_access_key": SecretStr(SECRET),
                "part_mib": 5,
                "attempts": 2,
                "connect_timeout_s": 5,
                "read_timeout_s": 10,
                **changes,
            }
        )

    def make_bucket(self, name: str, *, lock: bool = False) -> None:
        from archive.s3 import _client

        client = _client(self.config(), SECRET)
        client.create_bucket(Bucket=name, ObjectLockEnabledForBucket=lock)


@contextlib.contextmanager
def running(root: Path) -> Iterator[S3Server]:
    program = shutil.which("versitygw")
    assert program is not None
    (root / "buckets").mkdir()
    (root / "versions").mkdir()
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    command = [
        program, "--port", f"127.0.0.1:{port}", "--access", KEY_ID, "--secret", SECRET,
        "--virtual-domain", f"localhost:{port}", "--quiet",
        "posix", "--versioning-dir", str(root / "versions"), str(root / "buckets"),
    ]  # fmt: skip
    with (root / "server.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        _until_up(port, process)
        yield S3Server(port, root / "buckets")
    finally:
        process.terminate()
        process.wait(10)


def _until_up(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + 20
    while time.monotonic() < end:
        if process.poll() is not None:
            break
        with contextlib.suppress(OSError):
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        time.sleep(0.05)
    raise AssertionError("the S3 server did not start")
