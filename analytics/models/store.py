"""Where installed models lie: a folder with an index, shared by all processes of the machine.

``<folder>/<model>/<first 16 digits of its digest>/…`` is never changed once it is in the index, so
who reads needs no lock: a model that is replaced keeps its old folder. Who writes the index holds
the lock of the folder.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from analytics.errors import ModelDigestError, ModelInstallError, ModelMissingError
from analytics.models.index import ModelFile

__all__ = ["INDEX", "Entry", "InstalledModels", "Store", "default_folder", "digest_of"]

INDEX: Final = "index.json"
_CHUNK_BYTES: Final = 1 << 20

_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_Below = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*$")
]

T = TypeVar("T")


class Entry(BaseModel):
    """An installed model.

    Attributes:
        path: below the folder of the index.
        packages: what it was made of, as ``name@version``.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: _Below
    sha256: _Digest
    bytes: int
    packages: tuple[str, ...] = ()


class _Index(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    version: int = Field(default=1, ge=1, le=1)
    models: dict[str, Entry] = Field(default_factory=dict)


def default_folder(environ: Mapping[str, str] | None = None) -> Path:
    """``$WITNESS_MODELS``, else ``witness/models`` in the user's cache."""
    environ = os.environ if environ is None else environ
    named = environ.get("WITNESS_MODELS")
    if named:
        return Path(named).expanduser()
    cache = environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path("~/.cache").expanduser()) / "witness" / "models"


def digest_of(path: Path) -> str:
    """SHA-256 of a file; of a folder, over the sorted lines ``<sha256>  <name>``.

    Raises:
        OSError: it can't be read.
    """
    if not path.is_dir():
        return _file_digest(path)
    lines = sorted(
        f"{_file_digest(file)}  {file.relative_to(path).as_posix()}\n"
        for file in path.rglob("*")
        if file.is_file()
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _file_digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class Store:
    """The folder of models."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def entries(self) -> dict[str, Entry]:
        """What is installed, by name.

        Raises:
            ModelInstallError: the index can't be read.
        """
        try:
            text = (self.folder / INDEX).read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise ModelInstallError(
                "can't read {path}: {reason}",
                path=self.folder / INDEX,
                reason=error.strerror or str(error),
            ) from error
        try:
            return _Index.model_validate_json(text).models
        except ValidationError as error:
            raise ModelInstallError(
                "{path} is no index of models: remove the folder and install them again",
                path=self.folder / INDEX,
            ) from error

    @contextlib.contextmanager
    def locked(self, waiting: Callable[[], None]) -> Iterator[None]:
        """Nobody else installs into the folder meanwhile; ``waiting`` is told if one has to wait.

        Raises:
            ModelInstallError: the folder can't be written to.
        """
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(self.folder / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                waiting()
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            # A process that was forked meanwhile holds the lock too, until it is told.
            fcntl.flock(lock, fcntl.LOCK_UN)
            os.close(lock)

    def workplace(self) -> "tempfile.TemporaryDirectory[str]":
        """A folder for what is being made, on the same file system.

        Raises:
            ModelInstallError: the folder can't be written to.
        """
        try:
            return tempfile.TemporaryDirectory(prefix=".making-", dir=self.folder)
        except OSError as error:
            raise self._unwritable(error) from error

    def put(self, name: str, made: Path, file: str | None, packages: tuple[str, ...]) -> Entry:
        """Takes over the folder ``made`` as a model; the lock is held.

        Args:
            name: of the model.
            made: made by :meth:`workplace`; it is moved.
            file: the model is this file of the folder; ``None``: it is the folder.
            packages: what it was made of, as ``name@version``.

        Raises:
            ModelInstallError: the folder can't be written to.
        """
        model = made if file is None else made / file
        digest = digest_of(model)
        home = Path(name) / digest[:16]
        entry = Entry(
            path=(home if file is None else home / file).as_posix(),
            sha256=digest,
            bytes=sum(path.stat().st_size for path in made.rglob("*") if path.is_file()),
            packages=packages,
        )
        try:
            self._take(made, self.folder / home, name, digest)
            self._write({**self.entries(), name: entry})
        except OSError as error:
            raise self._unwritable(error) from error
        return entry

    def _take(self, made: Path, home: Path, name: str, digest: str) -> None:
        home.parent.mkdir(parents=True, exist_ok=True)
        if home.exists():
            # Damaged or forgotten by the index; readers that have it open keep it.
            home.rename(made.with_name(f"old-{name}-{digest[:16]}"))
        for path in made.rglob("*"):
            if path.is_file():
                _sync(path)
        made.rename(home)
        _sync(home.parent)

    def _write(self, entries: Mapping[str, Entry]) -> None:
        index = _Index(models=dict(sorted(entries.items())))
        text = json.dumps(index.model_dump(mode="json"), indent=2) + "\n"
        new = self.folder / f".{INDEX}.new"
        new.write_text(text, encoding="utf-8")
        _sync(new)
        new.rename(self.folder / INDEX)
        _sync(self.folder)

    def _unwritable(self, error: OSError) -> ModelInstallError:
        return ModelInstallError(
            "can't write to {path}: {reason}",
            path=self.folder,
            reason=error.strerror or str(error),
        )


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


class InstalledModels:
    """Models as they lie on this machine (:class:`analytics.models.Models`).

    A digest is compared once per process, when the model is first asked for.

    Args:
        folder: of the index; ``None``: :func:`default_folder`.
        own: files or folders of the user's own that stand in for models, by name; their digests
            are whatever they are.
    """

    def __init__(self, folder: Path | None = None, own: Mapping[str, Path] | None = None) -> None:
        self.store = Store(default_folder() if folder is None else folder)
        self._own = dict(own or {})
        self._found: dict[str, ModelFile] = {}
        self._loaded: dict[tuple[str, Callable[[ModelFile], Any]], Any] = {}

    def find(self, name: str) -> ModelFile:
        """As :meth:`analytics.models.Models.find`."""
        if name not in self._found:
            self._found[name] = self._own_file(name) if name in self._own else self._installed(name)
        return self._found[name]

    def loaded(self, name: str, load: Callable[[ModelFile], T]) -> T:
        """As :meth:`analytics.models.Models.loaded`; another ``load`` makes another object."""
        key = (name, load)
        if key not in self._loaded:
            self._loaded[key] = load(self.find(name))
        made: T = self._loaded[key]
        return made

    def _own_file(self, name: str) -> ModelFile:
        path = self._own[name]
        try:
            return ModelFile(name, path, digest_of(path))
        except OSError as error:
            raise ModelMissingError(
                "{path}, given for the model {model}, can't be read: {reason}",
                path=path,
                model=name,
                reason=error.strerror or str(error),
            ) from error

    def _installed(self, name: str) -> ModelFile:
        entry = self.store.entries().get(name)
        path = self.store.folder / entry.path if entry else None
        if entry is None or path is None or not path.exists():
            raise ModelMissingError(
                "the model {model} is not installed; run: witness models install {model}",
                model=name,
            )
        found = digest_of(path)
        if found != entry.sha256:
            raise ModelDigestError(
                "{path} has the digest {found}, not {expected} as installed;"
                " run: witness models install {model}",
                path=path,
                found=found,
                expected=entry.sha256,
                model=name,
            )
        return ModelFile(name, path, found)
