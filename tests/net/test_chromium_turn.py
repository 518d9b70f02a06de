"""A network that lets nothing through but TCP to port 443: media by way of coturn."""

import re
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from loadtest.browser.browser import Browser
from loadtest.netem.inside import inside
from signaling.config import IceConfig
from signaling.ice import turn_credentials
from tests.e2e.stage import Stage, stage
from tests.net.coturn import SECRET, TURN_PORT, TurnCertificate, run_coturn, why_missing
from tests.net.far import BROKEN_SOCKET, PORT, far_settings, join_far, join_near, start_chromium
from tests.net.namespaces import PUBLIC_ADDRESSES, SERVER_ADDRESS, why_unavailable
from tests.net.namespaces import Path as NetworkPath

_REASON = why_unavailable() or why_missing()
pytestmark = [
    pytest.mark.net,
    pytest.mark.timeout(600),
    pytest.mark.skipif(_REASON is not None, reason=_REASON or ""),
]

ECHOES = 10
"""Packets sent in all: half of them each way."""
PLAIN, SECURE = (
    f"{scheme}:{SERVER_ADDRESS}:{TURN_PORT}?transport=tcp" for scheme in ("turn", "turns")
)


@pytest.fixture(scope="module")
def certificate() -> Iterator[TurnCertificate]:
    """coturn's, which the browser is told to trust by its key."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        yield TurnCertificate.make(folder)


@pytest.fixture(scope="module")
def coturn(path: NetworkPath, certificate: TurnCertificate) -> Iterator[None]:
    with run_coturn(path, certificate):
        yield


@pytest.fixture(scope="module")
def chromium(path: NetworkPath, certificate: TurnCertificate) -> Iterator[Browser]:
    """A browser at the client's end that trusts coturn's certificate and no other."""
    trust = f"--ignore-certificate-errors-spki-list={certificate.pin}"
    with closing(start_chromium(path, flags=[trust])) as browser:
        yield browser


@pytest.fixture
async def scene(
    path: NetworkPath, coturn: None, chromium: Browser, request: pytest.FixtureRequest
) -> AsyncIterator[Stage]:
    path.move_client(PUBLIC_ADDRESSES[0])
    # The page would come from port 443 as well, through a proxy; here it has one of its own.
    path.only_tcp([PORT, TURN_PORT])
    ice = IceConfig.model_validate({"turn_urls": [request.param], "turn_secret": SECRET})
    with inside(path.server):
        async with stage(chromium, far_settings(ice), expected=[BROKEN_SOCKET]) as made:
            yield made


@pytest.mark.browser
@pytest.mark.parametrize(
    ("scene", "protocol"), [(PLAIN, "tcp"), (SECURE, "tls")], indirect=["scene"], ids=["tcp", "tls"]
)
async def test_chromium_joins_through_coturn_on_port_443(scene: Stage, protocol: str) -> None:
    rm = await join_near(scene)
    customer = await join_far(scene)
    await scene.call.hears_and_sees(rm)
    report = await customer.sees_and_hears()
    local = report.local_candidate
    assert (local["candidateType"], local["relayProtocol"]) == ("relay", protocol)
    assert local["url"] == (SECURE if protocol == "tls" else PLAIN)
    await customer.goes_on()


@pytest.mark.parametrize("secure", [False, True], ids=["tcp", "tls"])
def test_packets_come_back_through_coturn_on_port_443(
    path: NetworkPath, coturn: None, secure: bool
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
    path: NetworkPath, coturn: None, lifetime_s: int, secret: str
) -> None:
    path.only_tcp([TURN_PORT])
    username, password = turn_credentials(secret, "test", int(time.time()) + lifetime_s)
    done = _echo(path, username, password, secure=False)
    assert done.returncode != 0
    assert "Cannot complete Allocation" in done.stdout


def _echo(
    path: NetworkPath, username: str, password: str, *, secure: bool
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
