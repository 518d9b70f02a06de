"""Time-stamps (RFC 3161, RFC 5816): who says that something existed, and when."""

import hashlib
from collections.abc import Sequence
from datetime import datetime

from witness_verify.asn1 import Certificate, Node, check_path, node, signed_ok
from witness_verify.failure import Failure

__all__ = ["check_stamp"]

_SIGNED_DATA = "1.2.840.113549.1.7.2"
_TST_INFO = "1.2.840.113549.1.9.16.1.4"
_CONTENT_TYPE = "1.2.840.113549.1.9.3"
_MESSAGE_DIGEST = "1.2.840.113549.1.9.4"
_SIGNING_CERTIFICATE = {
    "1.2.840.113549.1.9.16.2.47": "sha256",
    "1.2.840.113549.1.9.16.2.12": "sha1",
}
_HASHES = {
    "2.16.840.1.101.3.4.2.1": "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}


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
    if whole.child(0, 0x30).child(0, 2).integer() not in {0, 1}:
        raise Failure("timestamp", "was not granted")
    content = whole.child(1, 0x30)
    if content.child(0, 6).oid() != _SIGNED_DATA:
        raise Failure("timestamp", "no signed data")
    parts = content.child(1, 0xA0).child(0, 0x30).children()
    if len(parts) < 4:
        raise Failure("timestamp", "parts are missing")
    encapsulated = parts[2]
    if encapsulated.child(0, 6).oid() != _TST_INFO:
        raise Failure("timestamp", "no TSTInfo")
    info = encapsulated.child(1, 0xA0).child(0, 4).content
    stated = _stated_time(node(info), data)
    certificates = [
        Certificate(item.raw)
        for part in parts[3:-1]
        if part.tag == 0xA0
        for item in part.children()
    ]
    signer = parts[-1].child(0, 0x30)
    signing = _check_signer(signer, info, certificates)
    chain = [signing, *(one for one in certificates if one is not signing)]
    if not signing.stamps_time():
        raise Failure("timestamp", "the certificate is not one for time-stamps")
    return stated, check_path(chain, trusted, stated)


def _stated_time(info: Node, data: bytes) -> datetime:
    imprint = info.child(2, 0x30)
    algorithm = _HASHES.get(imprint.child(0, 0x30).child(0, 6).oid())
    if algorithm is None:
        raise Failure("timestamp", "unknown digest")
    if imprint.child(1, 4).content != hashlib.new(algorithm, data).digest():
        raise Failure("timestamp", "is of something else")
    return info.child(4, 0x18).time()


def _check_signer(signer: Node, info: bytes, certificates: Sequence[Certificate]) -> Certificate:
    fields = signer.children()
    attributes = signer.child(3, 0xA0)
    values = {
        one.child(0, 6).oid(): one.child(1, 0x31).children()[0] for one in attributes.children()
    }
    digest = signer.child(2, 0x30).child(0, 6).oid()
    algorithm = _HASHES.get(digest)
    stated = values.get(_MESSAGE_DIGEST)
    kind = values.get(_CONTENT_TYPE)
    if algorithm is None or stated is None or kind is None or kind.oid() != _TST_INFO:
        raise Failure("timestamp", "signed attributes")
    if stated.content != hashlib.new(algorithm, info).digest():
        raise Failure("timestamp", "content")
    named = next((oid for oid in _SIGNING_CERTIFICATE if oid in values), None)
    if named is None or len(fields) < 6:
        raise Failure("timestamp", "names no certificate")
    identity = values[named].child(0, 0x30).child(0, 0x30).children()
    name = _SIGNING_CERTIFICATE[named]
    if identity and identity[0].tag == 0x30 and name != "sha1":
        name = _HASHES.get(identity[0].child(0, 6).oid(), name)
        identity = identity[1:]
    for certificate in certificates:
        der_digest = certificate.digest(name)
        if identity and identity[0].content == der_digest:
            # The attributes are signed as the SET they stand for (RFC 5652, section 5.4).
            signed = b"\x31" + attributes.raw[1:]
            oid = signer.child(4, 0x30).child(0, 6).oid()
            if not signed_ok(certificate.key, oid, signer.child(5, 4).content, signed, digest):
                raise Failure("timestamp", "signature")
            return certificate
    raise Failure("timestamp", "its certificate is missing")
