"""Puts file, environment and defaults together, and says exactly what is wrong and where.

Precedence: environment variable, then file, then default.
"""

import difflib
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Union, get_args, get_origin

import yaml
from pydantic import BaseModel, SecretStr, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from witness.config import Settings
from witness.config_file import ConfigFile, KeyPath, Place, read_config_file
from witness.errors import ConfigError
from witness.i18n import t

__all__ = [
    "ENV_PREFIX",
    "alternatives",
    "env_name",
    "is_env_only",
    "item_model",
    "load_settings",
    "merge_settings",
    "submodel",
]

ENV_PREFIX = "WITNESS_"
_SEPARATOR = "__"
_LISTS = frozenset({list, tuple, set, frozenset})


def load_settings(path: Path | None, environ: Mapping[str, str]) -> Settings:
    """Reads the settings of the process.

    Args:
        path: YAML file; ``None`` for environment and defaults alone.
        environ: normally ``os.environ``.

    Raises:
        ConfigError: names every wrong key and value with its place.
    """
    return merge_settings(read_config_file(path) if path else ConfigFile(), environ)


def merge_settings(file: ConfigFile, environ: Mapping[str, str]) -> Settings:
    """Like :func:`load_settings`, from a file already read."""
    problems = list(_file_problems(Settings, file.values, (), file))
    values = dict(file.values)
    places = dict(file.places)
    for name in sorted(environ):
        if name.startswith(ENV_PREFIX) and _SEPARATOR in name:
            problem = _apply_env(name, environ[name], values, places)
            if problem:
                problems.append(f"{name}: {problem}")
    if problems:
        raise ConfigError(problems)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        raise ConfigError([_describe(item, places) for item in error.errors()]) from None


def env_name(path: KeyPath) -> str:
    """``("server", "port")`` → ``WITNESS_SERVER__PORT``."""
    return ENV_PREFIX + _SEPARATOR.join(path).upper()


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


def alternatives(annotation: object) -> tuple[object, ...]:
    """The members of a union without ``None``; the annotation itself if it is none."""
    if get_origin(annotation) in {Union, types.UnionType}:
        return tuple(a for a in get_args(annotation) if a is not type(None))
    return (annotation,)


def _file_problems(
    model: type[BaseModel], values: Mapping[str, object], path: KeyPath, file: ConfigFile
) -> Iterator[str]:
    for key, value in values.items():
        here = (*path, key)
        place = file.places.get(here, Place("?"))
        info = model.model_fields.get(key)
        if info is None:
            yield f"{place}: {'.'.join(here)}: {_unknown(key, path, model)}"
            continue
        if is_env_only(info):
            yield f"{place}: {'.'.join(here)}: " + t(
                "a secret does not belong here; put it into a file and name that: {key}_file"
            ).format(key=key)
        section, entry = submodel(info), item_model(info)
        if section is not None and isinstance(value, dict):
            yield from _file_problems(section, value, here, file)
        if entry is not None and isinstance(value, list):
            for index, item in enumerate(value):
                if isinstance(item, dict):
                    yield from _file_problems(entry, item, (*here, str(index)), file)


def _unknown(key: str, path: KeyPath, model: type[BaseModel]) -> str:
    text = t("there is no such key")
    near = _nearest(key, path, model)
    return text + (t("; did you mean {near}?").format(near=near) if near else "")


def _nearest(key: str, path: KeyPath, model: type[BaseModel]) -> str | None:
    """The most similar valid key: in the same section, else anywhere."""
    close = difflib.get_close_matches(key, model.model_fields, n=1, cutoff=0.6)
    if close:
        return ".".join((*path, close[0]))
    leaves = {leaf[-1]: leaf for leaf in _leaves(Settings, ())}
    close = difflib.get_close_matches(key, leaves, n=1, cutoff=0.75)
    return ".".join(leaves[close[0]]) if close else None


def _leaves(model: type[BaseModel], path: KeyPath) -> Iterator[KeyPath]:
    for name, info in model.model_fields.items():
        section = submodel(info)
        if section is None:
            yield (*path, name)
        else:
            yield from _leaves(section, (*path, name))


