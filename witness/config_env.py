"""Settings from environment variables: ``WITNESS_SERVER__PORT`` is ``server.port``."""

from collections.abc import Iterator, Mapping

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from witness.config import Settings
from witness.config_file import parse_value
from witness.config_model import (
    ENV_PREFIX,
    SEPARATOR,
    alternatives,
    env_name,
    holds_list,
    holds_text,
    leaves,
    nearest_variable,
    submodel,
)
from witness.i18n import t
from witness.problem import KeyPath, Place, Problem, Severity

__all__ = ["apply_variables"]


def apply_variables(
    environ: Mapping[str, str], values: dict[str, object], places: dict[KeyPath, Place]
) -> Iterator[Problem]:
    """Puts all variables into ``values``; yields what is wrong with their names."""
    for name in sorted(environ):
        if not name.startswith(ENV_PREFIX):
            continue
        if SEPARATOR not in name:
            yield from _misspelt(name, environ[name])
            continue
        text = _apply(name, environ[name], values, places)
        if text:
            yield Problem(text, Place(name, variable=True))


def _misspelt(name: str, value: str) -> Iterator[Problem]:
    """A variable with single underscores has no effect; orchestrators set such ones too."""
    flat = {env_name(leaf).replace(SEPARATOR, "_"): env_name(leaf) for leaf in leaves()}
    meant = flat.get(name.upper())
    if meant and not value.startswith(("tcp://", "udp://")):
        text = t("has no effect; did you mean {near}?").format(near=meant)
        yield Problem(text, Place(name, variable=True), severity=Severity.WARNING, fatal=False)


def _apply(
    name: str, raw: str, values: dict[str, object], places: dict[KeyPath, Place]
) -> str | None:
    """Puts one variable into ``values``; returns what is wrong with it."""
    path = tuple(name.removeprefix(ENV_PREFIX).lower().split(SEPARATOR))
    found = _field(name, path)
    if isinstance(found, str):
        return found
    target = values
    for key in path[:-1]:
        inner = target.get(key)
        target[key] = target = dict(inner) if isinstance(inner, dict) else {}
    target[path[-1]] = _value(raw, found)
    for inside in [known for known in places if known[: len(path)] == path]:
        del places[inside]
    places[path] = Place(name, variable=True)
    return None


def _field(name: str, path: KeyPath) -> FieldInfo | str:
    """The setting a path leads to, or why it leads to none."""
    model: type[BaseModel] = Settings
    for depth, key in enumerate(path):
        info = model.model_fields.get(key)
        if info is None:
            near = nearest_variable(name)
            return t("there is no such setting") + (
                t("; did you mean {near}?").format(near=near) if near else ""
            )
        section = submodel(info)
        last = depth == len(path) - 1
        if last and section is not None:
            return t("this is a section; a variable sets one key of it")
        if last:
            return info
        if section is None:
            return t("{key} is a value, not a section").format(key=".".join(path[: depth + 1]))
        model = section
    return t("there is no such setting")


def _value(raw: str, info: FieldInfo) -> object:
    """Text stays text where the setting is text; anything else is read as YAML or a list."""
    optional = info.annotation not in alternatives(info.annotation)
    if optional and not raw.strip():
        return None
    if holds_text(info):
        return raw
    if holds_list(info) and not raw.strip().startswith("["):
        return [part.strip() for part in raw.split(",") if part.strip()]
    return parse_value(raw)
