"""Time-stamps of a third party (RFC 3161): that a signature existed at a time.

A time-stamp authority is asked over HTTP. For tests and demonstrations there is a local one, made
of ``openssl ts``: its word is worth no more than the server's own, and its certificate says so.
"""

import hashlib
import secrets
import tempfile
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final, Protocol

from recorder.errors import TimestampError
from recorder.sm2 import openssl

__all__ = ["HttpAuthority", "LocalAuthority", "TimestampAuthority", "make_local_authority"]

_MAX_RESPONSE: Final = 65_536
_OID_SHA256: Final = bytes.fromhex("0609608648016503040201")

_POLICY: Final = """
[ local ]
serial = {directory}/tsa.serial
signer_cert = {directory}/tsa.crt
signer_key = {directory}/tsa.key
signer_digest = sha256
default_policy = 1.3.6.1.4.1.4146.2.3
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
"""


class TimestampAuthority(Protocol):
    """Whoever stamps."""

    def stamp(self, data: bytes) -> bytes:
        """A ``TimeStampResp`` (DER) over the SHA-256 of ``data``.

        Raises:
            TimestampError: there is no usable answer.
        """
        ...


class HttpAuthority:
    """An authority that is asked over HTTP (RFC 3161, section 3.4)."""

    def __init__(self, url: str, timeout_s: float) -> None:
        self._url = url
        self._timeout_s = timeout_s

    def stamp(self, data: bytes) -> bytes:
        """Asks, and checks that the answer is about the question."""
        query, nonce = _request(data)
        headers = {"Content-Type": "application/timestamp-query"}
        request = urllib.request.Request(self._url, query, headers)  # noqa: S310 - from the settings
        try:
            with urllib.request.urlopen(request, timeout=self._timeout_s) as response:  # noqa: S310
                answer: bytes = response.read(_MAX_RESPONSE + 1)
        except (OSError, urllib.error.URLError) as error:
            raise TimestampError(
                "the time-stamp authority gave no answer: {reason}",
                reason=getattr(error, "reason", error),
            ) from None
        return _checked(answer, data, nonce)


class LocalAuthority:
    """``openssl ts`` with a key of this machine."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory

    def stamp(self, data: bytes) -> bytes:
        """Stamps with this machine's own clock."""
        query, nonce = _request(data)
        with tempfile.TemporaryDirectory(prefix="witness-tsa-") as folder:
            config, request = Path(folder, "ts.cnf"), Path(folder, "request.tsq")
            config.write_text(_POLICY.format(directory=self._directory))
            request.write_bytes(query)
            answer = openssl(
                *("ts", "-reply", "-config", str(config), "-section", "local"),
                *("-queryfile", str(request)),
            )
        return _checked(answer, data, nonce)


def make_local_authority(directory: Path, days: int = 3650) -> Path:
    """Makes the key and certificate of a local authority; returns the certificate.

    Raises:
        SigningError: OpenSSL is missing or failed.
    """
    key, certificate = directory / "tsa.key", directory / "tsa.crt"
    key.touch(mode=0o600)
    openssl(
        *("req", "-x509", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        *("-nodes", "-keyout", str(key), "-out", str(certificate), "-days", str(days), "-sha256"),
        *("-subj", "/CN=Witness local time-stamps (not a third party)"),
        *("-addext", "extendedKeyUsage=critical,timeStamping"),
        *("-addext", "keyUsage=critical,digitalSignature"),
    )
    (directory / "tsa.serial").write_text("01\n")
    return certificate


def _request(data: bytes) -> tuple[bytes, bytes]:
    """A ``TimeStampReq`` that asks for the certificate too, and its nonce as DER."""
    imprint = _der(0x30, _der(0x30, _OID_SHA256 + b"\x05\x00") + _der(0x04, _sha256(data)))
    nonce = _der(0x02, b"\x40" + secrets.token_bytes(8))
    return _der(0x30, b"\x02\x01\x01" + imprint + nonce + b"\x01\x01\xff"), nonce


def _checked(answer: bytes, data: bytes, nonce: bytes) -> bytes:
    """The answer, if it was granted and repeats digest and nonce; the verifier checks the rest."""
    # TimeStampResp and PKIStatusInfo are two sequences that begin one after the other.
    status = next((answer[at + 2 : at + 5] for at in (2, 3, 4) if answer[at : at + 1] == b"0"), b"")
    if len(answer) > _MAX_RESPONSE or status not in {b"\x02\x01\x00", b"\x02\x01\x01"}:
        raise TimestampError("the time-stamp authority refused to stamp")
    if _der(0x04, _sha256(data)) not in answer or nonce not in answer:
        raise TimestampError("the time-stamp authority stamped something else")
    return answer


def _sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def _der(tag: int, content: bytes) -> bytes:
    assert len(content) < 128
    return bytes((tag, len(content))) + content
