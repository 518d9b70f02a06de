"""Pydantic's complaints as sentences for whoever wrote the configuration."""

from pydantic import BaseModel, SecretStr
from pydantic_core import ErrorDetails

from witness.i18n import marked, t

__all__ = ["sentence"]

_MAX_SHOWN = 80
_TEXTS = {
    "int_parsing": marked("must be a whole number"),
    "int_type": marked("must be a whole number"),
    "int_from_float": marked("must be a whole number"),
    "int_parsing_size": marked("must be a whole number"),
    "float_parsing": marked("must be a number"),
    "float_type": marked("must be a number"),
    "finite_number": marked("must be a number"),
    "bool_parsing": marked("must be true or false"),
    "bool_type": marked("must be true or false"),
    "string_type": marked("must be text; put it in quotes"),
    "string_unicode": marked("must be text; put it in quotes"),
    "path_type": marked("must be a path"),
    "enum": marked("must be {expected}"),
    "literal_error": marked("must be {expected}"),
    "greater_than": marked("must be greater than {gt}"),
    "greater_than_equal": marked("must be {ge} or more"),
    "less_than": marked("must be less than {lt}"),
    "less_than_equal": marked("must be {le} or less"),
    "model_type": marked("must be a section with keys"),
    "model_attributes_type": marked("must be a section with keys"),
    "dict_type": marked("must be a section with keys"),
    "list_type": marked("must be a list"),
    "tuple_type": marked("must be a list"),
    "set_type": marked("must be a list"),
    "frozen_set_type": marked("must be a list"),
    "missing": marked("is missing"),
    "too_short": marked("must have at least {min_length} entries"),
    "too_long": marked("must have at most {max_length} entries"),
    "string_too_short": marked("must have at least {min_length} characters"),
    "string_too_long": marked("must have at most {max_length} characters"),
    "string_pattern_mismatch": marked("does not have the expected form ({pattern})"),
    "ip_any_network": marked("must be a network such as 192.0.2.0/24 or 2001:db8::/32"),
}


def sentence(error: ErrorDetails) -> str:
    """What is wrong, what is allowed, and the value unless it is or may hold a secret."""
    return _complaint(error) + _shown(error)


def _complaint(error: ErrorDetails) -> str:
    context = dict(error.get("ctx", {}))
    kind = error["type"]
    if kind in {"too_short", "too_long"} and isinstance(error["input"], str | SecretStr):
        kind = f"string_{kind}"
    template = context.get("template") if kind == "contradiction" else _TEXTS.get(kind)
    if isinstance(template, str):
        if "expected" in context:
            context["expected"] = str(context["expected"]).replace(" or ", t(" or "))
        return t(template).format(**context)
    text = error["msg"].removeprefix("Value error, ")
    return t(text[:1].lower() + text[1:])


def _shown(error: ErrorDetails) -> str:
    value = error["input"]
    last = str(error["loc"][-1:])
    if isinstance(value, SecretStr | dict | BaseModel) or "token" in last or "key" in last:
        return ""
    if "secret" in str(error["loc"]) or error["type"] == "contradiction":
        return ""
    if value is None:
        return t(" (is empty)")
    text = repr(value) if isinstance(value, str) else str(value)
    return t(" (is {value})").format(value=text[:_MAX_SHOWN])
