"""Puts file, environment and defaults together, and says all that is wrong and where.

Precedence: environment variable, then file, then default.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from witness.config import Settings
from witness.config_env import apply_variables
from witness.config_file import UNREADABLE, ConfigFile, read_config_file
from witness.config_model import holds_path, is_env_only, item_model, nearest_key, submodel
from witness.config_text import sentence
from witness.errors import ConfigError
from witness.i18n import t
from witness.problem import KeyPath, Place, Problem, Severity, in_order

__all__ = ["Reading", "load_settings", "merge_settings", "read_settings", "sift", "understand"]


Model = TypeVar("Model", bound=BaseModel)


@dataclass(slots=True)
class Reading:
    """What file and environment say.

    Attributes:
        settings: what is left when everything wrong is left out; ``None`` if that is nothing
            that could be used.
        problems: all of them, in order.
    """

    settings: Settings | None
    problems: list[Problem]
    _places: Mapping[KeyPath, Place] = field(default_factory=dict)
    _blamed: set[KeyPath] = field(default_factory=set)
    _kept: Mapping[KeyPath, list[int]] = field(default_factory=dict)

    @property
    def failed(self) -> bool:
        """Whether anything is wrong that keeps the server from starting."""
        return any(problem.fatal for problem in self.problems)

    def add(self, path: KeyPath, text: str, severity: Severity, *, fatal: bool) -> None:
        """Adds what a look at the machine has shown; not for keys that are wrong already."""
        path = _original(path, self._kept)
        if any(path[: len(wrong)] == wrong for wrong in self._blamed):
            return
        place = _nearest_place(path, self._places)
        problem = Problem(text, place, ".".join(path), severity, fatal)
        self.problems = in_order([*self.problems, problem])


def load_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Reads the settings of the process.

    Args:
        path: YAML file; ``None`` for environment and defaults alone.
        environ: normally ``os.environ``.

    Raises:
        ConfigError: names every wrong key and value with its place.
    """
    return _good(read_settings(path, environ))


def merge_settings(file: ConfigFile, environ: Mapping[str, str]) -> Settings:
    """Like :func:`load_settings`, from a file already read."""
    return _good(understand(file, environ))


def read_settings(path: Path | None, environ: Mapping[str, str]) -> Reading:
    """Like :func:`load_settings`, but tells what is wrong instead of raising it."""
    return understand(read_config_file(path) if path else ConfigFile(), environ)


def understand(file: ConfigFile, environ: Mapping[str, str]) -> Reading:
    """Like :func:`read_settings`, from a file already read."""
    values = dict(file.values)
    places = dict(file.places)
    problems = [*file.problems, *apply_variables(environ, values, places)]
    sieve = _Sieve(file, places)
    good = sieve.section(Settings, values, ())
    settings = Settings.model_validate(good) if good is not None else None
    return Reading(
        settings, in_order([*problems, *sieve.problems]), places, sieve.blamed, sieve.kept
    )


def sift(file: ConfigFile, model: type[Model]) -> tuple[Model | None, list[Problem]]:
    """Like :func:`understand`, for another kind of file: what is left of it, and what is wrong."""
    sieve = _Sieve(file, file.places, model)
    good = sieve.section(model, file.values, ())
    made = model.model_validate(good) if good is not None else None
    return made, in_order([*file.problems, *sieve.problems])


def _good(reading: Reading) -> Settings:
    problems = [p for p in reading.problems if p.severity is Severity.ERROR]
    if problems or reading.settings is None:
        raise ConfigError(problems)
    return reading.settings


def _original(path: KeyPath, kept: Mapping[KeyPath, list[int]]) -> KeyPath:
    """Indices as in the file: wrong entries of a list are left out of the settings."""
    for depth in range(1, len(path)):
        indices = kept.get(path[:depth])
        if indices is not None:
            return (*path[:depth], str(indices[int(path[depth])]), *path[depth + 1 :])
    return path


def _nearest_place(path: KeyPath, places: Mapping[KeyPath, Place]) -> Place | None:
    while path and path not in places:
        path = path[:-1]
    return places.get(path)


