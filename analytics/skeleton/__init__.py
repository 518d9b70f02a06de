"""Begins a detector of one's own: a separate package with a test."""

import re
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

from analytics.errors import DetectorError

__all__ = ["write_skeleton"]

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_MAX_CHARS: Final = 40


def write_skeleton(name: str, into: Path) -> list[Path]:
    """Writes the package ``into/witness-NAME``.

    Returns:
        the files.

    Raises:
        DetectorError: the name is none, or there is something already.
    """
    if not _NAME.fullmatch(name) or len(name) > _MAX_CHARS:
        raise DetectorError(
            "{detector} is no name: small letters, digits and single underscores, at most"
            " {limit}, a letter first",
            detector=name,
            limit=_MAX_CHARS,
        )
    values = {
        "name": name,
        "module": f"witness_{name}",
        "package": f"witness-{name.replace('_', '-')}",
        "cls": "".join(part.capitalize() for part in name.split("_")),
    }
    home = into / values["package"]
    module = home / "src" / values["module"]
    targets = {
        "pyproject.toml.in": home / "pyproject.toml",
        "readme.md.in": home / "README.md",
        "init.py.in": module / "__init__.py",
        "detector.py.in": module / "detector.py",
        "test_detector.py.in": home / "tests" / f"test_{name}.py",
    }
    if home.exists():
        raise DetectorError("{path} exists already", path=home)
    try:
        for template, target in targets.items():
            target.parent.mkdir(parents=True, exist_ok=True)
            text = files("analytics.skeleton").joinpath(template).read_text(encoding="utf-8")
            target.write_text(Template(text).substitute(values), encoding="utf-8")
        (module / "py.typed").touch()
    except OSError as error:
        raise DetectorError(
            "can't write to {path}: {reason}", path=home, reason=error.strerror or str(error)
        ) from error
    return [*targets.values(), module / "py.typed"]
