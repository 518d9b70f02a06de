"""Self-made TLS certificates for tests on a local network."""

import datetime as dt
import ipaddress
import os
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from witness import os_errors
from witness.errors import StartError, UsageError
from witness.hosts import is_host_name, is_ip_address
from witness.i18n import t

__all__ = [
    "MAX_DAYS",
    "CertificateError",
    "create_certificate",
    "read_certificate",
    "server_context",
    "validity_end",
]

MAX_DAYS = 397
"""Browsers refuse longer validity."""

_MAX_PEM_BYTES = 1 << 20
_MAX_COMMON_NAME_CHARS = 64


class CertificateError(StartError):
    """A certificate or its key can't be used.

    Attributes:
        texts: ``tls_cert`` or ``tls_key``, and what is wrong with it.
    """

    def __init__(self, texts: Sequence[tuple[str, str]]) -> None:
        super().__init__("\n".join(text for _, text in texts))
        self.texts = tuple(texts)


def create_certificate(hosts: Sequence[str], days: int, cert: Path, key: Path) -> str:
    """Writes a self-signed P-256 certificate and its key (mode 0600).

    Args:
        hosts: names and IP addresses; the first becomes the common name.
        days: validity, 1 to :data:`MAX_DAYS`.
        cert: PEM file to write.
        key: PEM file to write; never overwritten, nor is ``cert``.

    Returns:
        SHA-256 fingerprint, upper-case hex pairs with colons, to compare in the browser.

    Raises:
        UsageError: a host or the validity can't be used, or a file exists.
    """
    if not 1 <= days <= MAX_DAYS:
        raise UsageError(t("--days must be 1 to {days}").format(days=MAX_DAYS))
    names = [_name(host) for host in hosts]
    private = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign(hosts[0], names, days, private)
    pem = private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    if cert.exists():
        raise UsageError(t("{path} exists; remove it first").format(path=cert))
    _write_new(key, pem, 0o600)
    _write_new(cert, certificate.public_bytes(serialization.Encoding.PEM), 0o644)
    return certificate.fingerprint(hashes.SHA256()).hex(":").upper()


def server_context(cert: Path, key: Path) -> ssl.SSLContext:
    """TLS 1.2 or newer with this certificate.

    Raises:
        StartError: a file is missing, is not PEM, or the two don't belong together.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        # Without a password OpenSSL would ask for one on the terminal.
        context.load_cert_chain(cert, key, password="")
    except ssl.SSLError as error:
        raise StartError(
            t("{cert} and {key} are not a certificate and its key in PEM form").format(
                cert=cert, key=key
            )
        ) from error
    except OSError as error:
        raise StartError(
            t("can't read {cert} or {key}: {reason}").format(
                cert=cert, key=key, reason=os_errors.reason(error)
            )
        ) from error
    return context


def read_certificate(cert: Path, key: Path) -> x509.Certificate:
    """The server's own certificate, the first of its chain.

    Raises:
        CertificateError: a file can't be read or used, or the two don't belong together.
    """
    texts: list[tuple[str, str]] = []
    chain: list[x509.Certificate] = []
    private = None
    try:
        chain = x509.load_pem_x509_certificates(_read_pem(cert))
    except OSError as error:
        texts.append(("tls_cert", f"{cert}: {os_errors.reason(error)}"))
    except ValueError:
        text = t("{path}: holds no certificate in PEM form")
        texts.append(("tls_cert", text.format(path=cert)))
    try:
        private = serialization.load_pem_private_key(_read_pem(key), None)
    except OSError as error:
        texts.append(("tls_key", f"{key}: {os_errors.reason(error)}"))
    except TypeError:
        text = t("{path}: the key is encrypted; store it without a password")
        texts.append(("tls_key", text.format(path=key)))
    except (ValueError, UnsupportedAlgorithm):
        text = t("{path}: holds no private key in PEM form")
        texts.append(("tls_key", text.format(path=key)))
    if chain and private is not None and chain[0].public_key() != private.public_key():
        text = t("{key} is not the key of the certificate {cert}")
        texts.append(("tls_key", text.format(key=key, cert=cert)))
    if texts:
        raise CertificateError(texts)
    return chain[0]


def validity_end(certificate: x509.Certificate) -> dt.datetime:
    """When it expires, UTC."""
    return certificate.not_valid_after_utc


def _read_pem(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(_MAX_PEM_BYTES)


def _sign(
    host: str, names: Sequence[x509.GeneralName], days: int, key: ec.EllipticCurvePrivateKey
) -> x509.Certificate:
    # Nobody reads the common name any more; the longest host names have no room in it.
    common = host if len(host) <= _MAX_COMMON_NAME_CHARS else "witness"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])
    now = dt.datetime.now(dt.UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        # Devices on a local network may have clocks that are a little slow.
        .not_valid_before(now - dt.timedelta(hours=1))
        .not_valid_after(now + dt.timedelta(days=days))
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def _name(host: str) -> x509.GeneralName:
    if is_ip_address(host):
        return x509.IPAddress(ipaddress.ip_address(host))
    if is_host_name(host.removeprefix("*.")):
        return x509.DNSName(host)
    text = t(
        "--host {host} is neither a host name nor an IP address; write lan.example, *.example.org,"
        " 192.0.2.1 or 2001:db8::1, without port and brackets"
    )
    raise UsageError(text.format(host=repr(host)))


def _write_new(path: Path, data: bytes, mode: int) -> None:
    """Creates the file with its final mode; it never exists with another."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise UsageError(t("{path} exists; remove it first").format(path=path)) from error
    except OSError as error:
        raise UsageError(
            t("can't write {path}: {reason}").format(path=path, reason=os_errors.reason(error))
        ) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
