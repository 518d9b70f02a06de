"""JSON that may come from anybody: strictly canonical (RFC 8785), integers only, typed access."""

import base64
import json
from typing import Any, Final, NoReturn

from witness_verify.failure import Failure

__all__ = ["base64_bytes", "canonical", "digests", "items", "mapping", "number", "parse", "text"]

_MAX: Final = 2**53 - 1
_MAX_VALUES: Final = 400_000


def parse(data: bytes, where: str) -> dict[str, Any]:
    """An object; fails unless the bytes are exactly its canonical form."""
    if sum(data.count(mark) for mark in (b",", b"[", b"{")) > _MAX_VALUES:
        raise Failure("too_large", f"{where}: values")
    try:
        value = json.loads(data, parse_float=_refuse, parse_constant=_refuse)
        same = canonical(value) == data
    except (ValueError, RecursionError):
        raise Failure("json", where) from None
    if not same:
        # Also where a key stands twice: only one of them was kept.
        raise Failure("json", where)
    if not isinstance(value, dict):
        raise Failure("form", where)
    return value


def canonical(value: Any) -> bytes:
    """The canonical form; ``ValueError`` where there is none."""
    ordered = _ordered(value)
    return json.dumps(ordered, ensure_ascii=False, separators=(",", ":")).encode()


def _ordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _ordered(value[k]) for k in sorted(value, key=lambda k: k.encode("utf-16-be"))}
    if isinstance(value, list):
        return [_ordered(item) for item in value]
    if isinstance(value, int) and abs(value) > _MAX:
        raise ValueError
    return value


def _refuse(text: str) -> NoReturn:
    raise ValueError(text)


def text(value: dict[str, Any], key: str) -> str:
    """A text field."""
    found = value.get(key)
    if not isinstance(found, str):
        raise Failure("form", key)
    return found


def number(value: dict[str, Any], key: str) -> int:
    """An integer field."""
    found = value.get(key)
    if type(found) is not int:
        raise Failure("form", key)
    return found


def mapping(value: dict[str, Any], key: str) -> dict[str, Any]:
    """An object field."""
    found = value.get(key)
    if not isinstance(found, dict):
        raise Failure("form", key)
    return found


def items(value: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """A list of objects."""
    found = value.get(key)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise Failure("form", key)
    return found


def digests(value: dict[str, Any], key: str = "") -> tuple[str, str]:
    """The fields ``sha256`` and ``sm3``, of the object or of one of its fields."""
    inner = mapping(value, key) if key else value
    return text(inner, "sha256"), text(inner, "sm3")


def base64_bytes(value: object) -> bytes:
    """What a text of base64 stands for; there is one text for each value, and none for nothing."""
    try:
        data = base64.b64decode(str(value), validate=True)
    except ValueError:
        data = b""
    if not data or base64.b64encode(data).decode() != value:
        raise Failure("form", "base64")
    return data
