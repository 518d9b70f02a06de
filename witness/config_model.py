"""What the models of the settings say about themselves."""

import difflib
import types
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Union, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo

from witness.config import Settings
from witness.problem import KeyPath

__all__ = [
    "ENV_PREFIX",
    "SEPARATOR",
    "alternatives",
    "env_name",
    "holds_list",
    "holds_path",
    "holds_text",
    "is_env_only",
    "item_model",
    "leaves",
    "nearest_key",
    "nearest_variable",
    "submodel",
]

ENV_PREFIX = "WITNESS_"
SEPARATOR = "__"
_LISTS = frozenset({list, tuple, set, frozenset})


def env_name(path: KeyPath) -> str:
    """``("server", "port")`` → ``WITNESS_SERVER__PORT``."""
    return ENV_PREFIX + SEPARATOR.join(path).upper()


def submodel(info: FieldInfo) -> type[BaseModel] | None:
    """The model behind a field, if it is a section."""
    return _model_in(alternatives(info.annotation))


def item_model(info: FieldInfo) -> type[BaseModel] | None:
    """The model of the entries, if the field is a list of sections."""
    for candidate in alternatives(info.annotation):
        if get_origin(candidate) in _LISTS:
            return _model_in(get_args(candidate))
    return None


def _model_in(candidates: tuple[object, ...]) -> type[BaseModel] | None:
    for candidate in candidates:
        if isinstance(candidate, type) and issubclass(candidate, BaseModel):
            return candidate
    return None


def is_env_only(info: FieldInfo) -> bool:
    """Whether the value is a secret that may not stand in a file."""
    extra = info.json_schema_extra
    return isinstance(extra, dict) and bool(extra.get("env_only"))


def holds_path(info: FieldInfo) -> bool:
    """Whether the value names a file."""
    return Path in alternatives(info.annotation)


def holds_text(info: FieldInfo) -> bool:
    """Whether the value is text as it stands."""
    return any(
        kind in {str, SecretStr, Path}
        or (isinstance(kind, type) and issubclass(kind, str) and issubclass(kind, Enum))
        for kind in alternatives(info.annotation)
    )


def holds_list(info: FieldInfo) -> bool:
    """Whether the value is a list."""
    return any(get_origin(kind) in _LISTS for kind in alternatives(info.annotation))


def alternatives(annotation: object) -> tuple[object, ...]:
    """The members of a union without ``None``; the annotation itself if it is none."""
    if get_origin(annotation) in {Union, types.UnionType}:
        return tuple(a for a in get_args(annotation) if a is not type(None))
    return (annotation,)


def leaves(model: type[BaseModel] = Settings, path: KeyPath = ()) -> Iterator[KeyPath]:
    """All keys that have a value, sections left out."""
    for name, info in model.model_fields.items():
        section = submodel(info)
        if section is None:
            yield (*path, name)
        else:
            yield from leaves(section, (*path, name))


def nearest_key(
    key: str, path: KeyPath, model: type[BaseModel], root: type[BaseModel] = Settings
) -> str | None:
    """The most similar valid key: in the same section, else anywhere below ``root``."""
    close = difflib.get_close_matches(key, model.model_fields, n=1, cutoff=0.6)
    if close:
        return ".".join((*path, close[0]))
    known = {leaf[-1]: leaf for leaf in leaves(root)}
    close = difflib.get_close_matches(key, known, n=1, cutoff=0.75)
    return ".".join(known[close[0]]) if close else None


def nearest_variable(name: str) -> str | None:
    """The most similar variable."""
    names = [env_name(leaf) for leaf in leaves()]
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.8)
    return close[0] if close else None
