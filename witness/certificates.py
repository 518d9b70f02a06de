"""Self-made TLS certificates for tests on a local network."""

import datetime as dt
import ipaddress
import os
import ssl
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from witness.errors import StartError, UsageError
from witness.i18n import t

__all__ = ["MAX_DAYS", "create_certificate", "server_context"]

MAX_DAYS = 397
"""Browsers refuse longer validity."""


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
    private = ec.generate_private_key(ec.SECP256R1())
    certificate = _sign(hosts, days, private)
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
        context.load_cert_chain(cert, key)
    except ssl.SSLError as error:
        raise StartError(
            t("{cert} and {key} are not a certificate and its key in PEM form").format(
                cert=cert, key=key
            )
        ) from error
    except OSError as error:
        raise StartError(
            t("can't read {cert} or {key}: {reason}").format(
                cert=cert, key=key, reason=error.strerror
            )
        ) from error
    return context


def _sign(hosts: Sequence[str], days: int, key: ec.EllipticCurvePrivateKey) -> x509.Certificate:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, hosts[0][:64])])
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
        .add_extension(x509.SubjectAlternativeName([_name(h) for h in hosts]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    )
    return builder.sign(key, hashes.SHA256())


def _name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        pass
    try:
        return x509.DNSName(host)
    except ValueError as error:
        problem = t("{host} is neither a host name nor an IP address").format(host=host)
        raise UsageError(problem) from error


def _write_new(path: Path, data: bytes, mode: int) -> None:
    """Creates the file with its final mode; it never exists with another."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
    except FileExistsError as error:
        raise UsageError(t("{path} exists; remove it first").format(path=path)) from error
    except OSError as error:
        raise UsageError(
            t("can't write {path}: {reason}").format(path=path, reason=error.strerror)
        ) from error
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
