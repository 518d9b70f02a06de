"""A network that lets nothing through but TCP to port 443: media by way of coturn."""

import re
import shutil
import socket
import subprocess
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from loadtest.browser.browser import Browser
from loadtest.netem.inside import inside
from signaling.config import IceConfig
from signaling.ice import turn_credentials
from tests.e2e.stage import Stage, stage
from tests.net.far import BROKEN_SOCKET, PORT, far_settings, join_far, join_near
from tests.net.namespaces import PUBLIC_ADDRESSES, SERVER_ADDRESS, Path, why_unavailable
from witness.certificates import create_certificate

_REASON = why_unavailable()
if _REASON is None and shutil.which("turnserver") is None:
    _REASON = "coturn is not installed"
pytestmark = [
    pytest.mark.net,
    pytest.mark.timeout(600),
    pytest.mark.skipif(_REASON is not None, reason=_REASON or ""),
]

TURN_PORT = 443
SECRET = "shared by coturn and this test"
ECHOES = 10
"""Packets sent in all: half of them each way."""
URL = f"turn:{SERVER_ADDRESS}:{TURN_PORT}?transport=tcp"


@pytest.fixture(scope="module")
def coturn(path: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """coturn as docs/operations.md sets it up, in the server's namespace."""
    folder = tmp_path_factory.mktemp("coturn")
    config, log = folder / "turnserver.conf", folder / "log"
    cert, key = folder / "cert.pem", folder / "key.pem"
    create_certificate([SERVER_ADDRESS], 1, cert, key)
    config.write_text(
        f"""
listening-ip={SERVER_ADDRESS}
listening-port={TURN_PORT}
no-udp
no-dtls
cert={cert}
pkey={key}
use-auth-secret
static-auth-secret={SECRET}
realm=witness
no-multicast-peers
no-cli
denied-peer-ip=0.0.0.0-255.255.255.255
allowed-peer-ip={SERVER_ADDRESS}
userdb={folder / "turndb"}
pidfile={folder / "pid"}
log-file=stdout
"""
    )
    command = path.command(path.server, ["turnserver", "-c", str(config)])
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            deadline = time.monotonic() + 20
            while not _listens(path):
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield
        finally:
            process.terminate()


def _listens(path: Path) -> bool:
    try:
        with inside(path.server), socket.create_connection((SERVER_ADDRESS, TURN_PORT), 1):
            return True
    except OSError:
        return False


@pytest.fixture
async def scene(path: Path, coturn: None, chromium: Browser) -> AsyncIterator[Stage]:
    path.move_client(PUBLIC_ADDRESSES[0])
    # The page would come from port 443 as well, through a proxy; here it has one of its own.
    path.only_tcp([PORT, TURN_PORT])
    ice = IceConfig.model_validate({"turn_urls": [URL], "turn_secret": SECRET})
    with inside(path.server):
        async with stage(chromium, far_settings(ice), expected=[BROKEN_SOCKET]) as made:
            yield made


@pytest.mark.browser
async def test_chromium_joins_through_coturn_on_port_443(scene: Stage) -> None:
    rm = await join_near(scene)
    customer = await join_far(scene)
    await scene.call.hears_and_sees(rm)
    report = await customer.sees_and_hears()
    local = report.local_candidate
    assert (local["candidateType"], local["relayProtocol"]) == ("relay", "tcp")
    assert local["url"] == URL
    await customer.goes_on()


@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
def test_packets_come_back_through_coturn_on_port_443(
    path: Path, coturn: None, secure: bool
) -> None:
    path.only_tcp([TURN_PORT])
    username, password = turn_credentials(SECRET, "test", int(time.time()) + 60)
    done = _echo(path, username, password, secure=secure)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ("method=TLSv1" in done.stdout) == secure
    received = int(re.findall(r"tot_recv_msgs=(\d+)", done.stdout)[-1])
    # The tool tries TLS versions that are refused, too, and does not wait for its last packets.
    assert received >= ECHOES // 2, done.stdout


@pytest.mark.parametrize(
    ("lifetime_s", "secret"), [(-60, SECRET), (60, "another secret")], ids=["expired", "forged"]
)
def test_credentials_that_are_not_good_are_refused(
    path: Path, coturn: None, lifetime_s: int, secret: str
) -> None:
    path.only_tcp([TURN_PORT])
    username, password = turn_credentials(secret, "test", int(time.time()) + lifetime_s)
    done = _echo(path, username, password, secure=False)
    assert done.returncode != 0
    assert "Cannot complete Allocation" in done.stdout


def _echo(
    path: Path, username: str, password: str, *, secure: bool
) -> subprocess.CompletedProcess[str]:
    """Sends packets from one allocation to another with coturn's own client."""
    arguments = ["turnutils_uclient", "-t", *(["-S"] if secure else []), "-c", "-y"]
    arguments += [
        "-n",
        str(ECHOES // 2),
        "-m",
        "1",
        "-p",
        str(TURN_PORT),
        "-u",
        username,
        "-w",
        password,
    ]
    return subprocess.run(
        path.command(path.client, [*arguments, SERVER_ADDRESS]),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
