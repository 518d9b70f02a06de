"""SM2 keys, certificates and signatures (GB/T 32918), made by OpenSSL's command.

No maintained Python library signs with SM2 in constant time; OpenSSL 3 does, and is on every
machine that may serve a bank. Private keys never pass through a command line: OpenSSL reads them
from their file.
"""

import shutil
import subprocess
from pathlib import Path
from typing import Final

from recorder.errors import SigningError

__all__ = ["DISTID", "make_sm2", "sign_sm2"]

DISTID: Final = "1234567812345678"
"""The distinguishing id of a signer who has agreed on no other (GM/T 0009)."""

_TIMEOUT_S: Final = 30


def make_sm2(key: Path, certificate: Path, *, name: str, days: int) -> None:
    """Makes a key (mode 0600) and a self-signed certificate, both PEM.

    Raises:
        SigningError: OpenSSL is missing or was built without SM2.
    """
    key.touch(mode=0o600)
    openssl("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2", "-out", str(key))
    openssl(
        *("req", "-x509", "-new", "-key", str(key), "-sm3", "-sigopt", f"distid:{DISTID}"),
        *("-subj", f"/CN={name}", "-days", str(days), "-utf8", "-out", str(certificate)),
        *("-addext", "keyUsage=critical,digitalSignature"),
    )


def sign_sm2(key: Path, data: Path) -> bytes:
    """Signs a file's content: SM2 with SM3, DER.

    Raises:
        SigningError: OpenSSL refused the key.
    """
    return openssl(
        *("pkeyutl", "-sign", "-inkey", str(key), "-rawin", "-digest", "sm3"),
        *("-pkeyopt", f"distid:{DISTID}", "-in", str(data)),
    )


def openssl(*arguments: str) -> bytes:
    """Runs OpenSSL and returns what it prints.

    Raises:
        SigningError: it is missing, failed, or took too long.
    """
    program = shutil.which("openssl")
    if program is None:
        raise SigningError("SM2 and local time-stamps need the openssl command: install it")
    try:
        done = subprocess.run(  # noqa: S603 - the arguments are ours
            [program, *arguments], capture_output=True, check=True, timeout=_TIMEOUT_S
        )
    except subprocess.TimeoutExpired:
        raise SigningError("openssl {command} took too long", command=arguments[0]) from None
    except subprocess.CalledProcessError as error:
        lines = error.stderr.decode(errors="replace").strip().splitlines()
        raise SigningError(
            "openssl {command} failed: {reason}",
            command=arguments[0],
            reason=lines[-1] if lines else error.returncode,
        ) from None
    return done.stdout