class _Sieve:
    """Lets through what is right, section by section, and says what is wrong with the rest.

    What depends on a wrong value is not complained of: mending one may mend the other.

    Attributes:
        problems: what was wrong.
        blamed: key paths that were wrong, or are missing because of something wrong.
        kept: of lists of sections that lost entries, the indices of those that are left.
    """

    def __init__(
        self,
        file: ConfigFile,
        places: Mapping[KeyPath, Place],
        root: type[BaseModel] = Settings,
    ) -> None:
        self._root = root
        self._file = file
        self._places = places
        self.problems: list[Problem] = []
        self.blamed: set[KeyPath] = set(file.unreadable)
        self.kept: dict[KeyPath, list[int]] = {}

    def section(
        self, model: type[BaseModel], values: Mapping[str, object], path: KeyPath
    ) -> dict[str, object] | None:
        """The right part of a section; ``None`` if no part is of use."""
        good: dict[str, object] = {}
        for key, value in values.items():
            here = (*path, key)
            info = model.model_fields.get(key)
            if info is None:
                self._complain(here, _unknown(key, path, model, self._root))
            elif is_env_only(info) and self._stands_in_file(here):
                text = t("a secret does not belong here; put it into a file and name that: {key}")
                self._complain(here, text.format(key=f"{key}_file"))
                self.blamed.add(here)
            elif here not in self.blamed:
                self._field(info, value, here, good)
        return self._validated(model, good, path)

    def _field(
        self, info: FieldInfo, value: object, here: KeyPath, good: dict[str, object]
    ) -> None:
        section, entry = submodel(info), item_model(info)
        if section is not None and isinstance(value, dict):
            inner = self.section(section, value, here)
            if inner is None:
                self.blamed.add(here)
                return
            value = inner
        elif isinstance(value, list):
            value = self._entries(entry, value, here)
        elif holds_path(info) and isinstance(value, str):
            if not value:
                self._complain(here, t("must be a path") + t(" (is empty)"))
                self.blamed.add(here)
                return
            # Joining leaves absolute paths as they are.
            folder = self._file.folder if self._stands_in_file(here) else Path.cwd()
            value = folder / value
        good[here[-1]] = value

    def _entries(
        self, model: type[BaseModel] | None, items: list[object], here: KeyPath
    ) -> list[object]:
        good: list[object] = []
        kept: list[int] = []
        for index, item in enumerate(items):
            entry = None if item is UNREADABLE else item
            if model is not None and isinstance(item, dict):
                entry = self.section(model, item, (*here, str(index)))
            elif model is not None and entry is not None:
                self._complain((*here, str(index)), t("must be a section with keys"))
                entry = None
            if entry is not None:
                good.append(entry)
                kept.append(index)
        if len(kept) < len(items):
            self.kept[here] = kept
            self.blamed.add((*here, "*"))
        return good

    def _validated(
        self, model: type[BaseModel], values: dict[str, object], path: KeyPath
    ) -> dict[str, object] | None:
        """Takes out what the model refuses until it accepts the rest."""
        while True:
            try:
                model.model_validate(values)
            except ValidationError as error:
                removed = [self._take_out(item, values, path) for item in _innermost(error)]
                if not any(removed):
                    return None
            else:
                return values

    def _take_out(self, error: ErrorDetails, values: dict[str, object], path: KeyPath) -> bool:
        """Removes what an error concerns; says whether there was anything to remove."""
        loc = tuple(str(part) for part in error["loc"])
        fields = error.get("ctx", {}).get("fields", ())
        concerned = [(*loc, *name.split(".")) for name in fields] or [loc]
        original = [_original((*path, *item), self.kept) for item in concerned]
        if not any(map(self._is_blamed, original)) and (self._file.complete or not fields):
            placed = next((item for item in original if item in self._places), original[0])
            self._complain(placed, sentence(error))
        self.blamed.update(original)
        removed = [_remove(values, item) for item in concerned]
        return any(removed)

    def _is_blamed(self, path: KeyPath) -> bool:
        return (*path, "*") in self.blamed or any(
            path[:depth] in self.blamed for depth in range(1, len(path) + 1)
        )

    def _stands_in_file(self, path: KeyPath) -> bool:
        place = _nearest_place(path, self._places)
        return place is not None and not place.variable

    def _complain(self, path: KeyPath, text: str) -> None:
        self.problems.append(Problem(text, _nearest_place(path, self._places), ".".join(path)))


def _innermost(error: ValidationError) -> list[ErrorDetails]:
    """Without what follows from the rest: a list counts as too short when its entries are wrong."""
    found = error.errors()
    outer = {item["loc"][:depth] for item in found for depth in range(len(item["loc"]))}
    return [item for item in found if item["loc"] not in outer]


def _remove(values: dict[str, object], path: KeyPath) -> bool:
    """Removes the key, or the list it is in; the sections around it stay."""
    for depth, key in enumerate(path):
        inner = values.get(key)
        if isinstance(inner, dict) and depth < len(path) - 1:
            values = inner
            continue
        return values.pop(key, path) is not path
    return False


def _unknown(key: str, path: KeyPath, model: type[BaseModel], root: type[BaseModel]) -> str:
    near = nearest_key(key, path, model, root)
    return t("there is no such key") + (
        t("; did you mean {near}?").format(near=near) if near else ""
    )
