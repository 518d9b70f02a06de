"""coturn in a namespace, as docs/operations.md and Debian's service set it up."""

import base64
import contextlib
import hashlib
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from loadtest.netem.inside import inside
from tests.net import namespaces
from tests.net.namespaces import SERVER_ADDRESS
from witness.certificates import create_certificate

__all__ = ["SECRET", "TURN_PORT", "TurnCertificate", "documented", "run_coturn", "why_missing"]

TURN_PORT = 443
SECRET = "shared by coturn and this test"
USER = "turnserver"
"""What Debian's service runs it as."""
START_TIMEOUT_S = 30.0
_DOCUMENT = Path(__file__).parents[2] / "docs" / "operations.md"


def why_missing() -> str | None:
    """Why coturn can't be run here; ``None`` if it can."""
    absent = [name for name in ("turnserver", "setpriv") if shutil.which(name) is None]
    if absent:
        return f"not on this machine: {', '.join(absent)}"
    try:
        pwd.getpwnam(USER)
    except KeyError:
        return f"there is no user {USER}, which the package makes"
    return None


@dataclass(frozen=True)
class TurnCertificate:
    """Files that coturn's user may read."""

    cert: Path
    key: Path

    @classmethod
    def make(cls, folder: Path) -> "TurnCertificate":
        """Signs one for the server's address by itself."""
        made = cls(folder / "turn.pem", folder / "turn.key")
        create_certificate([SERVER_ADDRESS], 1, made.cert, made.key)
        made.cert.chmod(0o644)
        shutil.chown(made.key, USER)
        return made

    @property
    def pin(self) -> str:
        """SHA-256 of the public key, as Chromium's ``--ignore-certificate-errors-spki-list``."""
        certificate = x509.load_pem_x509_certificate(self.cert.read_bytes())
        spki = certificate.public_key().public_bytes(
            Encoding.DER, PublicFormat.SubjectPublicKeyInfo
        )
        return base64.b64encode(hashlib.sha256(spki).digest()).decode()


def documented(certificate: TurnCertificate) -> str:
    """The configuration file of docs/operations.md, with what it leaves to the reader filled in."""
    found = re.search(r"```\n(listening-port=.*?)```", _DOCUMENT.read_text("utf-8"), re.DOTALL)
    assert found is not None, "docs/operations.md has no /etc/turnserver.conf"
    text = found.group(1)
    for example, value in {
        "/etc/ssl/turn.example.pem": str(certificate.cert),
        "/etc/ssl/private/turn.example.key": str(certificate.key),
        "<the first line of the secret's file>": SECRET,
        "<address of the media server>": SERVER_ADDRESS,
    }.items():
        assert text.count(example) == 1, f"{example} is not in docs/operations.md once"
        text = text.replace(example, value)
    return text


@contextlib.contextmanager
def run_coturn(path: namespaces.Path, certificate: TurnCertificate) -> Iterator[None]:
    """Runs coturn in the server's namespace with the user and the one right of the service."""
    folder = Path(tempfile.mkdtemp(prefix="witness-coturn-"))
    folder.chmod(0o755)
    config, log, database = folder / "turnserver.conf", folder / "log", folder / "turndb"
    config.write_text(documented(certificate))
    # It makes its tables only in a file that isn't there yet.
    shutil.chown(folder, USER)
    as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--init-groups"]
    rights = ["--inh-caps=+net_bind_service", "--ambient-caps=+net_bind_service"]
    service = ["turnserver", "-c", str(config), "--pidfile="]
    # Where the machine keeps these is not the test's to change.
    places = [f"--userdb={database}", "--log-file=stdout"]
    command = path.command(path.server, [*as_user, *rights, *service, *places])
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            deadline = time.monotonic() + START_TIMEOUT_S
            while not _listens(path):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.05)
            yield
        finally:
            process.terminate()
            process.wait()
            assert _no_complaint(log.read_text()), log.read_text()
            shutil.rmtree(folder)


def _no_complaint(said: str) -> bool:
    """No line of the file was misunderstood, and certificate and key could be used."""
    return not re.search(r"Bad configuration|unrecognized option|cannot find private key", said)


def _listens(path: namespaces.Path) -> bool:
    try:
        with inside(path.server), socket.create_connection((SERVER_ADDRESS, TURN_PORT), 1):
            return True
    except OSError:
        return False
