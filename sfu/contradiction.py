"""Settings that can't be used, told so that they can be placed and translated."""

from typing import LiteralString

from pydantic_core import PydanticCustomError

__all__ = ["contradiction"]


def contradiction(template: LiteralString, *fields: str, **values: object) -> PydanticCustomError:
    """A ``ValueError`` for validators of settings.

    Args:
        template: what is wrong and what is allowed, English, with ``{name}`` for values. The
            process that reads the settings may know it in other languages.
        fields: keys that don't go together, with dots, relative to the model or field whose
            validator raises this; none if it is that field alone.
        values: fill the template.
    """
    context = {**values, "template": template, "fields": fields}
    return PydanticCustomError("contradiction", template, context)