def _apply_env(
    name: str, raw: str, values: dict[str, object], places: dict[KeyPath, Place]
) -> str | None:
    """Puts one variable into ``values``; returns what is wrong with it."""
    path = tuple(name.removeprefix(ENV_PREFIX).lower().split(_SEPARATOR))
    model: type[BaseModel] = Settings
    target = values
    info: FieldInfo | None = None
    for depth, key in enumerate(path):
        info = model.model_fields.get(key)
        if info is None:
            near = _nearest_variable(name)
            return t("there is no such setting") + (
                t("; did you mean {near}?").format(near=near) if near else ""
            )
        section = submodel(info)
        if depth == len(path) - 1:
            if section is not None:
                return t("this is a section; a variable sets one key of it")
            break
        if section is None:
            return t("{key} is a value, not a section").format(key=".".join(path[: depth + 1]))
        inner = target.get(key)
        target[key] = target = dict(inner) if isinstance(inner, dict) else {}
        model = section
    assert info is not None
    target[path[-1]] = _env_value(raw, info)
    places[path] = Place(name)
    return None


def _nearest_variable(name: str) -> str | None:
    names = [env_name(leaf) for leaf in _leaves(Settings, ())]
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.7)
    return close[0] if close else None


def _env_value(raw: str, info: FieldInfo) -> object:
    """Text stays text where the setting is text; anything else is read as YAML or a list."""
    kinds = alternatives(info.annotation)
    optional = info.annotation not in kinds
    if optional and not raw.strip():
        return None
    if any(k in {str, SecretStr, Path} or _is_enum(k) for k in kinds):
        return raw
    stripped = raw.strip()
    if any(get_origin(k) in _LISTS for k in kinds) and not stripped.startswith("["):
        return [part.strip() for part in stripped.split(",") if part.strip()]
    try:
        return yaml.safe_load(raw)
    except yaml.YAMLError:
        return raw


def _is_enum(kind: object) -> bool:
    return isinstance(kind, type) and issubclass(kind, str)


def _describe(error: ErrorDetails, places: Mapping[KeyPath, Place]) -> str:
    """One line: place, key, what is wrong, and the value unless it is a secret."""
    path = tuple(str(part) for part in error["loc"])
    text = _message(error)
    while path and path not in places:
        path = path[:-1]
    place = places.get(path)
    key = ".".join(str(part) for part in error["loc"])
    shown = _shown(error)
    parts = [str(place)] if place else []
    if key and not (place and place.line == 0):
        parts.append(key)
    return ": ".join([*parts, text]) + shown


def _shown(error: ErrorDetails) -> str:
    value = error["input"]
    if isinstance(value, (SecretStr, dict, BaseModel)) or "token" in str(error["loc"][-1:]):
        return ""
    if "secret" in str(error["loc"]) or "key" in str(error["loc"][-1:]):
        return ""
    text = repr(value) if isinstance(value, str) else str(value)
    return t(" (is {value})").format(value=text[:80])


def _message(error: ErrorDetails) -> str:
    """Pydantic's sentence, or ours where that one speaks of Python."""
    context = error.get("ctx", {})
    kind = error["type"]
    if kind == "too_short" and isinstance(error["input"], str):
        kind = "string_too_short"
    template = _MESSAGES.get(kind)
    if template is not None:
        return t(template).format(**context)
    text = error["msg"].removeprefix("Value error, ")
    return text[:1].lower() + text[1:]


_MESSAGES = {
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be text",
    "path_type": "must be a path",
    "enum": "must be {expected}",
    "literal_error": "must be {expected}",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be {ge} or more",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be {le} or less",
    "model_type": "must be a section with keys",
    "model_attributes_type": "must be a section with keys",
    "list_type": "must be a list",
    "tuple_type": "must be a list",
    "missing": "is missing",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "string_too_short": "must have at least {min_length} characters",
    "string_pattern_mismatch": "does not have the expected form ({pattern})",
}
