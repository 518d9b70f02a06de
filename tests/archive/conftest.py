import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from archive.local import LocalBackend
from archive.s3 import S3Backend
from archive.storage import Backend
from tests.archive.s3_server import SECRET, S3Server, running

MEMORY = Path("/dev/shm")


@pytest.fixture
def tmp_path(request: pytest.FixtureRequest) -> Iterator[Path]:
    """Where syncing costs nothing: everything here is synced many times."""
    name = re.sub(r"[^A-Za-z0-9_-]", "_", request.node.name)[:48]
    with tempfile.TemporaryDirectory(
        prefix=f"{name}-", dir=MEMORY if MEMORY.is_dir() else None
    ) as path:
        yield Path(path)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    if shutil.which("versitygw") is None:
        pytest.skip("versitygw is not installed: tools/test-tools.sh gets it where Go is")
    with running(tmp_path_factory.mktemp("s3")) as server:
        server.make_bucket("archive")
        server.make_bucket("locked", lock=True)
        yield server


@pytest.fixture(params=["local", "s3", "locked"])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Backend:
    """Both kinds of storage; objects of other tests have other prefixes."""
    if request.param == "local":
        return LocalBackend(tmp_path / "objects")
    server: S3Server = request.getfixturevalue("s3_server")
    bucket = "archive" if request.param == "s3" else "locked"
    prefix = f"{tmp_path.name}/"
    lock = "auto" if request.param == "s3" else "governance"
    return S3Backend(server.config(bucket=bucket, prefix=prefix, object_lock=lock), SECRET)
