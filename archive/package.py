"""What an evidence package says of its session: read out of a file, or out of the storage."""

import hashlib
import io
import json
import zipfile
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any, BinaryIO, Final

from archive.errors import PackageError
from archive.storage import BLOCK, Storage
from recorder.sale import Sale
from recorder.session_file import is_session_id

__all__ = ["Facts", "Party", "StoredFile", "digest_of", "facts_of"]

_MAX_MANIFEST: Final = 8 << 20
_MAX_GAPS: Final = 64 << 20
"""What the verifier takes: whatever passes can be archived."""
_MAX_SMALL: Final = 1 << 20
_HEX: Final = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Party:
    """Somebody who took part, by the id they had in the call."""

    participant: str
    role: str


@dataclass(frozen=True, slots=True)
class Facts:
    """What the catalogue keeps of a package.

    Attributes:
        package: its id, 32 hexadecimal digits.
        started_at, sealed_at: RFC 3339, UTC.
        length_us: of the recording.
        missing_us: declared missing, all tracks together.
        events: lines of the event log that are in the package.
    """

    package: str
    session: str
    room: str
    started_at: str
    sealed_at: str
    length_us: int
    missing_us: int
    events: int
    sale: Sale
    parties: tuple[Party, ...]

    @property
    def recorded(self) -> date:
        """Day of the recording, UTC."""
        return datetime.fromisoformat(self.started_at).date()

    @property
    def sold_until(self) -> date | None:
        """The contract's end as the session said, if it can be one."""
        end = self.sale.contract_end
        return None if end is None else date.fromisoformat(end)


def facts_of(file: BinaryIO) -> Facts:
    """Reads manifest, session and gaps of a package; its media are not touched.

    That the package is whole and signed is for the verifier to say.

    Raises:
        PackageError: it is no evidence package.
        StorageError: it lies in the storage, which failed.
        OSError: it can't be read.
    """
    try:
        with zipfile.ZipFile(file) as box:
            manifest = _json(box, "manifest.json", _MAX_MANIFEST)
            session = _json(box, "session.json", _MAX_SMALL)
            gaps = _json(box, "gaps.json", _MAX_GAPS)
        return _understood(manifest, session, gaps)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, EOFError) as error:
        raise PackageError("no evidence package: {reason}", reason=error) from None
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise PackageError("no evidence package: {reason}", reason=error) from None


def _understood(manifest: Any, session: Any, gaps: Any) -> Facts:
    if manifest["format"] != "witness-evidence/1":
        raise ValueError("its form is unknown")
    package, name = manifest["package"], session["session"]
    if not isinstance(package, str) or len(package) != 32 or not set(package) <= _HEX:
        raise ValueError("its id is none")
    if not isinstance(name, str) or not is_session_id(name):
        raise ValueError("its session's id is none")
    if manifest["session"]["session"] != name:
        raise ValueError("manifest and session differ")
    timeline = manifest["timeline"]
    parties = {(str(track["participant"]), str(track["role"])) for track in manifest["tracks"]}
    for text in (manifest["sealed_at"], session["started_at"]):
        if datetime.fromisoformat(text).tzinfo is None:
            raise ValueError("a moment has no zone")
    return Facts(
        package,
        name,
        str(session["room"]),
        session["started_at"],
        manifest["sealed_at"],
        int(timeline["to_us"]) - int(timeline["from_us"] or 0),
        sum(int(track["missing_us"]) for track in gaps["tracks"]),
        int(manifest["events"]["count"]),
        Sale.from_json(session),
        tuple(Party(*one) for one in sorted(parties)),
    )


def _json(box: zipfile.ZipFile, name: str, limit: int) -> Any:
    with box.open(name) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"{name} is too long")
    return json.loads(data)


def digest_of(path: Path) -> str:
    """SHA-256 of a file, 64 hexadecimal digits.

    Raises:
        OSError: it can't be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class StoredFile(io.RawIOBase):
    """An object of the storage, read by ranges as if it were a file."""

    def __init__(self, storage: Storage, key: str, size: int) -> None:
        super().__init__()
        self._storage = storage
        self._key = key
        self._size = size
        self._at = 0
        self._block = (-1, b"")

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """Anywhere."""
        return True

    def tell(self) -> int:
        """Where the next byte is read."""
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Goes somewhere else."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        """Reads from the block around this place; one block is kept."""
        if self._at >= self._size:
            return 0
        index, inside = divmod(self._at, BLOCK)
        if self._block[0] != index:
            data = b"".join(self._storage.read(self._key, index * BLOCK, BLOCK))
            self._block = (index, data)
        data = self._block[1][inside : inside + len(buffer)]
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)
