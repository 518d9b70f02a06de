"""User-facing text in English and Chinese.

English stands in the code, ``t("start the server")``; :mod:`witness.i18n_zh` maps it to Chinese.
A test holds that every such text has its counterpart. The language is that of the environment
(``LC_ALL``, ``LC_MESSAGES``, ``LANG``, in this order, as in POSIX).
"""

import os
from collections.abc import Mapping

from witness.i18n_zh import CATALOGUE

__all__ = ["language", "language_of_user", "marked", "of_error", "t"]


def language(environ: Mapping[str, str]) -> str:
    """``zh`` or ``en``."""
    for name in ("LC_ALL", "LC_MESSAGES", "LANG"):
        value = environ.get(name, "")
        if value:
            return "zh" if value.lower().startswith("zh") else "en"
    return "en"


def language_of_user() -> str:
    """``zh`` or ``en``, as the environment of this process has it."""
    return language(os.environ)


def t(text: str) -> str:
    """The text in the language of the environment; English where there is no translation."""
    if language_of_user() == "zh":
        return CATALOGUE.get(text, text)
    return text


def marked(text: str) -> str:
    """The text itself: marks one that stands in a table and reaches :func:`t` later."""
    return text


def of_error(error: Exception) -> str:
    """An error's own sentence.

    Errors of other packages know no language; those that people read carry ``template``, a text
    of the catalogue, and the ``values`` to fill it with.
    """
    template = getattr(error, "template", None)
    if not isinstance(template, str):
        return t(str(error))
    return t(template).format(**getattr(error, "values", {}))
