"""Log lines for people (console) or machines (JSON), without personal data: of servers and hosts.

A record's ``extra`` values become fields. Keys that begin with ``pii.`` carry personal data and
are left out unless they are asked for; the texts of exceptions and what libraries log are treated
alike, because they may quote remote input.
"""

import json
import logging
import re
import traceback
from collections.abc import Mapping
from datetime import UTC, datetime

__all__ = ["ConsoleFormatter", "JsonFormatter"]

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_PII_PREFIX = "pii."
_MAX_FRAMES = 20
_OWN = frozenset(
    {"sfu", "signaling", "rtp", "recorder", "archive", "analytics", "witness", "loadtest"}
)
_ADDRESS = re.compile(
    r"(?<![\w.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]\d)"
    r"|(?<![\w:])(?=[0-9A-Fa-f]*:[0-9A-Fa-f:]*:)[0-9A-Fa-f:.]{2,45}(?:%\w+)?"
)
"""IPv4 and IPv6 addresses in the text of libraries; rather too many than too few."""


class _FieldFormatter(logging.Formatter):
    """What both formats share: the fields of a record, and exceptions without their text."""

    def __init__(self, *, pii: bool) -> None:
        super().__init__()
        self._pii = pii

    def fields(self, record: logging.LogRecord) -> dict[str, object]:
        """The ``extra`` values that may be written."""
        return {
            key: value
            for key, value in vars(record).items()
            if key not in _STANDARD and (self._pii or not key.startswith(_PII_PREFIX))
        }

    def message(self, record: logging.LogRecord) -> str:
        """The message; without personal data unless it is asked for.

        Our own messages are constant. Those of libraries may quote a peer's address or what it
        sent, so of their arguments only numbers are written, and of addresses nothing.
        """
        if self._pii or record.name.partition(".")[0] in _OWN:
            return record.getMessage()
        text = record.getMessage() if record.name == "py.warnings" else _with_numbers_only(record)
        return _ADDRESS.sub("…", text.partition("\n")[0])

    def exception(self, record: logging.LogRecord) -> list[str]:
        """Type and frames of the exception, innermost last."""
        if not record.exc_info or record.exc_info[1] is None:
            return []
        error = record.exc_info[1]
        frames = traceback.extract_tb(error.__traceback__)[-_MAX_FRAMES:]
        lines = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
        name = f"{type(error).__module__}.{type(error).__qualname__}"
        return [*lines, f"{name}: {error}" if self._pii else name]

    @staticmethod
    def time(record: logging.LogRecord) -> str:
        """RFC 3339, UTC, milliseconds."""
        moment = datetime.fromtimestamp(record.created, tz=UTC)
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class JsonFormatter(_FieldFormatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        entry: dict[str, object] = {
            "time": self.time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self.message(record),
            **self.fields(record),
        }
        trace = self.exception(record)
        if trace:
            entry["exception"] = trace
        return json.dumps(entry, ensure_ascii=False, default=str)


class ConsoleFormatter(_FieldFormatter):
    """Time, level, logger, message, then ``key=value``."""

    def format(self, record: logging.LogRecord) -> str:
        """The line, and further ones for an exception."""
        head = f"{self.time(record)} {record.levelname.lower():7} {record.name}: "
        values = "".join(f" {key}={_plain(value)}" for key, value in self.fields(record).items())
        return "\n    ".join(
            [head + _one_line(self.message(record)) + values, *self.exception(record)]
        )


def _with_numbers_only(record: logging.LogRecord) -> str:
    """The message with all other arguments replaced."""
    arguments = record.args
    if not arguments:
        return str(record.msg)
    replaced: object
    if isinstance(arguments, Mapping):
        replaced = {key: _number(value) for key, value in arguments.items()}
    else:
        replaced = tuple(_number(value) for value in arguments)
    try:
        return str(record.msg) % replaced
    except (TypeError, ValueError, KeyError):
        return str(record.msg)


def _number(value: object) -> object:
    return value if isinstance(value, int | float) else "…"


def _plain(value: object) -> str:
    text = _one_line(str(value))
    return json.dumps(text, ensure_ascii=False) if " " in text or not text else text


def _one_line(text: str) -> str:
    """Control characters escaped: remote input must not forge log lines."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
