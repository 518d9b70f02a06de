"""Begins a detector of one's own: a separate package with a test."""

import re
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

from analytics.errors import DetectorError
from analytics.registry import the_registry

__all__ = ["write_skeleton"]

_NAME: Final = re.compile(r"[a-z][a-z0-9]*(_[a-z0-9]+)*")
_MAX_CHARS: Final = 40
_TAKEN: Final = frozenset({
    "Card", "ClassVar", "DetectorConfig", "Field", "Finding", "FindingKind", "FrameRef", "Input",
    "Models", "Needs", "Permission", "Scope", "Self", "Sequence", "Subject", "Text", "VideoFrame",
    "VideoNeed",
})  # fmt: skip
"""Names that the module has from elsewhere."""


def write_skeleton(name: str, into: Path) -> list[Path]:
    """Writes the package ``into/witness-NAME``.

    Returns:
        the files.

    Raises:
        DetectorError: the name is none, or taken, or there is something already.
    """
    if not _NAME.fullmatch(name) or len(name) > _MAX_CHARS:
        raise DetectorError(
            "{detector} is no name: small letters, digits and single underscores, at most"
            " {limit}, a letter first",
            detector=name,
            limit=_MAX_CHARS,
        )
    if name in the_registry().names:
        raise DetectorError(
            "there is a detector called {detector} already: `witness detector list` names them all",
            detector=name,
        )
    cls = "".join(part.capitalize() for part in name.split("_"))
    # Its settings and its watch are called after it, too.
    clashes = {cls, f"{cls}Config", f"{cls}Watch"} & _TAKEN
    values = {
        "name": name,
        "module": f"witness_{name}",
        "package": f"witness-{name.replace('_', '-')}",
        "cls": f"My{cls}" if clashes else cls,
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
