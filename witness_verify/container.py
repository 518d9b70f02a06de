"""Reads the one form of ZIP a package may have: stored, ZIP64, nothing between the files.

Names, sizes and checksums are taken from the directory, and every other byte is computed from them
and compared: no second directory, no comment, no differing header, no compression that explodes.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from witness_verify.failure import Failure

__all__ = ["Container", "Entry"]

MAX_ENTRIES = 32_768
MAX_NAME = 255
_BLOCK = 1 << 20
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,3}")
_TAIL = 56 + 20 + 22
_ONES = 0xFFFFFFFF


class Entry(NamedTuple):
    """A file in the container: its content is ``size`` bytes from ``start`` on."""

    name: str
    size: int
    crc: int
    start: int


class Container:
    """The files of a package, in their order."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.entries = {entry.name: entry for entry in _read_directory(file)}

    def blocks(self, name: str) -> Iterator[bytes]:
        """A file's content in pieces; fails after the last if the ZIP's checksum is wrong."""
        entry = self.entries.get(name)
        if entry is None:
            raise Failure("files", f"{name} is missing")
        at, end, crc = entry.start, entry.start + entry.size, 0
        while at < end:
            self._file.seek(at)
            block = self._file.read(min(_BLOCK, end - at))
            if not block:
                raise Failure("container", f"{name} is cut off")
            crc, at = zlib.crc32(block, crc), at + len(block)
            yield block
        if crc != entry.crc:
            raise Failure("container", f"{name}: checksum")

    def read(self, name: str, limit: int) -> bytes:
        """A file's whole content, if it is not larger than ``limit``."""
        if name in self.entries and self.entries[name].size > limit:
            raise Failure("too_large", f"{name}: {self.entries[name].size} bytes")
        return b"".join(self.blocks(name))

    def lines(self, name: str, limit: int) -> Iterator[bytes]:
        """A file's lines without their ends; each has one and is at most ``limit`` long."""
        rest = b""
        for block in self.blocks(name):
            *lines, rest = (rest + block).split(b"\n")
            if len(rest) > limit or any(len(line) > limit for line in lines):
                raise Failure("too_large", f"{name}: a line")
            yield from lines
        if rest:
            raise Failure("json", f"{name}: the last line has no end")


def _read_directory(file: BinaryIO) -> Iterator[Entry]:
    """APPNOTE 6.3.10, sections 4.3.7, 4.3.12, 4.3.14 to 4.3.16, 4.5.3."""
    end = file.seek(0, 2) - _TAIL
    if end < 0:
        raise Failure("container", "too short")
    file.seek(end)
    tail = file.read(_TAIL)
    count, length, start = struct.unpack_from("<QQQ", tail, 32)
    head = (0x06064B50, 44, 0x032D, 45, 0, 0, count, count, length, start)
    expected = struct.pack("<IQHHIIQQQQ", *head) + struct.pack("<IIQI", 0x07064B50, 0, end, 1)
    expected += struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, _ONES, _ONES, 0)
    if tail != expected or start + length != end:
        raise Failure("container", "end of the directory")
    if count > MAX_ENTRIES or length > count * (46 + MAX_NAME + 32):
        raise Failure("too_large", f"{count} files")
    file.seek(start)
    directory, at, offset = file.read(length), 0, 0
    seen: set[str] = set()
    for _ in range(count):
        if at + 46 > length:
            raise Failure("container", "the directory is cut off")
        (crc,) = struct.unpack_from("<I", directory, at + 16)
        (size_of_name,) = struct.unpack_from("<H", directory, at + 28)
        after = at + 46 + size_of_name + 28
        if size_of_name > MAX_NAME or after > length:
            raise Failure("path", f"{size_of_name} bytes")
        raw = directory[at + 46 : at + 46 + size_of_name]
        (size,) = struct.unpack_from("<Q", directory, after - 24)
        common = (45, 0x0800, 0, 0, 0x21, crc, _ONES, _ONES, size_of_name)
        more = (28, 0, 0, 0, 0o100644 << 16, _ONES)
        central = struct.pack("<IHHHHHHIIIHHHHHII", 0x02014B50, 0x032D, *common, *more)
        central += raw + struct.pack("<HHQQQ", 1, 24, size, size, offset)
        local = struct.pack("<IHHHHHIIIHH", 0x04034B50, *common, 20) + raw
        local += struct.pack("<HHQQ", 1, 16, size, size)
        if offset + len(local) + size > start:
            raise Failure("container", f"{raw!r} is larger than the file")
        file.seek(offset)
        if directory[at:after] != central or file.read(len(local)) != local:
            raise Failure("container", f"header of {raw!r}")
        name = raw.decode("ascii", "replace")
        if not _NAME.fullmatch(name) or name.lower() in seen:
            raise Failure("path", repr(name))
        seen.add(name.lower())
        yield Entry(name, size, crc, offset + len(local))
        at, offset = after, offset + len(local) + size
    if at != length or offset != start:
        raise Failure("container", "bytes that belong to no file")
