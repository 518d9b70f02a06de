"""A session's directory, made again of its evidence package."""

import hashlib
import io
import json
import re
import zipfile
from pathlib import Path
from typing import BinaryIO, Final

from archive.errors import IntegrityError, PackageError

__all__ = ["unpack"]

_MAX_MANIFEST: Final = 8 << 20
_BLOCK: Final = 1 << 20
_NAME: Final = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_DOCUMENTS: Final = frozenset(
    {
        "session.json", "events.jsonl", "flow.json", "transcript.jsonl", "policy.json",
        "consents.json", "checks.jsonl",
    }
)  # fmt: skip
_MEDIA: Final = re.compile(rf"media/({_NAME})/((?:backfill/)?{_NAME})", re.ASCII)


def unpack(file: BinaryIO | io.BufferedReader, place: Path, package: str, *, media: bool) -> None:
    """Makes a session's directory of a package again.

    Args:
        file: the package, seekable.
        place: the directory; files that are there stay.
        package: its id.
        media: with the captured files; else with what is small only.

    Raises:
        PackageError: it is no package, or another one.
        IntegrityError: a file is not what the manifest says.
        OSError: the disk refused.
    """
    try:
        with zipfile.ZipFile(file) as box:
            info = box.getinfo("manifest.json")
            if info.file_size > _MAX_MANIFEST:
                raise PackageError("no evidence package: {reason}", reason="manifest.json")
            manifest = json.loads(box.read(info))
            if manifest["package"] != package:
                raise PackageError("no evidence package: {reason}", reason="another one")
            digests = {one["path"]: str(one["sha256"]) for one in manifest["files"]}
            for name in box.namelist():
                target = _target(name, media=media)
                if target is not None and not (place / target).exists():
                    _extract(box, name, place / target, digests.get(name, ""))
    except (zipfile.BadZipFile, KeyError, TypeError, ValueError, NotImplementedError) as error:
        raise PackageError("no evidence package: {reason}", reason=error) from None


def _target(name: str, *, media: bool) -> Path | None:
    """Where a file of a package lies in a session's directory; ``None`` if it isn't wanted."""
    if name in _DOCUMENTS:
        return Path(name)
    found = _MEDIA.fullmatch(name)
    if found is None or (not media and found[2] != "track.json"):
        return None
    return Path("tracks", found[1], found[2])


def _extract(box: zipfile.ZipFile, name: str, to: Path, sha256: str) -> None:
    to.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    digest, part = hashlib.sha256(), to.with_name(f"{to.name}.part")
    with box.open(name) as source, part.open("wb") as copy:
        while block := source.read(_BLOCK):
            digest.update(block)
            copy.write(block)
    if digest.hexdigest() != sha256:
        part.unlink()
        raise IntegrityError("{key} is not what was archived", key=name)
    part.rename(to)
