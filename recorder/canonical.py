"""Canonical JSON, so that one value has one sequence of bytes and one digest.

Spec: RFC 8785, for values without fractions: numbers are integers that a double holds exactly.
Everything that is measured is counted in whole units (µs, bytes, packets), so none are needed.
"""

import json
from typing import Any, Final

from recorder.errors import CanonicalError

__all__ = ["MAX_INTEGER", "canonical"]

MAX_INTEGER: Final = 2**53 - 1
_MAX_DEPTH: Final = 32


def canonical(value: object) -> bytes:
    """The one way to write a value: UTF-8, keys sorted by UTF-16 code units, no white space.

    Raises:
        CanonicalError: it holds something other than objects with text keys, arrays, text,
            integers up to 2^53 − 1, true, false and null, or is nested more than 32 deep.
    """
    text = json.dumps(_ordered(value, 0), ensure_ascii=False, separators=(",", ":"))
    try:
        return text.encode()
    except UnicodeEncodeError:
        raise CanonicalError("a text holds half a surrogate pair") from None


def _ordered(value: object, depth: int) -> Any:
    if depth > _MAX_DEPTH:
        raise CanonicalError("nested more than {depth} deep", depth=_MAX_DEPTH)
    match value:
        case None | bool() | str():
            return value
        case int():
            if abs(value) > MAX_INTEGER:
                raise CanonicalError("{value} is beyond 2^53 - 1", value=value)
            return int(value)
        case dict():
            if not all(isinstance(key, str) for key in value):
                raise CanonicalError("a key is no text")
            keys = sorted(value, key=lambda key: key.encode("utf-16-be", "surrogatepass"))
            return {key: _ordered(value[key], depth + 1) for key in keys}
        case list() | tuple():
            return [_ordered(item, depth + 1) for item in value]
    raise CanonicalError("a {kind} has no canonical JSON", kind=type(value).__name__)
