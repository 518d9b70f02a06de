"""Encryption at rest: the keys, and the layout of ``media/capture/src/seal.rs``.

A file is a header and frames of AES-256-GCM under a key of the file's own, which is wrapped with a
master key. The header names the master key and, from version 2 on, where the file belongs; the wrap
is good for that place only.
"""

import base64
import hashlib
import io
import re
import secrets
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from struct import Struct
from typing import BinaryIO, Final, Self

from recorder.errors import RecorderError

__all__ = [
    "KEY_BYTES",
    "LAST",
    "MAX_FRAME",
    "SUFFIX",
    "TAG",
    "EnvelopeError",
    "Header",
    "MasterKeys",
    "key_of",
    "place_of",
    "seal",
    "seal_stream",
]

SUFFIX: Final = ".enc"
KEY_BYTES: Final = 32
TAG: Final = 16
MAX_FRAME: Final = (1 << 20) + TAG
LAST: Final = 1 << 31
"""In a frame's length: it is the last one."""

_MAGIC: Final = b"WITNESS\x02"
_OLD_MAGIC: Final = b"WITNESS\x01"
_FIXED: Final = Struct("!8s8s12s48s7s")
_LENGTH: Final = Struct("!H")
_FRAME: Final = Struct("!I")
_ID: Final = 8
_BASE64: Final = re.compile(rb"[A-Za-z0-9+/]+=*")


class EnvelopeError(RecorderError):
    """Bytes are no key, or no encrypted file."""


def key_of(data: bytes, name: object) -> bytes:
    """A master key: 32 bytes as they are, or in base64.

    32 characters of base64 are refused: they are the text of a shorter key, not one of 32 bytes.

    Args:
        data: what was read.
        name: where from, for the error.

    Raises:
        EnvelopeError: it is something else.
    """
    if len(data) == KEY_BYTES and not _BASE64.fullmatch(data):
        return data
    try:
        key = base64.b64decode(data.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise EnvelopeError("{path} holds no key of 32 bytes", path=name)
    return key


class MasterKeys:
    """The key new files are encrypted under, and those of older files. Never printed.

    Args:
        current: of new files.
        old: of files that were written before it.
    """

    def __init__(self, current: bytes, old: Iterable[bytes] = ()) -> None:
        self.current = current
        self._known = {self.id_of(key): key for key in (*old, current)}

    @staticmethod
    def id_of(key: bytes) -> bytes:
        """How a file names its key: the first 8 bytes of the SHA-256."""
        return hashlib.sha256(key).digest()[:_ID]

    def find(self, key_id: bytes) -> bytes | None:
        """The key of this name."""
        return self._known.get(key_id)

    def to_json(self) -> list[str]:
        """All of them, the current one first: only for a pipe to a process of one's own."""
        known = [self.current, *(key for key in self._known.values() if key != self.current)]
        return [base64.b64encode(key).decode() for key in known]

    @classmethod
    def from_json(cls, texts: Iterable[str]) -> Self | None:
        """The inverse of :meth:`to_json`; ``None`` of nothing."""
        keys = [base64.b64decode(text) for text in texts]
        return cls(keys[0], keys[1:]) if keys else None

    def __repr__(self) -> str:
        return f"MasterKeys({len(self._known)})"


def place_of(path: Path) -> str | None:
    """Where a file lies, as its header says it; ``None`` outside of a session's directory.

    ``…/<session>/tracks/<track>/<file>`` is ``<session>/<track>/<file>``; a file of uploaded
    frames has its ``backfill/`` before its name.
    """
    parts = path.absolute().parts
    for back in (3, 4):
        if len(parts) > back and parts[-back] == "tracks":
            return "/".join((parts[-back - 1], *parts[-back + 1 :])).removesuffix(".part")
    return None


@dataclass(frozen=True, slots=True)
class Header:
    """What an encrypted file begins with.

    Attributes:
        raw: all of it; authenticated beside every frame.
        place: where the file belongs; ``None``: version 1 doesn't say.
    """

    raw: bytes
    key_id: bytes
    nonce: bytes
    wrapped: bytes
    prefix: bytes
    place: str | None

    @classmethod
    def read(cls, file: BinaryIO) -> Self | None:
        """Reads the beginning of a file; ``None`` if it is none of an encrypted file."""
        raw = file.read(_FIXED.size)
        if len(raw) < _FIXED.size or raw[:8] not in {_MAGIC, _OLD_MAGIC}:
            return None
        magic, key_id, nonce, wrapped, prefix = _FIXED.unpack(raw)
        place = None
        if magic == _MAGIC:
            length = file.read(_LENGTH.size)
            if len(length) < _LENGTH.size:
                return None
            name = file.read(_LENGTH.unpack(length)[0])
            if len(name) < _LENGTH.unpack(length)[0]:
                return None
            raw += length + name
            place = name.decode(errors="replace")
        return cls(raw, key_id, nonce, wrapped, prefix, place)

    @property
    def bound(self) -> bytes:
        """What is authenticated beside the wrapped key."""
        if self.place is None:
            return _OLD_MAGIC
        return self.raw[:16] + self.raw[_FIXED.size + _LENGTH.size :]


def seal(content: bytes, key: bytes, place: str) -> bytes:
    """Encrypts a whole file at once.

    Args:
        content: any number of bytes.
        key: master key.
        place: where the file belongs, as :func:`place_of` says it.
    """
    sealed = io.BytesIO()
    seal_stream(io.BytesIO(content), sealed, key, place)
    return sealed.getvalue()


def seal_stream(content: BinaryIO, sealed: BinaryIO, key: bytes, place: str) -> None:
    """Encrypts what may not fit into memory. All frames but the last are full ones.

    Args:
        content: read to its end.
        sealed: written to.
        key: master key.
        place: where the file belongs.

    Raises:
        OSError: one of the files refused.
    """
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    own, nonce, prefix = (secrets.token_bytes(size) for size in (KEY_BYTES, 12, 7))
    name, start = place.encode(), _MAGIC + MasterKeys.id_of(key)
    wrapped = AESGCM(key).encrypt(nonce, own, start + name)
    header = start + nonce + wrapped + prefix + _LENGTH.pack(len(name)) + name
    sealed.write(header)
    cipher, step, number = AESGCM(own), MAX_FRAME - TAG, 0
    part = content.read(step)
    while True:
        following = content.read(step)
        is_last = not following
        frame_nonce = prefix + number.to_bytes(4, "big") + bytes([is_last])
        frame = cipher.encrypt(frame_nonce, part, header)
        sealed.write(_FRAME.pack(len(frame) | (LAST if is_last else 0)) + frame)
        if is_last:
            return
        part, number = following, number + 1
