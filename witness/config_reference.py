"""Writes ``configs/witness.yaml`` from the settings' own descriptions."""

import re
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from enum import Enum
from pathlib import Path
from typing import Literal, get_args, get_origin

import yaml
from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from witness.config import Settings
from witness.config_model import alternatives, env_name, is_env_only, item_model, submodel
from witness.i18n import t
from witness.problem import KeyPath

__all__ = ["effective_yaml", "reference_yaml"]

_WIDTH = 98
_PASSWORD = re.compile(r"[a-z]+://[^/@]*:[^/@]*@|unix://.*[?&]password=")
_HEADER = """\
# Witness: every setting with its default. Made by `witness config reference`.
#
# What stands here is overridden by the environment variable named beside each key. Secrets do not
# belong in this file: give the path of a file that holds one (`*_file`), or the variable. Paths
# in this file are relative to the folder it is in, paths in variables to the current one.
# `witness config check FILE` names every wrong key or value with its line.
"""


def reference_yaml() -> str:
    """The whole file: all keys, commented, set to their defaults."""
    return _HEADER + "".join(_section(Settings, Settings(), ()))


def effective_yaml(settings: Settings) -> str:
    """The settings in force: a file that means the same, but for secrets, which are comments."""
    return "".join(_effective(settings, ()))


def _effective(values: BaseModel, path: KeyPath) -> Iterator[str]:
    indent = "  " * len(path)
    for name, info in type(values).model_fields.items():
        here = (*path, name)
        value = getattr(values, name)
        if isinstance(value, BaseModel):
            yield f"{indent}{name}:\n"
            yield from _effective(value, here)
        elif is_env_only(info) or _has_password(value):
            if value is not None:
                yield _hidden(indent, name, env_name(here))
        elif item_model(info) is not None and value:
            yield f"{indent}{name}:\n"
            yield from _effective_entries(value, here)
        else:
            yield f"{indent}{name}: {_flow(value)}\n"


def _effective_entries(entries: Sequence[BaseModel], path: KeyPath) -> Iterator[str]:
    """A list of sections. An entry whose secret is hidden would be incomplete: a comment too."""
    indent = "  " * len(path)
    kept = 0
    for entry in entries:
        fields = type(entry).model_fields
        shown = {
            name: _plain(getattr(entry, name))
            for name, info in fields.items()
            if not is_env_only(info) and getattr(entry, name) is not None
        }
        secrets = [n for n, i in fields.items() if is_env_only(i) and getattr(entry, n) is not None]
        if secrets:
            yield _hidden(indent, f"- {_flow(shown)} {', '.join(secrets)}", env_name(path))
        else:
            yield f"{indent}- {_flow(shown)}\n"
            kept += 1
    if not kept:
        yield f"{indent}[]\n"


def _has_password(value: object) -> bool:
    """Whether it is a URL that carries one (``redis://:password@host``)."""
    return isinstance(value, str) and _PASSWORD.match(value) is not None


def _hidden(indent: str, what: str, variable: str) -> str:
    text = t("{what}: hidden, from {variable}").format(what=what, variable=variable)
    return f"{indent}# {text}\n"


def _section(model: type[BaseModel], values: BaseModel, path: KeyPath) -> Iterator[str]:
    """Values first, then sections, which set themselves off by an empty line."""
    indent = "  " * len(path)
    for name, info in sorted(model.model_fields.items(), key=lambda f: submodel(f[1]) is not None):
        inner = submodel(info)
        here = (*path, name)
        value = getattr(values, name)
        if inner is not None and isinstance(value, BaseModel):
            yield "\n" + _comment(_summary(inner), indent) + f"{indent}{name}:\n"
            yield from _section(inner, value, here)
            continue
        yield _comment(_explanation(info, here), indent)
        entry = item_model(info)
        if entry is not None:
            yield _entry_comment(entry, indent)
        if not is_env_only(info):
            yield from _setting(name, value, indent)


def _setting(name: str, value: object, indent: str) -> Iterator[str]:
    """A key and its value, on one line if it fits; else entries below each other."""
    line = f"{indent}{name}: {_flow(value)}\n"
    if len(line) <= _WIDTH + 1 or not isinstance(value, (Mapping, list, tuple)):
        yield line
        return
    yield f"{indent}{name}:\n"
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _setting(str(key), inner, indent + "  ")
    else:
        yield from (f"{indent}  - {_flow(item)}\n" for item in value)


def _entry_comment(model: type[BaseModel], indent: str) -> str:
    """The keys of one entry of a list."""
    lines = [_comment("Each entry has:", indent)]
    for name, info in model.model_fields.items():
        if not is_env_only(info):
            text = " ".join(part for part in (info.description, _allowed(info)) if part)
            lines.append(_comment(f"- {name}: {text}", indent, hanging="  "))
    return "".join(lines)


def _summary(model: type[BaseModel]) -> str:
    return (model.__doc__ or "").strip().partition("\n\n")[0].replace("\n", " ")


def _explanation(info: FieldInfo, path: KeyPath) -> str:
    """Description, what is allowed, and the variable."""
    parts = [(info.description or "").rstrip()]
    allowed = _allowed(info)
    if allowed:
        parts.append(allowed)
    if is_env_only(info):
        parts.append(f"Only {env_name(path)}.")
    else:
        parts.append(f"[{env_name(path)}]")
    return " ".join(part for part in parts if part)


def _allowed(info: FieldInfo) -> str:
    for kind in alternatives(info.annotation):
        names = _names(kind)
        if names:
            return f"One of {', '.join(names)}."
        item = next(iter(get_args(kind)), None)
        if get_origin(kind) in {tuple, list, set, frozenset} and _names(item):
            return f"Any of {', '.join(_names(item))}."
    low = next((m for m in info.metadata if isinstance(m, (Ge, Gt))), None)
    high = next((m for m in info.metadata if isinstance(m, (Le, Lt))), None)
    match low, high:
        case Ge(ge=a), Le(le=b):
            return f"{a} to {b}."
        case Gt(gt=a), Le(le=b):
            return f"More than {a}, at most {b}."
        case Ge(ge=a), None:
            return f"{a} or more."
        case Gt(gt=a), None:
            return f"More than {a}."
        case _:
            return ""


def _names(kind: object) -> list[str]:
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [str(member.value) for member in kind]
    if get_origin(kind) is Literal:
        return [str(value) for value in get_args(kind)]
    return []


def _flow(value: object) -> str:
    """A value on one line, in YAML."""
    plain = _plain(value)
    text = yaml.safe_dump(
        plain,
        default_flow_style=True,
        # Line breaks would end a comment or need an indentation.
        default_style='"' if isinstance(plain, str) and not plain.isprintable() else None,
        allow_unicode=True,
        sort_keys=False,
        width=1 << 30,
    )
    return text.removesuffix("...\n").strip()


def _plain(value: object) -> object:
    match value:
        case Enum():
            return value.value
        case bool() | int() | float() | str() | None:
            return value
        case tuple() | list():
            return [_plain(item) for item in value]
        case set() | frozenset():
            return sorted(str(_plain(item)) for item in value)
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case BaseModel():
            return value.model_dump(mode="json")
        case Path():
            return str(value.absolute())
        case _:
            return str(value)


def _comment(text: str, indent: str, hanging: str = "") -> str:
    prefix = f"{indent}# "
    lines = textwrap.wrap(
        text,
        _WIDTH,
        initial_indent=prefix,
        subsequent_indent=prefix + hanging,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(lines) + "\n"
