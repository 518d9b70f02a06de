"""The index of installed models.

Detectors open model files only through it, so that what is recorded as the digest of a model is
what was run.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeVar

__all__ = ["ModelFile", "Models"]

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class ModelFile:
    """An installed model: a file, or a folder of files with one digest over all.

    Attributes:
        sha256: of the file; of a folder, over the sorted lines ``<sha256>  <name>``.
    """

    name: str
    path: Path
    sha256: str


class Models(Protocol):
    """Installed models, by name."""

    def find(self, name: str) -> ModelFile:
        """The installed model of that name, its digest checked.

        Raises:
            ModelMissingError: it is not installed.
            ModelDigestError: its bytes have changed.
        """
        ...

    def loaded(self, name: str, load: Callable[[ModelFile], T]) -> T:
        """What ``load`` makes of the model, made once per process and shared by detectors.

        ``load`` is a function or class method of a module: for a new lambda it is made anew.

        Raises:
            ModelMissingError: it is not installed.
            ModelDigestError: its bytes have changed.
        """
        ...
