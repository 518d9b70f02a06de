"""Reads encrypted capture files: frames of AES-256-GCM under a key of the file's own.

The file's key is wrapped with the recording's master key; frames can neither be changed, moved nor
cut off unnoticed. A file that a crash cut short has no last frame: what is there can be read, and
``is_cut`` says so.
"""

import base64
import hashlib
import io
from pathlib import Path
from struct import Struct
from typing import BinaryIO, Final

from recorder.playback.errors import RecordingError

__all__ = ["SealedFile", "read_key"]

_MAGIC: Final = b"WITNESS\x01"
_HEADER: Final = Struct("!8s8s12s48s7s")
_LENGTH: Final = Struct("!I")
_LAST: Final = 1 << 31
_TAG: Final = 16
_MAX_FRAME: Final = (1 << 20) + _TAG
_KEY: Final = 32


def read_key(path: Path) -> bytes:
    """The master key in a file: 32 bytes as they are, or in base64.

    Raises:
        RecordingError: there is something else in it.
        OSError: it can't be read.
    """
    data = path.read_bytes()
    if len(data) == _KEY:
        return data
    try:
        key = base64.b64decode(data.strip(), validate=True)
    except ValueError:
        key = b""
    if len(key) != _KEY:
        raise RecordingError("{path} holds no key of 32 bytes", path=path)
    return key


class SealedFile(io.RawIOBase):
    """The content of an encrypted file, from its start on, frame by frame.

    Attributes:
        is_cut: it was read to an end that is not a last frame: a crash, or somebody, cut it short.

    Raises:
        RecordingError: it is no such file, another key is needed, or it was changed.
    """

    def __init__(self, file: BinaryIO, key: bytes, name: str) -> None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._file = file
        self._name = name
        self._header = file.read(_HEADER.size)
        if len(self._header) < _HEADER.size or not self._header.startswith(_MAGIC):
            raise RecordingError("{path} is no capture file", path=name)
        magic, key_id, nonce, wrapped, self._prefix = _HEADER.unpack(self._header)
        if hashlib.sha256(key).digest()[:8] != key_id:
            raise RecordingError("{path} is encrypted with another key", path=name)
        try:
            self._key = AESGCM(AESGCM(key).decrypt(nonce, wrapped, magic))
        except InvalidTag:
            raise self._damaged() from None
        self._number = 0
        self._content = b""
        self._is_over = False
        self.is_cut = False

    def readable(self) -> bool:
        """It is."""
        return True

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override]
        """The next bytes; 0 at the end."""
        while not self._content and not self._is_over:
            self._content = self._frame()
        part = self._content[: len(buffer)]
        buffer[: len(part)] = part
        self._content = self._content[len(part) :]
        return len(part)

    def _frame(self) -> bytes:
        from cryptography.exceptions import InvalidTag

        head = self._file.read(_LENGTH.size)
        if not head:
            self._is_over = self.is_cut = True
            return b""
        length = _LENGTH.unpack(head)[0] if len(head) == _LENGTH.size else 0
        is_last, length = bool(length & _LAST), length & ~_LAST
        sealed = self._file.read(length) if _TAG <= length <= _MAX_FRAME else b""
        if len(sealed) < max(length, _TAG):
            raise self._damaged()
        nonce = self._prefix + self._number.to_bytes(4, "big") + bytes([is_last])
        try:
            content = self._key.decrypt(nonce, sealed, self._header)
        except InvalidTag:
            raise self._damaged() from None
        self._number += 1
        if is_last:
            self._is_over = True
            if self._file.read(1):
                raise self._damaged()
        return content

    def _damaged(self) -> RecordingError:
        return RecordingError("{path} was changed or cut off", path=self._name)
