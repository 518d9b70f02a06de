"""Time-stamps (RFC 3161, RFC 5816): who says that something existed, and when."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime

from witness_verify.asn1 import HASHES, Certificate, Node, check_path, node, signed_ok
from witness_verify.failure import Failure

__all__ = ["check_stamp"]

_SIGNED_DATA, _TST_INFO = "1.2.840.113549.1.7.2", "1.2.840.113549.1.9.16.1.4"
_CONTENT_TYPE, _MESSAGE_DIGEST = "1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4"
_SIGNING_CERTIFICATE = {
    "1.2.840.113549.1.9.16.2.47": "sha256",
    "1.2.840.113549.1.9.16.2.12": "sha1",
}


def _expect(holds: object, problem: str) -> None:
    if not holds:
        raise Failure("timestamp", problem)


def check_stamp(
    response: bytes, data: bytes, trusted: Sequence[Certificate]
) -> tuple[datetime, bool]:
    """Checks a ``TimeStampResp`` over the SHA-256 of ``data``.

    Returns:
        the time it states, and whether a trusted certificate stands behind it.

    Raises:
        Failure: it is not a time-stamp of that, or its signature is wrong.
    """
    whole = node(response)
    _expect(whole.child(0, 0x30).child(0, 2).integer() in {0, 1}, "was not granted")
    content = whole.child(1, 0x30)
    _expect(content.child(0, 6).oid() == _SIGNED_DATA, "no signed data")
    parts = content.child(1, 0xA0).child(0, 0x30).children()
    _expect(len(parts) >= 4 and parts[2].child(0, 6).oid() == _TST_INFO, "no TSTInfo")
    info = parts[2].child(1, 0xA0).child(0, 4).content
    stated = node(info)
    imprint = stated.child(2, 0x30)
    algorithm = HASHES.get(imprint.child(0, 0x30).child(0, 6).oid(), "")
    _expect(algorithm, "unknown digest")
    same = imprint.child(1, 4).content == hashlib.new(algorithm, data).digest()
    _expect(same, "is of something else")
    moment = stated.child(4, 0x18).time()
    sets = [part.children() for part in parts[3:-1] if part.tag == 0xA0]
    certificates = [Certificate(item.raw) for items in sets for item in items]
    signing = _signer(parts[-1].child(0, 0x30), info, certificates)
    _expect(signing.stamps_time(), "the certificate is not one for time-stamps")
    chain = [signing, *(one for one in certificates if one is not signing)]
    return moment, check_path(chain, trusted, moment)


def _signer(signer: Node, info: bytes, certificates: Sequence[Certificate]) -> Certificate:
    """Whose signature over the attributes it is (RFC 5652, section 5.3; RFC 5035)."""
    attributes = signer.child(3, 0xA0)
    values = {one.child(0, 6).oid(): one.child(1, 0x31).child(0) for one in attributes.children()}
    digest = signer.child(2, 0x30).child(0, 6).oid()
    algorithm = HASHES.get(digest, "")
    kind, stated = values.get(_CONTENT_TYPE), values.get(_MESSAGE_DIGEST)
    _expect(algorithm and stated and kind and kind.oid() == _TST_INFO, "signed attributes")
    _expect(stated and stated.content == hashlib.new(algorithm, info).digest(), "content")
    named = next((oid for oid in _SIGNING_CERTIFICATE if oid in values), "")
    _expect(named and len(signer.children()) >= 6, "names no certificate")
    identity = values[named].child(0, 0x30).child(0, 0x30).children()
    name = _SIGNING_CERTIFICATE[named]
    if identity and identity[0].tag == 0x30 and name != "sha1":
        name, identity = HASHES.get(identity[0].child(0, 6).oid(), name), identity[1:]
    found = [one for one in certificates if identity and identity[0].content == one.digest(name)]
    _expect(found, "its certificate is missing")
    # The attributes are signed as the SET they stand for (RFC 5652, section 5.4).
    signed, oid = b"\x31" + attributes.raw[1:], signer.child(4, 0x30).child(0, 6).oid()
    sound = signed_ok(found[0].key, oid, signer.child(5, 4).content, signed, digest)
    _expect(sound, "signature")
    return found[0]
