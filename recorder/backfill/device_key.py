"""Keys of participants' devices, and the chains of digests they sign.

A device makes a key that can't be taken out of its browser, says its public half for each
recording it takes part in, with a proof that it has the other half, and signs every batch of
digests: number, digest of the batch before, and what was sent. So a batch that is missing,
exchanged or invented later shows to everybody who trusts the key.

Spec: docs/protocol.md, ``device.key`` and ``digest.batch``; ECDSA on P-256 with SHA-256 (FIPS
186-5), signatures as r and s of 32 bytes each (IEEE P1363, as WebCrypto writes them).
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDSA,
    SECP256R1,
    EllipticCurvePublicKey,
)
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

from recorder.backfill.errors import ContradictionError, DeviceKeyError
from recorder.canonical import canonical

__all__ = [
    "MAX_KEYS",
    "MAX_KEYS_EACH",
    "DeviceKey",
    "DeviceKeys",
    "SignedBatch",
    "key_body",
    "signed_body",
]

MAX_KEYS: Final = 256
"""Of a session: pages that were loaded again have new ones. The verifier checks two signatures
for each and takes no more of them.
"""

MAX_KEYS_EACH: Final = 32
"""Of a participant, so that nobody takes the place of all others."""

_POINT_BYTES: Final = 65
_HALF: Final = 32


@dataclass(frozen=True, slots=True)
class SignedBatch:
    """What a device adds to a batch of digests.

    Attributes:
        key: SHA-256 of its public key, hexadecimal.
        batch: 1, 2, 3, … for each key and session.
        prev: SHA-256 of the body before, hexadecimal; of the first one, the key's.
        signature: over the body, base64.
        late: the device says that it signs this after the call.
    """

    key: str
    batch: int
    prev: str
    signature: str
    late: bool = False

    def to_json(self) -> dict[str, Any]:
        """Fields of ``digest.batch`` in the event log."""
        return {
            "key": self.key,
            "batch": self.batch,
            "prev": self.prev,
            "signature": self.signature,
            "late": self.late,
        }


def signed_body(
    session: str, track: str, codec: str, from_seq: int, rows: Sequence[Any], signed: SignedBatch
) -> bytes:
    """What is signed: canonical JSON (RFC 8785)."""
    return canonical(
        {
            "session": session,
            "track": track,
            "codec": codec,
            "from_seq": from_seq,
            "chunks": [list(row) for row in rows],
            "batch": signed.batch,
            "prev": signed.prev,
            "late": signed.late,
        }
    )


def key_body(session: str, participant: str, key: str) -> bytes:
    """What a device signs to show that it has a key, and for what: canonical JSON (RFC 8785)."""
    return canonical(
        {"type": "device.key", "session": session, "participant": participant, "key": key}
    )


@dataclass(slots=True)
class DeviceKey:
    """One device's key, and the digests of the bodies it signed so far."""

    participant: str
    id: str
    public: EllipticCurvePublicKey
    bodies: list[str] = field(default_factory=list)

    def is_due(self, signed: SignedBatch, body: bytes) -> bool:
        """Whether a batch is the next one; false when it is known, or one before it is missing.

        Raises:
            ContradictionError: it is not what was signed under its number, or its signature or
                its link is wrong.
        """
        digest = hashlib.sha256(body).hexdigest()
        if signed.batch > len(self.bodies) + 1:
            return False
        if signed.batch <= len(self.bodies):
            if self.bodies[signed.batch - 1] != digest:
                raise ContradictionError("batch {number} was another one", number=signed.batch)
            return False
        if signed.prev != (self.bodies[-1] if self.bodies else self.id):
            raise ContradictionError(
                "batch {number} does not follow the one before", number=signed.batch
            )
        if not _is_signed(self.public, signed.signature, body):
            raise ContradictionError(
                "the signature of batch {number} is wrong", number=signed.batch
            )
        return True

    @property
    def count(self) -> int:
        """How many batches there are."""
        return len(self.bodies)

    def note(self, body: bytes) -> None:
        """The next batch was taken."""
        self.bodies.append(hashlib.sha256(body).hexdigest())


class DeviceKeys:
    """The keys of one session."""

    def __init__(self, session: str) -> None:
        self._session = session
        self._keys: dict[str, DeviceKey] = {}

    def announce(self, participant: str, encoded: str, proof: str) -> DeviceKey | None:
        """Takes a public key; returns it if it was not known.

        Args:
            participant: whose it is.
            encoded: point of P-256, not compressed (65 bytes), base64.
            proof: signature over :func:`key_body`, base64.

        Raises:
            DeviceKeyError: it is none, it is another participant's, there are too many, or who
                announces it doesn't have it.
        """
        made = self._understood(participant, encoded)
        if made.id in self._keys:
            return None
        if not _is_signed(made.public, proof, key_body(self._session, participant, made.id)):
            raise DeviceKeyError("the proof of the key is wrong")
        mine = sum(key.participant == participant for key in self._keys.values())
        if mine >= MAX_KEYS_EACH:
            raise DeviceKeyError("a participant has at most {limit} keys", limit=MAX_KEYS_EACH)
        if len(self._keys) >= MAX_KEYS:
            raise DeviceKeyError("a session has at most {limit} keys", limit=MAX_KEYS)
        self._keys[made.id] = made
        return made

    def restore(self, participant: str, encoded: str) -> None:
        """Takes a key that was announced before: the log has it.

        Raises:
            DeviceKeyError: it is none, or another participant's.
        """
        made = self._understood(participant, encoded)
        self._keys.setdefault(made.id, made)

    def _understood(self, participant: str, encoded: str) -> DeviceKey:
        try:
            raw = base64.b64decode(encoded, validate=True)
            if len(raw) != _POINT_BYTES:
                raise DeviceKeyError("a key has {size} bytes", size=_POINT_BYTES)
            public = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), raw)
        except (binascii.Error, ValueError):
            raise DeviceKeyError("not a point of P-256 in base64") from None
        key = hashlib.sha256(raw).hexdigest()
        known = self._keys.get(key)
        if known is not None and known.participant != participant:
            raise DeviceKeyError("the key is another participant's")
        return DeviceKey(participant, key, public)

    def has(self, participant: str) -> bool:
        """Whether a participant announced one."""
        return any(key.participant == participant for key in self._keys.values())

    def of(self, participant: str, key: str) -> DeviceKey:
        """A participant's key.

        Raises:
            ContradictionError: it was not announced.
        """
        known = self._keys.get(key)
        if known is None or known.participant != participant:
            raise ContradictionError("key {key} was not announced", key=key)
        return known


def _is_signed(public: EllipticCurvePublicKey, signature: str, body: bytes) -> bool:
    try:
        raw = base64.b64decode(signature, validate=True)
    except binascii.Error:
        return False
    if len(raw) != 2 * _HALF:
        return False
    pair = int.from_bytes(raw[:_HALF]), int.from_bytes(raw[_HALF:])
    try:
        public.verify(encode_dss_signature(*pair), body, ECDSA(hashes.SHA256()))
    except InvalidSignature:
        return False
    return True
