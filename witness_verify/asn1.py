"""DER, X.509 certificates and paths of them, as far as packages need it (X.690, RFC 5280)."""

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from witness_verify import crypto
from witness_verify.failure import Failure

__all__ = ["Certificate", "Node", "check_path", "load_pem", "node", "signed_ok"]

_DISTID: Final = b"1234567812345678"
_HASHES: Final = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
_SIGNATURES: Final = {
    "1.2.840.10045.4.3.2": "sha256",
    "1.2.840.10045.4.3.3": "sha384",
    "1.2.840.10045.4.3.4": "sha512",
    "1.2.840.113549.1.1.11": "sha256",
    "1.2.840.113549.1.1.12": "sha384",
    "1.2.840.113549.1.1.13": "sha512",
}
_CURVES: Final = {
    "1.2.840.10045.3.1.7": crypto.P256,
    "1.3.132.0.34": crypto.P384,
    "1.2.156.10197.1.301": crypto.SM2,
}
SM2_SM3: Final = "1.2.156.10197.1.501"
ED25519: Final = "1.3.101.112"


@dataclass(frozen=True, slots=True)
class Node:
    """One DER value.

    Attributes:
        raw: with tag and length.
    """

    tag: int
    content: bytes
    raw: bytes

    def children(self) -> list["Node"]:
        """What a constructed value holds."""
        found, at = [], 0
        while at < len(self.content):
            child, at = _take(self.content, at)
            found.append(child)
        return found

    def child(self, index: int, tag: int) -> "Node":
        """One of them, which has to be there and have that tag."""
        children = self.children()
        if index >= len(children) or children[index].tag != tag:
            raise Failure("certificate", f"DER: no {tag:#x} at {index}")
        return children[index]

    def integer(self) -> int:
        """The value of an INTEGER."""
        if self.tag != 2 or not self.content:
            raise Failure("certificate", "DER: no integer")
        return int.from_bytes(self.content, signed=True)

    def oid(self) -> str:
        """The value of an OBJECT IDENTIFIER, with dots."""
        if self.tag != 6 or not 0 < len(self.content) <= 64 or self.content[-1] & 0x80:
            raise Failure("certificate", "DER: no object identifier")
        numbers, number = [], 0
        for byte in self.content:
            number = number << 7 | byte & 0x7F
            if not byte & 0x80:
                numbers.append(number)
                number = 0
        first = min(numbers[0] // 40, 2)
        return ".".join(str(n) for n in (first, numbers[0] - 40 * first, *numbers[1:]))

    def time(self) -> datetime:
        """The value of a UTCTime or GeneralizedTime."""
        text = self.content.decode("ascii", "replace")
        if self.tag == 0x17:
            text = ("20" if text[:2] < "50" else "19") + text
        match = re.fullmatch(r"(\d{14})(\.\d+)?Z", text)
        try:
            return datetime.strptime(match[1] if match else "", "%Y%m%d%H%M%S").replace(tzinfo=UTC)
        except ValueError:
            raise Failure("certificate", "DER: no time") from None


def node(data: bytes) -> Node:
    """A DER value with nothing after it."""
    found, end = _take(data, 0)
    if end != len(data):
        raise Failure("certificate", "DER: bytes after the end")
    return found


def _take(data: bytes, start: int) -> tuple[Node, int]:
    head = data[start : start + 6]
    size, at = head[1] if len(head) > 1 else 0xFF, 2
    if size > 0x80:
        at += size & 0x7F
        size = int.from_bytes(head[2:at])
        if at > len(head) or size < 0x80 or head[2] == 0:
            raise Failure("certificate", "DER: length")
    end = start + at + size
    if head[1:2] == b"\x80" or end > len(data):
        raise Failure("certificate", "DER: length")
    return Node(data[start], data[start + at : end], data[start:end]), end


class Certificate:
    """A certificate, taken apart."""

    def __init__(self, der: bytes) -> None:
        whole = node(der)
        self._der = der
        self.sha256 = hashlib.sha256(der).hexdigest()
        self.tbs = whole.child(0, 0x30)
        fields = self.tbs.children()
        fields = fields[1:] if fields and fields[0].tag == 0xA0 else fields
        if len(fields) < 6:
            raise Failure("certificate", "fields are missing")
        self.serial, self.issuer, self.subject = fields[0].raw, fields[2].raw, fields[4].raw
        validity = fields[3].children()
        if len(validity) != 2:
            raise Failure("certificate", "validity")
        self.not_before, self.not_after = (moment.time() for moment in validity)
        self.key = fields[5]
        self.algorithm = whole.child(1, 0x30).child(0, 6).oid()
        self.signature = whole.child(2, 3).content[1:]
        self.extensions: dict[str, Node] = {}
        for field in fields[6:]:
            if field.tag == 0xA3:
                for extension in field.child(0, 0x30).children():
                    value = extension.children()[-1]
                    self.extensions[extension.child(0, 6).oid()] = node(value.content)

    def digest(self, algorithm: str) -> bytes:
        """Digest of the whole certificate."""
        return hashlib.new(algorithm, self._der, usedforsecurity=False).digest()

    def may_certify(self) -> bool:
        """Whether it is a certificate of a CA."""
        basic, usage = self.extensions.get("2.5.29.19"), self.extensions.get("2.5.29.15")
        ca = basic is not None and b"\x01\x01\xff" in basic.content[:3]
        return ca and (usage is None or (len(usage.content) > 1 and bool(usage.content[1] & 4)))

    def stamps_time(self) -> bool:
        """Whether it is one of a time-stamp authority (RFC 3161, section 2.3)."""
        usage = self.extensions.get("2.5.29.37")
        wanted = "1.3.6.1.5.5.7.3.8"
        return usage is not None and wanted in [item.oid() for item in usage.children()]


def load_pem(data: bytes) -> list[Certificate]:
    """All certificates of a PEM file; at least one."""
    blocks = re.findall(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END", data)
    try:
        found = [
            Certificate(base64.b64decode(b"".join(block.split()), validate=True))
            for block in blocks
        ]
    except ValueError:
        found = []
    if not found:
        raise Failure("certificate", "no certificate in PEM form")
    return found


def check_path(chain: Sequence[Certificate], trusted: Sequence[Certificate], at: datetime) -> bool:
    """Whether the first certificate leads to a trusted one; all valid at that time.

    Raises:
        Failure: a certificate on the way was not valid, or did not sign the one before it.
    """
    anchors = {certificate.sha256 for certificate in trusted}
    current, depth = chain[0], 0
    while True:
        if not current.not_before <= at <= current.not_after:
            raise Failure("certificate", f"not valid at {at:%Y-%m-%d %H:%M:%S}")
        if current.sha256 in anchors:
            return True
        issuers = [*chain[depth + 1 : depth + 2], *trusted]
        issuer = next((one for one in issuers if one.subject == current.issuer), None)
        if issuer is None or depth > 8:
            return False
        signed = signed_ok(issuer.key, current.algorithm, current.signature, current.tbs.raw)
        if not issuer.may_certify() or not signed:
            raise Failure("certificate", "was not issued by the one after it")
        current, depth = issuer, depth + 1


def signed_ok(key: Node, algorithm: str, signature: bytes, data: bytes, digest: str = "") -> bool:
    """Checks a signature.

    Args:
        key: the signer's SubjectPublicKeyInfo.
        algorithm: object identifier of the signature.
        signature: as the algorithm writes it.
        data: what was signed.
        digest: object identifier of the digest, where the algorithm names none (CMS).
    """
    parts = key.child(0, 0x30).children()
    kind, public = parts[0].oid(), key.child(1, 3).content[1:]
    if kind == ED25519:
        return algorithm == ED25519 and crypto.ed25519_ok(public, signature, data)
    name = _SIGNATURES.get(algorithm) or _HASHES.get(digest)
    if kind == "1.2.840.113549.1.1.1" and name is not None:
        numbers = node(public)
        modulus, exponent = numbers.child(0, 2).integer(), numbers.child(1, 2).integer()
        return crypto.rsa_ok(modulus, exponent, signature, name, data)
    curve = _CURVES.get(parts[1].oid()) if len(parts) > 1 and parts[1].tag == 6 else None
    if kind != "1.2.840.10045.2.1" or curve is None:
        raise Failure("certificate", f"unknown key {kind}")
    pair = node(signature)
    rs = (pair.child(0, 2).integer(), pair.child(1, 2).integer())
    if len(pair.children()) != 2:
        return False
    if curve is crypto.SM2:
        return algorithm == SM2_SM3 and crypto.sm2_ok(public, rs, data, _DISTID)
    if name is None or "10045" not in algorithm:
        raise Failure("certificate", f"unknown signature {algorithm}")
    return crypto.ecdsa_ok(curve, public, rs, hashlib.new(name, data).digest())
