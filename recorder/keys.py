"""The two keys a server seals with: Ed25519 and SM2, each with its certificate."""

import base64
import hashlib
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.oid import NameOID

from recorder.errors import SigningError
from recorder.sm2 import DISTID, make_sm2, sign_sm2

__all__ = ["KeyRing", "Signer", "init_keys"]

_ED25519: Final = "seal-ed25519"
_SM2: Final = "seal-sm2"


@dataclass(frozen=True, slots=True)
class Signer:
    """One key.

    Attributes:
        algorithm: ``Ed25519`` or ``SM2-SM3``.
        chain: certificates, DER, the signer's first.
    """

    algorithm: str
    key: Path
    chain: tuple[bytes, ...]

    def to_json(self) -> dict[str, str]:
        """As a manifest names it: by the SHA-256 of its certificate."""
        return {
            "alg": self.algorithm,
            "certificate_sha256": hashlib.sha256(self.chain[0]).hexdigest(),
        }

    def sign(self, data: Path) -> bytes:
        """Signs a small file's content.

        Raises:
            SigningError: the key can't be used.
        """
        if self.algorithm == "SM2-SM3":
            return sign_sm2(self.key, data)
        return _load_ed25519(self.key).sign(data.read_bytes())


class KeyRing:
    """What a server signs with."""

    def __init__(self, signers: tuple[Signer, ...]) -> None:
        self.signers = signers

    @classmethod
    def load(cls, directory: Path) -> "KeyRing":
        """Reads the certificates; the keys are read when they sign.

        Raises:
            SigningError: something is missing, or others may read a private key.
        """
        ed25519 = _signer(directory, _ED25519, "Ed25519")
        public = _load_ed25519(ed25519.key).public_key()
        if x509.load_der_x509_certificate(ed25519.chain[0]).public_key() != public:
            raise SigningError("{path} is not the key of its certificate", path=ed25519.key)
        return cls((ed25519, _signer(directory, _SM2, "SM2-SM3")))

    def sign(self, data: bytes, *, chains: bool) -> list[dict[str, Any]]:
        """Signatures of all keys, as they stand in a package.

        Args:
            data: what is signed.
            chains: with the certificates.

        Raises:
            SigningError: a key can't be used.
        """
        made = []
        with tempfile.NamedTemporaryFile(prefix="witness-sign-") as file:
            file.write(data)
            file.flush()
            for signer in self.signers:
                entry: dict[str, Any] = {
                    "alg": signer.algorithm,
                    "signature": base64.b64encode(signer.sign(Path(file.name))).decode(),
                }
                if chains:
                    entry["chain"] = [base64.b64encode(item).decode() for item in signer.chain]
                    entry["distid"] = DISTID if signer.algorithm == "SM2-SM3" else None
                made.append(entry)
        return made


def init_keys(directory: Path, *, name: str, days: int = 3650) -> list[Path]:
    """Makes both keys (mode 0600) with self-signed certificates; returns the certificates.

    Raises:
        SigningError: there are keys already, or SM2 can't be had.
        OSError: the directory can't be written.
    """
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if any((directory / f"{stem}.key").exists() for stem in (_ED25519, _SM2)):
        raise SigningError("{path} has keys already; they are never replaced", path=directory)
    certificate = directory / f"{_SM2}.crt"
    make_sm2(directory / f"{_SM2}.key", certificate, name=name, days=days)
    return [_make_ed25519(directory, name, days), certificate]


def _make_ed25519(directory: Path, name: str, days: int) -> Path:
    key = Ed25519PrivateKey.generate()
    path = directory / f"{_ED25519}.key"
    path.touch(mode=0o600)
    path.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    built = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key, None)
    )
    certificate = directory / f"{_ED25519}.crt"
    certificate.write_bytes(built.public_bytes(serialization.Encoding.PEM))
    return certificate


def _signer(directory: Path, stem: str, algorithm: str) -> Signer:
    key, certificate = directory / f"{stem}.key", directory / f"{stem}.crt"
    try:
        shared = key.stat().st_mode & 0o077
        chain = x509.load_pem_x509_certificates(certificate.read_bytes())
    except OSError as error:
        raise SigningError(
            "{path} can't be read: {reason}; `witness keys init` makes keys",
            path=error.filename,
            reason=error.strerror,
        ) from None
    except ValueError:
        raise SigningError("{path} holds no certificate in PEM form", path=certificate) from None
    if shared:
        raise SigningError("others may read {path}: chmod 600 it", path=key)
    return Signer(
        algorithm, key, tuple(item.public_bytes(serialization.Encoding.DER) for item in chain)
    )


def _load_ed25519(path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), None)
    except (ValueError, TypeError):
        raise SigningError("{path} holds no key without a password", path=path) from None
    if not isinstance(key, Ed25519PrivateKey):
        raise SigningError("{path} holds no Ed25519 key", path=path)
    return key
