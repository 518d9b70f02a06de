"""Bearer tokens of the process, from wherever the settings keep them."""

from pathlib import Path

from pydantic import SecretStr

from witness import os_errors
from witness.config import MIN_TOKEN_CHARS, read_secret
from witness.errors import ConfigError
from witness.i18n import of_error, t
from witness.problem import Problem

__all__ = ["load_token"]


def load_token(key: str, value: SecretStr | None, file: Path | None) -> str | None:
    """The token given by variable, else the one in the file, else ``None``.

    Args:
        key: of the setting, without ``_file``: ``server.admin_token``.
        value: of the variable; its length was checked when it was read.
        file: holds the token in its first line.

    Raises:
        ConfigError: the file can't be used.
    """
    if value is not None:
        return value.get_secret_value()
    if file is None:
        return None
    try:
        token = read_secret(file)
    except OSError as error:
        problem = os_errors.reason(error)
    except ValueError as error:
        problem = of_error(error)
    else:
        if len(token) >= MIN_TOKEN_CHARS:
            return token
        problem = t("must have at least {min_length} characters").format(min_length=MIN_TOKEN_CHARS)
    raise ConfigError([Problem(f"{file}: {problem}", key=f"{key}_file")])
