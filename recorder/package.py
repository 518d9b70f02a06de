"""Writes the container of an evidence package: a ZIP file of one exact form.

Stored, not compressed; ZIP64 throughout; no dates, comments or gaps. So every byte of the file
follows from names and contents, and a verifier can hold it to that. Ordinary tools open it.

Spec: APPNOTE.TXT 6.3.10, sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16, 4.5.3.
"""

import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from recorder.digests import Digester, Digests

__all__ = ["Entry", "PackageWriter", "blocks_of"]

_LOCAL: Final = struct.Struct("<IHHHHHIIIHH")
_CENTRAL: Final = struct.Struct("<IHHHHHHIIIHHHHHII")
_END64: Final = struct.Struct("<IQHHIIQQQQ")
_LOCATOR: Final = struct.Struct("<IIQI")
_END: Final = struct.Struct("<IHHHHIIH")
_VERSION: Final = 45
_UTF8: Final = 0x0800
_DATE: Final = 0x21
"""1980-01-01, the first there is."""
_WIDE: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Entry:
    """A file in a package."""

    path: str
    bytes: int
    digests: Digests
    crc: int
    offset: int


class PackageWriter:
    """Writes entries one after another; memory doesn't grow with their size."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.entries: list[Entry] = []

    def add(self, path: str, blocks: Iterable[bytes]) -> Entry:
        """Appends a file.

        Raises:
            OSError: the disk refused.
        """
        name = path.encode()
        offset = self._file.tell()
        self._file.write(_local(name, 0, 0))
        digester, crc, size = Digester(), 0, 0
        for block in blocks:
            self._file.write(block)
            digester.update(block)
            crc = zlib.crc32(block, crc)
            size += len(block)
        end = self._file.tell()
        self._file.seek(offset)
        self._file.write(_local(name, crc, size))
        self._file.seek(end)
        entry = Entry(path, size, digester.finish(), crc, offset)
        self.entries.append(entry)
        return entry

    @property
    def size(self) -> int:
        """Bytes written so far."""
        return self._file.tell()

    def take_back(self, entry: Entry) -> None:
        """Removes the last file again, and the directory if it was written."""
        self.entries.remove(entry)
        self._file.truncate(entry.offset)
        self._file.seek(entry.offset)

    def finish(self) -> None:
        """Writes the directory, which ends the package."""
        start = self._file.tell()
        for entry in self.entries:
            self._file.write(_central(entry))
        end = self._file.tell()
        count = len(self.entries)
        self._file.write(
            _END64.pack(
                0x06064B50, 44, 3 << 8 | _VERSION, _VERSION, 0, 0, count, count, end - start, start
            )
        )
        self._file.write(_LOCATOR.pack(0x07064B50, 0, end, 1))
        self._file.write(_END.pack(0x06054B50, 0, 0, 0xFFFF, 0xFFFF, _WIDE, _WIDE, 0))


def blocks_of(file: BinaryIO, size: int = 1 << 20) -> Iterator[bytes]:
    """A file's content from where it stands, in pieces."""
    while block := file.read(size):
        yield block


def _local(name: bytes, crc: int, size: int) -> bytes:
    head = _LOCAL.pack(0x04034B50, _VERSION, _UTF8, 0, 0, _DATE, crc, _WIDE, _WIDE, len(name), 20)
    return head + name + struct.pack("<HHQQ", 1, 16, size, size)


def _central(entry: Entry) -> bytes:
    name = entry.path.encode()
    head = _CENTRAL.pack(
        *(0x02014B50, 3 << 8 | _VERSION, _VERSION, _UTF8, 0, 0, _DATE, entry.crc),
        *(_WIDE, _WIDE, len(name), 28, 0, 0, 0, 0o100644 << 16, _WIDE),
    )
    return head + name + struct.pack("<HHQQQ", 1, 24, entry.bytes, entry.bytes, entry.offset)
