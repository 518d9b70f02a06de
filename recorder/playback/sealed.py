"""Reads encrypted files: frames of AES-256-GCM under a key of the file's own.

The file's key is wrapped with the recording's master key; frames can neither be changed, moved nor
cut off unnoticed, and files can't stand in each other's place. A file that a crash cut short has no
last frame: what is there can be read, and ``is_cut`` says so.
"""

import io
from pathlib import Path
from struct import Struct
from typing import BinaryIO, Final

from recorder.envelope import LAST, MAX_FRAME, SUFFIX, TAG, Header, MasterKeys, key_of, place_of
from recorder.playback.errors import DamagedError, RecordingError
from recorder.regular import open_regular

__all__ = ["SealedFile", "open_sealed", "read_key"]

_LENGTH: Final = Struct("!I")


def read_key(path: Path) -> bytes:
    """The master key in a file: 32 bytes as they are, or in base64.

    Raises:
        EnvelopeError: there is something else in it.
        OSError: it can't be read.
    """
    return key_of(path.read_bytes(), path)


def open_sealed(path: Path, keys: MasterKeys | None) -> "SealedFile":
    """Opens an encrypted file in a session's directory, or anywhere else.

    Raises:
        RecordingError: it is no such file, its key is not there, or it belongs elsewhere.
        OSError: it can't be read.
    """
    if keys is None:
        raise RecordingError("{path} is encrypted; give its key with --key", path=path)
    file = open_regular(path, buffering=1 << 18)
    try:
        sealed = SealedFile(file, keys, str(path), place_of(path))
        _check_version(path, sealed.header)
    except BaseException:
        file.close()
        raise
    return sealed


def _check_version(path: Path, header: Header) -> None:
    """Version 1 doesn't say where a file belongs: uploads never had it, nor what follows another.

    Raises:
        RecordingError: the track did not begin with it.
    """
    if place_of(path) is None or header.place is not None:
        return
    with min(path.parent.glob(f"*{SUFFIX}*"), default=path).open("rb") as file:
        first = Header.read(file)
    if path.parent.name == "backfill" or first is None or first.place is not None:
        raise RecordingError("{path} doesn't say that it belongs there", path=path)


class SealedFile(io.RawIOBase):
    """The content of an encrypted file, from its start on, frame by frame.

    Args:
        file: at its start; closed with this.
        keys: one of them is its master key.
        name: for errors.
        place: where it lies; ``None``: it may belong anywhere.

    Attributes:
        header: what the file says of itself.
        is_cut: it was read to an end that is not a last frame: a crash, or somebody, cut it short.

    Raises:
        RecordingError: it is no such file, another key is needed, it was changed, or it was put
            in another's place.
    """

    def __init__(
        self, file: BinaryIO, keys: MasterKeys, name: str, place: str | None = None
    ) -> None:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        self._file = file
        self._name = name
        header = Header.read(file)
        if header is None:
            raise DamagedError("{path} is no capture file", path=name)
        self.header = header
        key = keys.find(header.key_id)
        if key is None:
            raise RecordingError(
                "{path} is encrypted with another key ({id})", path=name, id=header.key_id.hex()
            )
        try:
            unwrapped = AESGCM(key).decrypt(header.nonce, header.wrapped, header.bound)
        except InvalidTag:
            raise self._damaged() from None
        if place is not None and header.place not in {None, place}:
            raise RecordingError(
                "{path} belongs to {place}: it was put in another's place",
                path=name,
                place=header.place,
            )
        self._key = AESGCM(unwrapped)
        self._number = 0
        self._content = b""
        self._is_over = False
        self.is_cut = False

    def readable(self) -> bool:
        """It is."""
        return True

    def content_size(self) -> int:
        """Bytes of the content, where all frames but the last are full ones (``seal_stream``)."""
        body = self._file.seek(0, io.SEEK_END) - len(self.header.raw)
        whole, rest = divmod(body, _LENGTH.size + MAX_FRAME)
        self._go_to(0)
        return whole * (MAX_FRAME - TAG) + max(0, rest - _LENGTH.size - TAG)

    def read_at(self, start: int, count: int) -> bytes:
        """Part of the content, where all frames but the last are full ones.

        Raises:
            RecordingError: it is not there, or was changed.
        """
        number, skip = divmod(start, MAX_FRAME - TAG)
        self._go_to(number)
        content = bytearray()
        while len(content) < skip + count:
            frame = b"" if self._is_over else self._frame()
            if not frame:
                raise self._damaged()
            content += frame
        return bytes(content[skip : skip + count])

    def _go_to(self, number: int) -> None:
        self._file.seek(len(self.header.raw) + number * (_LENGTH.size + MAX_FRAME))
        self._number, self._content, self._is_over = number, b"", False

    def close(self) -> None:
        """Closes the file below, too."""
        if not self.closed:
            self._file.close()
        super().close()

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
        is_last, length = bool(length & LAST), length & ~LAST
        sealed = self._file.read(length) if TAG <= length <= MAX_FRAME else b""
        if len(sealed) < max(length, TAG):
            raise self._damaged()
        nonce = self.header.prefix + self._number.to_bytes(4, "big") + bytes([is_last])
        try:
            content = self._key.decrypt(nonce, sealed, self.header.raw)
        except InvalidTag:
            raise self._damaged() from None
        self._number += 1
        if is_last:
            self._is_over = True
            if self._file.read(1):
                raise self._damaged()
        return content

    def _damaged(self) -> DamagedError:
        return DamagedError("{path} was changed or cut off", path=self._name)
