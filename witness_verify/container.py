"""Reads the one form of ZIP a package may have: stored, ZIP64, nothing between the files.

Every byte outside the contents is recomputed and compared, so there is no place to hide anything:
no second directory, no comment, no differing local header, no compression that could explode.
"""

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from witness_verify.failure import Failure

__all__ = ["Container", "Entry"]

MAX_ENTRIES: Final = 32_768
MAX_NAME: Final = 255
_BLOCK: Final = 1 << 20
_NAME: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*){0,3}")
_TAIL: Final = 56 + 20 + 22
_ONES: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Entry:
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
            crc = zlib.crc32(block, crc)
            at += len(block)
            yield block
        if crc != entry.crc:
            raise Failure("container", f"{name}: checksum")

    def read(self, name: str, limit: int) -> bytes:
        """A file's whole content, if it is not larger than ``limit``."""
        entry = self.entries.get(name)
        if entry is not None and entry.size > limit:
            raise Failure("too_large", f"{name}: {entry.size} bytes")
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


def _read_directory(file: BinaryIO) -> list[Entry]:
    size = file.seek(0, 2)
    if size < _TAIL:
        raise Failure("container", "too short")
    file.seek(size - _TAIL)
    tail = file.read(_TAIL)
    count, length, start = struct.unpack_from("<QQQ", tail, 32)
    end = size - _TAIL
    head = (0x06064B50, 44, 0x032D, 45, 0, 0, count, count, length, start)
    expected = struct.pack("<IQHHIIQQQQ", *head) + struct.pack("<IIQI", 0x07064B50, 0, end, 1)
    expected += struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, 0xFFFF, 0xFFFF, _ONES, _ONES, 0)
    if tail != expected or start + length != end:
        raise Failure("container", "end of the directory")
    if count > MAX_ENTRIES or length > count * (46 + MAX_NAME + 32):
        raise Failure("too_large", f"{count} files")
    file.seek(start)
    directory = file.read(length)
    entries, at, offset = [], 0, 0
    seen: set[str] = set()
    for _ in range(count):
        entry, at, offset = _read_entry(file, directory, at, offset)
        if not _NAME.fullmatch(entry.name) or entry.name.lower() in seen:
            raise Failure("path", repr(entry.name))
        seen.add(entry.name.lower())
        entries.append(entry)
    if at != length or offset != start:
        raise Failure("container", "bytes that belong to no file")
    return entries


def _read_entry(file: BinaryIO, directory: bytes, at: int, offset: int) -> tuple[Entry, int, int]:
    if at + 46 > len(directory):
        raise Failure("container", "the directory is cut off")
    (crc,) = struct.unpack_from("<I", directory, at + 16)
    (length,) = struct.unpack_from("<H", directory, at + 28)
    end = at + 46 + length + 28
    if length > MAX_NAME or end > len(directory):
        raise Failure("path", f"{length} bytes")
    name = directory[at + 46 : at + 46 + length]
    (size,) = struct.unpack_from("<Q", directory, end - 24)
    common = (45, 0x0800, 0, 0, 0x21, crc, _ONES, _ONES, length)
    central = struct.pack(
        "<IHHHHHHIIIHHHHHII", 0x02014B50, 0x032D, *common, 28, 0, 0, 0, 0o100644 << 16, _ONES
    )
    central += name + struct.pack("<HHQQQ", 1, 24, size, size, offset)
    local = struct.pack("<IHHHHHIIIHH", 0x04034B50, *common, 20) + name
    local += struct.pack("<HHQQ", 1, 16, size, size)
    file.seek(offset)
    if directory[at:end] != central or file.read(len(local)) != local:
        raise Failure("container", f"header of {name!r}")
    try:
        text = name.decode("ascii")
    except UnicodeDecodeError:
        raise Failure("path", repr(name)) from None
    start = offset + len(local)
    return Entry(text, size, crc, start), end, start + size
