"""JSON that may come from anybody: strictly canonical (RFC 8785), integers only, typed access."""

from __future__ import annotations

import base64
import json
from typing import Any, NoReturn

from witness_verify.failure import Failure

__all__ = ["base64_bytes", "canonical", "digests", "items", "mapping", "number",
           "numbers", "parse", "text"]  # fmt: skip

_MAX_INTEGER = 2**53 - 1
_MAX_VALUES = 400_000


def parse(data: bytes, where: str) -> dict[str, Any]:
    """An object; fails unless the bytes are exactly its canonical form."""
    if sum(data.count(mark) for mark in (b",", b"[", b"{")) > _MAX_VALUES:
        raise Failure("too_large", f"{where}: values")
    try:
        value = json.loads(data, parse_int=_integer, parse_float=_refuse, parse_constant=_refuse)
        # Not the same also where a key stands twice: only one of them was kept.
        same = canonical(value) == data
    except (ValueError, RecursionError):
        same, value = False, None
    if not same:
        raise Failure("json", where)
    if not isinstance(value, dict):
        raise Failure("form", where)
    return value


def canonical(value: Any) -> bytes:
    """The canonical form; ``ValueError`` where there is none."""
    return json.dumps(_ordered(value), ensure_ascii=False, separators=(",", ":")).encode()


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _ordered(value[k]) for k in sorted(value, key=lambda k: k.encode("utf-16-be"))}
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    if isinstance(value, int) and abs(value) > _MAX_INTEGER:
        raise ValueError
    return value


def _integer(literal: str) -> int:
    # Before Python 3.11 one of millions of digits took minutes.
    return int(literal) if len(literal) <= len(str(-_MAX_INTEGER)) else _refuse(literal)


def _refuse(literal: str) -> NoReturn:
    raise ValueError(literal)


def _field(value: dict[str, Any], key: str, kind: type) -> Any:
    found = value.get(key)
    if type(found) is not kind:
        raise Failure("form", key)
    return found


def text(value: dict[str, Any], key: str) -> str:
    """A text field."""
    return str(_field(value, key, str))


def number(value: dict[str, Any], key: str) -> int:
    """An integer field."""
    return int(_field(value, key, int))


def mapping(value: dict[str, Any], key: str) -> dict[str, Any]:
    """An object field."""
    return dict(_field(value, key, dict))


def items(value: dict[str, Any], key: str, kind: type = dict) -> list[Any]:
    """A list of objects, or of one other kind of value."""
    found = list(_field(value, key, list))
    if not all(type(item) is kind for item in found):
        raise Failure("form", key)
    return found


def numbers(found: list[Any], count: int) -> list[int]:
    """A list of so many integers, in rising order."""
    if len(found) != count or not all(type(n) is int for n in found) or found != sorted(found):
        raise Failure("form", "numbers")
    return found


def digests(value: dict[str, Any]) -> tuple[str, str]:
    """The fields ``sha256`` and ``sm3``."""
    return text(value, "sha256"), text(value, "sm3")


def base64_bytes(value: object) -> bytes:
    """What a text of base64 stands for; there is one text for each value, and none for nothing."""
    try:
        data = base64.b64decode(str(value), validate=True)
    except ValueError:
        data = b""
    if not data or base64.b64encode(data).decode() != value:
        raise Failure("form", "base64")
    return data
