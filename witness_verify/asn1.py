"""DER, X.509 certificates and paths of them, as far as packages need it (X.690, RFC 5280)."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from witness_verify import crypto
from witness_verify.failure import Failure

__all__ = ["HASHES", "Certificate", "Node", "check_path", "load_pem", "node", "signed_ok"]

ED25519 = "1.3.101.112"
SM2_SM3 = "1.2.156.10197.1.501"
HASHES = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
_RSA_KEY, _EC_KEY = "1.2.840.113549.1.1.1", "1.2.840.10045.2.1"
_SIGNATURES = {
    **{f"1.2.840.10045.4.3.{n}": name for n, name in enumerate(HASHES.values(), 2)},
    **{f"1.2.840.113549.1.1.{n}": name for n, name in enumerate(HASHES.values(), 11)},
}
_CURVES = {
    "1.2.840.10045.3.1.7": crypto.P256,
    "1.3.132.0.34": crypto.P384,
    "1.2.156.10197.1.301": crypto.SM2,
}
_DISTID = b"1234567812345678"


class Node(NamedTuple):
    """One DER value; ``raw`` is with tag and length."""

    tag: int
    content: bytes
    raw: bytes

    def children(self) -> list[Node]:
        """What a constructed value holds."""
        found, at = [], 0
        while at < len(self.content):
            child, at = _take(self.content, at)
            found.append(child)
        return found

    def child(self, index: int, tag: int = 0) -> Node:
        """One of them (-1: the last), which has to be there and have that tag, if one is given."""
        children = self.children()
        is_there = -len(children) <= index < len(children)
        if not is_there or tag not in {0, children[index].tag}:
            raise Failure("certificate", f"DER: no {tag:#x} at {index}")
        return children[index]

    def integer(self) -> int:
        """The value of an INTEGER."""
        if self.tag != 2 or not self.content:
            raise Failure("certificate", "DER: no integer")
        return int.from_bytes(self.content, "big", signed=True)

    def oid(self) -> str:
        """The value of an OBJECT IDENTIFIER, with dots."""
        if self.tag != 6 or not 0 < len(self.content) <= 64 or self.content[-1] & 0x80:
            raise Failure("certificate", "DER: no object identifier")
        numbers = [0]
        for byte in self.content:
            numbers[-1] = numbers[-1] << 7 | byte & 0x7F
            numbers += [] if byte & 0x80 else [0]
        first = min(numbers[0] // 40, 2)
        return ".".join(str(n) for n in (first, numbers[0] - 40 * first, *numbers[1:-1]))

    def time(self) -> datetime:
        """The value of a UTCTime or GeneralizedTime."""
        text = self.content.decode("ascii", "replace")
        if self.tag == 0x17:
            text = ("20" if text[:2] < "50" else "19") + text
        match = re.fullmatch(r"(\d{14})(\.\d+)?Z", text)
        try:
            return datetime.strptime(f"{match[1]}Z" if match else "", "%Y%m%d%H%M%S%z")
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
    size, at = head[1] if len(head) > 1 else 0x80, 2
    sound = size != 0x80
    if size > 0x80:
        at += size & 0x7F
        size = int.from_bytes(head[2:at], "big")
        sound = at <= len(head) and size >= 0x80 and head[2] != 0
    end = start + at + size
    if not sound or end > len(data):
        raise Failure("certificate", "DER: length")
    return Node(data[start], data[start + at : end], data[start:end]), end


class Certificate:
    """A certificate, taken apart (RFC 5280, section 4.1)."""

    def __init__(self, der: bytes) -> None:
        whole = node(der)
        self._der, self.sha256 = der, hashlib.sha256(der).hexdigest()
        self.tbs = whole.child(0, 0x30)
        fields = self.tbs.children()
        fields = fields[1:] if fields and fields[0].tag == 0xA0 else fields
        if len(fields) < 6 or len(fields[3].children()) != 2:
            raise Failure("certificate", "fields are missing")
        self.issuer, self.subject, self.key = fields[2].raw, fields[4].raw, fields[5]
        self.not_before, self.not_after = (moment.time() for moment in fields[3].children())
        self.algorithm = whole.child(1, 0x30).child(0, 6).oid()
        self.signature = whole.child(2, 3).content[1:]
        self.extensions: dict[str, Node] = {}
        for field in fields[6:]:
            for extension in field.child(0, 0x30).children() if field.tag == 0xA3 else ():
                value = node(extension.child(-1, 4).content)
                self.extensions[extension.child(0, 6).oid()] = value

    def digest(self, algorithm: str) -> bytes:
        """Digest of the whole certificate."""
        return hashlib.new(algorithm, self._der, usedforsecurity=False).digest()

    def may_certify(self) -> bool:
        """Whether it is a certificate of a CA: basicConstraints, and keyUsage if there is one."""
        basic, usage = self.extensions.get("2.5.29.19"), self.extensions.get("2.5.29.15")
        ca = basic is not None and b"\x01\x01\xff" in basic.content[:3]
        return ca and (usage is None or (len(usage.content) > 1 and bool(usage.content[1] & 4)))

    def stamps_time(self) -> bool:
        """Whether it is one of a time-stamp authority (RFC 3161, section 2.3)."""
        usage = self.extensions.get("2.5.29.37")
        return usage is not None and "1.3.6.1.5.5.7.3.8" in [one.oid() for one in usage.children()]


def load_pem(data: bytes) -> list[Certificate]:
    """All certificates of a PEM file; at least one."""
    blocks = re.findall(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END", data)
    try:
        ders = [base64.b64decode(b"".join(block.split()), validate=True) for block in blocks]
    except ValueError:
        ders = []
    if not ders:
        raise Failure("certificate", "no certificate in PEM form")
    return [Certificate(der) for der in ders]


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
        named = [one for one in [*chain[depth + 1 : depth + 2], *trusted]
                 if one.subject == current.issuer]  # fmt: skip
        # Several may have one name: a bank has keys of two kinds.
        issuer = next((one for one in named if _issued(one, current)), None)
        if issuer is None and named and current.issuer != current.subject:
            raise Failure("certificate", "was not issued by the one after it")
        if issuer is None or depth > 8:
            return False
        current, depth = issuer, depth + 1


def _issued(issuer: Certificate, other: Certificate) -> bool:
    try:
        signed = signed_ok(issuer.key, other.algorithm, other.signature, other.tbs.raw)
    except Failure:
        return False
    return signed and issuer.may_certify()


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
    kind, public = key.child(0, 0x30).child(0, 6).oid(), key.child(1, 3).content[1:]
    if kind == ED25519:
        return algorithm == ED25519 and crypto.ed25519_ok(public, signature, data)
    name = _SIGNATURES.get(algorithm) or HASHES.get(digest)
    if kind == _RSA_KEY and name is not None:
        numbers = node(public)
        modulus, exponent = numbers.child(0, 2).integer(), numbers.child(1, 2).integer()
        return crypto.rsa_ok(modulus, exponent, signature, name, data)
    curve = _CURVES.get(parts[1].oid()) if len(parts) > 1 and parts[1].tag == 6 else None
    if kind != _EC_KEY or curve is None:
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
